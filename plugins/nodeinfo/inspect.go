package nodeinfo

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Reading is what was read of one cluster: it is judged by Options.Evaluate, and its JSON is the file of --save-input, masked.
type Reading struct {
	Notes []string // how names were understood

	input evaluate.Input
}

// Inspect reads a cluster and reports on its nodes: those that are named, or all. It prints nothing.
func Inspect(ctx context.Context, cluster *kube.Cluster, o Options) (report.List, error) {
	reading, err := Read(ctx, cluster, o)
	if err != nil {
		return report.List{}, err
	}
	return o.Evaluate(reading, cluster.Kubectl), nil
}

// readThresholds reads the file of --thresholds.
func (o *Options) readThresholds(env *cli.Env) error {
	if o.ThresholdsFile == "" {
		return nil
	}
	data, err := env.ReadFile(o.ThresholdsFile)
	if err != nil {
		return cli.Usage(fmt.Errorf("--thresholds: %w", err))
	}
	if o.Thresholds, err = evaluate.ParseThresholds(data); err != nil {
		return cli.Usage(fmt.Errorf("--thresholds %q: %w", o.ThresholdsFile, err))
	}
	return nil
}

// Read reads what the options ask for. The error is that of the nodes; every other failure is a source of the report.
func Read(ctx context.Context, cluster *kube.Cluster, o Options) (Reading, error) {
	request := collect.Request{Names: o.Names, Depth: o.depth(), Kubelet: o.Kubelet, Whole: o.Whole || o.SaveInput != ""}
	if o.LabelSelector != nil {
		request.LabelSelector = o.LabelSelector.String()
	}
	if o.FieldSelector != nil {
		request.FieldSelector = o.FieldSelector.String()
	}
	result, err := collect.Collect(ctx, cluster, request)
	return Reading{Notes: result.Notes, input: result.Input}, err
}

// Evaluate judges what was read, by the server's clock at that time.
func (o Options) Evaluate(r Reading, kubectl finding.Kubectl) report.List {
	list := evaluate.Evaluate(r.input, r.input.Now, evaluate.Options{
		StaleAfter: o.StaleAfter, Thresholds: o.Thresholds, ProblemConditions: o.ProblemConditions, Kubectl: kubectl,
		NoPodItems: len(o.Names) == 0 && !o.Format.Structured(), LatePodItems: len(o.Names) == 0,
	})
	sorting.Stable(list.Items, order(o.SortBy))
	return list
}

// MarshalJSON writes the file of --save-input. It unpacks the pods.
func (r *Reading) MarshalJSON() ([]byte, error) {
	r.input.Unpack()
	return json.Marshal(mask.Copy(r.input))
}

// UnmarshalJSON reads the file of --save-input.
func (r *Reading) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &r.input) }
