package finding

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSortIsWorstFirstAndIndependentOfOrder(t *testing.T) {
	want := []Finding{
		{Code: "B", Severity: Critical},
		{Code: "A", Severity: Warning, Object: &ObjectRef{Kind: "Node", Name: "a"}},
		{Code: "A", Severity: Warning, Object: &ObjectRef{Kind: "Node", Name: "b"}},
		{Code: "A", Severity: Warning, Object: &ObjectRef{Kind: "Node", Name: "b"}, Message: "z"},
		{Code: "A", Severity: Info},
		{Code: "A", Severity: "odd"},
	}
	for range 20 {
		got := append([]Finding(nil), want...)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("order (-want +got):\n%s", d)
		}
	}
}

func TestThresholdReached(t *testing.T) {
	list := []Finding{{Severity: Info}, {Severity: Warning}}
	tests := []struct {
		threshold string
		list      []Finding
		want      bool
	}{
		{"never", list, false},
		{"info", list, true},
		{"warning", list, true},
		{"critical", list, false},
		{"info", nil, false},
		{"critical", []Finding{{Severity: Critical}}, true},
		{"warning", []Finding{{Severity: Info}}, false},
	}
	for _, tt := range tests {
		threshold, err := ParseThreshold(tt.threshold)
		if err != nil {
			t.Fatal(err)
		}
		if got := threshold.Reached(tt.list); got != tt.want {
			t.Errorf("%s over %v: got %v, want %v", tt.threshold, tt.list, got, tt.want)
		}
	}
}

func TestParseThresholdNamesTheWords(t *testing.T) {
	_, err := ParseThreshold("fatal")
	want := `--fail-on "fatal": unknown severity; valid values: never, critical, warning, info`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, word := range Thresholds() {
		if _, err := ParseThreshold(word); err != nil {
			t.Errorf("%s is listed and refused: %v", word, err)
		}
	}
}

func TestObjectRefString(t *testing.T) {
	if got := (ObjectRef{Kind: "Node", Name: "a"}).String(); got != "Node/a" {
		t.Error(got)
	}
	if got := (ObjectRef{Kind: "Pod", Namespace: "n", Name: "a"}).String(); got != "Pod/n/a" {
		t.Error(got)
	}
}
