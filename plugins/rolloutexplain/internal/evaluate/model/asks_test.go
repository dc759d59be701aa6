package model

import (
	"fmt"
	"testing"
)

func TestATableOfManyReadsAFewLogsWhereItIsToldTo(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want int
	}{
		{"a report", Options{}, 30},
		{"a table", Options{Wide: true}, 0},
		{"a table with logs", Options{Wide: true, WideLogs: true}, mostLogs},
	} {
		made := []Need{{Kind: NeedLog, UID: "read before", Container: "c"}}
		if tt.want < 30 {
			made = nil
		}
		a := NewAsks(made, tt.o)
		for i := range 30 {
			n := Need{Kind: NeedLog, UID: fmt.Sprint(i), Container: "c"}
			if first, again := a.Have(n), a.Have(n); first || again {
				t.Errorf("%s: has %v", tt.name, n)
			}
		}
		if got := len(a.Open()); got != tt.want {
			t.Errorf("%s: asks for %d logs, want %d", tt.name, got, tt.want)
		}
	}
	a := NewAsks([]Need{{Kind: NeedLog, UID: "1"}, {Kind: NeedLog, UID: "2"}}, Options{Wide: true, WideLogs: true})
	for i := range 30 {
		a.Have(Need{Kind: NeedLog, UID: fmt.Sprint(100 + i)})
	}
	if got := len(a.Open()); got != mostLogs-2 {
		t.Errorf("asks for %d logs beside 2 that were read", got)
	}
}
