package render

import (
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Published puts rollouts that were judged at a time into the shape of the formats that other tools read; full adds the text of
// each.
func Published(list report.List, judged time.Time, full bool) (publish.Report, error) {
	r := publish.Report{Plugin: "rollout-explain", Kind: list.Kind, Time: judged, Summary: list.Summary, Sources: list.Sources}
	for i := range list.Items {
		s, err := subject(&list.Items[i], full)
		if err != nil {
			return r, err
		}
		r.Subjects = append(r.Subjects, s)
	}
	r.Verdict = publish.Worst(r.Subjects, report.Verdicts())
	return r, nil
}

func subject(r *report.Rollout, full bool) (publish.Subject, error) {
	s := publish.Subject{
		Object: r.Object, Title: slash(r.Object), Verdict: string(r.Verdict), Standing: standings[r.Verdict], Summary: r.Summary,
		NotChecked: r.NotChecked, Sources: r.Sources, Exempt: r.Verdict == report.Complete,
	}
	p := &page{Page: output.Page{Now: r.Time}}
	for i := range r.Findings {
		f := &r.Findings[i]
		cause := f.Role == report.RootCause || f.Role == report.Contributing
		s.Findings = append(s.Findings, publish.Finding{Block: p.blockOf(f), Folded: !cause})
	}
	if !full {
		return s, nil
	}
	var text strings.Builder
	err := Rollout(&text, r, Options{})
	s.Text = text.String()
	return s, err
}

var standings = map[report.Verdict]publish.Standing{report.Complete: publish.Good, report.Unknown: publish.Unread}
