package testkit

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

func TestAFalseAlarmIsSeen(t *testing.T) {
	row := Odd{Situation: "A node is cordoned", Why: "A user closed it.", Link: "https://example.com", Verdict: "Healthy"}
	changed := func(change func(*Odd)) Odd {
		r := row
		change(&r)
		return r
	}
	of := func(severities ...finding.Severity) []finding.Finding {
		var list []finding.Finding
		for _, s := range severities {
			list = append(list, finding.Finding{Code: "Planted", Severity: s, Message: "m"})
		}
		return list
	}
	for _, tt := range []struct {
		name     string
		row      Odd
		verdict  string
		findings []finding.Finding
		want     string
	}{
		{"a quiet one", row, "Healthy", of(finding.Info), ""},
		{"a warning", row, "Healthy", of(finding.Info, finding.Warning), "false alarm: warning Planted: m"},
		{"a critical finding", row, "Healthy", of(finding.Critical), "false alarm: critical Planted: m"},
		{"a finding without a severity", row, "Healthy", of(""), "false alarm:  Planted: m"},
		{"another verdict", row, "Degraded", nil, "verdict Degraded, want Healthy"},
		{"another quiet verdict", row, "Progressing", nil, "verdict Progressing, want Healthy"},
		{"a row that wants a fault", changed(func(r *Odd) { r.Verdict = "Unhealthy" }), "Unhealthy", nil, `the row wants verdict "Unhealthy"`},
		{"no situation", changed(func(r *Odd) { r.Situation = "" }), "Healthy", nil, `situation ""`},
		{"a sentence as situation", changed(func(r *Odd) { r.Situation = "A node." }), "Healthy", nil, `situation "A node."`},
		{"no reason", changed(func(r *Odd) { r.Why = "" }), "Healthy", nil, `why ""`},
		{"two sentences", changed(func(r *Odd) { r.Why = "A. B." }), "Healthy", nil, `why "A. B."`},
		{"a link that is none", changed(func(r *Odd) { r.Link = "kubernetes#1" }), "Healthy", nil, `link "kubernetes#1"`},
	} {
		got := strings.Join(complaints(tt.row, tt.verdict, tt.findings), "; ")
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestThePageHoldsEveryRow(t *testing.T) {
	page := quietPage("rollout-explain", []Odd{
		{Situation: "A | B", Why: "It is <none>.", Link: "https://example.com", Verdict: "Complete"},
		{Situation: "C", Why: "D.", Verdict: "Progressing"},
	})
	for _, want := range []string{
		"kubectl rollout-explain\n", "In each of these 2 situations", "(../../plugins/rolloutexplain/internal/evaluate/quiet_test.go)",
		`| A \| B | It is &lt;none>. [Source](https://example.com) | Complete |` + "\n", "| C | D. | Progressing |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("lacks %q:\n%s", want, page)
		}
	}
	CheckText(t, "page", page)
}
