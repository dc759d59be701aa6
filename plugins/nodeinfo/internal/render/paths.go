package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Paths writes the verdict, what breaks and what follows from it, the table of paths, and commands that try them from a node.
func Paths(w io.Writer, r report.Paths, term output.Terminal) error {
	p := &page{Page: output.Page{Terminal: term, Now: r.Time}}
	causes, notes := blocks(r.Findings)
	p.judgement(string(r.Verdict), verdictStyle(r.Verdict), pathsObject(r), first(causes, r.Summary), causes, r.Consequences, notes)
	p.WriteString("Paths:\n")
	p.pathTable(r)
	p.commands("From the node (nodeshell starts a helper pod there and deletes it)", pathChecks(r))
	p.Section("Not checked", r.Sources.Gaps(source.Absent, source.Skipped)...) // the table says the rest
	_, err := io.WriteString(w, p.String())
	return err
}

func pathsObject(r report.Paths) string {
	if len(r.Nodes) == 0 {
		return "cluster paths"
	}
	return "paths of node/" + strings.Join(r.Nodes, ", node/")
}

// alike is how many paths of one kind and state are printed one by one; -o json has all.
const alike = 3

func (p *page) pathTable(r report.Paths) {
	t := output.TableText{Columns: []output.Column{
		{Header: "FROM"}, {Header: "TO"}, {Header: "HOW"}, {Header: "STATE"}, {Header: "EVIDENCE", Flexible: true},
	}}
	type key struct {
		group report.PathGroup
		state report.PathState
		text  string
	}
	of := func(path report.Path) key {
		k := key{group: path.Group, state: path.State}
		if path.State != report.PathOK {
			k.text = path.Evidence
		}
		return k
	}
	count := map[key]int{}
	for _, path := range r.Paths {
		count[of(path)]++
	}
	folded := map[key]bool{}
	for _, path := range r.Paths {
		k := of(path)
		if n := count[k]; n > alike {
			if folded[k] {
				continue
			}
			folded[k] = true
			path = foldedPath(path, n)
		}
		t.Rows = append(t.Rows, []output.Cell{
			{Text: path.From}, {Text: path.To}, {Text: path.How}, {Text: string(path.State), Style: pathStyle(path.State)}, {Text: path.Evidence},
		})
	}
	p.table(t)
}

// foldedPath is one row for many that are alike.
func foldedPath(path report.Path, n int) report.Path {
	for _, side := range []*string{&path.From, &path.To} {
		if name, _, ok := strings.Cut(*side, "/"+path.Node); ok && path.Node != "" {
			*side = fmt.Sprintf("%s (%d)", name, n)
		}
	}
	switch path.Group {
	case report.PathWebhook:
		path.To = fmt.Sprintf("webhooks (%d)", n)
	case report.PathAggregated:
		path.To = fmt.Sprintf("aggregated APIs (%d)", n)
	}
	if path.State == report.PathOK {
		path.Evidence = "such as: " + path.Evidence
	}
	return path
}

func pathStyle(s report.PathState) output.Style {
	switch s {
	case report.PathOK:
		return output.Good
	case report.PathCritical:
		return output.Bad
	case report.PathWarning:
		return output.Warn
	}
	return output.Plain
}

// pathChecks are the commands, with the path that each tries.
func pathChecks(r report.Paths) []finding.Next {
	var list []finding.Next
	for _, c := range r.Checks {
		c.Next.Why = fmt.Sprintf("%s: %s to %s: %s", c.Node, c.From, c.To, c.Next.Why)
		list = append(list, c.Next)
	}
	return list
}

// PublishedPaths puts a report on paths into the shape of the formats that other tools read.
func PublishedPaths(r report.Paths) (publish.Report, error) {
	var text strings.Builder
	if err := Paths(&text, r, output.Terminal{}); err != nil {
		return publish.Report{}, err
	}
	causes, notes := blocks(r.Findings)
	s := publish.Subject{
		Object: finding.ObjectRef{Kind: r.Kind, Name: "cluster"}, Title: pathsObject(r), Verdict: string(r.Verdict),
		Standing: standings[r.Verdict], Summary: first(causes, r.Summary), Consequences: r.Consequences, Text: text.String(),
		NotChecked: r.Sources.Gaps(source.Absent, source.Skipped), Sources: r.Sources, Findings: published(causes, notes),
	}
	return publish.Report{
		Plugin: "nodeinfo", Kind: r.Kind, Time: r.Time, Verdict: s.Verdict, Summary: r.Summary, Subjects: []publish.Subject{s},
		Sources: r.Sources,
	}, nil
}
