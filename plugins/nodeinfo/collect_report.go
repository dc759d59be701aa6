package nodeinfo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// collectReport reads every cluster once, in parallel, and judges them. Of several clusters the error names those that could not
// be read; the list holds the others.
func (o Options) collectReport(ctx context.Context, env *cli.Env, clusters []*kube.Cluster) (report.List, error) {
	stop := output.StartProgress(env.Streams.ErrOut, env.Err(o.Color), "reading the cluster")
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	results, errs := make([]collect.Result, len(clusters)), make([]error, len(clusters))
	var all sync.WaitGroup
	for i, cluster := range clusters {
		all.Go(func() {
			results[i], errs[i] = collect.Collect(ctx, cluster, collect.Request{
				Names: o.Names, LabelSelector: o.LabelSelector.String(), FieldSelector: o.FieldSelector.String(),
				Depth: o.depth(), Kubelet: o.Kubelet, Whole: o.SaveInput != "",
			})
		})
	}
	all.Wait()
	stop()
	if len(clusters) == 1 {
		return o.collectCluster(env, clusters[0], results[0], errs[0])
	}
	fleets := make([]evaluate.Cluster, len(clusters))
	for i, cluster := range clusters {
		fleets[i].Context = cluster.Context
		if errs[i] != nil {
			unread := kube.SourceOf(cluster.Context, "list", "nodes", errs[i])
			fleets[i].Unread = &unread
			errs[i] = fmt.Errorf("context %q: %w", cluster.Context, kube.Explain(errs[i]))
			continue
		}
		warn(env, results[i].Notes)
		fleets[i].List = o.evaluate(results[i].Input, cluster.Kubectl)
	}
	list := evaluate.Join(fleets)
	slices.SortStableFunc(list.Items, order(o.SortBy))
	return list, errors.Join(errs...)
}

// collectCluster is collectReport for one cluster, whose input can be saved.
func (o Options) collectCluster(env *cli.Env, cluster *kube.Cluster, result collect.Result, err error) (report.List, error) {
	if err != nil {
		return report.List{}, err
	}
	warn(env, result.Notes)
	if o.SaveInput != "" {
		result.Input.Unpack()
		if err := env.SaveInput(o.SaveInput, mask.Copy(result.Input)); err != nil {
			return report.List{}, err
		}
	}
	return o.evaluate(result.Input, cluster.Kubectl), nil
}

func warn(env *cli.Env, notes []string) {
	for _, note := range notes {
		env.Warn("note: %s", output.Sanitize(mask.Text(note)))
	}
}

func (o Options) evaluate(input evaluate.Input, kubectl finding.Kubectl) report.List {
	list := evaluate.Evaluate(input, input.Now, evaluate.Options{
		StaleAfter: o.StaleAfter, ProblemConditions: o.ProblemConditions, Kubectl: kubectl,
		NoPodItems: len(o.Names) == 0 && !o.Format.Structured(), LatePodItems: len(o.Names) == 0,
	})
	slices.SortStableFunc(list.Items, order(o.SortBy))
	return list
}
