package helperpod

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"sync"
)

// A Status that says success cannot be trusted by itself: an error channel that ends empty, as when the kubelet is
// restarted, is read as success by the SPDY client, in kubectl and inside the API server's WebSocket translator
// (https://github.com/kubernetes/kubectl/issues/1726). So the command's shell writes its exit code on stderr, between
// two record separators and behind a nonce, and success counts only with that trailer.
// The shell's own stderr is set aside: it would print "Killed" for a command that a signal has ended.
const (
	trailerScript = `trap : INT QUIT; exec 3>&2 2>/dev/null; ( exec "$@" 2>&3 3>&- ); r=$?; printf '\036%s:%d\036' "$0" $r >&3; `
	trailerEnd    = `exit $r`
	// drainedEnd takes the rest of the input, until the client, who reads the trailer, ends it: input that nobody reads makes the
	// connection break when the command ends, and the end of the output with it.
	drainedEnd = `cat >/dev/null; exit $r`
)

// withTrailer wraps a command; drained is for a stream whose input the client ends once it has the trailer.
func withTrailer(sh, nonce string, argv []string, drained bool) []string {
	end := trailerEnd
	if drained {
		end = drainedEnd
	}
	return append([]string{sh, "-c", trailerScript + end, nonce}, argv...)
}

// trailer is what several filters of one exec find.
type trailer struct {
	mu   sync.Mutex
	code *int
}

func (t *trailer) found(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.code = &code
}

func (t *trailer) get() (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.code == nil {
		return 0, false
	}
	return *t.code, true
}

// trailerFilter passes bytes on and takes the trailer out, wherever it stands and however it is cut into writes.
type trailerFilter struct {
	to    io.Writer
	start []byte
	held  []byte // what may become a trailer
	t     *trailer
}

func newTrailerFilter(to io.Writer, nonce string, t *trailer) *trailerFilter {
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
	if code, err := strconv.Atoi(string(digits[:end])); err == nil {
		f.t.found(code)
	}
	return data[:i], digits[end+1:], false
}

// flush passes on what was held and did not become a trailer.
func (f *trailerFilter) flush() {
	_, _ = f.to.Write(f.held) // the stream has ended: its result is known already
	f.held = nil
}
