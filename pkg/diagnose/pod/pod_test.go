package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func waits(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
}

func runs(since time.Duration) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(since)}}
}

// ended is a run that ended some time ago.
func ended(code int32, since, ran time.Duration) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: ago(since + ran), FinishedAt: ago(since)}}
}

func because(s corev1.ContainerState, reason string) corev1.ContainerState {
	s.Terminated.Reason = reason
	return s
}

func condition(kind corev1.PodConditionType, status corev1.ConditionStatus, reason string) corev1.PodCondition {
	return corev1.PodCondition{Type: kind, Status: status, Reason: reason, LastTransitionTime: ago(20 * time.Second)}
}

func TestAvailableIsReadyForLongEnough(t *testing.T) {
	p := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionTrue, "")}}}
	for minReady, want := range map[int32]bool{0: true, 19: true, 20: true, 21: false} {
		if Available(p, minReady, now) != want {
			t.Errorf("ready for 20 s of %d: want %t", minReady, want)
		}
	}
	if !Ready(p) || !Serves(p) {
		t.Error("it is ready and serves")
	}
	p.DeletionTimestamp = &metav1.Time{Time: now}
	if !Ready(p) || Serves(p) {
		t.Error("one that is deleted is ready and serves no more")
	}
	p.Status.Conditions[0].LastTransitionTime = metav1.Time{}
	if Available(p, 1, now) || !Available(p, 0, now) {
		t.Error("since when it is ready is not known")
	}
	p.Status.Conditions[0].Status = corev1.ConditionFalse
	if Ready(p) || Available(p, 0, now) || Ready(&corev1.Pod{}) {
		t.Error("not ready")
	}
	for phase, want := range map[corev1.PodPhase]bool{"": false, corev1.PodPending: false, corev1.PodRunning: false, corev1.PodUnknown: false, corev1.PodSucceeded: true, corev1.PodFailed: true} {
		if Finished(&corev1.Pod{Status: corev1.PodStatus{Phase: phase}}) != want {
			t.Errorf("%q: want %t", phase, want)
		}
	}
}

func TestWaitingIsClassed(t *testing.T) {
	for stage, reasons := range map[Stage][]string{
		Coming:    {"", "ContainerCreating", "PodInitializing", "RestartingAllContainers"},
		Image:     {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"},
		Config:    {"CreateContainerConfigError"},
		Start:     {"CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError"},
		PostStart: {"PostStartHookError"},
		BackOff:   {"CrashLoopBackOff"},
		Unknown:   {"AReasonOfTomorrow"},
	} {
		for _, reason := range reasons {
			s := &corev1.ContainerStatus{State: waits(reason)}
			if got := Waiting(s); got != stage || got.Failed() == (stage == Coming || stage == BackOff || stage == Unknown) {
				t.Errorf("%q: %s, failed %t", reason, got, got.Failed())
			}
		}
	}
	if got := Waiting(&corev1.ContainerStatus{State: runs(0)}); got != NotWaiting || got.Failed() {
		t.Error("a container that runs waits for nothing")
	}
}

func TestWhyAPullFailed(t *testing.T) {
	for _, tt := range []struct {
		reason, message string
		says            bool
	}{
		{ErrImagePull, "not found", true},
		{ErrImagePull, "", false},
		{RegistryUnavailable, "the registry is unavailable", true},
		{ImagePullBackOff, `Back-off pulling image "x"`, false},
		{ImagePullBackOff, `Back-off pulling image "x": ErrImagePull: not found`, true},
		{ImagePullBackOff, `Back-off pulling image "x": RegistryUnavailable: 503`, true},
	} {
		if text, says := PullError(&corev1.ContainerStateWaiting{Reason: tt.reason, Message: tt.message}); says != tt.says || text != tt.message {
			t.Errorf("%s %q: %t", tt.reason, tt.message, says)
		}
	}
	failed := func(message, path string) event.Event {
		return event.Event{Reason: "Failed", Message: message, About: corev1.ObjectReference{FieldPath: path}}
	}
	events := []event.Event{
		failed("Error: ImagePullBackOff", "spec.containers{api}"), failed(`Failed to pull image "other:1": no`, "spec.containers{api}"),
		failed(`Failed to pull image "x:1": wrong container`, "spec.containers{proxy}"), failed(`Failed to pull image "x:1": not found`, "spec.containers{api}"),
		failed(`Failed to pull image "x:1": older`, "spec.containers{api}"),
	}
	if e := PullFailure(events, "api", "x:1"); e == nil || e.Message != `Failed to pull image "x:1": not found` {
		t.Errorf("%+v", e)
	}
	if e := PullFailure(events[:1], "api", ""); e != nil {
		t.Errorf("%+v explains nothing", e)
	}
}
