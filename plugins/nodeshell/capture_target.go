package nodeshell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/netns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// onNodeOf makes the node's helper and captures its targets.
func (c *capturing) onNodeOf(ctx context.Context, plans []planned, members []int, results []report.Capture) {
	p := plans[members[0]]
	failed := func(err error) {
		for _, i := range members {
			results[i].Error = kube.OneLine(err)
		}
	}
	if p.Verdict == report.Refused {
		failed(errors.New(p.Summary))
		return
	}
	c.notices(p.Findings)
	audited := c.audit(ctx, p)
	defer audited()
	helper, err := c.start(ctx, p)
	defer c.close(ctx, helper)
	if err == nil {
		err = c.upload(ctx, helper.Container())
	}
	if err != nil {
		failed(err)
		return
	}
	var wg sync.WaitGroup
	for _, i := range members {
		wg.Go(func() {
			defer plans[i].listens()
			c.target(ctx, plans[i], helper, &results[i])
		})
	}
	wg.Wait()
}

// upload puts a static tcpdump into the helper.
func (c *capturing) upload(ctx context.Context, to helperpod.Container) error {
	if c.o.Tcpdump == "" {
		return nil
	}
	f, err := os.Open(c.o.Tcpdump)
	if err != nil {
		return err
	}
	defer f.Close()
	var stderr bytes.Buffer
	code, err := to.Exec(ctx, []string{"sh", "-c", "mkdir -p /tmp/nodeshell && cat >/tmp/nodeshell/tcpdump && chmod 755 /tmp/nodeshell/tcpdump"},
		helperpod.Streams{In: f, Err: &stderr})
	if err == nil && code != 0 {
		err = fmt.Errorf("--tcpdump could not be uploaded: %s", bytes.TrimSpace(stderr.Bytes()))
	}
	return err
}

// target captures one target through its node's helper.
func (c *capturing) target(ctx context.Context, p planned, helper *helperpod.Helper, result *report.Capture) {
	container := helper.Container()
	script := c.script(p, "host")
	if p.target.Pod != nil {
		found, err := netns.Find(ctx, container, p.target.Pod, c.o.Container)
		if err != nil {
			result.Error = err.Error()
			return
		}
		if found.Host {
			warning := evaluate.HostNetwork(p.target.Pod)
			c.notices(warning)
			result.Findings = append(result.Findings, warning...)
		} else {
			script = found.Enter(container.Shell, c.script(p, "net"))
		}
	}
	c.record(ctx, p, helper, script, result)
}

// inPod captures from an ephemeral container.
func (c *capturing) inPod(ctx context.Context, p planned, result *report.Capture) {
	result.Mode = "ephemeral"
	pod := p.target.Pod
	group := c.newGroup(pod.Namespace).ForPod(pod)
	if err := group.Watch(ctx); err != nil {
		result.Error = kube.OneLine(kube.Explain(err))
		return
	}
	root := func(add ...corev1.Capability) *corev1.SecurityContext {
		user, never := int64(0), false
		s := &corev1.SecurityContext{RunAsUser: &user, RunAsNonRoot: &never}
		if len(add) > 0 {
			s.Capabilities = &corev1.Capabilities{Add: add}
		}
		return s
	}
	helper, err := group.StartEphemeral(ctx, helperpod.Ephemeral{
		Pod: pod, Prefix: "nodeshell-", Image: evaluate.Image(p.target.Node, p.options), Shell: "sh",
		// CRI-O's default set lacks NET_RAW, and "baseline" forbids adding it where containerd has it anyway.
		Security: []*corev1.SecurityContext{root("NET_RAW"), root()},
		Patience: helperpod.Patience{Start: c.pod.startTimeout, Pull: pullPatience},
	})
	defer func() { _ = helper.Close(ctx) }()
	if err == nil {
		err = c.upload(ctx, helper.Container())
	}
	if err != nil {
		result.Error = kube.OneLine(kube.Explain(err))
		return
	}
	if pod.Spec.HostNetwork {
		result.Findings = append(result.Findings, evaluate.HostNetwork(pod)...)
		c.notices(result.Findings)
	}
	c.record(ctx, p, helper, append([]string{"sh", "-c", session.CaptureScript, "capture"}, c.arguments(p, "here")...), result)
}

func (c *capturing) script(p planned, where string) []string {
	return append([]string{p.Shell, "-c", session.CaptureScript, "capture"}, c.arguments(p, where)...)
}

