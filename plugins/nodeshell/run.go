package nodeshell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/cleanup"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// runner is one invocation: the cluster it speaks to and what it has made there.
type runner struct {
	env     *cli.Env
	cluster *kube.Cluster
	client  kubernetes.Interface
	reader  collect.Reader
	pod     podFlags
	id      string

	group   *helperpod.Group
	watched <-chan error // of group's watch, once
	made    string       // the namespace made for this run
	free    bool         // -n does not bind the helper: it names pods
}

func newRunner(env *cli.Env, connection *kube.Flags, pod podFlags) (*runner, error) {
	cluster, reader, err := collect.Open(connection)
	if err != nil {
		return nil, err
	}
	return &runner{env: env, cluster: cluster, client: reader.Client, reader: reader, pod: pod, id: helperpod.NewID()}, nil
}

func run(ctx context.Context, env *cli.Env, connection *kube.Flags, o Options) error {
	r, err := newRunner(env, connection, o.Pod)
	if err != nil {
		return err
	}
	o.Nodes.Namespace = r.cluster.Namespace
	r.free = len(o.Nodes.Pods) > 0
	r.reader = r.reader.Begin(ctx, o.Nodes.Nodes)
	if o.DryRun == "none" && !r.pod.createNS {
		r.openEarly(ctx)
	}
	found, err := r.reader.Targets(ctx, o.Nodes)
	if err != nil {
		return kube.Explain(err)
	}
	if o.Netns {
		if err := haveNetworks(found); err != nil {
			return err
		}
	}
	io, err := r.prepare(o, len(found))
	if err != nil {
		return err
	}
	if err := r.confirm(o, len(found)); err != nil {
		return err
	}
	plans := r.plan(ctx, found, o, io)
	defer func() { r.removeNamespace(ctx) }()
	if o.DryRun == "client" {
		return r.show(o, plans)
	}
	if err := r.place(ctx, plans, o.DryRun == "none"); err != nil {
		return err
	}
	if o.DryRun == "server" {
		return r.show(o, plans)
	}
	if len(plans) == 1 && !io.collects {
		return r.single(ctx, o, plans[0], io)
	}
	return r.many(ctx, o, plans, io)
}

// planned is a plan, and the options it came from.
type planned struct {
	report.Plan
	options evaluate.Options
	target  collect.Target
	listens func() // of a capture: called when its tcpdump listens, or has ended
}

// plan decides for every node.
func (r *runner) plan(ctx context.Context, found []collect.Target, o Options, io *inout) []planned {
	inputs := r.reader.Inputs(ctx, found, r.pod.noPull)
	plans := make([]planned, len(found))
	for i, in := range inputs {
		e := r.base(i)
		e.InImage, e.HostTTY, e.MountPVC, e.MountPath = o.InImage, o.HostTTY, o.PVC, o.PVCPath
		e.Command, e.Eval, e.Script = o.Command, o.Eval, io.interpreter
		e.TTY = io.tty
		e.Call, e.CallRest = o.call(found[i]), o.callRest()
		if o.Timeout > 0 {
			e.MaxDuration = min(e.MaxDuration, o.Timeout+r.pod.startTimeout)
			if r.pod.image == "auto" {
				e.MaxDuration += time.Minute
			} else {
				e.MaxDuration += pullPatience // the deadline counts from before the pull
			}
		}
		plans[i] = planned{Plan: evaluate.Evaluate(in, r.cluster.Clock.Now(), e), options: e, target: found[i]}
	}
	return plans
}

// base gives the options that every helper of this run shares.
func (r *runner) base(i int) evaluate.Options {
	e := evaluate.Options{
		Name: fmt.Sprintf("nodeshell-%s-%d", r.id, i), RunID: r.id, Manager: cleanup.Manager, Namespace: r.cluster.Namespace,
		Kubectl: r.cluster.Kubectl, Program: name, Free: r.free,
	}
	if r.cluster.NamespaceGiven {
		e.CallNamespace = r.cluster.Namespace
	}
	e.Term, _ = r.env.LookupEnv("TERM")
	if lang, ok := r.env.LookupEnv("LC_ALL"); ok && lang != "" {
		e.Lang = lang
	} else {
		e.Lang, _ = r.env.LookupEnv("LANG")
	}
	r.pod.shape(&e)
	return e
}

// place finds the namespace that admits the pod and opens the watch there, both at once for the first candidate.
func (r *runner) place(ctx context.Context, plans []planned, watch bool) error {
	first := firstReady(plans)
	if first == nil {
		return nil
	}
	if r.pod.createNS {
		if err := r.makeNamespace(ctx); err != nil {
			return err
		}
	}
	var (
		namespace = r.namespace()
		usable    []string
	)
	if watch && r.watched == nil {
		r.openEarly(ctx)
	}
	try, err := r.tryNamespace(ctx, first, namespace)
	if err != nil {
		return kube.Explain(err)
	}
	tries := []evaluate.Try{try}
	if try.Denied != "" {
		var candidates []string
		candidates, usable = r.reader.Candidates(ctx)
		// A namespace the user has chosen is not exchanged for another one silently.
		for _, candidate := range candidates {
			if r.cluster.NamespaceGiven && !r.free || r.made != "" || candidate == namespace {
				continue
			}
			if try, err = r.reader.Try(ctx, first.Pod, candidate); err != nil {
				return kube.Explain(err)
			}
			if tries = append(tries, try); try.Denied == "" {
				break
			}
		}
	}
	for i := range plans {
		if plans[i].Verdict == report.Ready {
			plans[i].Plan = evaluate.Place(plans[i].Plan, tries, usable, plans[i].options)
			plans[i].options.Namespace = plans[i].Plan.Namespace
		}
	}
	if placed := firstReady(plans); placed != nil && watch {
		cleanup.Reap(ctx, r.client, r.cluster.Clock.Now, placed.Plan.Namespace, r.made)
		return r.openWatch(ctx, placed.Plan.Namespace)
	}
	return nil
}

