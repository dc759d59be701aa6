// Package pod says what is true of a pod and its containers, in Kubernetes' own terms: the word that kubectl prints,
// whether it is ready and available, what a container waits for, and whether it falls again and again.
package pod

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Condition is a condition of the pod, nil where it was never posted.
func Condition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// ReadyCondition is condition Ready as it is posted, nil where it never was.
func ReadyCondition(p *corev1.Pod) *corev1.PodCondition { return Condition(p, corev1.PodReady) }

// Ready says that condition Ready is True. A pod that is being deleted can still be ready.
func Ready(p *corev1.Pod) bool {
	c := ReadyCondition(p)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Serves says whether a Service sends new connections to the pod: those that are on their way out count as not ready.
// https://github.com/kubernetes/endpointslice/blob/v0.36.3/utils.go (podToEndpoint)
func Serves(p *corev1.Pod) bool { return p.DeletionTimestamp == nil && Ready(p) }

// Available says whether the pod has been ready for as long as its controller wants. minReady is in seconds.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/api/v1/pod/util.go (IsPodAvailable)
func Available(p *corev1.Pod, minReady int32, now time.Time) bool {
	if !Ready(p) {
		return false
	}
	since := ReadyCondition(p).LastTransitionTime
	return minReady == 0 || !since.IsZero() && !since.Add(time.Duration(minReady)*time.Second).After(now)
}

// Finished says that all containers have ended and none will start again.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
func Finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Containers gives the status of the pod's containers in the order in which they start; ephemeral ones are left out.
func Containers(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}
