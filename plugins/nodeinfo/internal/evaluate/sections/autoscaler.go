package sections

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func scaler(n *facts.Node) *report.Autoscaler {
	s := n.Scaler
	if s == nil {
		return nil
	}
	a := &report.Autoscaler{Name: "Cluster Autoscaler", Checked: s.Checked}
	if s.Karpenter {
		a.Name, a.Group = "Karpenter", s.NodePool
		a.Waiting = waiting(n, true)
	}
	if e := s.Said; e != nil {
		a.Reported = &report.ScalerEvent{Reason: e.Reason, Message: e.Message, Time: e.Last.UTC()}
	}
	if s.Claim != nil {
		a.NodeClaim = nodeClaim(s.Claim)
	}
	if s.Pool != nil {
		for i := range s.Pool.Spec.Disruption.Budgets {
			a.Budgets = append(a.Budgets, s.Pool.Spec.Disruption.Budgets[i].String())
		}
		a.Limits = limits(s.Pool)
	}
	if s.Status != nil {
		a.Status = scalerStatus(s.Status, n.Now)
		a.Waiting = waiting(n, false)
	}
	if g := s.Group; g != nil {
		a.Group = g.Name
		a.NodeGroup = &report.NodeGroup{Name: g.Name, Target: g.Target, Min: g.Min, Max: g.Max, ScaleUp: aspect(&g.ScaleUp)}
	}
	planned(n, a)
	for i := range s.Holds {
		a.Holds = append(a.Holds, hold(s, &s.Holds[i]))
	}
	return a
}

func nodeClaim(c *autoscaler.NodeClaim) *report.NodeClaim {
	out := &report.NodeClaim{
		Name: c.Metadata.Name, Finalizers: c.Metadata.Finalizers, TerminationGracePeriod: c.Spec.TerminationGracePeriod,
	}
	if at := c.Metadata.Deleted; at != nil {
		out.DeletedAt = facts.Time(at.Time)
	}
	for _, x := range c.Status.Conditions {
		out.Conditions = append(out.Conditions, report.ClaimCondition{
			Type: x.Type, Status: string(x.Status), Reason: x.Reason, Message: x.Message, Since: facts.Time(x.LastTransitionTime.Time),
		})
	}
	sorting.Func(out.Conditions, func(a, b report.ClaimCondition) int { return cmp.Compare(a.Type, b.Type) })
	return out
}

func scalerStatus(s *autoscaler.Status, now time.Time) *report.ScalerStatus {
	out := &report.ScalerStatus{
		State: s.State, Updated: facts.Time(s.Updated()), Health: s.Health.Status, ScaleUp: s.ScaleUp.Status, ScaleDown: s.ScaleDown.Status,
		Candidates: s.Candidates, Groups: len(s.Groups),
	}
	out.Stopped, _ = s.Stopped(now)
	for _, g := range s.InBackoff() {
		out.Backoff = append(out.Backoff, g.Name)
	}
	slices.Sort(out.Backoff)
	return out
}

func aspect(a *autoscaler.Aspect) string {
	if a.Error != "" {
		return a.Status + ": " + a.Error
	}
	return a.Status
}

// planned says whether the node is being removed, or may soon be.
func planned(n *facts.Node, a *report.Autoscaler) {
	if n.Scheduling.RemovedBy != "" {
		a.Removal, a.Since = report.RemovalInProgress, n.Scheduling.RemovedAt
	}
	if c := a.NodeClaim; c != nil && c.DeletedAt != nil {
		a.Removal, a.Since = report.RemovalInProgress, c.DeletedAt
	}
	for _, t := range n.Scheduling.Taints {
		if t.Key == facts.TaintCandidate && a.Removal == "" {
			a.Removal, a.Since = report.RemovalCandidate, t.Since
		}
	}
}

// limits are those of a NodePool, with what its nodes have.
func limits(p *autoscaler.NodePool) []report.PoolLimit {
	var list []report.PoolLimit
	for name, limit := range p.Spec.Limits {
		used := p.Status.Resources[name]
		list = append(list, report.PoolLimit{Resource: string(name), Used: used.String(), Limit: limit.String()})
	}
	sorting.Func(list, func(a, b report.PoolLimit) int { return cmp.Compare(a.Resource, b.Resource) })
	return list
}

// waiting are pods that are left without a node; the group of this one would not help them either.
func waiting(n *facts.Node, karpenter bool) *report.WaitingForNodes {
	list := n.Scaling.NoGroupFits(karpenter, n.Now)
	if len(list) == 0 {
		return nil
	}
	newest := &list[0]
	return &report.WaitingForNodes{
		Pods: len(list), Newest: newest.About.Namespace + "/" + newest.About.Name, Message: autoscaler.Refusal(newest), Time: newest.Last.UTC(),
	}
}

// hold puts into words what keeps the node.
func hold(s *autoscaler.Scaler, h *autoscaler.Hold) report.RemovalHold {
	out := report.RemovalHold{Reason: string(h.Reason), Budgets: h.Budgets, ByDefault: h.Reason.ByDefault()}
	if h.Pod != nil {
		out.Namespace, out.Pod = h.Pod.Namespace, h.Pod.Name
	}
	switch h.Reason {
	case autoscaler.NodeAnnotated:
		out.Message = "the Node has the annotation " + h.Value
	case autoscaler.GroupAtMinimum:
		out.Message = fmt.Sprintf("the node group has its minimum size (%d of at least %d)", *s.Group.Target, *s.Group.Min)
	case autoscaler.PoolFixed:
		out.Message = fmt.Sprintf("the NodePool keeps a fixed number of nodes (spec.replicas: %d)", *s.Pool.Spec.Replicas)
	case autoscaler.PoolBudgetClosed:
		out.Message = "a disruption budget of the NodePool allows no removal (" + h.Value + ")"
	case autoscaler.PoolConsolidates:
		out.Message = "the NodePool does not remove nodes for low utilization (" + h.Value + ")"
	case autoscaler.PoolWhenEmpty:
		out.Message = "the NodePool removes only nodes without pods (" + h.Value + ")"
	case autoscaler.PodAnnotated:
		out.Message = "annotation " + h.Value
	case autoscaler.PodBare:
		out.Message = "no controller would recreate the pod"
	case autoscaler.PodBudget:
		out.Message = "no disruption allowed by PodDisruptionBudget " + strings.Join(h.Budgets, ", ")
	case autoscaler.PodBudgets:
		out.Message = "several PodDisruptionBudgets match (" + strings.Join(h.Budgets, ", ") + "): the API server rejects the eviction"
	case autoscaler.PodSystem:
		out.Message = "pod of kube-system that no PodDisruptionBudget covers"
	case autoscaler.PodLocal:
		out.Message = "local storage (volume " + h.Value + ")"
	case autoscaler.Utilized:
		out.Message = fmt.Sprintf("%.0f%% of %s is requested (the default threshold is %d%%)", s.Most.Percent, s.Most.Resource,
			autoscaler.UtilizationThreshold)
	}
	return out
}
