package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func status(name string, state corev1.ContainerState) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: state, Ready: state.Running != nil}
}

// What kubectl prints for such pods, by its own rule.
func TestStatusIsKubectlsWord(t *testing.T) {
	up, done := runs(time.Minute), because(ended(0, 0, time.Second), "Completed")
	always := corev1.ContainerRestartPolicyAlways
	ready, initialized := condition(corev1.PodReady, corev1.ConditionTrue, ""), condition(corev1.PodInitialized, corev1.ConditionTrue, "")
	signal := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Signal: 9}}
	for _, tt := range []struct {
		name       string
		phase      corev1.PodPhase
		reason     string
		conditions []corev1.PodCondition
		init, main []corev1.ContainerState
		sidecar    int // the first n init containers are sidecars that have started
		deleted    bool
		want       string
	}{
		{name: "not scheduled", phase: corev1.PodPending, want: "Pending"},
		{name: "gated", phase: corev1.PodPending, conditions: []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, "SchedulingGated")}, want: "SchedulingGated"},
		{name: "evicted", phase: corev1.PodFailed, reason: "Evicted", want: "Evicted"},
		{name: "being created", phase: corev1.PodPending, main: []corev1.ContainerState{waits("ContainerCreating")}, want: "ContainerCreating"},
		{name: "running", phase: corev1.PodRunning, main: []corev1.ContainerState{up, up}, want: "Running"},
		{name: "the first that does not run speaks", phase: corev1.PodRunning, main: []corev1.ContainerState{up, waits(ImagePullBackOff), waits(CrashLoopBackOff)}, want: "ImagePullBackOff"},
		{name: "an end with a reason", phase: corev1.PodRunning, main: []corev1.ContainerState{because(ended(137, 0, 0), "OOMKilled")}, want: "OOMKilled"},
		{name: "an end with a code", phase: corev1.PodRunning, main: []corev1.ContainerState{ended(3, 0, 0)}, want: "ExitCode:3"},
		{name: "an end by a signal", phase: corev1.PodRunning, main: []corev1.ContainerState{signal}, want: "Signal:9"},
		{name: "all done", phase: corev1.PodSucceeded, main: []corev1.ContainerState{done, done}, want: "Completed"},
		{name: "one done, one fails", phase: corev1.PodRunning, main: []corev1.ContainerState{done, because(ended(1, 0, 0), "Error")}, want: "Error"},
		{name: "one done, one runs", phase: corev1.PodRunning, main: []corev1.ContainerState{done, up}, want: "NotReady"},
		{name: "one done, one runs, ready", phase: corev1.PodRunning, conditions: []corev1.PodCondition{ready}, main: []corev1.ContainerState{done, up}, want: "Running"},
		{name: "the second init container runs", phase: corev1.PodPending, init: []corev1.ContainerState{done, up}, main: []corev1.ContainerState{waits(PodInitializing)}, want: "Init:1/2"},
		{name: "an init container waits", phase: corev1.PodPending, init: []corev1.ContainerState{waits(CrashLoopBackOff)}, main: []corev1.ContainerState{waits(PodInitializing)}, want: "Init:CrashLoopBackOff"},
		{name: "an init container failed", phase: corev1.PodPending, init: []corev1.ContainerState{ended(2, 0, 0)}, want: "Init:ExitCode:2"},
		{name: "an init container was killed", phase: corev1.PodPending, init: []corev1.ContainerState{signal}, want: "Init:Signal:9"},
		{name: "a sidecar beside", phase: corev1.PodRunning, init: []corev1.ContainerState{up}, sidecar: 1, main: []corev1.ContainerState{up}, want: "Running"},
		{name: "a sidecar first", phase: corev1.PodPending, init: []corev1.ContainerState{up, waits(ErrImagePull)}, sidecar: 1, want: "Init:ErrImagePull"},
		{name: "initialized before", phase: corev1.PodRunning, conditions: []corev1.PodCondition{initialized}, init: []corev1.ContainerState{waits(CrashLoopBackOff)}, main: []corev1.ContainerState{because(ended(1, 0, 0), "Error")}, want: "Error"},
		{name: "being deleted", phase: corev1.PodRunning, deleted: true, main: []corev1.ContainerState{up}, want: "Terminating"},
		{name: "deleted, and done", phase: corev1.PodSucceeded, deleted: true, main: []corev1.ContainerState{done}, want: "Completed"},
		{name: "deleted, on a node that vanished", phase: corev1.PodRunning, reason: "NodeLost", deleted: true, want: "Unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &corev1.Pod{Status: corev1.PodStatus{Phase: tt.phase, Reason: tt.reason, Conditions: tt.conditions}}
			if tt.deleted {
				p.DeletionTimestamp = &metav1.Time{Time: now}
			}
			for i, state := range tt.init {
				c, s := corev1.Container{Name: string(rune('a' + i))}, status(string(rune('a'+i)), state)
				if started := i < tt.sidecar; started {
					c.RestartPolicy, s.Started = &always, &started
				}
				p.Spec.InitContainers, p.Status.InitContainerStatuses = append(p.Spec.InitContainers, c), append(p.Status.InitContainerStatuses, s)
			}
			for i, state := range tt.main {
				name := string(rune('m' + i))
				p.Spec.Containers, p.Status.ContainerStatuses = append(p.Spec.Containers, corev1.Container{Name: name}), append(p.Status.ContainerStatuses, status(name, state))
			}
			if got := Status(p); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
