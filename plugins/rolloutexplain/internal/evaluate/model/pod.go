package model

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
)

// TargetNode is the node that a daemon pod is for, bound or not.
func TargetNode(p *Pod) string { return schedule.DaemonNode(&p.Spec) }

// NeverReady says whether a pod has not been ready so far: its Ready condition is as old as the pod, or it was ready only in
// the moments between the falls of a container that has fallen from the start.
func NeverReady(p *Pod) bool {
	c, began := podfact.Condition(p.Pod, "Ready"), podfact.Condition(p.Pod, "Initialized")
	if p.Ready {
		return false
	}
	return podfact.FailedFromStart(p.Pod) || c == nil || began == nil ||
		c.LastTransitionTime.Sub(began.LastTransitionTime.Time) <= time.Second ||
		!c.LastTransitionTime.After(p.CreationTimestamp.Time)
}

// Pod is one pod with what is derived from it.
type Pod struct {
	*corev1.Pod
	Revision    *Revision // nil: of a revision that is not readable
	IsNew       bool      // of the wanted revision
	Terminating bool
	Dead        bool // Failed or Succeeded
	Ready       bool
	ReadySince  time.Time
	Available   bool
	events      []eventfact.Event
}

// PodView is a pod with what is derived from it. MinReady is in seconds.
func (e *Evaluation) PodView(p *corev1.Pod, minReady int32) *Pod {
	v := &Pod{Pod: p, Terminating: p.DeletionTimestamp != nil, events: e.events[p.UID]}
	v.Dead, v.Ready, v.Available = podfact.Finished(p), podfact.Ready(p), podfact.Available(p, minReady, e.Now)
	if v.Ready {
		v.ReadySince = podfact.ReadyCondition(p).LastTransitionTime.Time
	}
	return v
}

// CountedPods gives the pods that the controller counts.
func CountedPods(pods []*Pod) []*Pod {
	var kept []*Pod
	for _, p := range pods {
		if !p.Terminating && !p.Dead {
			kept = append(kept, p)
		}
	}
	return kept
}

// Select gives the pods that are wanted.
func Select(pods []*Pod, want func(*Pod) bool) []*Pod {
	var kept []*Pod
	for _, p := range pods {
		if want(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Names gives the pods' names, in their order.
func Names(pods []*Pod) []string {
	names := make([]string, 0, len(pods))
	for _, p := range pods {
		names = append(names, p.Name)
	}
	return names
}
