package nodeshell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/lines"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
)

// openSinks connects packets with files, standard output, text or Wireshark.
func (c *capturing) openSinks(ctx context.Context, stdout *helperpod.Spool, targets int) (closeAll func() error, err error) {
	if c.o.text() {
		c.text = lines.NewShared(stdout)
		return func() error { return nil }, nil
	}
	if !c.o.Wireshark {
		c.out, err = newPackets(c.o, targets, stdout)
		if err != nil {
			return nil, err
		}
		return c.out.close, nil
	}
	viewer := exec.CommandContext(context.WithoutCancel(ctx), "wireshark", "-k", "-i", "-")
	pipe, err := viewer.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := viewer.Start(); err != nil {
		return nil, fmt.Errorf("--wireshark: %w", err)
	}
	go func() {
		_ = viewer.Wait() // however it ended: nobody looks any more
		c.finish()
	}()
	spool := helperpod.NewSpool(pipe)
	o := c.o
	o.Write = "-"
	if c.out, err = newPackets(o, targets, spool); err != nil {
		return nil, err
	}
	return func() error {
		err := spool.Close(ctx.Done())
		_ = pipe.Close()
		if errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.EPIPE) {
			return nil
		}
		return err
	}, nil
}

// packets is where the packets of a capture go. Open is called once a stream has shown its header.
type packets interface {
	open(t collect.Target, h pcap.Header) (stream, error)
	close() error
}

// stream takes one target's packets.
type stream interface {
	write(pcap.Record) error
	size() int64
	file() string
	close() error
}

// errFull stops a capture at --max-size.
var errFull = errors.New("--max-size is reached")

// newPackets chooses by -w: one target a pcap, several a merged pcapng, and a directory a pcap each.
func newPackets(o captureOptions, targets int, stdout io.Writer) (packets, error) {
	switch {
	case o.dir():
		return directory{o}, os.MkdirAll(o.Write, 0o755)
	case targets == 1:
		return single{o, stdout}, nil
	case o.Write == "-":
		return newMerged(stdout, "-", o.MaxSize), nil
	}
	f, err := create(o.Write)
	if err != nil {
		return nil, err
	}
	m := newMerged(f, o.Write, o.MaxSize)
	m.f = f
	return m, nil
}

// create makes a file that only its owner reads: packets hold secrets.
func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

// title names a target: namespace/pod, or the node.
func title(t collect.Target) string {
	if t.Pod == nil {
		return "node/" + t.Node.Name
	}
	return t.Pod.Namespace + "/" + t.Pod.Name
}

type single struct {
	o      captureOptions
	stdout io.Writer
}

func (s single) open(_ collect.Target, h pcap.Header) (stream, error) {
	if s.o.Write == "-" || s.o.Wireshark {
		_, err := s.stdout.Write(h.Raw)
		return &plain{w: s.stdout, name: "-", limit: s.o.MaxSize, written: int64(len(h.Raw))}, err
	}
	return newFile(s.o.Write, h, s.o)
}

func (s single) close() error { return nil }

type directory struct{ o captureOptions }

func (d directory) open(t collect.Target, h pcap.Header) (stream, error) {
	name := strings.ReplaceAll(title(t), "/", "_") + ".pcap"
	return newFile(filepath.Join(d.o.Write, name), h, d.o)
}

func (d directory) close() error { return nil }

func newFile(path string, h pcap.Header, o captureOptions) (stream, error) {
	if o.Rotate > 0 {
		r := &rotating{base: path, header: h.Raw, limit: o.MaxSize, keep: o.Rotate}
		return r, r.next()
	}
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(h.Raw)
	return &plain{w: f, f: f, name: path, limit: o.MaxSize, written: int64(len(h.Raw))}, err
}

// plain writes one pcap.
type plain struct {
	w       io.Writer
	f       *os.File // nil: standard output
	name    string
	limit   int64
	written int64
}

func (p *plain) write(r pcap.Record) error {
	if p.limit > 0 && p.written+int64(len(r.Raw)) > p.limit {
		return errFull
	}
	n, err := p.w.Write(r.Raw)
	p.written += int64(n)
	return err
}

func (p *plain) size() int64  { return p.written }
func (p *plain) file() string { return p.name }

func (p *plain) close() error {
	if p.f == nil {
		return nil
	}
	return p.f.Close()
}

// rotating begins a new file at --max-size and keeps the newest ones.
type rotating struct {
	base   string
	header []byte
	limit  int64
	keep   int

	f       *os.File
	number  int
	inFile  int64
	written int64
}

func (r *rotating) name(number int) string {
	ext := filepath.Ext(r.base)
	return fmt.Sprintf("%s-%04d%s", strings.TrimSuffix(r.base, ext), number, ext)
}

func (r *rotating) next() error {
	if r.f != nil {
		if err := r.f.Close(); err != nil {
			return err
		}
	}
	r.number++
	var err error
	if r.f, err = create(r.name(r.number)); err != nil {
		return err
	}
	if old := r.number - r.keep; old > 0 {
		if err := os.Remove(r.name(old)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	n, err := r.f.Write(r.header)
	r.inFile = int64(n)
	r.written += int64(n)
	return err
}

func (r *rotating) write(record pcap.Record) error {
	if r.inFile+int64(len(record.Raw)) > r.limit && r.inFile > int64(len(r.header)) {
		if err := r.next(); err != nil {
			return err
		}
	}
	n, err := r.f.Write(record.Raw)
	r.inFile += int64(n)
	r.written += int64(n)
	return err
}

func (r *rotating) size() int64  { return r.written }
func (r *rotating) file() string { return r.name(r.number) }
func (r *rotating) close() error { return r.f.Close() }

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
