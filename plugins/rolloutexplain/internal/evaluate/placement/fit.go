package placement

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// nodeFit is whether one node can run one pod, by the scheduler's simple filters run again.
type nodeFit struct {
	node    *corev1.Node
	static  string // a reason that stays whichever pods are removed
	fault   bool   // the static reason is a problem of the node (not ready, pressure), not a setting
	lacks   string // what it has too little of now
	never   bool   // it could not run the pod without other pods
	ifOldGo bool   // it could run the pod without the old pods of the same workload
	free    string // what it has free of what is short
}

func fitRank(f nodeFit) int {
	switch {
	case f.static == "" && f.lacks == "":
		return 0
	case f.static == "" && !f.never:
		return 1
	case f.static == "":
		return 2
	}
	return 3
}

// fit runs the filters that need no more than the node and the pods on it.
func fit(e *model.Evaluation, w *model.Workload, p *model.Pod, n *corev1.Node, room bool) nodeFit {
	f := nodeFit{node: n}
	why, fits := schedule.Fits(&p.Spec, n)
	switch {
	case fits:
		fitRoom(e, w, p, n, room, &f)
	case why.Reason == schedule.Unschedulable:
		f.static, f.fault = "cordoned (spec.unschedulable)", true
	case why.Reason == schedule.Untolerated:
		f.static = "taint " + taintText(&why.Taint)
		f.fault = strings.HasPrefix(why.Taint.Key, "node.kubernetes.io/") || strings.HasPrefix(why.Taint.Key, "node.cloudprovider.kubernetes.io/")
	default:
		f.static = "labels do not match the node selector or affinity"
	}
	return f
}

func fitRoom(e *model.Evaluation, w *model.Workload, p *model.Pod, n *corev1.Node, room bool, f *nodeFit) {
	taken, old, want := corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}
	for _, np := range e.In.NodePods {
		if !room || np.Node != n.Name {
			continue
		}
		schedule.Take(taken, np.Requests)
		if np.Namespace == w.Meta.Namespace && slices.ContainsFunc(w.Pods, func(q *model.Pod) bool { return q.Name == np.Name && !q.IsNew }) {
			schedule.Take(old, np.Requests)
		}
	}
	schedule.Take(want, schedule.Requests(p.Pod))
	var lacks []string
	f.ifOldGo = room
	for _, l := range schedule.Lacks(n, taken, want) {
		if l.Never() {
			f.never, f.ifOldGo = true, false
			lacks = append(lacks, fmt.Sprintf("%s %s (%s allocatable)", l.Wanted.String(), l.Name, l.Whole.String()))
			continue
		}
		lacks = append(lacks, fmt.Sprintf("%s %s (%s of %s free)", l.Wanted.String(), l.Name, l.Free.String(), l.Whole.String()))
		l.Free.Add(old[l.Name])
		f.ifOldGo = f.ifOldGo && l.Wanted.Cmp(l.Free) <= 0
	}
	if len(lacks) > 0 {
		f.lacks = "requires " + strings.Join(lacks, " and ")
	}
	f.free = f.lacks
	f.ifOldGo = f.ifOldGo && f.lacks != ""
}

func taintText(t *corev1.Taint) string {
	if t.Value == "" {
		return t.Key + ":" + string(t.Effect)
	}
	return t.Key + "=" + t.Value + ":" + string(t.Effect)
}
