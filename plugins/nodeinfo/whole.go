package nodeinfo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// whole is a report of one cluster that is read, judged and printed as one, instead of node by node.
type whole[R any] struct {
	flag  string
	depth evaluate.Depth
	aim   func(in *evaluate.Input, names []string) error // sets a saved input to what is asked
	judge func(in evaluate.Input, now time.Time, kubectl finding.Kubectl) R
	text  func(w io.Writer, r R, term output.Terminal) error
	end   func(r R) outcome

	published func(r R) (publish.Report, error) // nil: not in the formats that other tools read
	always    bool                              // it is printed although a node is missing, and says what of it
}

// The reports: all read, and change nothing.
var (
	// drainReport previews the drain of the named nodes.
	drainReport = whole[report.Drain]{
		flag: "--drain", depth: evaluate.Drain, aim: (*evaluate.Input).Aim, judge: evaluate.PreviewDrain, text: render.Drain, end: endOfDrain,
	}
	// removeReport previews the removal of a node for good.
	removeReport = whole[report.Drain]{
		flag: "--remove", depth: evaluate.Remove, aim: (*evaluate.Input).AimRemove, judge: evaluate.PreviewDrain, text: render.Drain,
		end: endOfDrain,
	}
	// pathsReport says who reaches whom.
	pathsReport = whole[report.Paths]{
		flag: "--paths", depth: evaluate.Paths, aim: (*evaluate.Input).AimPaths, judge: evaluate.ReportPaths, text: render.Paths,
		published: render.PublishedPaths,
		end:       func(p report.Paths) outcome { return outcome{p.NotFound, p.Findings, p.Sources} },
	}
	// joinReport says how far machines have come that become nodes. It is printed although a name is of no machine: it says then
	// what to look at on the machine itself.
	joinReport = whole[report.Join]{
		flag: "--join", depth: evaluate.JoinDepth, aim: (*evaluate.Input).AimJoin, judge: evaluate.ReportJoin, text: render.Join,
		published: render.PublishedJoin, always: true,
		end: func(j report.Join) outcome {
			var findings []finding.Finding
			sources := append(source.List{}, j.Sources...)
			for _, m := range j.Machines {
				findings, sources = append(findings, m.Findings...), append(sources, m.Sources...)
			}
			return outcome{j.NotFound, findings, sources}
		},
	}
)

func endOfDrain(d report.Drain) outcome { return outcome{d.NotFound, d.Findings, d.Sources} }

// outcome is what the exit code follows from.
type outcome struct {
	notFound []string
	findings []finding.Finding
	sources  source.List
}

// run reads, judges and prints.
func (w whole[R]) run(ctx context.Context, o Options, env *cli.Env) error {
	if o.FromInput != "" || len(o.Files) > 0 {
		input, err := w.saved(o, env)
		if err != nil {
			return err
		}
		return w.finish(o, env, w.judge(input, input.Now, finding.Kubectl{}))
	}
	clusters, err := o.Connection.Clusters()
	if err != nil {
		return err
	}
	if len(clusters) > 1 {
		return cli.Usage(fmt.Errorf("%s requires a single cluster; --context matches %d", w.flag, len(clusters)))
	}
	result, err := w.collect(ctx, o, env, clusters[0])
	if err != nil {
		return err
	}
	warn(env, result.Notes)
	if o.SaveInput != "" && len(result.Input.NotFound) == 0 {
		if err := env.SaveInput(o.SaveInput, mask.Copy(result.Input)); err != nil {
			return err
		}
	}
	r := w.judge(result.Input, result.Input.Now, clusters[0].Kubectl)
	if o.SaveInput == "-" {
		return o.decideWhole(w.end(r))
	}
	return w.finish(o, env, r)
}