// openEarly opens the watch in the first namespace, beside the reads.
func (r *runner) openEarly(ctx context.Context) {
	group, watched := r.newGroup(r.namespace()), make(chan error, 1)
	r.group, r.watched = group, watched
	go func() { watched <- group.Watch(ctx) }()
}

// openWatch waits for the watch, or opens one in the namespace that was found instead.
func (r *runner) openWatch(ctx context.Context, namespace string) error {
	if namespace == r.group.Namespace {
		select {
		case err := <-r.watched:
			return kube.Explain(err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPatience):
			return fmt.Errorf("the API server does not open a watch on pods within %s", watchPatience)
		}
	}
	r.group = r.newGroup(namespace)
	return kube.Explain(r.group.Watch(ctx))
}

func (r *runner) newGroup(namespace string) *helperpod.Group {
	return &helperpod.Group{Client: r.client, Config: r.cluster.Config, Namespace: namespace, ID: r.id}
}

func (r *runner) namespace() string {
	if r.made != "" {
		return r.made
	}
	return r.cluster.Namespace
}

func firstReady(plans []planned) *planned {
	for i := range plans {
		if plans[i].Verdict == report.Ready {
			return &plans[i]
		}
	}
	return nil
}

// refusal is the error of a plan that cannot be carried out.
func (r *runner) refusal(p report.Plan) error {
	return fmt.Errorf("%s%s", p.Summary, hints(p.Findings))
}

// hints gives the next commands of critical findings, a line each.
func hints(list []finding.Finding) string {
	text := ""
	for _, f := range list {
		if f.Severity != finding.Critical {
			continue
		}
		for _, n := range f.Next {
			text += "\n  next: " + n.Command + "   # " + n.Why
		}
	}
	return text
}

// notices prints warnings; information is for a person only.
func (r *runner) notices(list []finding.Finding) {
	if r.pod.quiet {
		return
	}
	for _, f := range list {
		if f.Severity == finding.Warning || f.Severity == finding.Info && r.env.ErrTTY {
			r.env.Warn("%s: %s", f.Severity, output.Sanitize(f.Message))
		}
	}
}

// watchPatience bounds the opening of the watch.
const watchPatience = 30 * time.Second

// pullPatience is how long a visible pull is waited for.
const pullPatience = 10 * time.Minute

// start makes the helper of a plan. The helper must be closed, also after an error.
func (r *runner) start(ctx context.Context, p planned) (*helperpod.Helper, error) {
	spec := helperpod.Spec{
		Pod: p.Pod, Container: p.Container, Shell: p.Shell, Guard: !r.pod.noGuard,
		Patience: helperpod.Patience{Start: r.pod.startTimeout, Pull: max(r.pod.startTimeout, pullPatience)},
		Warn:     func(text string) { r.env.Warn("warning: %s", output.Sanitize(text)) },
	}
	if r.env.ErrTTY && !r.pod.quiet {
		spec.Tell = func(w podspec.Wait) { r.env.Warn("node %s: %s…", p.Node, output.Sanitize(w.Text)) }
	}
	spec.Check = func(made *corev1.Pod) error {
		for _, f := range evaluate.Changed(p.Pod, made, p.options) {
			if f.Severity == finding.Critical {
				return refusedStart{f}
			}
		}
		return nil
	}
	helper, err := r.group.Start(ctx, spec)
	var (
		not     *helperpod.NotStarted
		refused refusedStart
	)
	switch {
	case errors.As(err, &refused):
		return helper, refused
	case errors.As(err, &not):
		f := evaluate.NotStarted(p.Plan, not.Wait, p.options)
		return helper, refusedStart{f}
	case err != nil:
		return helper, kube.Explain(err)
	}
	r.notices(evaluate.Changed(p.Pod, helper.Pod, p.options))
	return helper, nil
}

// refusedStart is a pod that did not start, with its finding.
type refusedStart struct{ finding finding.Finding }

func (e refusedStart) Error() string {
	return e.finding.Message + hints([]finding.Finding{e.finding})
}

// close removes a helper. Where that takes more than a moment, it tells a person how to do it by hand: a second Ctrl-C
// leaves. A script's standard error is the remote command's alone.
func (r *runner) close(ctx context.Context, helper *helperpod.Helper) {
	byHand := r.cluster.Kubectl.Command(r.group.Namespace, "delete", helper.Kind(), helper.Name())
	slow := time.AfterFunc(2*time.Second, func() {
		if r.env.ErrTTY {
			r.env.Warn("still cleaning up; by hand: %s", byHand)
		}
	})
	err := helper.Close(ctx)
	slow.Stop()
	if err != nil {
		r.env.Warn("warning: the pod could not be deleted (%s); it ends by itself within %s; by hand: %s", kube.OneLine(kube.Explain(err)), podspec.Lease, byHand)
	}
}

// write is where output goes when several streams must not block.
type sink interface {
	io.Writer
	Close(stop <-chan struct{}) error
}
