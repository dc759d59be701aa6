// Package capture records the packets of pods and nodes by tcpdump: one run over several targets, its limits, where the
// packets go, and what is said of them at the end.
package capture

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/lines"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// lastWords is how long tcpdump may take for its counters after it was stopped, a second of it for the kernel's last block.
const lastWords = 30 * time.Second

// capturing is one call.
type capturing struct {
	env     *cli.Env
	nodes   *enter.Runner
	o       Options
	out     packets
	behind  []*helperpod.Spool // what the packets pass through
	text    *lines.Shared
	several bool
	seen    progress
	deaf    sync.WaitGroup // targets that do not listen yet

	stop     chan struct{} // closed: every tcpdump is to end in order
	stopOnce sync.Once
}

func (c *capturing) finish() { c.stopOnce.Do(func() { close(c.stop) }) }

// one is one target of a call, and what came of it.
type one struct {
	enter.Visit
	result  report.Capture
	listens func() // called when its tcpdump listens, or has ended
}

// Run is the whole of a call.
func Run(ctx context.Context, env *cli.Env, connection *kube.Flags, o Options) error {
	nodes, err := enter.New(env, connection, o.Pod)
	if err != nil {
		return err
	}
	found, err := nodes.CaptureTargets(ctx, o.Targets, o.Selector)
	if err != nil {
		return err
	}
	c := &capturing{env: env, nodes: nodes, o: o, several: len(found) > 1, stop: make(chan struct{})}
	visits := c.plan(ctx, found)
	defer func() { nodes.RemoveNamespace(ctx) }()
	ephemeral, err := c.chooseMode(ctx, visits)
	if err != nil {
		return err
	}
	stdout := helperpod.NewSpool(env.Streams.Out)
	c.behind = append(c.behind, stdout)
	closeSinks, err := c.openSinks(ctx, stdout, len(found))
	if err != nil {
		return err
	}
	targets := c.targets(visits, ephemeral)
	stopProgress := c.begin(ctx)
	c.all(ctx, targets, ephemeral)
	stopProgress()
	err = closeSinks()
	if closeErr := stdout.Close(soonAfter(ctx)); closeErr != nil && err == nil && ctx.Err() == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("the capture is incomplete: %w", err)
	}
	return c.conclude(ctx, targets)
}

// lastBytes is how long standard output may take for the rest after a signal, which is the usual way to end a capture.
const lastBytes = 2 * time.Second

func soonAfter(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(lastBytes, func() { close(over) }) })
	return over
}

// plan gives every target the plan of its node.
func (c *capturing) plan(ctx context.Context, found []collect.Target) []enter.Visit {
	names := map[string]string{} // of helpers, by node
	return c.nodes.Plan(ctx, found, func(i int, e *evaluate.Options) {
		node := found[i].Node.Name
		if name, ok := names[node]; ok {
			e.Name = name // one helper a node
		}
		names[node] = e.Name
		e.Capture = true
		e.Call, e.CallRest = c.o.call(found[i])
		if c.o.Duration > 0 {
			e.MaxDuration = min(e.MaxDuration, c.o.Duration+c.o.Pod.StartTimeout+enter.PullPatience)
		}
	})
}

// chooseMode tries the node and falls back to the pods themselves where a privileged pod is refused.
func (c *capturing) chooseMode(ctx context.Context, visits []enter.Visit) (ephemeral bool, err error) {
	if c.o.Mode == "ephemeral" {
		return true, nil
	}
	if err := c.nodes.Place(ctx, visits, true); err != nil {
		return false, err
	}
	if enter.Ready(visits) != nil {
		return false, nil
	}
	for _, v := range visits {
		denied := v.Pod.Namespace == "" || slices.ContainsFunc(v.Findings, ofAdmission)
		if c.o.Mode == "node" || v.Target.Pod == nil || !denied {
			return false, c.nodes.Explain(v.Refusal())
		}
	}
	if !c.o.Pod.Quiet {
		c.env.Warn("no privileged pod can be created (%s); using an ephemeral container, whose entry stays in the pod spec",
			output.Sanitize(visits[0].Summary))
	}
	return true, nil
}

// ofAdmission says that the API server refuses a privileged pod, and may take an ephemeral container.
func ofAdmission(f finding.Finding) bool {
	switch f.Code {
	case evaluate.PodSecurityViolated, evaluate.PodCreationForbidden, evaluate.AdmissionDenied, evaluate.QuotaOrLimitRangeViolated:
		return true
	}
	return false
}

// targets makes the results, and counts who does not listen yet.
func (c *capturing) targets(visits []enter.Visit, ephemeral bool) []*one {
	var list []*one
	for _, v := range visits {
		c.deaf.Add(1)
		t := &one{Visit: v, listens: sync.OnceFunc(c.deaf.Done), result: report.Capture{Node: v.Node, Mode: "node"}}
		if ephemeral {
			t.result.Mode = "ephemeral"
		}
		if pod := v.Target.Pod; pod != nil {
			t.result.Namespace, t.result.Pod = pod.Namespace, pod.Name
		}
		list = append(list, t)
	}
	return list
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
	if c.env.ErrTTY && !c.o.Pod.Quiet {
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
func (c *capturing) all(ctx context.Context, targets []*one, ephemeral bool) {
	var wg sync.WaitGroup
	if ephemeral {
		for _, t := range targets {
			wg.Go(func() {
				defer t.listens()
				c.inPod(ctx, t)
			})
		}
		wg.Wait()
		return
	}
	nodes := map[string][]*one{}
	for _, t := range targets {
		nodes[t.Node] = append(nodes[t.Node], t)
	}
	for _, members := range nodes {
		wg.Go(func() {
			c.onNode(ctx, members)
			for _, t := range members {
				t.listens()
			}
		})
	}
	wg.Wait()
}
