package capture

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// tcpdumpLog reads what tcpdump says on standard error.
type tcpdumpLog struct {
	listening func(tool, device string) // called once, when packets begin to be kept; may be nil

	mu      sync.Mutex
	text    strings.Builder
	listens bool
}

// Write keeps the first part of the text; a broken filter says so at once.
func (l *tcpdumpLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	if l.text.Len() < 64<<10 {
		l.text.Write(p)
	}
	began := !l.listens && strings.Contains(l.text.String(), "listening on ")
	l.listens = l.listens || began
	l.mu.Unlock()
	if began && l.listening != nil {
		l.listening(l.setup())
	}
	return len(p), nil
}

var counter = regexp.MustCompile(`(\d+) packets? (captured|received by filter|dropped by kernel)`)

// counts gives tcpdump's counters, nil where it did not print them.
func (l *tcpdumpLog) counts() (captured, received, dropped *int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range counter.FindAllStringSubmatch(l.text.String(), -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			continue
		}
		switch m[2] {
		case "captured":
			captured = &n
		case "received by filter":
			received = &n
		default:
			dropped = &n
		}
	}
	return captured, received, dropped
}

var announced = regexp.MustCompile(`(?m)^capture tool=(\S+) interface=(\S+)$`)

// setup gives which tcpdump runs (of the image or the node) on which interface; empty before it has begun.
func (l *tcpdumpLog) setup() (tool, device string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := announced.FindStringSubmatch(l.text.String()); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// complaint gives what is neither a counter nor the usual start, in one line.
func (l *tcpdumpLog) complaint() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []string
	for line := range strings.Lines(l.text.String()) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", counter.MatchString(line), announced.MatchString(line), strings.Contains(line, "listening on "),
			strings.HasPrefix(line, "dropped privs"), strings.Contains(line, "verbose output suppressed"),
			strings.HasPrefix(line, "tcpdump: data link type"):
		default:
			kept = append(kept, strings.TrimPrefix(line, "tcpdump: "))
		}
	}
	return strings.Join(kept, "; ")
}

// untilClosed is an input that stays open, without a byte, until the channel is closed.
type untilClosed <-chan struct{}

func (u untilClosed) Read([]byte) (int, error) {
	<-u
	return 0, io.EOF
}
