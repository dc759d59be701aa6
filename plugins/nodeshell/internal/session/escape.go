package session

import (
	"errors"
	"io"
)

// errDropped is the cause of a session that the user has left by "~.".
var errDropped = errors.New("the escape sequence ended the session")

const escapeHelp = "\r\n~.  leave this session (everything started in it ends within 30s)\r\n~~  send ~\r\n~?  show this help\r\n"

// escape passes keys on and watches for ssh's escapes, which count only after a newline: the way out of a session whose
// node hangs (https://github.com/kubernetes/kubernetes/issues/35213).
type escape struct {
	in   io.Reader
	say  io.Writer // for ~?
	drop func(error)

	state state
}

type state int

const (
	lineStart state = iota
	tilde           // "~" was typed at the start of a line, and is held back
	inLine
)

// Read gives what is to be sent; it may be nothing.
func (e *escape) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	typed := make([]byte, len(p)/2) // a held "~" comes out together with the next key
	n, err := e.in.Read(typed)
	out := 0
	for _, key := range typed[:n] {
		out += e.key(p[out:], key)
	}
	if err != nil && e.state == tilde {
		p[out] = '~'
		out++
	}
	return out, err
}

func (e *escape) key(p []byte, key byte) int {
	switch {
	case e.state == lineStart && key == '~':
		e.state = tilde
		return 0
	case e.state == tilde && key == '.':
		e.state = inLine
		e.drop(errDropped)
		return 0
	case e.state == tilde && key == '?':
		e.state = lineStart
		_, _ = io.WriteString(e.say, escapeHelp) // help for a terminal that may be gone
		return 0
	case e.state == tilde && key == '~':
		e.state = inLine
		p[0] = '~'
		return 1
	}
	n := 0
	if e.state == tilde {
		p[0], n = '~', 1
	}
	p[n] = key
	e.state = inLine
	if key == '\r' || key == '\n' {
		e.state = lineStart
	}
	return n + 1
}
