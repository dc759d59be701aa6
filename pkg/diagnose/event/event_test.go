package event

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func at(minutes int) metav1.Time {
	return metav1.NewTime(noon.Add(time.Duration(minutes) * time.Minute))
}

func micro(minutes int) metav1.MicroTime { return metav1.NewMicroTime(at(minutes).Time) }

func series(count int32, minutes int) *corev1.EventSeries {
	return &corev1.EventSeries{Count: count, LastObservedTime: micro(minutes)}
}

func TestTheTimesAndTheCountOfAnEvent(t *testing.T) {
	made := metav1.ObjectMeta{CreationTimestamp: at(1)}
	for _, tt := range []struct {
		name        string
		event       corev1.Event
		first, last int // minutes after noon
		count       int32
	}{
		{"once, by core/v1", corev1.Event{ObjectMeta: made, FirstTimestamp: at(0), LastTimestamp: at(0), Count: 1}, 0, 0, 1},
		{"again and again, by core/v1", corev1.Event{ObjectMeta: made, FirstTimestamp: at(0), LastTimestamp: at(9), Count: 4}, 0, 9, 4},
		{"once, by events.k8s.io: all but eventTime is null", corev1.Event{ObjectMeta: made, EventTime: micro(0)}, 0, 0, 1},
		{"a series, by events.k8s.io", corev1.Event{ObjectMeta: made, EventTime: micro(0), Series: series(7, 12)}, 0, 12, 7},
		{"a series that also has the old fields", corev1.Event{FirstTimestamp: at(0), LastTimestamp: at(0), Count: 1, EventTime: micro(0), Series: series(7, 12)}, 0, 12, 7},
		{"a series whose time is not set", corev1.Event{FirstTimestamp: at(0), LastTimestamp: at(5), Count: 2, Series: series(2, 0)}, 0, 5, 2},
		{"a series with nothing in it", corev1.Event{LastTimestamp: at(5), Series: &corev1.EventSeries{}}, 5, 5, 1},
		{"the first time alone", corev1.Event{ObjectMeta: made, FirstTimestamp: at(3)}, 3, 3, 1},
		{"the last time alone", corev1.Event{ObjectMeta: made, LastTimestamp: at(4)}, 4, 4, 1},
		{"no time but the server's", corev1.Event{ObjectMeta: made}, 1, 1, 1},
		{"a reporter whose clock is slow keeps its own times", corev1.Event{ObjectMeta: made, FirstTimestamp: at(-30), LastTimestamp: at(-20), Count: 2}, -30, -20, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Read(&tt.event)
			if !got.First.Equal(at(tt.first).Time) || !got.Last.Equal(at(tt.last).Time) || got.Count != tt.count {
				t.Errorf("%d times from %v to %v", got.Count, got.First, got.Last)
			}
		})
	}
}

func TestWhoSaysWhatOfWhat(t *testing.T) {
	object := corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "api", UID: "1", ResourceVersion: "77", FieldPath: "spec.containers{api}"}
	old := Read(&corev1.Event{
		Type: "Warning", Reason: "Failed", Message: "(combined from similar events): no such image", InvolvedObject: object, Source: corev1.EventSource{Component: "kubelet", Host: "a"},
		LastTimestamp: at(0),
	})
	object.ResourceVersion = "78"
	recent := Read(&corev1.Event{Type: "Warning", Reason: "Failed", Message: "no such image", InvolvedObject: object, ReportingController: "kubelet", EventTime: micro(0)})
	if diff := cmp.Diff(old, recent); diff != "" {
		t.Errorf("the two APIs tell the same: %s", diff)
	}
	if old.From != "kubelet" || !old.Warning() || old.About.Name != "api" || old.About.FieldPath == "" || old.Message != "no such image" {
		t.Errorf("%+v", old)
	}
	if normal := Read(&corev1.Event{Type: "Normal"}); normal.Warning() {
		t.Error("a normal event is no warning")
	}
}

// "kubectl get events.events.k8s.io -o json" prints other names for the same fields.
func TestBothFormsOfOneEventAreOne(t *testing.T) {
	var e eventsv1.Event
	if err := json.Unmarshal([]byte(`{
		"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop", "creationTimestamp": "2026-05-04T12:00:01Z"},
		"eventTime": "2026-05-04T12:00:00.000000Z", "series": {"count": 3, "lastObservedTime": "2026-05-04T12:09:00.000000Z"},
		"reportingController": "default-scheduler", "reportingInstance": "default-scheduler-a", "action": "Scheduling", "reason": "FailedScheduling",
		"regarding": {"kind": "Pod", "namespace": "shop", "name": "api"}, "note": "0/3 nodes are available", "type": "Warning"}`), &e); err != nil {
		t.Fatal(err)
	}
	core := Core(&e)
	want := Event{
		Type: "Warning", Reason: "FailedScheduling", Message: "0/3 nodes are available", From: "default-scheduler",
		About: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "api"}, Count: 3, First: noon, Last: at(9).Time,
	}
	if diff := cmp.Diff(want, Read(&core)); diff != "" {
		t.Error(diff)
	}
	e = eventsv1.Event{
		DeprecatedCount: 2, DeprecatedSource: corev1.EventSource{Component: "kubelet"}, DeprecatedFirstTimestamp: at(1), DeprecatedLastTimestamp: at(2), Reason: "BackOff",
	}
	core = Core(&e)
	if got := Read(&core); got.Count != 2 || got.From != "kubelet" || !got.First.Equal(at(1).Time) || !got.Last.Equal(at(2).Time) {
		t.Errorf("%+v", got)
	}
}

func TestNewestIsFirstInAnyOrder(t *testing.T) {
	a := corev1.Event{Reason: "Pulling", LastTimestamp: at(1)}
	b := corev1.Event{Reason: "Failed", EventTime: micro(0), Series: series(2, 3)}
	c := corev1.Event{Reason: "Failed", Message: "older", LastTimestamp: at(2)}
	for _, list := range [][]corev1.Event{{a, b, c}, {c, b, a}, {b, c, a}} {
		all := ReadAll(list)
		if all[0].Reason != "Failed" || all[1].Message != "older" || all[2].Reason != "Pulling" {
			t.Errorf("%+v", all)
		}
		if e := Newest(all, "Pulling", "Failed"); e == nil || e.Message != "" || e.Count != 2 {
			t.Errorf("%+v", e)
		}
		if e := Newest(all, "Killing"); e != nil {
			t.Errorf("%+v", e)
		}
	}
}
