// Package eviction says what kubectl drain makes of a pod, and what the eviction API answers: who is asked for it, which
// budget guards it, and whether that lets it go.
package eviction

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// Fate is what becomes of a pod when its node is drained.
type Fate string

// The fates, by the filters of kubectl drain:
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/kubectl/pkg/drain/filters.go
const (
	Finished  Fate = "finished" // evicted, and nothing is lost: it has ended
	Daemon    Fate = "daemon"   // stays: its DaemonSet would make it again (--ignore-daemonsets)
	Static    Fate = "static"   // stays: the kubelet runs it from a file, and the API server has but its mirror
	Orphan    Fate = "orphan"   // evicted for good: its DaemonSet does not exist any more (--force)
	Bare      Fate = "bare"     // evicted for good: it has no controller (--force)
	Replaced  Fate = "replaced" // evicted, and its controller makes another
	EndsByNow Fate = "ends"     // was deleted before: drain waits for its end
)

// FateOf tells a pod's fate. orphan says whether its controller is a DaemonSet that does not exist; it matters for those of
// DaemonSets alone.
func FateOf(p *corev1.Pod, orphan bool) Fate {
	owner := metav1.GetControllerOf(p)
	daemon := owner != nil && owner.Kind == "DaemonSet" && owner.APIVersion == "apps/v1"
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	switch {
	case daemon && !orphan && !podfact.Finished(p):
		return Daemon
	case mirror:
		return Static
	case podfact.Finished(p):
		return Finished
	case p.DeletionTimestamp != nil:
		return EndsByNow
	case daemon:
		return Orphan
	case owner == nil:
		return Bare
	}
	return Replaced
}

// Goes says whether kubectl drain has the pod end, given the flags that it needs.
func (f Fate) Goes() bool { return f != Daemon && f != Static }

// Flags are what a drain needs so that it does not refuse a node for one of its pods.
type Flags struct{ IgnoreDaemonSets, DeleteEmptyDir, Force bool }

// FlagsFor are those that a pod needs. One whose deletion has begun needs the same as others.
func FlagsFor(p *corev1.Pod, orphan bool) Flags {
	switch FateOf(p, orphan) {
	case Daemon:
		return Flags{IgnoreDaemonSets: true}
	case Static: // the filter for DaemonSets comes first
		return Flags{Force: orphan && !podfact.Finished(p)}
	case Finished:
		return Flags{}
	default:
		return Flags{DeleteEmptyDir: len(EmptyDirs(p)) > 0, Force: orphan || metav1.GetControllerOf(p) == nil}
	}
}

// EmptyDirs are the names of volumes whose data ends with the pod, in memory or on disk.
func EmptyDirs(p *corev1.Pod) []string {
	var names []string
	for i := range p.Spec.Volumes {
		if v := &p.Spec.Volumes[i]; v.EmptyDir != nil {
			names = append(names, v.Name)
		}
	}
	return names
}

// Grace is how long a pod may take to stop; the API server sets 30 seconds where it says nothing.
func Grace(p *corev1.Pod) time.Duration {
	if p.Spec.TerminationGracePeriodSeconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds * time.Second
	}
	return time.Duration(*p.Spec.TerminationGracePeriodSeconds) * time.Second
}

// Guards are the budgets that cover a pod which the API server would ask before an eviction: none for one that has not
// started, has ended or is being deleted. Of more than one it refuses the eviction, whatever they allow.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/registry/core/pod/storage/eviction.go (canIgnorePDB,
// getPodDisruptionBudgets)
func Guards(p *corev1.Pod, budgets []policyv1.PodDisruptionBudget) []*policyv1.PodDisruptionBudget {
	if podfact.Finished(p) || p.Status.Phase == corev1.PodPending || p.DeletionTimestamp != nil {
		return nil
	}
	var list []*policyv1.PodDisruptionBudget
	for i := range budgets {
		b := &budgets[i]
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err == nil && b.Namespace == p.Namespace && selector.Matches(labels.Set(p.Labels)) {
			list = append(list, b)
		}
	}
	return list
}

// Counts says whether the eviction of a guarded pod is one of those that its budget counts. One that is not ready goes
// without, if the budget always allows that, or has its number of healthy pods by others.
func Counts(p *corev1.Pod, b *policyv1.PodDisruptionBudget) bool {
	if podfact.Ready(p) {
		return true
	}
	if policy := b.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return false
	}
	return b.Status.CurrentHealthy < b.Status.DesiredHealthy || b.Status.DesiredHealthy <= 0
}

// Current says whether the status of a budget is that of its spec; until it is, the API server refuses evictions, and
// kubectl drain tries again.
func Current(b *policyv1.PodDisruptionBudget) bool {
	return b.Status.ObservedGeneration >= b.Generation
}

// Never says that a budget allows nothing even while all its pods are healthy.
func Never(b *policyv1.PodDisruptionBudget) bool {
	return b.Status.ExpectedPods > 0 && b.Status.DesiredHealthy >= b.Status.ExpectedPods
}
