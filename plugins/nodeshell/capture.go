package nodeshell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// lastWords is how long tcpdump may take for its counters after it was stopped, a second of it for the kernel's last block.
const lastWords = 10 * time.Second

// capturing is one run of `capture`.
type capturing struct {
	*runner
	o       captureOptions
	out     packets
	text    *session.Shared
	several bool

	stop     chan struct{} // closed: every tcpdump is to end in order
	stopOnce sync.Once
}

func (c *capturing) finish() { c.stopOnce.Do(func() { close(c.stop) }) }

func capture(ctx context.Context, env *cli.Env, connection *kube.Flags, o captureOptions) error {
	r, err := newRunner(env, connection, o.Pod)
	if err != nil {
		return err
	}
	found, err := r.reader.CaptureTargets(ctx, r.cluster.Namespace, o.Targets, o.Selector)
	if err != nil {
		return kube.Explain(err)
	}
	r.free = true // -n names the pods; the helper may live elsewhere
	c := &capturing{runner: r, o: o, several: len(found) > 1, stop: make(chan struct{})}
	plans := c.plan(ctx, found)
	defer func() { r.removeNamespace(ctx) }()
	ephemeral, err := c.chooseMode(ctx, plans)
	if err != nil {
		return err
	}
	stdout := helperpod.NewSpool(env.Streams.Out)
	closeSinks, err := c.openSinks(ctx, stdout, len(found))
	if err != nil {
		return err
	}
	stopProgress := c.begin(ctx)
	results := c.all(ctx, plans, ephemeral)
	stopProgress()
	err = closeSinks()
	if closeErr := stdout.Close(ctx.Done()); closeErr != nil && err == nil && ctx.Err() == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("the capture is incomplete: %w", err)
	}
	return c.conclude(ctx, results)
}

// plan gives every node of the targets its plan.
func (c *capturing) plan(ctx context.Context, found []collect.Target) []planned {
	inputs := c.reader.Inputs(ctx, found, c.pod.noPull)
	plans := make([]planned, len(found))
	first := map[string]int{}
	for i, in := range inputs {
		e := c.base(i)
		if at, ok := first[in.Node.Name]; ok {
			e.Name = plans[at].options.Name // one helper a node
		} else {
			first[in.Node.Name] = i
		}
		e.Capture = true
		if c.o.Duration > 0 {
			e.MaxDuration = min(e.MaxDuration, c.o.Duration+c.pod.startTimeout+pullPatience)
		}
		plans[i] = planned{Plan: evaluate.Evaluate(in, c.cluster.Clock.Now(), e), options: e, target: found[i]}
	}
	return plans
}

// chooseMode tries the node and falls back to the pods themselves where a privileged pod is refused.
func (c *capturing) chooseMode(ctx context.Context, plans []planned) (ephemeral bool, err error) {
	if c.o.Mode == "ephemeral" {
		return true, nil
	}
	if err := c.place(ctx, plans, true); err != nil {
		return false, err
	}
	if firstReady(plans) != nil {
		return false, nil
	}
	for _, p := range plans {
		denied := p.Pod.Namespace == "" || hasCode(p.Findings, evaluate.NamespaceRefused, evaluate.CreateForbidden, evaluate.WebhookRefused, evaluate.QuotaRefused)
		if c.o.Mode == "node" || p.target.Pod == nil || !denied {
			return false, c.refusal(p.Plan)
		}
	}
	if !c.pod.quiet {
		c.env.Warn("no privileged pod here (%s): using an ephemeral container in the pod; its entry stays in the pod's spec", output.Sanitize(plans[0].Summary))
	}
	return true, nil
}

func hasCode(list []finding.Finding, codes ...string) bool {
	for _, f := range list {
		for _, code := range codes {
			if f.Code == code {
				return true
			}
		}
	}
	return false
}

// openSinks connects packets with files, standard output, text or Wireshark.
func (c *capturing) openSinks(ctx context.Context, stdout *helperpod.Spool, targets int) (closeAll func() error, err error) {
	if c.o.text() {
		c.text = session.NewShared(stdout)
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

// begin arms what ends the capture: the signal or closed pipe, and the duration.
func (c *capturing) begin(ctx context.Context) (done func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			c.finish()
		case <-over:
		}
	}()
	return func() { close(over) }
}

