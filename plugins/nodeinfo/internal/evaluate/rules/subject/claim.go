package subject

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// ClaimEvidence is what a NodeClaim of Karpenter says of the steps that it has made, and of the one that it has not.
func ClaimEvidence(claim *autoscaler.NodeClaim, types ...string) []finding.Evidence {
	var list []finding.Evidence
	for _, t := range types {
		value := "not reported"
		e := finding.Evidence{Source: "NodeClaim " + claim.Metadata.Name, Path: "status.conditions[" + t + "]"}
		if c := claim.Condition(t); c != nil {
			value, e.Time = string(c.Status), facts.Time(c.LastTransitionTime.Time)
			if c.Reason != "" && c.Reason != t {
				value += " (" + c.Reason + ")"
			}
			if c.Message != "" {
				value += ": " + c.Message
			}
		}
		e.Value = value
		list = append(list, e)
	}
	return list
}
