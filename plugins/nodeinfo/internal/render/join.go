package render

import (
	"io"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Join writes of each machine the verdict, what is missing, its steps, and what comes next.
func Join(w io.Writer, r report.Join, term output.Terminal) error {
	p := &page{Page: output.Page{Terminal: term, Now: r.Time}}
	if len(r.Machines) != 1 {
		p.Verdict(string(r.Verdict), joinStyle(r.Verdict), joinObject(r), r.Summary)
	}
	for i := range r.Machines {
		if len(r.Machines) > 1 {
			p.Gap()
		}
		p.machine(&r.Machines[i])
	}
	p.Section("Not checked", joinGaps(r)...)
	_, err := io.WriteString(w, p.String())
	return err
}

// joinGaps are what could not be read of all machines, and of one.
func joinGaps(r report.Join) []string {
	gaps := r.Sources.Gaps(source.Absent, source.Skipped)
	for i := range r.Machines {
		for _, gap := range r.Machines[i].Sources.Gaps(source.Absent, source.Skipped) {
			if !slices.Contains(gaps, gap) {
				gaps = append(gaps, gap)
			}
		}
	}
	return gaps
}

func joinObject(r report.Join) string {
	switch {
	case len(r.Nodes)+len(r.NotFound) > 0:
	case len(r.Machines) == 0:
		return "all nodes"
	default:
		return "joining machines"
	}
	names := slices.Sorted(slices.Values(slices.Concat(r.Nodes, r.NotFound)))
	return "node/" + strings.Join(names, ", node/")
}

func (p *page) machine(m *report.JoinMachine) {
	causes, notes := blocks(m.Findings)
	message := m.Summary
	if m.Verdict == report.Incomplete {
		message = first(causes, message)
	}
	p.judgement(string(m.Verdict), joinStyle(m.Verdict), "node/"+m.Name, message, causes, m.Consequences, notes)
	p.WriteString("Steps:\n")
	t := output.TableText{Columns: []output.Column{{Header: "STEP"}, {Header: "STATE"}, {Header: "EVIDENCE", Flexible: true}}}
	for _, s := range m.Steps {
		t.Rows = append(t.Rows, []output.Cell{
			{Text: string(s.Step)}, {Text: string(s.State), Style: stepStyle(s.State)}, {Text: s.Evidence},
		})
	}
	p.table(t)
	if !m.Registered {
		p.Line(2, "The other steps follow when the Node is registered.")
	}
	p.commands("Next steps (read-only unless marked)", m.Next)
}

func joinStyle(v report.JoinVerdict) output.Style {
	switch v {
	case report.Joined:
		return output.Good
	case report.Incomplete:
		return output.Bad
	case report.Joining:
		return output.Warn
	}
	return output.Plain
}

func stepStyle(s report.JoinState) output.Style {
	switch s {
	case report.JoinDone:
		return output.Good
	case report.JoinMissing:
		return output.Bad
	case report.JoinWaiting:
		return output.Warn
	}
	return output.Plain
}

// joinStandings are what other tools make of a verdict: what is in progress is no failure.
var joinStandings = map[report.JoinVerdict]publish.Standing{
	report.Joined: publish.Good, report.Joining: publish.Good, report.JoinUndecided: publish.Unread,
}

// PublishedJoin puts a report on machines that join into the shape of the formats that other tools read.
func PublishedJoin(r report.Join) (publish.Report, error) {
	out := publish.Report{
		Plugin: "nodeinfo", Kind: r.Kind, Time: r.Time, Verdict: string(r.Verdict), Summary: r.Summary, Sources: r.Sources,
	}
	for _, name := range r.NotFound {
		out.Errors = append(out.Errors, publish.Error{
			Title: "node/" + name, Type: publish.NotFound, Message: "there is neither a Node nor a certificate request of this name",
		})
	}
	if len(r.Machines) == 0 {
		out.Subjects = append(out.Subjects, publish.Subject{
			Object: finding.ObjectRef{Kind: r.Kind, Name: "cluster"}, Title: joinObject(r), Verdict: string(r.Verdict),
			Standing: joinStandings[r.Verdict], Summary: r.Summary, Sources: r.Sources,
		})
	}
	for i := range r.Machines {
		m := &r.Machines[i]
		p := &page{Page: output.Page{Now: r.Time}}
		p.machine(m)
		out.Subjects = append(out.Subjects, publish.Subject{
			Object: finding.ObjectRef{Kind: "Node", Name: m.Name}, Title: "node/" + m.Name, Verdict: string(m.Verdict),
			Standing: joinStandings[m.Verdict], Summary: m.Summary, Consequences: m.Consequences, Text: p.String(),
			NotChecked: joinGaps(r), Sources: slices.Concat(m.Sources, r.Sources), Findings: published(blocks(m.Findings)),
		})
	}
	return out, nil
}
