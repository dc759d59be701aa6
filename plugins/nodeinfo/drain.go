package nodeinfo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// drainConflicts are the flags that mean nothing to the preview of a drain.
func (v *flagValues) drainConflicts(o Options) error {
	if !v.drain {
		return nil
	}
	var errs []error
	if len(o.Names) == 0 {
		errs = append(errs, errors.New("--drain requires the name of a node"))
	}
	others := map[string]bool{
		"-l": v.selector != "", "--field-selector": v.fieldSelector != "", "-w": v.watch, "--kubelet": v.kubelet, "-L": len(v.labelColumns) > 0,
		"--section": len(v.sections) > 0, "--only-problems": v.onlyProblems, "--no-headers": v.noHeaders,
		"-o " + v.output: o.Format.Kind != output.Table && !o.Format.Structured(),
	}
	for flag, given := range others {
		if given {
			errs = append(errs, fmt.Errorf("--drain cannot be combined with %s", flag))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// runDrain previews the drain of the named nodes: it reads, and changes nothing.
func (o Options) runDrain(ctx context.Context, env *cli.Env) error {
	if o.FromInput != "" {
		var input evaluate.Input
		if err := env.LoadInput(o.FromInput, &input); err != nil {
			return err
		}
		if err := input.Aim(o.Names); err != nil {
			return err
		}
		return o.finishDrain(env, evaluate.PreviewDrain(input, input.Now, finding.Kubectl{}))
	}
	clusters, err := o.Connection.Clusters()
	if err != nil {
		return err
	}
	if len(clusters) > 1 {
		return cli.Usage(fmt.Errorf("--drain requires a single cluster; --context matches %d", len(clusters)))
	}
	result, err := o.collectDrain(ctx, env, clusters[0])
	if err != nil {
		return err
	}
	warn(env, result.Notes)
	if o.SaveInput != "" && len(result.Input.NotFound) == 0 {
		if err := env.SaveInput(o.SaveInput, mask.Copy(result.Input)); err != nil {
			return err
		}
	}
	preview := evaluate.PreviewDrain(result.Input, result.Input.Now, clusters[0].Kubectl)
	if o.SaveInput == "-" {
		return o.decideDrain(preview)
	}
	return o.finishDrain(env, preview)
}

func (o Options) collectDrain(ctx context.Context, env *cli.Env, cluster *kube.Cluster) (collect.Result, error) {
	stop := output.StartProgress(env.Streams.ErrOut, env.Err(o.Color), "reading the cluster")
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return collect.Collect(ctx, cluster, collect.Request{Names: o.Names, Depth: evaluate.Drain})
}

// finishDrain prints a preview, unless a node is missing: half a drain is not what was asked.
func (o Options) finishDrain(env *cli.Env, preview report.Drain) error {
	if len(preview.NotFound) == 0 {
		if err := o.printDrain(env, preview); err != nil {
			return err
		}
	}
	return o.decideDrain(preview)
}

func (o Options) printDrain(env *cli.Env, preview report.Drain) error {
	if o.Format.Structured() {
		return o.Format.Print(env.Streams.Out, preview)
	}
	return render.Drain(env.Streams.Out, preview, env.Out(o.Color))
}

// decideDrain turns the preview into an exit code, as decide does.
func (o Options) decideDrain(preview report.Drain) error {
	var errs []error
	for _, name := range preview.NotFound {
		errs = append(errs, fmt.Errorf("node %q not found", name))
	}
	switch {
	case len(errs) > 0:
		return errors.Join(errs...)
	case o.FailOn.Reached(preview.Findings):
		return cli.Exit{Code: cli.ExitThreshold}
	case o.RequireComplete && preview.Sources.Incomplete():
		return cli.Exit{Code: cli.ExitIncomplete}
	}
	return nil
}
