package evaluate

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/joining"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// ReportJoin judges how far machines have come that become nodes.
func ReportJoin(in Input, now time.Time, kubectl finding.Kubectl) report.Join {
	out := joining.Of(&in, now, kubectl).Report()
	out.Summary = short(out.Summary)
	for i := range out.Machines {
		m := &out.Machines[i]
		m.Summary = short(m.Summary)
		for j := range m.Findings {
			hideFinding(&m.Findings[j])
		}
		for j := range m.Consequences {
			m.Consequences[j].Message = short(m.Consequences[j].Message)
		}
		for j := range m.Steps {
			m.Steps[j].Evidence = short(m.Steps[j].Evidence)
		}
		for j := range m.Sources {
			m.Sources[j].Message = short(m.Sources[j].Message)
		}
	}
	for i := range out.Sources {
		out.Sources[i].Message = short(out.Sources[i].Message)
	}
	return out
}

// JoinCandidates are the machines that may not have joined yet: nodes, and machines that request a certificate to become one.
func JoinCandidates(in *Input, now time.Time) []string { return joining.Candidates(in, now) }

// IsCloudController says whether the pod is a cloud-controller-manager.
func IsCloudController(p *corev1.Pod) bool { return component.CloudController(p) }
