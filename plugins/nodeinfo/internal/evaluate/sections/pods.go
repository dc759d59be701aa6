package sections

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func pods(n *facts.Node) *report.Pods {
	if !n.Read(facts.SourcePods) {
		return nil
	}
	out := &report.Pods{Total: len(n.Pods), Evicted: facts.Evicted(n.Pods), Phases: []report.PhaseCount{}}
	phases := map[string]int{}
	for _, p := range n.Pods {
		phases[p.Phase()]++
		if !p.Finished() {
			out.NonTerminated++
		}
	}
	for phase, n := range phases {
		out.Phases = append(out.Phases, report.PhaseCount{Phase: phase, Count: n})
	}
	sorting.Func(out.Phases, func(a, b report.PhaseCount) int { return cmp.Compare(a.Phase, b.Phase) })
	if q, ok := schedule.Allocatable(n.Object)[corev1.ResourcePods]; ok {
		out.MaxPods = ptr(q.Value())
	}
	return out
}

// PodItems is what each pod takes.
func PodItems(pods []*facts.Pod) []report.PodUse {
	items := make([]report.PodUse, 0, len(pods))
	for _, p := range pods {
		items = append(items, podUse(p))
	}
	return items
}

func podUse(p *facts.Pod) report.PodUse {
	use := report.PodUse{Namespace: p.Namespace, Name: p.Name, Phase: p.Phase()}
	if p.Finished() {
		return use
	}
	use.Requests, use.Limits = amounts(p.Requests), amounts(p.Limits)
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodResizePending && c.Status == corev1.ConditionTrue:
			use.Resize = c.Reason // Deferred or Infeasible
		case c.Type == corev1.PodResizeInProgress && c.Status == corev1.ConditionTrue && use.Resize == "":
			use.Resize = "InProgress"
		}
	}
	return use
}

func amounts(list corev1.ResourceList) map[string]*report.Amount {
	out := map[string]*report.Amount{}
	for name := range list {
		out[string(name)] = facts.Amount(name, list)
	}
	return out
}
