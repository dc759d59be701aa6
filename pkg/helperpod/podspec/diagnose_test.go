package podspec

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func waitingPod(reason, message string) *corev1.Pod {
	return &corev1.Pod{
		Spec: corev1.PodSpec{NodeName: "n"},
		Status: corev1.PodStatus{Phase: corev1.PodPending, StartTime: &metav1.Time{Time: time.Unix(1, 0)}, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "shell", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}},
		}},
	}
}

func failedPod(reason, message string) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: message}}
}

func event(reason, message string, at int64) corev1.Event {
	return corev1.Event{Reason: reason, Message: message, LastTimestamp: metav1.NewTime(time.Unix(at, 0))}
}

func TestDiagnose(t *testing.T) {
	dead := waitingPod("", "")
	dead.Status.Phase = corev1.PodFailed
	dead.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 127, Reason: "Error"}}
	noShell := waitingPod("", "")
	noShell.Status.Phase = corev1.PodFailed
	noShell.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: `exec: "sh": executable file not found in $PATH`}}
	deleted := waitingPod("ContainerCreating", "")
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	silent := waitingPod("", "")
	silent.Status.StartTime, silent.Status.ContainerStatuses = nil, nil
	tests := []struct {
		name   string
		pod    *corev1.Pod
		events []corev1.Event
		since  time.Duration
		code   string
		final  bool
		text   string
	}{
		{"just created", silent, nil, time.Second, WaitNew, false, "being created"},
		{"bound, and the kubelet says nothing", silent, nil, 8 * time.Second, WaitSilent, false, `kubelet of node n`},
		{"the container is on its way", waitingPod("ContainerCreating", ""), nil, 8 * time.Second, WaitNew, false, ""},
		{"an image is being pulled", waitingPod("ContainerCreating", ""), []corev1.Event{event("Pulling", `Pulling image "x"`, 1)}, 2 * time.Second, WaitPull, false, "Pulling image"},
		{"the image has been pulled", waitingPod("ContainerCreating", ""), []corev1.Event{event("Pulling", "Pulling", 1), event("Pulled", "done", 2)}, 2 * time.Second, WaitNew, false, ""},
		{"the back-off repeats the registry's words", waitingPod("ImagePullBackOff", `Back-off pulling image "x"`), []corev1.Event{event("Failed", `Failed to pull image "x": 429 Too Many Requests`, 1), event("Failed", "Error: ImagePullBackOff", 2)}, 2 * time.Second, WaitPullFailed, true, "429 Too Many Requests"},
		{"the first failure says it itself", waitingPod("ErrImagePull", "401 Unauthorized"), nil, 2 * time.Second, WaitPullFailed, true, "401 Unauthorized"},
		{"no such platform", waitingPod("ErrImagePull", "no match for platform in manifest"), nil, 2 * time.Second, WaitArch, true, "platform"},
		{"not on the node", waitingPod("ErrImageNeverPull", "not present with pull policy of Never"), nil, 0, WaitNeverPull, true, "not present"},
		{"a name that is none", waitingPod("InvalidImageName", "invalid reference format"), nil, 0, WaitImageName, true, "invalid reference"},
		{"no shell in the image", noShell, nil, 0, WaitRuntime, true, "executable file not found"},
		{"another processor", waitingPod("CreateContainerError", "exec format error"), nil, 0, WaitArch, true, "exec format"},
		{"ended at once", dead, nil, 0, WaitEnded, true, "code 127"},
		{"DiskPressure", failedPod("Evicted", "The node had condition: [DiskPressure]. "), nil, 0, WaitPressure, true, "DiskPressure"},
		{"too many pods", failedPod("OutOfpods", "Pod was rejected: Node didn't have enough resource: pods"), nil, 0, WaitFull, true, "OutOfpods"},
		{"a namespace's node selector", failedPod("NodeAffinity", "Predicate NodeAffinity failed"), nil, 0, WaitAffinity, true, ""},
		{"a reason of the future", failedPod("Whatever", "text"), nil, 0, WaitRejected, true, "text"},
		{"a sandbox that fails", waitingPod("ContainerCreating", ""), []corev1.Event{event("FailedCreatePodSandBox", "runc: no space", 1)}, 9 * time.Second, WaitSandbox, false, "no space"},
		{"a volume", waitingPod("ContainerCreating", ""), []corev1.Event{event("FailedMount", "hostPath type check failed", 1)}, 9 * time.Second, WaitVolume, false, "hostPath"},
		{"deleted by another", deleted, []corev1.Event{event("Preempted", "by x", 1)}, 0, WaitDeleted, true, "by x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := Diagnose(test.pod, "shell", test.events, test.since)
			if w.Code != test.code || w.Final != test.final || !strings.Contains(w.Text, test.text) {
				t.Errorf("%+v; want %s, final %v, with %q", w, test.code, test.final, test.text)
			}
		})
	}
}

