package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
)

// record runs tcpdump until it is stopped, or its pod is gone, and keeps its packets.
func (c *capturing) record(ctx context.Context, t *one, helper *helperpod.Helper, argv []string) {
	// After a signal the stream lives on until tcpdump has said its last words.
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	f := c.follow(running, t, ended)
	go f.guard(helper, ended, cancel)
	log := &tcpdumpLog{listening: func(tool, device string) {
		t.listens()
		c.seen.listening(title(t.Target), tool, device)
	}}
	reader, writer := io.Pipe()
	spool := helperpod.NewSpool(writer)
	kept := make(chan error, 1)
	go func() { kept <- c.keep(t, reader) }()
	code, err := helper.Container().Exec(running, argv, helperpod.Streams{In: untilClosed(f.stop), Out: spool, Err: log, Behind: c.behind})
	early := !f.stopped()
	spoolErr := spool.Close(ended)
	_ = writer.Close()
	keepErr := <-kept
	result := &t.result
	result.Tool, result.Interface = log.setup()
	result.Captured, result.Received, result.Dropped = log.counts()
	switch {
	case errors.Is(keepErr, errFull) || errors.Is(spoolErr, errFull):
		result.Complete = true
	case c.gone(ctx, t, f, early && (err != nil || code != 0 || c.o.Count == 0)):
	case err != nil:
		result.Error = err.Error()
	case keepErr != nil:
		result.Error = keepErr.Error()
	case code == terminated && !early && result.Tool != "" && result.Packets == 0:
		result.Complete = true // it was stopped before it listened
	case code != 0 && (early || result.Captured == nil):
		result.Error = fmt.Sprintf("tcpdump exited with code %d: %s", code, log.complaint())
	default:
		result.Complete = true
	}
}

// following is what ends one target: the end of the whole capture, or of its pod.
type following struct {
	stop chan struct{}
	how  <-chan string // of the pod's end; nil: a node
	told chan string   // how the pod ended, once that has ended the target
}

func (c *capturing) follow(ctx context.Context, t *one, ended <-chan struct{}) *following {
	f := &following{stop: make(chan struct{}), told: make(chan string, 1)}
	if t.Target.Pod != nil {
		f.how = c.nodes.Gone(ctx, t.Target.Pod)
	}
	go func() {
		select {
		case <-c.stop:
		case how := <-f.how:
			f.told <- how
		case <-ended:
		}
		close(f.stop)
	}()
	return f
}

func (f *following) stopped() bool {
	select {
	case <-f.stop:
		return true
	default:
		return false
	}
}

// tornDown is how long the API server may take to tell of the end of a pod whose network is gone already.
const tornDown = 5 * time.Second

// gone notes that the pod is no longer there. A tcpdump that ended by itself may have lost its interface first.
func (c *capturing) gone(ctx context.Context, t *one, f *following, early bool) bool {
	pod := t.Target.Pod
	if pod == nil {
		return false
	}
	how := ""
	select {
	case how = <-f.told:
	default:
	}
	if how == "" && early {
		select {
		case how = <-f.told:
		case <-time.After(tornDown):
		}
	}
	if how == "" && (early || !c.stopped()) {
		how = c.nodes.Ending(context.WithoutCancel(ctx), pod)
	}
	if how == "" {
		return false
	}
	found := evaluate.Gone(pod, how, t.Options)
	t.result.Error, t.result.Findings = found.Message, append(t.result.Findings, found)
	return true
}

// guard ends a stream whose helper is lost, or that does not end by itself after it was told to.
func (f *following) guard(helper *helperpod.Helper, ended <-chan struct{}, cancel context.CancelCauseFunc) {
	lost, why := helper.Lost()
	select {
	case <-f.stop:
	case <-lost:
		cancel(fmt.Errorf("the helper pod was lost: %s", kube.OneLine(why())))
		return
	case <-ended:
		return
	}
	select {
	case <-time.After(lastWords):
		cancel(errors.New("tcpdump did not end in time"))
	case <-ended:
	}
}

func (c *capturing) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// keep reads one target's stream into its sink.
func (c *capturing) keep(t *one, in *io.PipeReader) error {
	if c.text != nil {
		return c.keepText(t, in)
	}
	r, err := pcap.NewReader(in)
	if errors.Is(err, io.EOF) {
		return nil // no header: tcpdump has said why
	}
	if err != nil {
		return c.drop(in, err)
	}
	out, err := c.out.open(t.Target, r.Header)
	if err != nil {
		return c.drop(in, err)
	}
	for {
		record, err := r.Next()
		if err == nil {
			err = out.write(record)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			t.result.Packets++
			c.seen.packets.Add(1)
			c.seen.bytes.Add(int64(len(record.Raw)))
			continue
		}
		t.result.Bytes, t.result.File = out.size(), out.file()
		if closeErr := out.close(); err == nil {
			err = closeErr // a network file system may tell only now that it is full
		}
		if err != nil {
			return c.drop(in, err)
		}
		return nil
	}
}

// keepText prints one target's lines; of several, each begins with its name.
func (c *capturing) keepText(t *one, in *io.PipeReader) error {
	prefix := ""
	if c.several {
		prefix = "[" + title(t.Target) + "] "
	}
	to := c.text.Prefixed(prefix)
	n, err := io.Copy(to, in)
	t.result.Bytes = n
	if err != nil {
		return c.drop(in, err)
	}
	return to.Flush()
}

// drop ends the capture and swallows the rest, so that the stream can end in order.
func (c *capturing) drop(in io.Reader, err error) error {
	c.finish()
	_, _ = io.Copy(io.Discard, in)
	return err
}
