package helperpod

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func waitingFor(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}}
}

// TestABriefPodSaysWhyItDoesNotRun: at once where waiting does not help, else when its time is over; and it leaves nothing.
func TestABriefPodSaysWhyItDoesNotRun(t *testing.T) {
	t.Parallel()
	started := metav1.Now()
	for _, tt := range []struct {
		name   string
		status *corev1.PodStatus // of the Job's pod; nil: it makes none
		refuse string            // what the Job controller says of it
		within time.Duration
		want   string
	}{
		{"an image that is not there", new(waitingFor("ErrImagePull", "not found")), "", time.Minute, "the container does not start: not found"},
		{"a kubelet that has no room", &corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfcpu", Message: "needs 1 cpu"}, "", time.Minute, "the container does not start: OutOfcpu: needs 1 cpu"},
		{"a quota", nil, `pods "p-x" is forbidden: exceeded quota: q`, time.Minute, `the pod was not created: pods "p-x" is forbidden: exceeded quota: q`},
		{"no controller", nil, "", 700 * time.Millisecond, "did not terminate in time: the Job controller created no pod"},
		{"it runs on", &corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}}}, "", 700 * time.Millisecond, "did not terminate in time: the container is still running"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset()
			if tt.status != nil {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p-x", Namespace: "x", Labels: map[string]string{"batch.kubernetes.io/job-name": "p"}}, Status: *tt.status}
				pod.Spec.NodeName = "w1"
				_ = client.Tracker().Add(pod)
			}
			if tt.refuse != "" {
				_ = client.Tracker().Add(&corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "x"}, Reason: "FailedCreate", Message: tt.refuse})
			}
			asked := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
			out, err := Brief{Client: client, Namespace: "x", Within: tt.within}.RunPod(t.Context(), asked, "c")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("gave %q, %v; want %q", out, err, tt.want)
			}
			if jobs, _ := client.BatchV1().Jobs("x").List(t.Context(), metav1.ListOptions{}); len(jobs.Items) != 0 {
				t.Errorf("left behind: %v", jobs.Items)
			}
		})
	}
}

func TestABriefPodGivesWhatItPrinted(t *testing.T) {
	t.Parallel()
	ended := corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}},
	}}}
	client := fake.NewClientset(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p-x", Namespace: "x", Labels: map[string]string{"batch.kubernetes.io/job-name": "p"}}, Status: ended})
	asked := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	out, err := Brief{Client: client, Namespace: "x", Within: time.Minute}.RunPod(t.Context(), asked, "c")
	if err != nil || out != "fake logs" {
		t.Errorf("%q, %v", out, err)
	}
}
