package render

import (
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// Published puts a triage into the shape of the formats that other tools read. Its subjects are the workflows: each with the causes
// that are its findings, and with what these explain.
func Published(t *report.Triage) publish.Report {
	r := publish.Report{
		Plugin: "runbooks", Kind: t.Kind, Time: t.Time, Verdict: string(t.Verdict), Summary: t.Summary, Notes: t.Notes, Sources: t.Sources,
	}
	if t.Changes != nil {
		r.Changes = changes(t, true)
		for _, unknown := range t.Changes.Unknown {
			r.Changes = append(r.Changes, "unknown: "+unknown)
		}
	}
	for _, result := range t.Workflows {
		r.Subjects = append(r.Subjects, subject(t, result))
	}
	return r
}

func subject(t *report.Triage, result report.Result) publish.Subject {
	name := string(result.Workflow)
	s := publish.Subject{
		Object: finding.ObjectRef{Kind: "Workflow", Name: name}, Title: name, Verdict: result.Verdict, Standing: publish.Good,
		Summary: result.Healthy,
	}
	for i := range t.Causes {
		c := &t.Causes[i]
		if c.Workflow != result.Workflow {
			continue
		}
		if len(s.Findings) == 0 {
			s.Summary = Title(c.Subjects[0].Object) + ": " + c.Message
		}
		s.Standing = publish.Bad
		s.Findings = append(s.Findings, publish.Finding{Block: Block(t, c), Folded: c.Severity == finding.Info})
		for _, e := range c.Explains {
			object := e.Object
			s.Consequences = append(s.Consequences, finding.Consequence{
				Code: e.Code, CausedBy: c.Code, Message: Title(e.Subject.Object) + ": " + e.Message, Object: &object,
			})
		}
	}
	if len(s.Findings) == 0 && s.Verdict != "Healthy" && s.Verdict != "Complete" {
		s.Summary = "all that was found follows from the causes of other workflows"
		if s.Verdict == "Unknown" {
			s.Standing, s.Summary = publish.Unread, "unknown"
		}
	}
	if result.Unread != "" {
		s.Standing, s.Summary = publish.Unread, "not read: "+result.Unread
	}
	if s.Summary == "" {
		s.Summary = "no problem was found"
	}
	for _, source := range t.Sources {
		if strings.HasPrefix(source.Name, name+": ") {
			s.Sources = append(s.Sources, source)
		}
	}
	s.NotChecked = gaps(s.Sources)
	if result.LeftOut != "" {
		s.NotChecked = append(s.NotChecked, result.LeftOut)
	}
	return s
}

// gaps are what was wanted and not read.
func gaps(list source.List) []string { return list.Gaps(source.Absent, source.Skipped) }
