package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// shownHolds bounds the rows of what keeps a node; JSON has them all.
const shownHolds = 10

// autoscaler says who adds and removes the machine of a node, what it plans, and what keeps the node.
func (p *page) autoscaler(n report.Node) {
	a := n.Autoscaler
	if a == nil {
		p.facts("Autoscaler", cmp.Or(unread(n, "cluster autoscaler status"),
			"none is known: no label of Karpenter, and no ConfigMap kube-system/cluster-autoscaler-status"))
		return
	}
	parts := []string{p.scalerText(a)}
	if a.Status != nil {
		parts = append(parts, p.statusText(a.Status), groupText(a))
	}
	if a.NodeClaim != nil {
		parts = append(parts, p.claimText(a.NodeClaim))
	}
	if len(a.Budgets) > 0 {
		parts = append(parts, "disruption budgets of the NodePool (nodes removed at once): "+strings.Join(a.Budgets, "; "))
	}
	if len(a.Limits) > 0 {
		var limits []string
		for _, l := range a.Limits {
			limits = append(limits, l.Resource+" "+l.Used+" of "+l.Limit)
		}
		parts = append(parts, "limits of the NodePool (its nodes have, of at most): "+strings.Join(limits, "; "))
	}
	parts = append(parts, p.removalText(n))
	if e := a.Reported; e != nil {
		parts = append(parts, fmt.Sprintf("%s reports %s: %s (%s ago)", a.Name, e.Reason, e.Message, p.since(&e.Time)))
	}
	if w := a.Waiting; w != nil {
		parts = append(parts, fmt.Sprintf("no node is added for %s without a node, such as %s: %s (%s ago)", output.Plural(w.Pods, "pod"),
			w.Newest, w.Message, p.since(&w.Time)))
	}
	p.facts("Autoscaler", append(parts, p.holdsText(n))...)
	p.holds(a.Holds)
	if c := a.NodeClaim; c != nil {
		p.claimConditions(c)
	}
}

func (p *page) scalerText(a *report.Autoscaler) string {
	switch {
	case a.Name == "Karpenter":
		return "Karpenter, NodePool " + a.Group
	case a.Group != "":
		return a.Name + ", node group " + a.Group
	}
	if a.Status != nil && a.Status.Stopped {
		return a.Name + "; unknown whether the node is of one of its node groups"
	}
	return a.Name + " runs in this cluster; unknown whether the node is of one of its node groups"
}

func (p *page) statusText(s *report.ScalerStatus) string {
	var parts []string
	for _, x := range []struct{ what, word string }{
		{"", s.State}, {"cluster ", s.Health}, {"scale-up ", s.ScaleUp}, {"scale-down ", s.ScaleDown},
	} {
		if x.word != "" {
			parts = append(parts, x.what+x.word)
		}
	}
	if s.Candidates != nil && *s.Candidates > 0 {
		parts = append(parts, fmt.Sprintf("%s for removal", output.Plural(*s.Candidates, "candidate")))
	}
	text := "status " + cmp.Or(strings.Join(parts, ", "), "unknown")
	switch {
	case s.Updated == nil:
		text += "; unknown when it was written"
	case s.Stopped:
		text += "; not written for " + p.since(s.Updated)
	default:
		text += "; written " + p.since(s.Updated) + " ago"
	}
	if len(s.Backoff) > 0 {
		text += fmt.Sprintf("; %d of %d node groups in backoff", len(s.Backoff), s.Groups)
	}
	return text
}

func groupText(a *report.Autoscaler) string {
	g := a.NodeGroup
	if g == nil {
		return ""
	}
	text := "node group: "
	if g.Target != nil {
		text += fmt.Sprintf("%d nodes desired", *g.Target)
	}
	if g.Min != nil && g.Max != nil {
		text += fmt.Sprintf(" of %d to %d", *g.Min, *g.Max)
		if g.Target != nil && *g.Target >= *g.Max {
			text += " (at its maximum: no node is added)"
		}
	}
	if g.ScaleUp != "" {
		text += "; scale-up " + g.ScaleUp
	}
	return text
}

