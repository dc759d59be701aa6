package nodeinfo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// whole is a report of one cluster that is read, judged and printed as one, instead of node by node.
type whole[R any] struct {
	flag  string
	depth evaluate.Depth
	aim   func(in *evaluate.Input, names []string) error // sets a saved input to what is asked
	judge func(in evaluate.Input, now time.Time, kubectl finding.Kubectl) R
	print func(o Options, env *cli.Env, r R) error
	end   func(r R) outcome

	always bool // it is printed although a node is missing, and says what of it
}

// outcome is what the exit code follows from.
type outcome struct {
	notFound []string
	findings []finding.Finding
	sources  source.List
}

// run reads, judges and prints.
func (w whole[R]) run(ctx context.Context, o Options, env *cli.Env) error {
	if o.FromInput != "" {
		var input evaluate.Input
		if err := env.LoadInput(o.FromInput, &input); err != nil {
			return err
		}
		if err := w.aim(&input, o.Names); err != nil {
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

// conflictsOf are the flags that mean nothing to a report of the whole cluster, of which more are those of one report alone.
func (v *flagValues) conflictsOf(flag string, more map[string]bool) error {
	others := map[string]bool{
		"-l": v.selector != "", "--field-selector": v.fieldSelector != "", "-w": v.watch, "-L": len(v.labelColumns) > 0,
		"--section": len(v.sections) > 0, "--only-problems": v.onlyProblems, "--no-headers": v.noHeaders,
		"--thresholds": v.thresholds != "",
	}
	maps.Copy(others, more)
	var errs []error
	for other, given := range others {
		if given {
			errs = append(errs, fmt.Errorf("%s cannot be combined with %s", flag, other))
		}
	}
	sorting.Func(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
