package evaluate

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/drain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// PreviewDrain judges the drain of the input's targets, or that and what follows where its target is removed for good.
func PreviewDrain(in Input, now time.Time, kubectl finding.Kubectl) report.Drain {
	out := drain.PlanOf(&in, now, kubectl).Preview()
	out.Summary = short(out.Summary)
	for i := range out.Findings {
		hideFinding(&out.Findings[i])
	}
	if r := out.Removal; r != nil {
		for i := range r.Steps {
			r.Steps[i].Command = mask.Text(r.Steps[i].Command)
		}
	}
	for i := range out.Sources {
		out.Sources[i].Message = short(out.Sources[i].Message)
	}
	return out
}

// DrainNeedsVolumes says whether a pod of the targets moves with a volume, so that it matters where that can be used.
func DrainNeedsVolumes(in *Input) bool { return drain.WithClaims(in) }

// DrainAnnotations are those of a pod that bear on a drain.
func DrainAnnotations() []string { return drain.Annotations() }
