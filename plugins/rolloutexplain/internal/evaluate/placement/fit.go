package placement

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// nodeFit is whether one node can run one pod, by the scheduler's simple filters run again.
type nodeFit struct {
	node    *corev1.Node
	static  string // a reason that stays whichever pods are removed
	tainted bool   // that reason is a taint
	fault   bool   // the static reason is a problem of the node (not ready, pressure), not a setting
	lacks   string // what it has too little of now
	never   bool   // it could not run the pod without other pods
	ifOldGo bool   // it could run the pod without the old pods of the same workload
	free    string // what it has free of what is short
	ending  string // the terminating pods whose end frees enough; empty: it does not
	due     bool   // their grace periods still run
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
		f.static, f.fault, f.tainted = "cordoned (spec.unschedulable)", true, true
	case why.Reason == schedule.Untolerated:
		f.static, f.tainted = "taint "+taintText(&why.Taint), true
		f.fault = strings.HasPrefix(why.Taint.Key, "node.kubernetes.io/") || strings.HasPrefix(why.Taint.Key, "node.cloudprovider.kubernetes.io/")
	default:
		f.static = "labels do not match the node selector or affinity"
	}
	return f
}

func fitRoom(e *model.Evaluation, w *model.Workload, p *model.Pod, n *corev1.Node, room bool, f *nodeFit) {
	taken, old, want, freed := corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}
	var ending []model.NodePod
	for _, np := range e.In.NodePods {
		if !room || np.Node != n.Name {
			continue
		}
		schedule.Take(taken, np.Requests)
		if np.Terminating {
			schedule.Take(freed, np.Requests)
			ending = append(ending, np)
		}
		if np.Namespace == w.Meta.Namespace && slices.ContainsFunc(w.Pods, func(q *model.Pod) bool { return q.Name == np.Name && !q.IsNew }) {
			schedule.Take(old, np.Requests)
		}
	}
	schedule.Take(want, schedule.Requests(p.Pod))
	var lacks []string
	f.ifOldGo = room
	soon := true
	f.due = true
	var names []string
	for _, l := range schedule.Lacks(n, taken, want) {
		if l.Never() {
			f.never, f.ifOldGo, soon = true, false, false
			lacks = append(lacks, fmt.Sprintf("%s %s (%s allocatable)", l.Wanted.String(), l.Name, l.Whole.String()))
			continue
		}
		lacks = append(lacks, fmt.Sprintf("%s %s (%s of %s free)", l.Wanted.String(), called(l.Name), l.Free.String(), l.Whole.String()))
		for _, np := range ending {
			if q := np.Requests[l.Name]; !q.IsZero() {
				names = append(names, np.Namespace+"/"+np.Name)
				f.due = f.due && np.Ends != nil && np.Ends.After(e.Now)
			}
		}
		later := l.Free.DeepCopy()
		later.Add(freed[l.Name])
		soon = soon && l.Wanted.Cmp(later) <= 0
		l.Free.Add(old[l.Name])
		f.ifOldGo = f.ifOldGo && l.Wanted.Cmp(l.Free) <= 0
	}
	if len(lacks) > 0 {
		f.lacks = "requires " + strings.Join(lacks, " and ")
	}
	f.free = f.lacks
	f.ifOldGo = f.ifOldGo && f.lacks != ""
	if slices.Sort(names); soon && f.lacks != "" {
		f.ending = plain.List(slices.Compact(names), 3)
	}
}

func taintText(t *corev1.Taint) string {
	if t.Value == "" {
		return t.Key + ":" + string(t.Effect)
	}
	return t.Key + "=" + t.Value + ":" + string(t.Effect)
}

// called is a resource in a sentence about one pod, which takes one of a node's places for pods.
func called(name corev1.ResourceName) string {
	if name == corev1.ResourcePods {
		return "pod slot"
	}
	return string(name)
}
