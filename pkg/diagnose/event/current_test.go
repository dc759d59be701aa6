package event

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestAnEventIsCurrentUntilItsObjectIsWell(t *testing.T) {
	warning := Event{Type: corev1.EventTypeWarning, Reason: "FailedMount", Last: noon}
	for _, tt := range []struct {
		name  string
		event Event
		well  time.Time
		now   time.Time
		want  bool
	}{
		{"just now", warning, time.Time{}, noon, true},
		{"it may come again", warning, time.Time{}, noon.Add(Repeat), true},
		{"it would have come again", warning, time.Time{}, noon.Add(Repeat + time.Second), false},
		{"before the object got well", warning, noon.Add(time.Second), noon.Add(time.Minute), false},
		{"at that second", warning, noon, noon.Add(time.Minute), false},
		{"after it", warning, noon.Add(-time.Second), noon.Add(time.Minute), true},
		{"by a clock that is ahead", warning, time.Time{}, noon.Add(-time.Minute), true},
		{"no warning", Event{Type: corev1.EventTypeNormal, Last: noon}, time.Time{}, noon, false},
	} {
		if got := tt.event.Current(tt.well, tt.now); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestHarmlessReasonsSayWhy(t *testing.T) {
	reasons := HarmlessReasons()
	if len(reasons) == 0 || !slices.IsSorted(reasons) {
		t.Fatal(reasons)
	}
	for _, reason := range reasons {
		if why, ok := Harmless(reason); !ok || len(why) < 10 {
			t.Errorf("%s: %q", reason, why)
		}
	}
	for _, reason := range []string{"", "FailedMount", "FailedCreatePodSandBox", "BackOff", "FailedCreate", "FailedScheduling", "SystemOOM"} {
		if _, ok := Harmless(reason); ok {
			t.Errorf("%q speaks against health", reason)
		}
	}
}

func TestARefusedControllerIsDueAgain(t *testing.T) {
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for lasted, wait := range map[time.Duration]time.Duration{
		0: 10 * time.Second, 40 * time.Second: 50 * time.Second, 2 * time.Hour: RetryMost + 10*time.Second,
	} {
		e := Event{First: first, Last: first.Add(lasted)}
		if got := e.Due().Sub(e.Last); got != wait {
			t.Errorf("after %s: %s, want %s", lasted, got, wait)
		}
	}
}
