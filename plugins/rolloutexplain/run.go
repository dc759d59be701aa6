package rolloutexplain

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/load"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// runner is one run of the command.
type runner struct {
	env   *cli.Env
	o     *Options
	flags *kube.Flags

	cluster   *kube.Cluster
	collector *collect.Collector
	scope     collect.Scope
	asked     map[finding.ObjectRef]finding.ObjectRef // named object by the rollout it stands for
	judged    time.Time                               // when what is printed was judged, by the server's clock
}

func (r *runner) run(ctx context.Context) error {
	ctx = contextOr(ctx)
	if r.o.offline() {
		return r.offline()
	}
	stop := output.StartProgress(r.env.Streams.ErrOut, r.env.Err(r.o.Color), "reading the rollout")
	defer stop()
	if err := r.connect(ctx); err != nil {
		return err
	}
	if r.o.Watch || r.o.Wait {
		stop()
		return r.follow(ctx)
	}
	reading, err := r.read(ctx)
	if err != nil {
		return err
	}
	stop()
	if r.o.SaveInput != "" {
		if err := r.env.SaveInput(r.o.SaveInput, reading); err != nil {
			return err
		}
		if r.o.SaveInput == "-" {
			return nil
		}
	}
	r.judged = reading.in.Collected
	return r.finish(reading.explain(r.evaluateOptions()))
}

// read reads the scope once, and what its causes ask for.
func (r *runner) read(ctx context.Context) (Reading, error) {
	in, err := r.collector.Collect(ctx, r.scope)
	if err != nil {
		return Reading{}, err
	}
	in.Context = r.cluster.Kubectl.Flags
	r.collector.Fill(ctx, in, r.evaluateOptions(), 0)
	return Reading{in}, nil
}

// connect resolves the cluster and the targets.
func (r *runner) connect(ctx context.Context) error {
	var err error
	if r.cluster == nil {
		if r.cluster, err = r.flags.Cluster(); err != nil {
			return err
		}
	}
	c := collect.Clients{Now: r.cluster.Clock.Now, Timeout: r.cluster.Config.Timeout}
	if c.Typed, err = r.cluster.Typed(); err != nil {
		return err
	}
	if c.Dynamic, err = r.cluster.Dynamic(); err != nil {
		return err
	}
	if c.Metadata, err = r.cluster.Metadata(); err != nil {
		return err
	}
	r.collector = collect.New(c, r.o.Evaluate.LogLines)
	r.scope = collect.Scope{Namespace: r.cluster.Namespace, Selector: r.o.Selector, Whole: r.o.Whole || r.o.SaveInput != ""}
	if r.o.AllNamespaces {
		r.scope.Namespace = ""
	}
	var named []finding.ObjectRef
	for _, t := range r.o.Targets {
		named = append(named, finding.ObjectRef{Kind: t.Kind, Namespace: r.cluster.Namespace, Name: t.Name})
	}
	if len(named) > 0 {
		r.scope.Targets, r.asked, err = r.collector.Resolve(ctx, named)
	}
	return err
}

// evaluateOptions: a table of many makes no lookups for single rollouts.
func (r *runner) evaluateOptions() model.Options {
	o := r.o.Evaluate
	o.Wide = len(r.o.Targets) == 0 && !r.o.Wait
	return o
}

// offline explains a file.
func (r *runner) offline() error {
	in := &model.Input{}
	if r.o.FromInput != "" {
		if err := r.env.LoadInput(r.o.FromInput, in); err != nil {
			return err
		}
	} else {
		data, err := r.env.ReadFile(r.o.File)
		if err != nil {
			return err
		}
		if in, err = load.Dump(data); err != nil {
			return fmt.Errorf("%s: %w", r.o.File, err)
		}
	}
	o := r.o.Evaluate
	if len(r.o.Targets) > 0 {
		if err := r.offlineTargets(in); err != nil {
			return err
		}
	}
	if r.o.SaveInput != "" {
		masked, err := load.Masked(in)
		if err != nil {
			return err
		}
		if err := r.env.SaveInput(r.o.SaveInput, masked); err != nil {
			return err
		}
	}
	r.judged = in.Collected
	return r.finish(evaluate.Evaluate(in, in.Collected, o))
}

