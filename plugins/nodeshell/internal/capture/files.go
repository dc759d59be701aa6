package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
)

// single is the pcap of the only target: a file, or a stream.
type single struct {
	o      Options
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

// directory has a pcap for each target.
type directory struct{ o Options }

func (d directory) open(t collect.Target, h pcap.Header) (stream, error) {
	name := strings.ReplaceAll(title(t), "/", "_") + ".pcap"
	return newFile(filepath.Join(d.o.Write, name), h, d.o)
}

func (d directory) close() error { return nil }

func newFile(path string, h pcap.Header, o Options) (stream, error) {
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