// arguments are those of the capture script. No immediate mode: its fixed ring slots lost 8 % of a light load. The big
// buffer costs nothing. On the node the stream itself would be captured, and grow without end: it is filtered out.
func (c *capturing) arguments(p planned, where string) []string {
	remote := time.Duration(0)
	if c.o.Duration > 0 {
		remote = c.o.Duration + c.pod.startTimeout + lastWords // the local clock stops first, in order
	}
	argv := []string{where, c.o.Device, strconv.Itoa(int(remote.Seconds())), "-nn", "-B", "32768"}
	if where == "here" {
		argv = append(argv, "-p")
	}
	if c.o.text() {
		argv = append(argv, "-l")
	} else {
		argv = append(argv, "-U", "-w", "-")
	}
	if c.o.SnapLen > 0 {
		argv = append(argv, "-s", strconv.Itoa(c.o.SnapLen))
	}
	if c.o.Count > 0 {
		argv = append(argv, "-c", strconv.Itoa(c.o.Count))
	}
	filter := c.o.Filter
	if where == "host" {
		port := p.target.Node.Status.DaemonEndpoints.KubeletEndpoint.Port
		if port == 0 {
			port = 10250
		}
		own := fmt.Sprintf("not tcp port %d", port)
		if filter == "" {
			filter = own
		} else {
			filter = "(" + filter + ") and " + own
		}
	}
	if filter != "" {
		argv = append(argv, filter)
	}
	return argv
}

// record runs tcpdump until it is stopped and keeps its packets.
func (c *capturing) record(ctx context.Context, p planned, helper *helperpod.Helper, argv []string, result *report.Capture) {
	// After a signal the stream lives on until tcpdump has said its last words.
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	lost, why := helper.Lost()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-c.stop:
		case <-lost:
			cancel(fmt.Errorf("the helper pod is lost: %w", why()))
			return
		case <-ended:
			return
		}
		select {
		case <-time.After(lastWords):
			cancel(errors.New("tcpdump did not end in time"))
		case <-ended:
		}
	}()
	log := &session.TcpdumpLog{Listening: func(tool, device string) {
		p.listens()
		c.seen.listening(title(p.target), tool, device)
	}}
	reader, writer := io.Pipe()
	spool := helperpod.NewSpool(writer)
	kept := make(chan error, 1)
	go func() { kept <- c.keep(p.target, reader, result) }()
	code, err := helper.Container().Exec(running, argv, helperpod.Streams{In: session.UntilClosed(c.stop), Out: spool, Err: log})
	spoolErr := spool.Close(ended)
	_ = writer.Close()
	keepErr := <-kept
	result.Tool, result.Interface = log.Setup()
	result.Captured, result.Received, result.Dropped = log.Counts()
	switch {
	case errors.Is(keepErr, errFull) || errors.Is(spoolErr, errFull):
		result.Complete = true
	case err != nil:
		result.Error = err.Error()
	case keepErr != nil:
		result.Error = keepErr.Error()
	case code == terminated && c.stopped() && result.Tool != "" && result.Packets == 0:
		result.Complete = true // it was stopped before it listened
	case code != 0 && result.Captured == nil:
		result.Error = fmt.Sprintf("tcpdump ended with code %d: %s", code, log.Complaint())
	default:
		result.Complete = true
	}
}

// terminated is the code of a tcpdump that SIGTERM ended before it could take care of the signal.
const terminated = 128 + 15

func (c *capturing) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// keep reads one target's stream into its sink.
func (c *capturing) keep(t collect.Target, in *io.PipeReader, result *report.Capture) error {
	if c.text != nil {
		prefix := ""
		if c.several {
			prefix = "[" + title(t) + "] "
		}
		lines := c.text.Prefixed(prefix)
		n, err := io.Copy(lines, in)
		result.Bytes = n
		if err != nil {
			return c.drop(in, err)
		}
		return lines.Flush()
	}
	r, err := pcap.NewReader(in)
	if errors.Is(err, io.EOF) {
		return nil // no header: tcpdump has said why
	}
	if err != nil {
		return c.drop(in, err)
	}
	out, err := c.out.open(t, r.Header)
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
			result.Packets++
			c.seen.packets.Add(1)
			c.seen.bytes.Add(int64(len(record.Raw)))
			continue
		}
		result.Bytes, result.File = out.size(), out.file()
		if closeErr := out.close(); err == nil {
			err = closeErr // a network file system may tell only now that it is full
		}
		if err != nil {
			return c.drop(in, err)
		}
		return nil
	}
}

// drop ends the capture and swallows the rest, so that the stream can end in order.
func (c *capturing) drop(in io.Reader, err error) error {
	c.finish()
	_, _ = io.Copy(io.Discard, in)
	return err
}
