package nodeshell

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// lastWords is how long tcpdump may take for its counters after it was stopped, a second of it for the kernel's last block.
const lastWords = 30 * time.Second

// capturing is one run of `capture`.
type capturing struct {
	*runner
	o       captureOptions
	out     packets
	text    *session.Shared
	several bool
	seen    progress
	deaf    sync.WaitGroup // targets that do not listen yet

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
		e.Call, e.CallRest = c.o.call(found[i])
		if c.o.Duration > 0 {
			e.MaxDuration = min(e.MaxDuration, c.o.Duration+c.pod.startTimeout+pullPatience)
		}
		c.deaf.Add(1)
		plans[i] = planned{Plan: evaluate.Evaluate(in, c.cluster.Clock.Now(), e), options: e, target: found[i], listens: sync.OnceFunc(c.deaf.Done)}
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

func hasCode(list []finding.Finding, codes ...finding.Code) bool {
	for _, f := range list {
		for _, code := range codes {
			if f.Code == code {
				return true
			}
		}
	}
	return false
}

// begin arms what ends the capture, the signal or closed pipe and the duration, and shows how it goes. The duration
// begins when every target listens, or has failed: a node that is slow must not come too late for it.
func (c *capturing) begin(ctx context.Context) (done func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			c.finish()
		case <-over:
		}
	}()
	if c.o.Duration > 0 {
		go func() {
			c.deaf.Wait()
			select {
			case <-time.After(c.o.Duration):
				c.finish()
			case <-over:
			}
		}()
	}
	counted := func() {}
	if c.env.ErrTTY && !c.pod.quiet {
		c.seen.say = func(text string) { _, _ = io.WriteString(c.env.Streams.ErrOut, text) }
		if c.text == nil { // packets that are printed are seen
			counted = c.seen.count()
		}
	}
	return func() {
		close(over)
		counted()
	}
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
					wg.Go(func() {
						defer plans[i].listens()
						c.inPod(ctx, plans[i], &results[i])
					})
				}
				return
			}
			c.onNodeOf(ctx, plans, members, results)
			for _, i := range members {
				plans[i].listens()
			}
		})
	}
	wg.Wait()
	return results
}
