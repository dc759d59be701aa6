package subject

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

func TestNextStepReadsALogThatExists(t *testing.T) {
	waits := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: "containerd://1"}}
	unstarted := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: "containerd://1", Reason: "StartError"}}
	ran := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ContainerID: "containerd://1", StartedAt: metav1.Unix(1000, 0), FinishedAt: metav1.Unix(1060, 0),
	}}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, c := range map[string]struct {
		states map[string]corev1.ContainerState
		last   corev1.ContainerState
		crash  string
		want   string
	}{
		"nothing has started": {want: "describe"},
		"no image":            {states: map[string]corev1.ContainerState{"a": waits}, want: "describe"},
		"never made":          {states: map[string]corev1.ContainerState{"a": {Terminated: &corev1.ContainerStateTerminated{}}}, want: "describe"},
		"never started":       {states: map[string]corev1.ContainerState{"a": waits}, last: unstarted, want: "describe"},
		"one never started":   {states: map[string]corev1.ContainerState{"a": unstarted, "b": runs}, crash: "a", want: "describe"},
		"the other crashes":   {states: map[string]corev1.ContainerState{"a": unstarted, "b": ended}, crash: "b", want: "logs p -c b --tail"},
		"it runs again":       {states: map[string]corev1.ContainerState{"b": runs}, last: ran, crash: "b", want: "logs p -c b --previous"},
		"waits again":         {states: map[string]corev1.ContainerState{"a": waits}, last: ended, want: "logs p --tail"},
		"runs":                {states: map[string]corev1.ContainerState{"a": runs}, want: "logs p --tail"},
		"one of two runs":     {states: map[string]corev1.ContainerState{"a": waits, "b": runs}, want: "logs p -c b"},
	} {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}}
		for _, container := range []string{"a", "b"} {
			if state, ok := c.states[container]; ok {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: container})
				p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
					Name: container, State: state, LastTerminationState: c.last,
				})
			}
		}
		pod := facts.Pod{Pod: &p}
		if c.crash != "" {
			pod.Crash = &facts.Crash{Container: c.crash, Restarts: 3}
		}
		if got := (&Case{}).PodNext(&pod)[0].Command; !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %q", name, got, c.want)
		}
	}
}