// offlineTargets narrows a dump to what was named.
func (r *runner) offlineTargets(in *model.Input) error {
	in.Targets = nil
	for _, t := range r.o.Targets {
		hits := load.Find(in, t.Kind, t.Name)
		switch len(hits) {
		case 0:
			return fmt.Errorf("the file does not contain %s", strings.TrimPrefix(strings.ToLower(t.Kind)+"/"+t.Name, "/"))
		case 1:
			in.Targets = append(in.Targets, hits[0])
		default:
			if t.Kind == "" {
				return fmt.Errorf("%q matches several objects; use TYPE/NAME", t.Name)
			}
			in.Targets = append(in.Targets, hits...) // of several namespaces
		}
	}
	return nil
}

// finish prints the report and decides on the exit code.
func (r *runner) finish(list report.List) error {
	r.mark(&list)
	if err := r.print(list); err != nil {
		return err
	}
	var all []finding.Finding
	for i := range list.Items {
		if list.Items[i].Verdict == report.Complete {
			continue
		}
		for _, f := range list.Items[i].Findings {
			all = append(all, f.Finding)
		}
	}
	switch {
	case r.o.FailOn.Reached(all):
		return cli.Exit{Code: cli.ExitThreshold}
	case r.o.RequireComplete && list.Sources.Incomplete():
		return cli.Exit{Code: cli.ExitIncomplete, Err: fmt.Errorf("a source could not be read (--require-complete)")}
	}
	return nil
}

// mark says which object was named where a pod or ReplicaSet stands for its rollout.
func (r *runner) mark(list *report.List) {
	for i := range list.Items {
		if asked, ok := r.asked[list.Items[i].Object]; ok {
			list.Items[i].Requested = &asked
		}
	}
}

func (r *runner) single() bool { return len(r.o.Targets) == 1 }

func (r *runner) print(list report.List) error {
	out := r.env.Streams.Out
	switch {
	case r.o.Format.Structured():
		return r.o.Format.Print(out, r.document(list))
	case r.o.Format.Published():
		p, err := render.Published(list, r.judged, r.full(list))
		if err != nil {
			return err
		}
		return publish.Print(out, r.o.Format.Kind, p, publish.Options{FailOn: r.o.FailOn, RequireComplete: r.o.RequireComplete})
	case r.o.Format.Kind == output.Name:
		for i := range list.Items {
			if _, err := fmt.Fprintln(out, names(list.Items[i].Object)); err != nil {
				return err
			}
		}
		return nil
	}
	return r.text(out, list, r.env.Out(r.o.Color))
}

// document is what is printed as JSON: the rollout itself where one was named.
func (r *runner) document(list report.List) any {
	if r.single() && len(list.Items) == 1 {
		return list.Items[0]
	}
	return list
}

// names gives an object as kubectl get -o name does.
func names(o finding.ObjectRef) string {
	group := map[string]string{
		"Deployment": ".apps", "StatefulSet": ".apps", "DaemonSet": ".apps", "ReplicaSet": ".apps",
		"Job": ".batch", "Rollout": ".argoproj.io",
	}
	return strings.ToLower(o.Kind) + group[o.Kind] + "/" + o.Name
}

// full says whether rollouts are explained rather than listed: those that were named, and the only one of a file.
func (r *runner) full(list report.List) bool {
	return len(r.o.Targets) > 0 || r.o.offline() && len(list.Items) == 1
}

func (r *runner) text(out io.Writer, list report.List, term output.Terminal) error {
	o := render.Options{Terminal: term, Wide: r.o.Format.Kind == output.Wide, NoHeaders: r.o.NoHeaders, Namespace: r.o.AllNamespaces}
	if !r.full(list) {
		if len(list.Items) == 0 {
			r.env.Warn("No rollouts found%s.", inNamespace(r.scope.Namespace))
			return nil
		}
		if err := render.Table(out, list, o); err != nil {
			return err
		}
		for _, s := range list.Sources {
			if gap := s.Gap(); gap != "" && (s.State == "forbidden" || s.State == "unreachable") {
				r.env.Warn("%s: %s", s.Name, gap)
			}
		}
		return nil
	}
	for i := range list.Items {
		if i > 0 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if err := render.Rollout(out, &list.Items[i], o); err != nil {
			return err
		}
	}
	return nil
}

func inNamespace(ns string) string {
	if ns == "" {
		return ""
	}
	return " in namespace " + ns
}

// now is the server's time.
func (r *runner) now() time.Time { return r.cluster.Clock.Now() }
