package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/lines"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
)

// openSinks connects packets with files, standard output, text or Wireshark.
func (c *capturing) openSinks(ctx context.Context, stdout *helperpod.Spool, targets int) (closeAll func() error, err error) {
	if c.o.Text() {
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
	return c.openViewer(ctx, targets)
}

// openViewer starts Wireshark; the capture ends with it.
func (c *capturing) openViewer(ctx context.Context, targets int) (closeAll func() error, err error) {
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
	c.behind = append(c.behind, spool)
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
var errFull = errors.New("--max-size reached")

// newPackets chooses by -w: one target a pcap, several a merged pcapng, and a directory a pcap each.
func newPackets(o Options, targets int, stdout io.Writer) (packets, error) {
	switch {
	case o.dir():
		return directory{o}, os.MkdirAll(o.Write, 0o700)
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
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the file that the user names
}

// title names a target: namespace/pod, or the node.
func title(t collect.Target) string {
	if t.Pod == nil {
		return "node/" + t.Node.Name
	}
	return t.Pod.Namespace + "/" + t.Pod.Name
}
