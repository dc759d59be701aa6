package evaluate

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/drain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/joining"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/paths"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// ReportJoin judges how far machines have come that become nodes.
func ReportJoin(in Input, now time.Time, kubectl finding.Kubectl) report.Join {
	out := joining.Of(&in, now, kubectl).Report()
	hide(&out.Summary, nil, nil, out.Sources)
	for i := range out.Machines {
		m := &out.Machines[i]
		hide(&m.Summary, m.Findings, m.Consequences, m.Sources)
		for j := range m.Steps {
			m.Steps[j].Evidence = short(m.Steps[j].Evidence)
		}
	}
	return out
}

// ReportPaths judges who reaches whom.
func ReportPaths(in Input, now time.Time, kubectl finding.Kubectl) report.Paths {
	out := paths.MapOf(&in, now, kubectl).Report()
	hide(&out.Summary, out.Findings, out.Consequences, out.Sources)
	for i := range out.Paths {
		out.Paths[i].Evidence = short(out.Paths[i].Evidence)
	}
	return out
}

// PreviewDrain judges the drain of the input's targets, or that and what follows where its target is removed for good.
func PreviewDrain(in Input, now time.Time, kubectl finding.Kubectl) report.Drain {
	out := drain.PlanOf(&in, now, kubectl).Preview()
	hide(&out.Summary, out.Findings, nil, out.Sources)
	if r := out.Removal; r != nil {
		for i := range r.Steps {
			r.Steps[i].Command = mask.Text(r.Steps[i].Command)
		}
	}
	return out
}

// JoinCandidates are the machines that may not have joined yet: nodes, and machines that request a certificate to become one.
func JoinCandidates(in *Input, now time.Time) []string { return joining.Candidates(in, now) }

// IsCloudController says whether the pod is a cloud-controller-manager.
func IsCloudController(p *corev1.Pod) bool { return component.CloudController(p) }

// DrainNeedsVolumes says whether a pod of the targets moves with a volume, so that it matters where that can be used.
func DrainNeedsVolumes(in *Input) bool { return drain.WithClaims(in) }

// DrainAnnotations are those of a pod that bear on a drain.
func DrainAnnotations() []string { return drain.Annotations() }
