// Package session is a shell or a command on one node or several: the local streams and the terminal, the run itself, and
// what is said of how it ended.
package session

import (
	"context"
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

	behind []*helperpod.Spool // what the output of several nodes passes through
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
			return fmt.Errorf("pod %s/%s has terminated (%s) and has no network; without --netns, the command runs on its node %s",
				t.Pod.Namespace, t.Pod.Name, t.Pod.Status.Phase, t.Node.Name)
		}
	}
	return nil
}

// shape fills in what this call wishes of one target's plan.
func (r *running) shape(e *evaluate.Options, t collect.Target) {
	o := r.o
	e.InContainer, e.HostTTY, e.MountPVC, e.MountPath = o.InContainer, o.HostTTY, o.PVC, o.PVCPath
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

// show prints what would be created: with -o the exact objects, else the plan in words.
func (r *running) show(visits []enter.Visit) error {
	var refused error
	out, format := r.env.Streams.Out, r.o.Format
	page := output.Page{Terminal: r.env.Out(r.o.Color), Now: r.nodes.Now()}
	for i, v := range visits {
		if v.Verdict == report.Refused {
			refused = r.nodes.Explain(v.Refusal())
			continue
		}
		if !format.Structured() {
			planText(&page, v)
			continue
		}
		r.nodes.Notices(v.Findings)
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
	if _, err := io.WriteString(out, page.String()); err != nil {
		return err
	}
	return refused
}

// planText writes a plan that can be carried out. The command is one line, to be copied.
func planText(page *output.Page, v enter.Visit) {
	page.Gap()
	page.Verdict(string(v.Verdict), output.Good, "node/"+v.Node, v.Summary)
	const width = 10
	page.Facts(width, "Pod", v.Namespace+"/"+v.Pod.Name)
	page.Facts(width, "Image", v.Pod.Spec.Containers[0].Image)
	fmt.Fprintf(page, "%-*s%s\n", width, "Command:", output.Sanitize(quoteAll(v.Command)))
	page.Findings(output.Blocks(v.Findings)...)
}

func quoteAll(argv []string) string {
	quoted := make([]string, len(argv))
	for i, word := range argv {
		quoted[i] = finding.Quote(word)
	}
	return strings.Join(quoted, " ")
}
