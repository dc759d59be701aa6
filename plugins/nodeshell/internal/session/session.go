// Package session is a shell or a command on one node or several: the local streams and the terminal, the run itself, and
// what is said of how it ended.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/netns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// timedOut is the exit code after --timeout, as timeout's.
const timedOut = 124

// running is one call.
type running struct {
	env   *cli.Env
	nodes *enter.Runner
	o     Options
	local *inout
}

// Run is the whole of a call.
func Run(ctx context.Context, env *cli.Env, connection *kube.Flags, o Options) error {
	nodes, err := enter.New(env, connection, o.Pod)
	if err != nil {
		return err
	}
	found, err := nodes.Targets(ctx, o.Nodes, o.DryRun == "none")
	if err != nil {
		return err
	}
	if o.Netns {
		if err := haveNetworks(found); err != nil {
			return err
		}
	}
	local, err := prepare(env, o, len(found))
	if err != nil {
		return err
	}
	if err := confirm(env, o, len(found)); err != nil {
		return err
	}
	r := &running{env: env, nodes: nodes, o: o, local: local}
	visits := nodes.Plan(ctx, found, func(i int, e *evaluate.Options) { r.shape(e, found[i]) })
	defer func() { nodes.RemoveNamespace(ctx) }()
	if o.DryRun == "client" {
		return r.show(visits)
	}
	if err := nodes.Place(ctx, visits, o.DryRun == "none"); err != nil {
		return err
	}
	if o.DryRun == "server" {
		return r.show(visits)
	}
	if len(visits) == 1 && !local.collects {
		return r.single(ctx, visits[0])
	}
	return r.many(ctx, visits)
}

// haveNetworks refuses, before anything is made, pods whose network is gone: a pod that has ended keeps its object only.
func haveNetworks(found []collect.Target) error {
	for _, t := range found {
		if t.Pod != nil && podfact.Finished(t.Pod) {
			return fmt.Errorf("pod %q in namespace %q has ended (%s) and has no network any more; without --netns this enters its node, %q",
				t.Pod.Name, t.Pod.Namespace, t.Pod.Status.Phase, t.Node.Name)
		}
	}
	return nil
}

// shape fills in what this call wishes of one target's plan.
func (r *running) shape(e *evaluate.Options, t collect.Target) {
	o := r.o
	e.InImage, e.HostTTY, e.MountPVC, e.MountPath = o.InImage, o.HostTTY, o.PVC, o.PVCPath
	e.Command, e.Eval, e.Script = o.Command, o.Eval, r.local.interpreter
	e.TTY = r.local.tty
	e.Call, e.CallRest = o.call(t), o.callRest()
	if o.Timeout > 0 {
		e.MaxDuration = min(e.MaxDuration, o.Timeout+o.Pod.StartTimeout)
		if o.Pod.Image == "" {
			e.MaxDuration += time.Minute
		} else {
			e.MaxDuration += enter.PullPatience // the deadline counts from before the pull
		}
	}
}

// single runs on one node, with the local streams passed through.
func (r *running) single(ctx context.Context, v enter.Visit) error {
	if v.Verdict == report.Refused {
		return v.Refusal()
	}
	r.nodes.Notices(v.Findings)
	stdout := helperpod.NewSpool(r.env.Streams.Out)
	stderr := helperpod.NewSpool(r.env.Streams.ErrOut)
	code, err := r.onNode(ctx, v, stdout, stderr)
	// The helper is gone; a reader that is slow may take its time.
	if closeErr := closeAll(ctx, stdout, stderr); err == nil {
		err = closeErr
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errTimeout):
		return cli.Exit{Code: timedOut, Err: fmt.Errorf("the command did not end within %s and was killed", r.o.Timeout)}
	case err != nil:
		return err
	case code != 0:
		return cli.Exit{Code: code}
	}
	return nil
}

// closeAll waits until everything is written, or the run is cancelled.
func closeAll(ctx context.Context, spools ...*helperpod.Spool) error {
	var first error
	for _, s := range spools {
		if err := s.Close(ctx.Done()); err != nil && first == nil && ctx.Err() == nil {
			first = fmt.Errorf("output is incomplete: %w", err)
		}
	}
	return first
}

// onNode is the whole life of one helper: whatever happens, it is deleted.
func (r *running) onNode(ctx context.Context, v enter.Visit, stdout, stderr io.Writer) (int, error) {
	helper, leave, err := r.nodes.Enter(ctx, v)
	defer leave()
	if err != nil {
		return 0, err
	}
	if r.env.ErrTTY && !r.o.Pod.Quiet && r.local.tty && r.o.shell() {
		r.env.Warn("root on node %s by pod %s/%s; ~. leaves, and everything started here ends with it",
			v.Node, v.Namespace, helper.Pod.Name)
	}
	argv := v.Command
	if r.o.Netns {
		if argv, err = r.enterNetwork(ctx, v, helper.Container()); err != nil {
			return 0, err
		}
	}
	return r.exec(ctx, helper, argv, stdout, stderr)
}

// enterNetwork gives the command in the pod's network, with the node's files and tools.
func (r *running) enterNetwork(ctx context.Context, v enter.Visit, c helperpod.Container) ([]string, error) {
	found, err := netns.Find(ctx, c, v.Target.Pod, r.o.Container)
	if err != nil {
		return nil, err
	}
	if found.Host {
		r.nodes.Notices(evaluate.HostNetwork(v.Target.Pod))
	}
	return found.Enter(c.Shell, evaluate.PodNetworkCommand(v.Options, netns.NetFile)), nil
}

// show prints what would be made: with -o the exact objects, else the plan in words.
func (r *running) show(visits []enter.Visit) error {
	var refused error
	out, format := r.env.Streams.Out, r.o.Format
	for i, v := range visits {
		if v.Verdict == report.Refused {
			refused = errors.Join(refused, v.Refusal())
			continue
		}
		r.nodes.Notices(v.Findings)
		if !format.Structured() {
			fmt.Fprintf(out, "%s\n  image    %s\n  command  %s\n",
				output.Sanitize(v.Summary), v.Pod.Spec.Containers[0].Image, output.Sanitize(quoteAll(v.Command)))
			continue
		}
		var object any = v.Pod
		if !r.o.Pod.NoJob {
			object = helperpod.GuardJob(v.Pod)
		}
		if i > 0 && format.Kind == output.YAML {
			fmt.Fprintln(out, "---")
		}
		if err := format.Print(out, object); err != nil {
			return err
		}
	}
	return refused
}

func quoteAll(argv []string) string {
	quoted := make([]string, len(argv))
	for i, word := range argv {
		quoted[i] = finding.Quote(word)
	}
	return strings.Join(quoted, " ")
}
