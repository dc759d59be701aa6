package nodeinfo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// collectReport reads and judges every cluster once, in parallel. Of several clusters the error names those that could not
// be read; the list holds the others.
func (o Options) collectReport(ctx context.Context, env *cli.Env, clusters []*kube.Cluster) (report.List, error) {
	stop := output.StartProgress(env.Streams.ErrOut, env.Err(o.Color), "reading the cluster")
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if len(clusters) == 1 {
		result, err := Read(ctx, clusters[0], o)
		stop()
		return o.collectCluster(env, clusters[0], result, err)
	}
	fleets, notes, errs := make([]evaluate.Cluster, len(clusters)), make([][]string, len(clusters)), make([]error, len(clusters))
	var all sync.WaitGroup
	for i, cluster := range clusters {
		all.Go(func() {
			fleets[i].Context = cluster.Context
			result, err := Read(ctx, cluster, o)
			if err != nil {
				unread := kube.SourceOf(cluster.Context, "list", "nodes", err)
				fleets[i].Unread, errs[i] = &unread, fmt.Errorf("context %q: %w", cluster.Context, kube.Explain(err))
				return
			}
			// At once, so that of many clusters the reports are held, and not what they were made from.
			fleets[i].List, notes[i] = o.Evaluate(result, cluster.Kubectl), result.Notes
		})
	}
	all.Wait()
	stop()
	warn(env, slices.Concat(notes...))
	list := evaluate.Join(fleets)
	sorting.Stable(list.Items, order(o.SortBy))
	return list, errors.Join(errs...)
}

// collectCluster is collectReport for one cluster, whose input can be saved.
func (o Options) collectCluster(env *cli.Env, cluster *kube.Cluster, result Reading, err error) (report.List, error) {
	if err != nil {
		return report.List{}, err
	}
	warn(env, result.Notes)
	if o.SaveInput != "" {
		if err := env.SaveInput(o.SaveInput, &result); err != nil {
			return report.List{}, err
		}
	}
	return o.Evaluate(result, cluster.Kubectl), nil
}

func warn(env *cli.Env, notes []string) {
	for _, note := range notes {
		env.Warn("note: %s", output.Sanitize(mask.Text(note)))
	}
}
