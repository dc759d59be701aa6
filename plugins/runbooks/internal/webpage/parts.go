package webpage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// tones are what the verdicts of all plugins mean, as a class of the style; a word that is not here is a warning.
var tones = map[string]string{
	"Healthy": "good", "Complete": "good", "Drainable": "good", "Joined": "good", "Joining": "quiet",
	"Progressing": "quiet", "Superseded": "quiet", "Unknown": "quiet",
	"Unhealthy": "bad", "Failed": "bad", "Stuck": "bad", "Blocked": "bad", "critical": "bad", "info": "quiet",
}

// badge writes a verdict or a severity: the word itself, which color only underlines.
func (p *page) badge(word string) {
	if word != "" {
		p.element("span", word, class("badge "+cmp.Or(tones[word], "warn")))
	}
}

// header writes what a report is about and what it came to.
func (p *page) header(title, verdict, summary, command string) {
	p.within("header", func() {
		p.within("h1", func() {
			p.badge(verdict)
			p.WriteString(" ")
			p.within("span", func() { p.long(title) })
		})
		if summary != "" {
			p.within("div", func() { p.long(summary) }, class("summary"))
		}
		p.within("p", func() {
			p.WriteString("Checked with ")
			p.element("code", command)
			if !p.now.IsZero() {
				p.WriteString(" at ")
				p.element("time", stamp(p.now), attribute{"datetime", p.now.UTC().Format("2006-01-02T15:04:05Z")})
				p.WriteString(", by the clock of the API server")
			}
			p.WriteString(".")
		}, class("quiet"))
	})
}

// section writes a part of the report under a heading.
func (p *page) section(title string, f func()) {
	p.within("section", func() {
		p.element("h2", title)
		f()
	})
}

// object writes a section about one object, to which id in a table leads.
func (p *page) object(id, title, verdict, summary string, f func()) {
	p.within("section", func() {
		p.within("h2", func() {
			p.badge(verdict)
			p.WriteString(" ")
			p.within("span", func() { p.long(title) })
		})
		if summary != "" {
			p.within("div", func() { p.long(summary) })
		}
		f()
	}, attribute{"id", id})
}

func (p *page) anchor() string {
	p.objects++
	return fmt.Sprintf("o%d", p.objects)
}

// block is a finding, and what stands under it.
type block struct {
	finding.Finding

	notes []string
	log   *output.Log
}

// finding writes a finding as an article: message, the log that names the cause, evidence, next steps.
func (p *page) finding(b block, more func()) {
	p.within("article", func() {
		p.within("h3", func() {
			p.badge(string(b.Severity))
			p.WriteString(" ")
			p.element("code", string(b.Code))
			if len(b.notes) > 0 {
				p.WriteString(" ")
				p.element("span", strings.Join(b.notes, "; "), class("quiet"))
			}
		})
		p.within("div", func() { p.long(cmp.Or(b.Message, b.Title)) })
		p.log(b.log)
		p.evidence(b.Evidence)
		p.next(b.Next)
		if more != nil {
			more()
		}
	}, class("finding "+cmp.Or(tones[string(b.Severity)], "warn")))
}

// findings writes several, under a heading where there are any.
func (p *page) findings(title string, list []finding.Finding) {
	if len(list) == 0 {
		return
	}
	p.element("h3", title)
	for i := range list {
		p.finding(block{Finding: list[i]}, nil)
	}
}

func (p *page) consequences(list []finding.Consequence) {
	texts := make([]string, 0, len(list))
	for _, c := range list {
		texts = append(texts, fmt.Sprintf("%s: %s (of %s)", c.Code, c.Message, c.CausedBy))
	}
	p.list("Consequences", texts)
}

func (p *page) log(l *output.Log) {
	if l == nil || len(l.Lines) == 0 {
		return
	}
	of := fmt.Sprintf("Last log of pod %s, container %s", l.Pod, l.Container)
	if l.Previous {
		of += ", previous run"
	}
	p.element("h4", of)
	p.within("pre", func() {
		for _, line := range l.Lines {
			p.text(line)
			p.WriteByte('\n')
		}
	}, attribute{"tabindex", "0"})
}

