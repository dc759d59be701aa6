package pod

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Status is the word that "kubectl get pods" prints under STATUS, as "Running", "Init:0/2" or "ImagePullBackOff".
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/printers/internalversion/printers.go (printPod)
func Status(p *corev1.Pod) string {
	switch {
	case p.DeletionTimestamp != nil && p.Status.Reason == nodeLost:
		return string(corev1.PodUnknown)
	case p.DeletionTimestamp != nil && !Finished(p):
		return "Terminating"
	}
	word := cmp.Or(p.Status.Reason, string(p.Status.Phase))
	if c := Condition(p, corev1.PodScheduled); c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		word = corev1.PodReasonSchedulingGated
	}
	if init, ok := initializing(p); ok {
		word = init
		if c := Condition(p, corev1.PodInitialized); c == nil || c.Status != corev1.ConditionTrue {
			return word
		}
	}
	return mainWord(p, word)
}

// nodeLost is the reason that the node lifecycle controller gave to pods of a node that had vanished.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/util/node/node.go (NodeUnreachablePodReason)
const nodeLost = "NodeLost"

// initializing gives the word of the first init container that holds up the rest.
func initializing(p *corev1.Pod) (string, bool) {
	for i := range p.Status.InitContainerStatuses {
		s := &p.Status.InitContainerStatuses[i]
		end, waits := s.State.Terminated, s.State.Waiting
		switch {
		case end != nil && end.ExitCode == 0, sidecarNamed(p, s.Name) && s.Started != nil && *s.Started:
			continue
		case end != nil:
			return "Init:" + endWord(end), true
		case waits != nil && waits.Reason != "" && waits.Reason != PodInitializing:
			return "Init:" + waits.Reason, true
		}
		return fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers)), true
	}
	return "", false
}

// mainWord lets the first of the containers that does not run speak, and "Completed" only if nothing else is to be said.
func mainWord(p *corev1.Pod, word string) string {
	running, failure := false, ""
	for _, s := range slices.Backward(p.Status.ContainerStatuses) {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "":
			word = s.State.Waiting.Reason
		case s.State.Terminated != nil:
			word = endWord(s.State.Terminated)
			if s.State.Terminated.ExitCode != 0 {
				failure = word
			}
		case s.Ready && s.State.Running != nil:
			running = true
		}
	}
	switch {
	case word != "Completed":
		return word
	case running && Ready(p):
		return "Running"
	case failure != "":
		return failure
	case running:
		return "NotReady"
	}
	return word
}

func endWord(end *corev1.ContainerStateTerminated) string {
	switch {
	case end.Reason != "":
		return end.Reason
	case end.Signal != 0:
		return fmt.Sprintf("Signal:%d", end.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", end.ExitCode)
}

func sidecarNamed(p *corev1.Pod, name string) bool {
	return slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name && Sidecar(&c) })
}

// Sidecar says whether an init container runs beside the others as long as the pod lives.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func Sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
