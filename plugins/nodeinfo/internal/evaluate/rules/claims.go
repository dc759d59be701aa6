package rules

import (
	"cmp"
	"fmt"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// The codes of NodeClaims that have no node: no check of a node can look at them.
const (
	NodeClaimNotLaunched   finding.Code = "NodeClaimNotLaunched"
	NodeClaimNotRegistered finding.Code = "NodeClaimNotRegistered"
)

var nodeClaimNotLaunched = subject.Rule{
	Entry: finding.Entry{
		Code:     NodeClaimNotLaunched,
		Severity: finding.Warning,
		Title:    "Karpenter cannot launch a machine",
		Meaning: "Karpenter asked the cloud for a machine and got none: it reports why, or has not launched it within 3 minutes. After 5 " +
			"minutes it deletes the NodeClaim and makes another. The pods for which the machine is wait.",
		Evidence: "NodeClaim status.conditions: Launched not True, with the error of the cloud provider.",
		Next:     "Correct what the message names (such as permissions, the NodeClass, quota).",
		Source:   "https://karpenter.sh/docs/concepts/nodeclaims/",
	},
}

var nodeClaimNotRegistered = subject.Rule{
	Entry: finding.Entry{
		Code:     NodeClaimNotRegistered,
		Severity: finding.Warning,
		Title:    "Machine of Karpenter has not joined the cluster",
		Meaning: "Karpenter launched a machine more than 10 minutes ago, and no Node of it exists: its kubelet does not start, cannot reach " +
			"the API server, or is not allowed to join. After 15 minutes Karpenter ends the machine and makes another.",
		Evidence: "NodeClaim status.conditions: Launched=True for more than 10 minutes, Registered not True.",
		Next:     "Read the console log of the machine, and check its network, role and bootstrap configuration.",
		Source:   "https://karpenter.sh/docs/troubleshooting/#node-launchreadiness",
	},
}

// Claims are the findings about NodeClaims that have no node, and should have one.
func Claims(claims []autoscaler.NodeClaim, now time.Time, kubectl finding.Kubectl) []finding.Finding {
	var list []finding.Finding
	for i := range claims {
		claim := &claims[i]
		lack, why, since := claim.Lacks(now)
		code, about := NodeClaimNotLaunched, []string{autoscaler.Launched}
		text := "Karpenter cannot launch the machine of NodeClaim %s, made %s ago"
		switch lack {
		case autoscaler.NotLaunched:
		case autoscaler.NotRegistered:
			code, about = NodeClaimNotRegistered, []string{autoscaler.Launched, autoscaler.Registered}
			text = "the machine of NodeClaim %s was launched %s ago and has not joined the cluster"
		default:
			continue
		}
		message := fmt.Sprintf(text, claim.Metadata.Name, output.Age(now.Sub(since)))
		if why != nil && why.Message != "" {
			message += ": " + why.Message
		}
		f := book.New(code, message)
		f.Object = &finding.ObjectRef{Kind: "NodeClaim", Name: claim.Metadata.Name}
		f.Evidence = subject.ClaimEvidence(claim, about...)
		c := &subject.Case{Kubectl: kubectl}
		f.Next = []finding.Next{c.Look("Read the conditions and events of the NodeClaim", "", "describe", "nodeclaim", claim.Metadata.Name)}
		list = append(list, f)
	}
	sorting.Func(list, func(a, b finding.Finding) int { return cmp.Compare(a.Object.Name, b.Object.Name) })
	return list
}
