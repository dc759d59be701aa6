package rolloutexplain

import (
	"context"
	"encoding/json"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/load"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Reading is what was read of rollouts: it is judged by Options.Explain, and its JSON is the file of --save-input, masked.
type Reading struct{ in *model.Input }

// Inspect reads a cluster and explains its rollouts: those that are named, or all in the namespace of the connection or in every
// one. It prints nothing.
func Inspect(ctx context.Context, cluster *kube.Cluster, o Options) (report.List, error) {
	reading, err := Read(ctx, cluster, o)
	if err != nil {
		return report.List{}, err
	}
	return o.Explain(reading, cluster.Kubectl), nil
}

// Targets reads the names of rollouts as the command does: NAME, TYPE/NAME or TYPE NAME.
func Targets(words ...string) ([]target.Ref, error) { return (&flags{}).targets(words) }

// Read reads what the options ask for. The error is that of a named object, or of every list; other failures are sources.
func Read(ctx context.Context, cluster *kube.Cluster, o Options) (Reading, error) {
	r := &runner{o: &o, cluster: cluster}
	if err := r.connect(ctx); err != nil {
		return Reading{}, err
	}
	return r.read(ctx)
}

// Explain judges what was read, by the server's clock at that time.
func (o Options) Explain(r Reading, kubectl finding.Kubectl) report.List {
	if r.in == nil {
		r.in = &model.Input{}
	}
	r.in.Context = kubectl.Flags
	return r.explain((&runner{o: &o}).evaluateOptions())
}

func (r Reading) explain(o model.Options) report.List {
	return evaluate.Evaluate(r.in, r.in.Collected, o)
}

// Events are those that were read, each once, and the state of that read.
func (r Reading) Events() ([]event.Event, source.Source) {
	if r.in == nil {
		return nil, source.Source{Name: model.SourceEvents, State: source.Skipped}
	}
	return event.ReadAll(r.in.Events), r.in.Sources.Get(model.SourceEvents)
}

// MarshalJSON writes the file of --save-input.
func (r Reading) MarshalJSON() ([]byte, error) {
	masked, err := load.Masked(r.in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(masked)
}

// UnmarshalJSON reads the file of --save-input.
func (r *Reading) UnmarshalJSON(data []byte) error {
	r.in = &model.Input{}
	return json.Unmarshal(data, r.in)
}
