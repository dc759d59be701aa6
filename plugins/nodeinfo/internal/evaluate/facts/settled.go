package facts

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// Settled reduces a pod of which nothing is to be said but what it takes of its node: it runs, is ready, never restarted, and does
// nothing for the node. What is left decides the same about the node as the whole pod, without its names, which are equal for the
// pods of one workload, and without events, which are not read of a whole fleet. Not ok: it is to be judged whole.
func Settled(p *corev1.Pod) (reduced corev1.Pod, ok bool) {
	s := &p.Status
	daemon := slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "DaemonSet" })
	if p.DeletionTimestamp != nil || daemon || static(p) || s.Phase != corev1.PodRunning || s.Reason != "" || s.Message != "" ||
		!podfact.Ready(p) || len(s.ContainerStatuses) == 0 || len(s.EphemeralContainerStatuses) > 0 ||
		len(s.NodeAllocatableResourceClaimStatuses) > 0 {
		return corev1.Pod{}, false
	}
	for _, c := range s.Conditions {
		if !slices.Contains(usual, c.Type) || c.Status != corev1.ConditionTrue || c.Reason != "" {
			return corev1.Pod{}, false
		}
	}
	init, all := len(s.InitContainerStatuses), podfact.Containers(p)
	for i := range all {
		c := &all[i]
		end := c.State.Terminated
		running := c.State.Running != nil && end == nil && c.Ready && c.Started != nil && *c.Started
		done := i < init && c.State.Running == nil && end != nil && end.ExitCode == 0
		if c.RestartCount != 0 || c.State.Waiting != nil || podfact.End(c) != nil && !done || !running && !done {
			return corev1.Pod{}, false
		}
		all[i] = corev1.ContainerStatus{
			Name: c.Name, Ready: c.Ready, Started: c.Started, Resources: c.Resources, AllocatedResources: c.AllocatedResources,
		}
		if running {
			all[i].State.Running = &corev1.ContainerStateRunning{}
		} else {
			all[i].State.Terminated = &corev1.ContainerStateTerminated{}
		}
	}
	return corev1.Pod{
		Spec: corev1.PodSpec{
			InitContainers: reducedContainers(p.Spec.InitContainers), Containers: reducedContainers(p.Spec.Containers),
			HostNetwork: p.Spec.HostNetwork, Overhead: p.Spec.Overhead, Resources: p.Spec.Resources,
		},
		Status: corev1.PodStatus{
			Phase: s.Phase, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			InitContainerStatuses: all[:init:init], ContainerStatuses: all[init:],
			Resources: s.Resources, AllocatedResources: s.AllocatedResources,
		},
	}, true
}

// usual are the conditions that every pod has, and that say nothing when they are True.
var usual = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

func reducedContainers(list []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for i := range list {
		c := &list[i]
		out = append(out, corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy})
	}
	return out
}
