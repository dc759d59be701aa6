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
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// pathsConflicts are the flags that mean nothing to a report on paths.
func (v *flagValues) pathsConflicts(o Options) error {
	if !v.paths {
		return nil
	}
	var errs []error
	others := map[string]bool{
		"--drain": v.drain, "-l": v.selector != "", "--field-selector": v.fieldSelector != "", "-w": v.watch, "-L": len(v.labelColumns) > 0,
		"--section": len(v.sections) > 0, "--only-problems": v.onlyProblems, "--no-headers": v.noHeaders,
		"-o " + v.output: o.Format.Kind == output.Wide || o.Format.Kind == output.Name,
	}
	for flag, given := range others {
		if given {
			errs = append(errs, fmt.Errorf("--paths cannot be combined with %s", flag))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// runPaths reports who reaches whom.
func (o Options) runPaths(ctx context.Context, env *cli.Env) error {
	if o.FromInput != "" {
		var input evaluate.Input
		if err := env.LoadInput(o.FromInput, &input); err != nil {
			return err
		}
		if err := input.AimPaths(o.Names); err != nil {
			return err
		}
		return o.finishPaths(env, evaluate.ReportPaths(input, input.Now, finding.Kubectl{}))
	}
	clusters, err := o.Connection.Clusters()
	if err != nil {
		return err
	}
	if len(clusters) > 1 {
		return cli.Usage(fmt.Errorf("--paths requires a single cluster; --context matches %d", len(clusters)))
	}
	result, err := o.collectPaths(ctx, env, clusters[0])
	if err != nil {
		return err
	}
	warn(env, result.Notes)
	if o.SaveInput != "" && len(result.Input.NotFound) == 0 {
		if err := env.SaveInput(o.SaveInput, mask.Copy(result.Input)); err != nil {
			return err
		}
	}
	paths := evaluate.ReportPaths(result.Input, result.Input.Now, clusters[0].Kubectl)
	if o.SaveInput == "-" {
		return o.decidePaths(paths)
	}
	return o.finishPaths(env, paths)
}

func (o Options) collectPaths(ctx context.Context, env *cli.Env, cluster *kube.Cluster) (collect.Result, error) {
	stop := output.StartProgress(env.Streams.ErrOut, env.Err(o.Color), "reading the cluster")
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return collect.Collect(ctx, cluster, collect.Request{Names: o.Names, Depth: evaluate.Paths, Kubelet: o.Kubelet})
}

// finishPaths prints a report, unless a node is missing.
func (o Options) finishPaths(env *cli.Env, paths report.Paths) error {
	if len(paths.NotFound) == 0 {
		if err := o.printPaths(env, paths); err != nil {
			return err
		}
	}
	return o.decidePaths(paths)
}

func (o Options) printPaths(env *cli.Env, paths report.Paths) error {
	switch {
	case o.Format.Structured():
		return o.Format.Print(env.Streams.Out, paths)
	case o.Format.Published():
		published, err := render.PublishedPaths(paths)
		if err != nil {
			return err
		}
		return publish.Print(env.Streams.Out, o.Format.Kind, published,
			publish.Options{FailOn: o.FailOn, RequireComplete: o.RequireComplete})
	}
	return render.Paths(env.Streams.Out, paths, env.Out(o.Color))
}

// decidePaths turns the report into an exit code, as decide does.
func (o Options) decidePaths(paths report.Paths) error {
	var errs []error
	for _, name := range paths.NotFound {
		errs = append(errs, fmt.Errorf("node %q not found", name))
	}
	switch {
	case len(errs) > 0:
		return errors.Join(errs...)
	case o.FailOn.Reached(paths.Findings):
		return cli.Exit{Code: cli.ExitThreshold}
	case o.RequireComplete && paths.Sources.Incomplete():
		return cli.Exit{Code: cli.ExitIncomplete}
	}
	return nil
}
