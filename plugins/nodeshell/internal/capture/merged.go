package capture

import (
	"io"
	"os"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
)

// merged writes all targets into one pcapng.
type merged struct {
	out  *pcap.Merged
	f    *os.File
	name string
}

func newMerged(w io.Writer, name string, limit int64) *merged {
	return &merged{out: pcap.NewMerged(&limited{w: w, limit: limit}, "kubectl nodeshell"), name: name}
}

// limited takes blocks until the first that would pass the limit.
type limited struct {
	w       io.Writer
	limit   int64 // 0: none
	written int64
	full    bool
}

func (l *limited) Write(block []byte) (int, error) {
	l.full = l.full || l.limit > 0 && l.written+int64(len(block)) > l.limit
	if l.full {
		return 0, errFull
	}
	n, err := l.w.Write(block)
	l.written += int64(n)
	return n, err
}

func (m *merged) open(t collect.Target, h pcap.Header) (stream, error) {
	name := title(t)
	if t.Pod != nil {
		name += " on node " + t.Node.Name
	}
	write, err := m.out.Add(h, title(t), name)
	return &part{m: m, to: write}, err
}

func (m *merged) close() error {
	if m.f == nil {
		return nil
	}
	return m.f.Close()
}

type part struct {
	m       *merged
	to      func(pcap.Record) (int, error)
	written int64
}

func (p *part) write(r pcap.Record) error {
	n, err := p.to(r)
	p.written += int64(n)
	return err
}

func (p *part) size() int64  { return p.written }
func (p *part) file() string { return p.m.name }
func (p *part) close() error { return nil } // the file is all targets'
