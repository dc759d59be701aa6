package render

import (
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Published puts a list into the shape of the formats that other tools read; full adds the text of each report.
func Published(list report.List, full bool, o ReportOptions) (publish.Report, error) {
	r := publish.Report{
		Plugin: "nodeinfo", Kind: list.Kind, Time: list.Time, Summary: list.Summary, Notes: list.CommonCauses, Sources: list.Sources,
	}
	for _, text := range thresholdTexts(list.Thresholds) {
		r.Notes = append(slices.Clip(r.Notes), "changed threshold "+text)
	}
	for _, name := range list.NotFound {
		r.Errors = append(r.Errors, publish.Error{Title: "node/" + name, Type: publish.NotFound, Message: "this node does not exist"})
	}
	for _, s := range unreadClusters(list) {
		r.Errors = append(r.Errors, publish.Error{
			Title: "context/" + s.Name, Type: publish.Unreachable, Message: "the cluster was not read: " + s.Reason(),
		})
	}
	for _, n := range list.Items {
		s, err := subject(n, list, full, o)
		if err != nil {
			return r, err
		}
		r.Subjects = append(r.Subjects, s)
	}
	for _, f := range list.Findings {
		r.Subjects = append(r.Subjects, publish.Subject{
			Object: *f.Object, Title: "nodeclaim/" + f.Object.Name, Verdict: string(report.Degraded), Standing: standings[report.Degraded],
			Summary: f.Message, Findings: []publish.Finding{{Block: output.Block{Finding: f}}},
		})
	}
	r.Verdict = publish.Worst(r.Subjects, report.Verdicts())
	return r, nil
}

// unreadClusters are those of several clusters whose nodes could not be listed: the sources of the others begin with "CONTEXT: ".
func unreadClusters(list report.List) source.List {
	if !slices.ContainsFunc(list.Items, func(n report.Node) bool { return n.Context != "" }) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list.Sources), func(s source.Source) bool { return s.Readable() || strings.Contains(s.Name, ": ") })
}

func subject(n report.Node, list report.List, full bool, o ReportOptions) (publish.Subject, error) {
	s := publish.Subject{
		Context: n.Context, Object: finding.ObjectRef{Kind: "Node", Name: n.Name}, Title: "node/" + n.Name, Verdict: string(n.Verdict),
		Standing: standings[n.Verdict], Summary: n.Summary, Consequences: n.Consequences, NotChecked: n.Sources.Gaps(), Sources: n.Sources,
	}
	p := &page{}
	p.Now = list.Time
	causes, notes := p.blocks(n)
	s.Findings, s.Summary = published(causes, notes), first(causes, s.Summary)
	if !full {
		s.NotChecked = n.Sources.Gaps(source.Absent, source.Skipped) // a list reads less than a report, and that is no gap
		return s, nil
	}
	var text strings.Builder
	err := Report(&text, n, list.Time, o)
	s.Text = text.String()
	return s, err
}

var standings = map[report.Verdict]publish.Standing{report.Healthy: publish.Good, report.Unknown: publish.Unread}