// all captures every target at once, with one helper a node.
func (c *capturing) all(ctx context.Context, plans []planned, ephemeral bool) []report.Capture {
	results := make([]report.Capture, len(plans))
	nodes := map[string][]int{}
	for i, p := range plans {
		results[i] = report.Capture{Node: p.Node, Mode: "node"}
		if p.target.Pod != nil {
			results[i].Namespace, results[i].Pod = p.target.Pod.Namespace, p.target.Pod.Name
		}
		nodes[p.Node] = append(nodes[p.Node], i)
	}
	var wg sync.WaitGroup
	for _, members := range nodes {
		wg.Go(func() {
			if ephemeral {
				for _, i := range members {
					wg.Go(func() { c.inPod(ctx, plans[i], &results[i]) })
				}
				return
			}
			c.onNodeOf(ctx, plans, members, results)
		})
	}
	wg.Wait()
	return results
}

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
		wg.Go(func() { c.target(ctx, plans[i], helper, &results[i]) })
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
		found, err := c.findPod(ctx, container, p.target.Pod, c.o.Container)
		if err != nil {
			result.Error = err.Error()
			return
		}
		if found.Host {
			warning := evaluate.HostNetwork(p.target.Pod)
			c.notices(warning)
			result.Findings = append(result.Findings, warning...)
		} else {
			script = found.Enter(shellOf(container), c.script(p, "net"))
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
		remote = c.o.Duration + 2*time.Second // the local clock stops first, in order
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
	var timer <-chan time.Time
	if c.o.Duration > 0 {
		timer = time.After(c.o.Duration)
	}
	go func() {
		select {
		case <-timer:
			c.finish()
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
	log := &session.TcpdumpLog{}
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
	case code != 0 && result.Captured == nil:
		result.Error = fmt.Sprintf("tcpdump ended with code %d: %s", code, log.Complaint())
	default:
		result.Complete = true
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
		return errors.Join(err, lines.Flush())
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
			continue
		}
		result.Bytes, result.File = out.size(), out.file()
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

// conclude reports; 0 only if every stream ended in order.
func (c *capturing) conclude(ctx context.Context, results []report.Capture) error {
	failed := 0
	packets := int64(0)
	for i := range results {
		r := &results[i]
		packets += r.Packets
		if r.Error != "" {
			failed++
		}
		if r.Dropped != nil && *r.Dropped > 0 {
			r.Findings = append(r.Findings, evaluate.Dropped(r.Node, *r.Dropped))
		}
	}
	summary := fmt.Sprintf("%s from %s", output.Plural(int(packets), "packet"), output.Plural(len(results), "target"))
	if failed > 0 {
		summary += fmt.Sprintf(", %d failed", failed)
	}
	if c.o.Format.Structured() {
		doc := report.Captures{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: "NodeShellCaptures"}, Summary: summary, Items: results}
		if err := c.o.Format.Print(c.env.Streams.Out, doc); err != nil {
			return err
		}
	} else {
		c.tellCaptures(results)
	}
	switch {
	case failed > 0:
		return cli.Exit{Code: ownFailure}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return nil
}

func (c *capturing) tellCaptures(results []report.Capture) {
	for _, r := range results {
		name := "node/" + r.Node
		if r.Pod != "" {
			name = r.Namespace + "/" + r.Pod + " on " + r.Node
		}
		if r.Error != "" {
			c.env.Warn("%s: error: %s", name, output.Sanitize(r.Error))
			continue
		}
		if c.pod.quiet {
			continue
		}
		line := fmt.Sprintf("%s: captured %s, received %s, dropped %s", name, count(r.Captured), count(r.Received), count(r.Dropped))
		if r.Interface != "" {
			line += fmt.Sprintf(" on %s (tcpdump of the %s)", r.Interface, r.Tool)
		}
		if r.File != "" && r.File != "-" {
			line += fmt.Sprintf(", %s in %s", output.Bytes(r.Bytes), r.File)
		}
		c.env.Warn("%s", line)
		for _, f := range r.Findings {
			if f.Code == evaluate.PacketsDropped {
				c.env.Warn("warning: %s", f.Message)
			}
		}
	}
}

func count(n *int64) string {
	if n == nil {
		return output.Unknown
	}
	return strconv.FormatInt(*n, 10)
}