func (p *page) claimText(c *report.NodeClaim) string {
	var steps []string
	for _, kind := range []string{"Launched", "Registered", "Initialized", "Drifted", "Consolidatable", "Empty", "Expired"} {
		at := slices.IndexFunc(c.Conditions, func(x report.ClaimCondition) bool { return x.Type == kind })
		if at >= 0 && c.Conditions[at].Status == "True" {
			steps = append(steps, kind)
		}
	}
	return "NodeClaim " + c.Name + ": " + cmp.Or(strings.Join(steps, ", "), "no condition is True")
}

// claimConditions are those that a NodeClaim should have, and has not.
func (p *page) claimConditions(c *report.NodeClaim) {
	t := output.TableText{Columns: []output.Column{
		{Header: "NODECLAIM-CONDITION"}, {Header: "STATUS"}, {Header: "SINCE"}, {Header: "REASON"}, {Header: "MESSAGE", Flexible: true},
	}}
	for _, x := range c.Conditions {
		if x.Status != "True" && slices.Contains([]string{"Launched", "Registered", "Initialized", "Ready", "Consolidatable"}, x.Type) {
			t.Rows = append(t.Rows, output.Text(x.Type, x.Status, p.since(x.Since), x.Reason, orNone(x.Message)))
		}
	}
	if len(t.Rows) > 0 {
		p.table(t)
	}
}

func (p *page) removalText(n report.Node) string {
	a := n.Autoscaler
	ago := ""
	if a.Since != nil {
		ago = " for " + p.since(a.Since)
	}
	switch a.Removal {
	case report.RemovalInProgress:
		text := "removal: in progress" + ago
		if c := a.NodeClaim; c != nil && c.DeletedAt != nil {
			text += "; the NodeClaim is being deleted"
			if len(c.Finalizers) > 0 {
				text += ", held by finalizer " + strings.Join(c.Finalizers, ", ")
			}
			if c.TerminationGracePeriod != "" {
				text += "; after " + c.TerminationGracePeriod + " nothing holds it any more (terminationGracePeriod)"
			}
		}
		return text
	case report.RemovalCandidate:
		return "removal: candidate" + ago + ", not decided"
	}
	return "removal: none planned"
}

func (p *page) holdsText(n report.Node) string {
	a := n.Autoscaler
	gap := unread(n, "poddisruptionbudgets", "PodDisruptionBudgets:")
	switch {
	case !a.Checked:
		return "what keeps the node: " + cmp.Or(unread(n, "pods"), "read for named nodes only")
	case len(a.Holds) == 0:
		text := "nothing that was read keeps the node; whether other nodes have room for its pods is not judged here"
		return strings.TrimSuffix(text+" ("+gap+")", " ()")
	}
	text := output.Plural(len(a.Holds), "reason keeps", "reasons keep") + " the node"
	if slices.ContainsFunc(a.Holds, func(h report.RemovalHold) bool { return h.ByDefault }) {
		text += "; \"by default\": unless a flag of the autoscaler says otherwise, which are not read"
	}
	if gap != "" {
		text += "; " + gap
	}
	return text
}

func (p *page) holds(list []report.RemovalHold) {
	if len(list) == 0 {
		return
	}
	t := output.TableText{Columns: []output.Column{{Header: "KEPT-BY"}, {Header: "WHY", Flexible: true}}}
	for _, h := range list[:min(len(list), shownHolds)] {
		what, why := "node", h.Message
		switch {
		case h.Pod != "":
			what = h.Namespace + "/" + h.Pod
		case strings.HasPrefix(h.Reason, "Pool"):
			what = "NodePool"
		case h.Reason == "GroupAtMinimum":
			what = "node group"
		}
		if h.ByDefault {
			why += "; by default"
		}
		t.Rows = append(t.Rows, output.Text(what, why))
	}
	if more := len(list) - shownHolds; more > 0 {
		t.Rows = append(t.Rows, output.Text(fmt.Sprintf("%d more", more), ""))
	}
	p.table(t)
}