func TestDiagnoseDoesNotDependOnTheOrderOfEvents(t *testing.T) {
	a, b := event("Failed", "Failed to pull image: old", 1), event("Failed", "Failed to pull image: new", 2)
	pod := waitingPod("ImagePullBackOff", "Back-off")
	first := Diagnose(pod, "shell", []corev1.Event{a, b}, 0)
	second := Diagnose(pod, "shell", []corev1.Event{b, a}, 0)
	if first != second || first.Text != "new" {
		t.Errorf("%+v and %+v", first, second)
	}
}

// A scheduler and a kubelet that write through events.k8s.io leave lastTimestamp null, and a series its first time.
func TestTheTimeOfASeriesCounts(t *testing.T) {
	again := corev1.Event{Reason: "FailedMount", Message: "still no device", EventTime: metav1.NewMicroTime(time.Unix(1, 0)), Series: &corev1.EventSeries{
		Count: 9, LastObservedTime: metav1.NewMicroTime(time.Unix(30, 0)),
	}}
	empty := corev1.Event{Reason: "FailedMount", Message: "no node yet", LastTimestamp: metav1.NewTime(time.Unix(20, 0)), Series: &corev1.EventSeries{}}
	for name, test := range map[string]struct {
		events []corev1.Event
		want   string
	}{
		"a series that goes on":     {[]corev1.Event{event("FailedMount", "first", 10), again}, "still no device"},
		"a series without its time": {[]corev1.Event{event("FailedMount", "first", 10), empty}, "no node yet"},
	} {
		if w := Diagnose(waitingPod("ContainerCreating", ""), "shell", test.events, 0); !strings.HasSuffix(w.Text, test.want) {
			t.Errorf("%s: %q", name, w.Text)
		}
	}
}

func TestAnInjectedSidecarIsNotTakenForTheHelper(t *testing.T) {
	pod := waitingPod("ContainerCreating", "")
	pod.Status.ContainerStatuses = append([]corev1.ContainerStatus{{Name: "proxy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}, pod.Status.ContainerStatuses...)
	if Running(pod, "shell") {
		t.Error("the sidecar runs, the helper does not")
	}
}

func TestOnlyWhatNeverStartedMayBeForgottenAtOnce(t *testing.T) {
	pulling := waitingPod("ContainerCreating", "")
	unseen := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}
	restarted := waitingPod("CrashLoopBackOff", "")
	restarted.Status.ContainerStatuses[0].RestartCount = 1
	runs := waitingPod("", "")
	runs.Status.Phase = corev1.PodRunning
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{"pulling": {pulling, true}, "not seen by its kubelet": {unseen, true}, "restarted": {restarted, false}, "running": {runs, false}} {
		if got := NeverStarted(test.pod, "shell"); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The container's end is seen before the pod's phase follows; with an ephemeral container the phase never does.
func TestAContainerThatEndedIsNotBeingCreated(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "a"}, Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}}},
	}}}
	if w := Diagnose(pod, "c", nil, 0); w.Code != WaitEnded || !w.Final || w.Text != "the container terminated with exit code 3 (Error)" {
		t.Errorf("%+v", w)
	}
}
