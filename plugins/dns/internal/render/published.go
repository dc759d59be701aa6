package render

import (
	"cmp"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Published puts a report into the shape of the formats that other tools read. Its one subject is what the command looked at; the
// kind of the report tells those of several commands apart.
func Published(h report.Header, r any, text string) publish.Report {
	s := publish.Subject{
		Object: finding.ObjectRef{Kind: h.Kind, Name: "cluster"}, Title: clusterDNS, Verdict: string(h.Verdict),
		Standing: standings[h.Verdict], Summary: h.Summary, Text: text, NotChecked: h.Sources.Gaps(source.Absent), Sources: h.Sources,
	}
	switch r := r.(type) {
	case report.Status:
		if r.From != nil {
			s.Object.Namespace, s.Object.Name = r.From.Namespace, r.From.Name
			s.Title += " from pod/" + r.From.Name
		}
	case report.PodResolver:
		s.Object.Namespace, s.Object.Name, s.Title = r.Namespace, r.Name, "pod/"+r.Name
	case report.Explanation:
		s.Object.Name, s.Title = r.Name, r.Name
	case report.Resolution:
		s.Object.Name = strings.TrimSuffix(r.Name, ".")
		s.Title = s.Object.Name
	case report.Names:
		s.Object.Name, s.Title = r.Object, object(r.Object)
	case report.Verification:
		s.Object.Name = cmp.Or(r.Scope, s.Object.Name)
	}
	for _, b := range output.Blocks(h.Findings) {
		s.Findings = append(s.Findings, publish.Finding{Block: b, Folded: b.Severity == finding.Info})
	}
	return publish.Report{
		Plugin: "dns", Kind: h.Kind, Time: h.Time, Verdict: s.Verdict, Summary: h.Summary, Subjects: []publish.Subject{s}, Sources: h.Sources,
	}
}

var standings = map[report.Verdict]publish.Standing{report.Healthy: publish.Good, report.Unknown: publish.Unread}
