package source

import (
	"strings"
	"testing"
)

func TestGapNamesThePermissionOrTheReason(t *testing.T) {
	tests := []struct {
		source Source
		want   string
	}{
		{Source{State: OK, Message: "ignored"}, ""},
		{Source{State: Forbidden, Verb: "list", Resource: "pods"}, "not checked: needs list pods"},
		{Source{State: Forbidden, Message: "the API server refuses these credentials"}, "not checked: the API server refuses these credentials"},
		{Source{State: Absent, Message: "metrics-server is not installed"}, "not checked: metrics-server is not installed"},
		{Source{State: Unreachable}, "not checked: unreachable"},
	}
	for _, tt := range tests {
		if got := tt.source.Gap(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.source, got, tt.want)
		}
	}
}

func TestIncompleteCountsOnlyWhatWasWantedAndNotRead(t *testing.T) {
	for state, want := range map[State]bool{OK: false, Absent: false, Skipped: false, Forbidden: true, Unreachable: true} {
		if got := (List{{State: OK}, {State: state}}).Incomplete(); got != want {
			t.Errorf("%s: got %v, want %v", state, got, want)
		}
	}
}

func TestGetOfAnUnknownSourceIsNotData(t *testing.T) {
	list := List{{Name: "b", State: OK}, {Name: "a", State: OK}}
	list.Sort()
	if list[0].Name != "a" {
		t.Error("not sorted")
	}
	if !list.Get("a").Readable() || list.Get("pods").Readable() {
		t.Error("an unknown source must not be readable, a known one must")
	}
}

func TestGapsListsWhatWasNotReadAndWhy(t *testing.T) {
	list := List{{Name: "a", State: OK}, {Name: "b", State: Forbidden, Verb: "list", Resource: "pods"}, {Name: "c", State: Absent, Message: "no such API"}}
	if got := strings.Join(list.Gaps(), "; "); got != "b: needs list pods; c: no such API" {
		t.Error(got)
	}
	if got := strings.Join(list.Gaps(Absent), "; "); got != "b: needs list pods" {
		t.Error(got)
	}
}
