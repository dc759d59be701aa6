// Package event reads the events of both APIs in one shape: what was said of which object, how often, from when to when.
// It judges no event: what a reason means is for those who ask.
package event

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Event is one event, or a series of equal ones.
type Event struct {
	Type    string // Normal or Warning
	Reason  string
	Message string                 // in the reporter's words
	From    string                 // component that reports, as "kubelet"
	About   corev1.ObjectReference // without the version that the object had
	Count   int32                  // times it was seen, at least 1
	First   time.Time              // when it was seen first and last; zero: unknown
	Last    time.Time
}

// aggregated is what a recorder puts before the message when it folds events that differ in their text alone:
// https://github.com/kubernetes/client-go/blob/v0.37.2/tools/record/events_cache.go (EventAggregatorByReasonMessageFunc)
const aggregated = "(combined from similar events): "

// Read reads an event of core/v1. A recorder of core/v1 fills count, firstTimestamp and lastTimestamp; one of
// events.k8s.io eventTime, and series once it repeats, and leaves the others null. Of several times the latest is the
// last, as in kubectl, where a series goes before lastTimestamp, and that before eventTime:
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/printers/internalversion/printers.go (printEvent)
// https://github.com/kubernetes/kubectl/blob/v0.37.2/pkg/cmd/events/events.go (eventTime)
// The creation counts when no other time is known: it is by the API server's clock, the others by the reporter's.
func Read(e *corev1.Event) Event {
	out := Event{
		Type: e.Type, Reason: e.Reason, Message: strings.TrimPrefix(e.Message, aggregated),
		From: cmp.Or(e.Source.Component, e.ReportingController), About: e.InvolvedObject, Count: max(e.Count, 1),
	}
	out.About.ResourceVersion = ""
	times := []time.Time{e.FirstTimestamp.Time, e.EventTime.Time, e.LastTimestamp.Time}
	if e.Series != nil {
		out.Count = max(e.Series.Count, 1)
		times = append(times, e.Series.LastObservedTime.Time)
	}
	times = slices.DeleteFunc(times, time.Time.IsZero)
	if len(times) == 0 {
		times = []time.Time{e.CreationTimestamp.Time}
	}
	out.First = slices.MinFunc(times, time.Time.Compare)
	out.Last = slices.MaxFunc(times, time.Time.Compare)
	return out
}

// ReadAll reads events and orders them, newest first.
func ReadAll(list []corev1.Event) []Event {
	out := make([]Event, 0, len(list))
	for i := range list {
		out = append(out, Read(&list[i]))
	}
	sorting.Func(out, Compare)
	return out
}

// Compare orders events: newest first, and those of one moment by how often they were seen and what they say.
func Compare(a, b Event) int {
	return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message),
		a.First.Compare(b.First), cmp.Compare(a.From, b.From), cmp.Compare(a.About.FieldPath, b.About.FieldPath), cmp.Compare(a.Type, b.Type))
}

// Often counts how often some events were seen within a time before now, by the reporter that saw most of them (two may report the
// same), and since when. Of a series that began earlier only the last time is known.
func Often(list []Event, now time.Time, within time.Duration, is func(*Event) bool) (most int64, since time.Time) {
	counts, firsts := map[string]int64{}, map[string]time.Time{}
	for i := range list {
		e := &list[i]
		if !is(e) || now.Sub(e.Last) >= within {
			continue
		}
		count, first := int64(e.Count), e.First
		if now.Sub(first) > within {
			count, first = 1, e.Last
		}
		counts[e.From] += count
		if firsts[e.From].IsZero() || first.Before(firsts[e.From]) {
			firsts[e.From] = first
		}
	}
	for from, count := range counts {
		if count > most || count == most && firsts[from].Before(since) {
			most, since = count, firsts[from]
		}
	}
	return most, since
}

// Newest gives the first event with one of the reasons; nil: there is none. The list is ordered, newest first.
func Newest(list []Event, reasons ...string) *Event {
	for i := range list {
		if slices.Contains(reasons, list[i].Reason) {
			return &list[i]
		}
	}
	return nil
}

// Warning says whether the reporter calls it one.
func (e *Event) Warning() bool { return e.Type == corev1.EventTypeWarning }

// Core gives an event of events.k8s.io/v1 the shape of core/v1, as the API server does between the two:
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/events/v1/conversion.go
func Core(e *eventsv1.Event) corev1.Event {
	out := corev1.Event{
		ObjectMeta: e.ObjectMeta, Type: e.Type, Reason: e.Reason, Message: e.Note, Action: e.Action,
		InvolvedObject: e.Regarding, Related: e.Related,
		EventTime: e.EventTime, ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		Source: e.DeprecatedSource, Count: e.DeprecatedCount,
		FirstTimestamp: e.DeprecatedFirstTimestamp, LastTimestamp: e.DeprecatedLastTimestamp,
	}
	if e.Series != nil {
		out.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return out
}
