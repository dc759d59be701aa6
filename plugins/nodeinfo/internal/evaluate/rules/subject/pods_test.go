package subject

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

func TestAContainerThatNeverRanHasNoLog(t *testing.T) {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}}
	never := corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}
	again := never
	again.RestartCount = 1
	for want, status := range map[int]corev1.ContainerStatus{1: never, 2: again} {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{status}
		if got := (&Case{}).PodNext(&facts.Pod{Pod: &p}); len(got) != want {
			t.Errorf("%d restarts: %+v", status.RestartCount, got)
		}
	}
}
