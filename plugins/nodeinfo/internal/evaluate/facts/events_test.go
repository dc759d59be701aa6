package facts

import (
	"testing"
	"time"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

// Kinds of events that differ in their type alone keep one order, however the map that folds them is walked.
func TestFoldedEventsHaveOneOrder(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	said := []eventfact.Event{
		{Type: "Warning", Reason: "R", From: "kubelet", Count: 1, Last: at},
		{Type: "Normal", Reason: "R", From: "kubelet", Count: 1, Last: at},
	}
	for range 50 {
		if got := folded(said); len(got) != 2 || got[0].Type != "Normal" {
			t.Fatalf("%+v", got)
		}
	}
}
