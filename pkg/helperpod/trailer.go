package helperpod

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
)

// A Status that says success cannot be trusted by itself: an error channel that ends empty, as when the kubelet is
// restarted, is read as success by the SPDY client, in kubectl and inside the API server's WebSocket translator
// (https://github.com/kubernetes/kubectl/issues/1726). So the command's shell writes its exit code on stderr and on stdout, between
// two record separators and behind a nonce: success counts only with that trailer, and output is whole only up to it.
// The shell's own stderr is set aside: it would print "Killed" for a command that a signal has ended.
const (
	trailerScript = `trap : INT QUIT; exec 3>&2 2>/dev/null; ( exec "$@" 2>&3 3>&- %s); r=$?; set -- "$0" $r; ` +
		`printf '\036%%s:%%d\036' "$@" >&3; printf '\036%%s:%%d\036' "$@"; %sexit $r`
	// takeRest takes the rest of the input until the client, who has read the trailers, ends it: until then nothing of the output is
	// on its way. What is when a command ends is lost where a ping of the API server, or input that nobody reads, reaches a
	// kubelet or a runtime that has closed the connection by then.
	takeRest = "cat >/dev/null; "
	nothing  = "</dev/null "
)

// input is what a wrapped command reads.
type input int

const (
	asIs      input = iota // what its stream gives, if that gives anything
	heldInput              // nothing: the stream's input ends when the client has all output
	ownInput               // the stream's input, of which the rest is read when it has ended
)

// withTrailer wraps a command.
func withTrailer(sh, nonce string, argv []string, in input) []string {
	from, end := "", ""
	switch in {
	case asIs:
	case heldInput:
		from, end = nothing, takeRest
	case ownInput:
		end = takeRest
	}
	return append([]string{sh, "-c", fmt.Sprintf(trailerScript, from, end), nonce}, argv...)
}

// trailers is what the filters of one exec find: there is one for each stream of the output.
type trailers struct {
	mu      sync.Mutex
	missing int // filters that have not found theirs
	code    *int
}

func (t *trailers) found(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.code = &code
	t.missing--
}

// get gives the code if one was found, and whether all were.
func (t *trailers) get() (code *int, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.code, t.missing == 0
}

// trailerFilter passes bytes on and takes the trailer out, wherever it stands and however it is cut into writes.
type trailerFilter struct {
	to    io.Writer
	start []byte
	held  []byte // what may become a trailer
	found bool
	t     *trailers
}

func newTrailerFilter(to io.Writer, nonce string, t *trailers) *trailerFilter {
	t.missing++
	return &trailerFilter{to: to, start: []byte("\x1e" + nonce + ":"), t: t}
}

func (f *trailerFilter) Write(p []byte) (int, error) {
	data := p
	if len(f.held) > 0 {
		data = slices.Concat(f.held, p)
		f.held = nil
	}
	for len(data) > 0 {
		pass, rest, held := f.split(data)
		if len(pass) > 0 {
			if _, err := f.to.Write(pass); err != nil {
				return 0, err
			}
		}
		if held {
			f.held = append([]byte(nil), rest...)
			break
		}
		data = rest
	}
	return len(p), nil
}

// split gives what can be passed on, and the rest: to be looked at again, or to be held until more arrives.
func (f *trailerFilter) split(data []byte) (pass, rest []byte, held bool) {
	i := bytes.IndexByte(data, '\x1e')
	if i < 0 {
		return data, nil, false
	}
	tail := data[i:]
	if n := min(len(tail), len(f.start)); !bytes.Equal(tail[:n], f.start[:n]) {
		return data[:i+1], data[i+1:], false
	} else if n < len(f.start) {
		return data[:i], tail, true
	}
	digits := tail[len(f.start):]
	end := bytes.IndexByte(digits, '\x1e')
	if end < 0 {
		return data[:i], tail, true
	}
	if code, err := strconv.Atoi(string(digits[:end])); err == nil && !f.found { // a terminal gets both
		f.found = true
		f.t.found(code)
	}
	return data[:i], digits[end+1:], false
}

// flush passes on what was held and did not become a trailer.
func (f *trailerFilter) flush() {
	_, _ = f.to.Write(f.held) // the stream has ended: its result is known already
	f.held = nil
}
