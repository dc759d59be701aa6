// Package render turns a triage into text. It reads nothing but the report: text and JSON cannot disagree.
package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// Options say how to print.
type Options struct {
	Terminal output.Terminal
	Wide     bool // each cause with its block, and all that it explains
}

// The text shows so many causes with evidence and next steps, and of each so many subjects; -o wide shows all.
const (
	mostBlocks   = 5
	mostSubjects = 3
)

// factsWidth is the column in which facts begin beside their label.
const factsWidth = 10

var styles = map[report.Verdict]output.Style{
	report.Healthy: output.Good, report.Degraded: output.Warn, report.Unhealthy: output.Bad, report.Unknown: output.Warn,
}

// Triage writes the report: the first cause, how many there are, a block for each with what it explains, then what is healthy and
// what was not checked.
func Triage(w io.Writer, t *report.Triage, o Options) error {
	p := &page{Page: output.Page{Terminal: o.Terminal, Now: t.Time}, wide: o.Wide}
	if len(t.Causes) == 0 {
		p.Verdict(string(t.Verdict), styles[t.Verdict], "cluster", t.Summary)
	} else {
		first := &t.Causes[0]
		p.Verdict(string(t.Verdict), styles[t.Verdict], Title(first.Subjects[0].Object), first.Message, output.Block{Finding: first.Finding})
		p.Facts(factsWidth, "Causes", counts(t))
	}
	p.Facts(factsWidth, "Notes", t.Notes...)
	p.causes(t)
	if t.Changes != nil {
		p.Section("Changes since "+t.Changes.Since.Format(time.RFC3339)+", newest last", changes(t, o.Wide)...)
		p.Section("Changes that are unknown", t.Changes.Unknown...)
	}
	p.Section("Healthy", healthy(t)...)
	p.Section("Not read", unread(t)...)
	p.Section("Not checked", t.NotChecked...)
	_, err := io.WriteString(w, p.String())
	return err
}

type page struct {
	output.Page

	wide bool
}

// counts are those of the causes, by severity, and of what they explain.
func counts(t *report.Triage) string {
	bySeverity := map[finding.Severity]int{}
	explained := 0
	for i := range t.Causes {
		bySeverity[t.Causes[i].Severity]++
		explained += len(t.Causes[i].Explains) + len(t.Causes[i].Subjects) - 1
	}
	var parts []string
	for _, s := range []finding.Severity{finding.Critical, finding.Warning, finding.Info} {
		if n := bySeverity[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := strings.Join(parts, ", ")
	if explained > 0 {
		verb := "they explain"
		if len(t.Causes) == 1 {
			verb = "it explains"
		}
		text += fmt.Sprintf("; %s %s", verb, output.Plural(explained, "more problem"))
	}
	return text
}

func (p *page) causes(t *report.Triage) {
	var rest []string
	for i := range t.Causes {
		c := &t.Causes[i]
		if i >= mostBlocks && !p.wide {
			rest = append(rest, fmt.Sprintf("%s %s (%s): %s", strings.ToUpper(string(c.Severity)), c.Code, subjects(c), c.Message))
			continue
		}
		p.Findings(Block(t, c))
		p.explains(c)
	}
	if len(rest) > 0 {
		p.Section(output.Plural(len(rest), "more cause")+" (-o wide shows them in full)", rest...)
	}
}

// Block is a cause in the form of every finding.
func Block(t *report.Triage, c *report.Cause) output.Block {
	b := output.Block{Finding: c.Finding, Notes: []string{subjects(c)}}
	if c.Began != nil {
		b.Notes = append(b.Notes, "for "+output.Age(t.Time.Sub(*c.Began)))
	}
	if l := c.Log; l != nil {
		b.Log = &output.Log{Pod: l.Pod, Container: l.Container, Previous: l.Previous, Lines: l.Lines}
	}
	return b
}

// subjects names where a cause was found.
func subjects(c *report.Cause) string {
	var names []string
	for i, s := range c.Subjects {
		if i == mostSubjects {
			names = append(names, fmt.Sprintf("and %d more", len(c.Subjects)-i))
			break
		}
		names = append(names, Title(s.Object))
	}
	return strings.Join(names, ", ")
}

// explains writes what a cause explains: folded, and with -o wide one line each.
func (p *page) explains(c *report.Cause) {
	if c.ExplainsSummary == "" {
		return
	}
	p.Line(2, "Explains: "+c.ExplainsSummary)
	if !p.wide {
		return
	}
	for _, e := range c.Explains {
		p.Line(4, fmt.Sprintf("%s: %s: %s: %s", Title(e.Subject.Object), e.Subject.Verdict, e.Code, e.Message))
	}
}

// Title is how the text names an object: node/w1, cluster DNS, deployment/api in shop.
func Title(o finding.ObjectRef) string {
	if o == report.ClusterDNS {
		return "cluster DNS"
	}
	title := strings.ToLower(o.Kind) + "/" + o.Name
	if o.Namespace != "" {
		title += " in " + o.Namespace
	}
	return title
}

// longestChange is how many columns the text of a change has, without -o wide: the message of an event may have a thousand.
const longestChange = 160

// changes are a line each.
func changes(t *report.Triage, whole bool) []string {
	var list []string
	if n := t.Changes.LeftOut; n > 0 {
		list = append(list, output.Plural(n, "older change")+" left out: choose a shorter --since")
	}
	for _, c := range t.Changes.Items {
		at, age := c.Time.Format(time.RFC3339), output.Age(t.Time.Sub(c.Time))
		text := c.Message
		if !whole {
			text = output.Truncate(output.Sanitize(text), longestChange)
		}
		list = append(list, fmt.Sprintf("%s (%s ago) %s: %s", at, age, Title(c.Object), text))
	}
	if len(t.Changes.Items) == 0 {
		list = append(list, "none were found")
	}
	return list
}

func healthy(t *report.Triage) []string {
	var list []string
	for _, r := range t.Workflows {
		if r.Healthy != "" {
			list = append(list, fmt.Sprintf("%s (%s)", r.Healthy, r.Command))
		}
	}
	return list
}

func unread(t *report.Triage) []string {
	var list []string
	for _, r := range t.Workflows {
		if r.Unread != "" {
			list = append(list, fmt.Sprintf("%s: %s", r.Workflow, r.Unread))
		}
	}
	return list
}
