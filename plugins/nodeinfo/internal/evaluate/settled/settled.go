// Package settled knows which pods of a fleet need not be held whole, because nothing is to be said of them but what they take of
// their node.
package settled

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// Reduce reduces a pod of which nothing is to be said but what it takes of its node: it runs, is ready, never restarted, and does
// nothing for the node. What is left decides the same about the node as the whole pod, without its names, which are equal for the
// pods of one workload, and without events, which are not read of a whole fleet. Not ok: it is to be judged whole.
func Reduce(p *corev1.Pod) (reduced corev1.Pod, ok bool) {
	if !quiet(p) || len(device.Troubles(p)) > 0 {
		return corev1.Pod{}, false
	}
	s, ready := &p.Status, podfact.ReadyCondition(p)
	init, all := len(s.InitContainerStatuses), podfact.Containers(p)
	for i := range all {
		if all[i], ok = settledContainer(&all[i], i < init); !ok {
			return corev1.Pod{}, false
		}
	}
	return corev1.Pod{
		Spec: corev1.PodSpec{
			InitContainers: reducedContainers(p.Spec.InitContainers), Containers: reducedContainers(p.Spec.Containers),
			HostNetwork: p.Spec.HostNetwork, Overhead: p.Spec.Overhead, Resources: p.Spec.Resources,
		},
		Status: corev1.PodStatus{
			Phase: s.Phase, Conditions: []corev1.PodCondition{{Type: ready.Type, Status: ready.Status}},
			InitContainerStatuses: all[:init:init], ContainerStatuses: all[init:],
			Resources: s.Resources, AllocatedResources: s.AllocatedResources,
		},
	}, true
}

// quiet says whether all but the containers of a pod is as it is of one that runs well, and it does nothing for its node.
func quiet(p *corev1.Pod) bool {
	s, ready := &p.Status, podfact.ReadyCondition(p)
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	_, fromFile := p.Annotations["kubernetes.io/config.source"]
	daemon := mirror || fromFile || slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "DaemonSet" })
	strange := slices.ContainsFunc(s.Conditions, func(c corev1.PodCondition) bool {
		return !(ready != nil && c.Type == ready.Type) && !slices.Contains(usual, c.Type) || c.Status != corev1.ConditionTrue || c.Reason != ""
	})
	if daemon || strange || p.DeletionTimestamp != nil || !podfact.Ready(p) {
		return false
	}
	return s.Phase == corev1.PodRunning && s.Reason == "" && s.Message == "" && len(s.ContainerStatuses) > 0 &&
		len(s.EphemeralContainerStatuses) == 0 && len(s.NodeAllocatableResourceClaimStatuses) == 0 &&
		s.ExtendedResourceClaimStatus == nil
}

// settledContainer reduces the status of a container that runs well, or of an init container that is done.
func settledContainer(c *corev1.ContainerStatus, init bool) (reduced corev1.ContainerStatus, ok bool) {
	end := c.State.Terminated
	running := c.State.Running != nil && end == nil && c.Ready && c.Started != nil && *c.Started && podfact.End(c) == nil
	done := init && c.State.Running == nil && end != nil && end.ExitCode == 0
	if c.RestartCount != 0 || c.State.Waiting != nil || !running && !done {
		return reduced, false
	}
	reduced = corev1.ContainerStatus{
		Name: c.Name, Ready: c.Ready, Started: c.Started, Resources: c.Resources, AllocatedResources: c.AllocatedResources,
	}
	if running {
		reduced.State.Running = &corev1.ContainerStateRunning{}
	} else {
		reduced.State.Terminated = &corev1.ContainerStateTerminated{}
	}
	return reduced, true
}

// usual are the conditions that every pod has beside Ready, and that say nothing when they are True.
var usual = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady, corev1.PodScheduled,
}

func reducedContainers(list []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for i := range list {
		c := &list[i]
		out = append(out, corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy})
	}
	return out
}
