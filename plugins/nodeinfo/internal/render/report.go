package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Sections are the names that --section takes, in the order of the report.
func Sections() []string {
	return []string{"health", "components", "resources", "pods", "network", "storage", "controlplane", "scheduling", "events", "lifecycle"}
}

// ReportOptions choose what of a node's report is written.
type ReportOptions struct {
	Sections []string // empty: all
	Terminal output.Terminal
}

// Report writes the report on one node: the verdict, its causes with the next commands, what follows from them, what is
// worth knowing, then the sections.
func Report(w io.Writer, n report.Node, now time.Time, o ReportOptions) error {
	p := &page{term: o.Terminal, now: now}
	name := n.Name
	if n.Context != "" {
		name += " (" + n.Context + ")"
	}
	head := output.Sanitize(name) + " is " + o.Terminal.Paint(string(n.Verdict), verdictStyle(n.Verdict)) + ": "
	p.line("%s", head+output.Wrap(output.Sanitize(n.Summary), o.Terminal, len(name)+len(n.Verdict)+6, ""))
	var causes, notes []finding.Finding
	for _, f := range n.Findings {
		if f.Severity == finding.Info {
			notes = append(notes, f)
		} else {
			causes = append(causes, f)
		}
	}
	p.findings(causes)
	p.consequences(n.Consequences)
	p.findings(notes)
	p.line("")
	for _, name := range Sections() {
		if len(o.Sections) == 0 || slices.Contains(o.Sections, name) {
			p.section(name, n)
		}
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// page collects the text of one report.
type page struct {
	b    strings.Builder
	term output.Terminal
	now  time.Time
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

func (p *page) findings(list []finding.Finding) {
	if len(list) == 0 {
		return
	}
	p.line("")
	_ = output.Findings(&p.b, p.term, list, p.now) // a strings.Builder does not fail
}

func (p *page) consequences(list []report.Consequence) {
	if len(list) == 0 {
		return
	}
	p.line("\nSeen too, and explained by %s:", list[0].CausedBy)
	for _, c := range list {
		p.line("  %s", output.Wrap(string(c.Code)+": "+output.Sanitize(c.Message), p.term, 2, "    "))
	}
}

// titled writes "Title:   text", wrapped under itself on a terminal.
func (p *page) titled(title, text string) {
	const width = 15
	head := fmt.Sprintf("%-*s", width, title+":")
	p.line("%s%s", head, output.Wrap(output.Sanitize(text), p.term, width, strings.Repeat(" ", width)))
}

func (p *page) table(t output.TableText) {
	_ = t.Fprint(&p.b, output.TableOptions{Wide: true, Indent: "  ", Terminal: p.term})
}

func (p *page) gap(title string, n report.Node, source string) {
	text := n.Sources.Get(source).Gap()
	if text == "" {
		text = "nothing to report"
	}
	p.titled(title, text)
}

func (p *page) since(t *time.Time) string { return output.Since(t, p.now) }

func (p *page) section(name string, n report.Node) {
	switch name {
	case "health":
		p.health(n)
	case "components":
		p.components(n)
	case "resources":
		p.resources(n)
	case "pods":
		p.pods(n)
	case "network":
		p.network(n)
	case "storage":
		p.storage(n)
	case "controlplane":
		p.controlPlane(n)
	case "scheduling":
		p.scheduling(n)
	case "events":
		p.events(n)
	case "lifecycle":
		p.lifecycle(n)
	}
}
