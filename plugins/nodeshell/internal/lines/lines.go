// Package lines lets several nodes write to one stream, whole lines at a time.
package lines

import (
	"bytes"
	"io"
	"sync"
)

// Shared lets several nodes write whole lines to one stream.
type Shared struct {
	mu sync.Mutex
	w  io.Writer
}

// NewShared shares w.
func NewShared(w io.Writer) *Shared { return &Shared{w: w} }

// Prefixed gives a writer whose lines begin with prefix. Flush it at the end: the last line may lack its newline.
func (s *Shared) Prefixed(prefix string) *Prefixed { return &Prefixed{shared: s, prefix: prefix} }

// Prefixed writes whole lines with a prefix.
type Prefixed struct {
	shared *Shared
	prefix string
	rest   []byte
}

func (p *Prefixed) Write(data []byte) (int, error) {
	p.rest = append(p.rest, data...)
	end := bytes.LastIndexByte(p.rest, '\n')
	if end < 0 {
		return len(data), nil
	}
	var b bytes.Buffer
	for line := range bytes.Lines(p.rest[:end+1]) {
		b.WriteString(p.prefix)
		b.Write(line)
	}
	p.rest = append([]byte(nil), p.rest[end+1:]...)
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	_, err := p.shared.w.Write(b.Bytes())
	return len(data), err
}

// Flush writes a last line without its newline, as a line.
func (p *Prefixed) Flush() error {
	if len(p.rest) == 0 {
		return nil
	}
	_, err := p.Write([]byte("\n"))
	return err
}