func (p *page) evidence(list []finding.Evidence) {
	if len(list) == 0 {
		return
	}
	p.element("h4", "Evidence")
	p.within("dl", func() {
		for _, e := range list {
			p.within("dt", func() {
				p.text(e.Source)
				if e.Path != "" {
					p.WriteString(" ")
					p.element("code", e.Path)
				}
			})
			p.within("dd", func() {
				p.long(e.Value)
				if e.Time != nil {
					p.WriteString(" ")
					p.clock(*e.Time)
				}
			})
		}
	})
}

func (p *page) next(list []finding.Next) {
	if len(list) == 0 {
		return
	}
	p.element("h4", "Next steps (read-only unless marked)")
	p.within("ol", func() {
		for _, n := range list {
			p.within("li", func() {
				if n.Risk != finding.Read {
					p.element("span", string(n.Risk), class("badge warn"))
					p.WriteString(" ")
				}
				p.text(n.Why)
				p.element("pre", n.Command, class("command"), attribute{"tabindex", "0"})
				if len(n.Answers) > 0 {
					p.within("ul", func() {
						for _, a := range n.Answers {
							p.element("li", a)
						}
					})
				}
			})
		}
	})
}

// gaps writes what was not checked: silence about it is not health.
func (p *page) gaps(sources source.List, texts ...string) {
	list := slices.Clone(texts)
	for _, gap := range sources.Gaps(source.Absent, source.Skipped) {
		if !slices.Contains(list, gap) {
			list = append(list, gap)
		}
	}
	p.list("Not checked", list)
}

// folded writes what opens on a click.
func (p *page) folded(summary string, f func()) {
	p.within("details", func() {
		p.element("summary", summary)
		f()
	})
}

// cell is a field of a table.
type cell struct {
	text  string
	sort  string   // what the column is sorted by, where that is not the text
	badge bool     // the text is a verdict or a severity
	link  string   // the anchor of a section
	bar   *float64 // percent that a bar shows
	lines []string // several texts, below each other
}

// table writes rows under a header; the script makes it sort and filter.
func (p *page) table(caption string, columns []string, rows [][]cell) {
	if len(rows) == 0 {
		return
	}
	p.within("div", func() {
		p.within("table", func() {
			p.element("caption", caption)
			p.within("thead", func() {
				p.within("tr", func() {
					for _, c := range columns {
						p.element("th", c, attribute{"scope", "col"})
					}
				})
			})
			p.within("tbody", func() {
				for _, row := range rows {
					p.within("tr", func() { p.row(row) })
				}
			})
		})
	}, class("scroll"), attribute{"tabindex", "0"}, attribute{"role", "region"}, attribute{"aria-label", caption})
}

// row writes the fields; the first is the header of the row.
func (p *page) row(row []cell) {
	for i, c := range row {
		tag, attributes := "td", []attribute{}
		if i == 0 {
			tag, attributes = "th", []attribute{{"scope", "row"}}
		}
		if c.bar != nil {
			c.sort = fmt.Sprint(*c.bar)
		}
		if c.sort != "" {
			attributes = append(attributes, attribute{"data-sort", c.sort})
		}
		p.within(tag, func() { p.cell(c) }, attributes...)
	}
}

func (p *page) cell(c cell) {
	switch {
	case c.badge:
		p.badge(c.text)
	case c.link != "":
		p.element("a", c.text, attribute{"href", "#" + c.link})
	case c.bar != nil:
		p.bar(*c.bar, c.text)
	case len(c.lines) > 0:
		for _, line := range c.lines {
			p.within("div", func() { p.long(line) })
		}
	default:
		p.long(c.text)
	}
}

// bar draws a percentage, and writes it; over 100 it is full and of another color.
func (p *page) bar(percent float64, text string) {
	fill := "fill"
	if percent > 100 {
		fill = "fill over"
	}
	p.open("svg", class("bar"), attribute{"aria-hidden", "true"})
	p.open("rect", class("track"), attribute{"width", "100%"}, attribute{"height", "100%"})
	p.WriteString("</rect>")
	p.open("rect", class(fill), attribute{"width", fmt.Sprintf("%.1f%%", max(0, min(percent, 100)))}, attribute{"height", "100%"})
	p.WriteString("</rect></svg> ")
	p.element("span", text, class("figure"))
}