// saved is what an earlier call saved, or a dump holds.
func (w whole[R]) saved(o Options, env *cli.Env) (in evaluate.Input, err error) {
	if o.FromInput != "" {
		if err = env.LoadInput(o.FromInput, &in); err == nil {
			err = w.aim(&in, o.Names)
		}
		return in, err
	}
	if in, err = o.readDump(env); err != nil {
		return in, err
	}
	in.Depth = w.depth
	if err = w.aim(&in, o.Names); err == nil {
		warn(env, collect.Judged(&in))
	}
	return in, err
}

func (w whole[R]) collect(ctx context.Context, o Options, env *cli.Env, cluster *kube.Cluster) (collect.Result, error) {
	stop := output.StartProgress(env.Streams.ErrOut, env.Err(o.Color), "reading the cluster")
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return collect.Collect(ctx, cluster, collect.Request{Names: o.Names, Depth: w.depth, Kubelet: o.Kubelet})
}

// finish prints a report, unless a node is missing of which the report says nothing: half of what was asked is not what was asked.
func (w whole[R]) finish(o Options, env *cli.Env, r R) error {
	end := w.end(r)
	if len(end.notFound) == 0 || w.always {
		if err := w.print(o, env, r); err != nil {
			return err
		}
	}
	return o.decideWhole(end)
}

func (w whole[R]) print(o Options, env *cli.Env, r R) error {
	switch {
	case o.Format.Structured():
		return o.Format.Print(env.Streams.Out, r)
	case o.Format.Published():
		published, err := w.published(r)
		if err != nil {
			return err
		}
		return publish.Print(env.Streams.Out, o.Format.Kind, published,
			publish.Options{FailOn: o.FailOn, RequireComplete: o.RequireComplete})
	}
	return w.text(env.Streams.Out, r, env.Out(o.Color))
}

// decideWhole turns the outcome into an exit code, as decide does.
func (o Options) decideWhole(end outcome) error {
	var errs []error
	for _, name := range end.notFound {
		errs = append(errs, fmt.Errorf("node %q not found", name))
	}
	switch {
	case len(errs) > 0:
		return errors.Join(errs...)
	case o.FailOn.Reached(end.findings):
		return cli.Exit{Code: cli.ExitThreshold}
	case o.RequireComplete && end.sources.Incomplete():
		return cli.Exit{Code: cli.ExitIncomplete}
	}
	return nil
}

// wholeConflicts are the flags that mean nothing to the reports of the whole cluster.
func (v *flagValues) wholeConflicts(o Options) error {
	others := map[string]bool{
		"-l": v.selector != "", "--field-selector": v.fieldSelector != "", "-w": v.watch, "-L": len(v.labelColumns) > 0,
		"--section": len(v.sections) > 0, "--only-problems": v.onlyProblems, "--no-headers": v.noHeaders,
		"--thresholds": v.thresholds != "",
	}
	var errs []error
	check := func(flag string, more map[string]bool) {
		var of []error
		maps.Copy(more, others)
		for other, given := range more {
			if given {
				of = append(of, fmt.Errorf("%s cannot be combined with %s", flag, other))
			}
		}
		sorting.Func(of, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		errs = append(errs, of...)
	}
	format, list := "-o "+v.output, o.Format.Kind == output.Wide || o.Format.Kind == output.Name
	if v.drain {
		if len(o.Names) == 0 {
			errs = append(errs, errors.New("--drain requires the name of a node"))
		}
		check("--drain", map[string]bool{"--kubelet": v.kubelet, format: list || o.Format.Published()})
	}
	if v.remove {
		if len(o.Names) != 1 {
			errs = append(errs, errors.New("--remove requires the name of one node"))
		}
		check("--remove", map[string]bool{"--drain": v.drain, "--kubelet": v.kubelet, format: list || o.Format.Published()})
	}
	if v.paths {
		check("--paths", map[string]bool{"--drain": v.drain, "--remove": v.remove, format: list})
	}
	if v.join {
		check("--join", map[string]bool{
			"--drain": v.drain, "--remove": v.remove, "--paths": v.paths, "--kubelet": v.kubelet, format: list,
		})
	}
	return errors.Join(errs...)
}
