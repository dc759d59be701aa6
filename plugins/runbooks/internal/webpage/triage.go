package webpage

import (
	"fmt"
	"reflect"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// Parts are the reports that a triage was made of. Those that are nil were not read, or not saved.
type Parts struct {
	Nodes    *nodereport.List
	DNS      *dnsreport.Status
	Rollouts *rolloutreport.List
}

// Triage is the page of kubectl runbooks: the causes, then the reports of the workflows.
func Triage(t *report.Triage, parts Parts) string {
	return document(string(t.Verdict)+": cluster", t.Time, func(p *page) {
		p.header("cluster", string(t.Verdict), t.Summary, "kubectl runbooks")
		p.within("main", func() {
			p.list("Notes", t.Notes)
			p.causes(t)
			p.changes(t.Changes)
			p.workflows(t)
			p.list("Not checked", t.NotChecked)
			if parts.Nodes != nil && len(parts.Nodes.Items) > 0 {
				p.section("nodeinfo", func() { p.fleet(parts.Nodes) })
			}
			if parts.DNS != nil {
				p.section("dns", func() {
					p.findings("Findings", parts.DNS.Findings)
					p.data(reflect.ValueOf(*parts.DNS), written...)
				})
			}
			if parts.Rollouts != nil && len(parts.Rollouts.Items) > 0 {
				p.section("rollout-explain", func() { p.workloads(parts.Rollouts) })
			}
		})
	})
}

func (p *page) causes(t *report.Triage) {
	if len(t.Causes) == 0 {
		return
	}
	p.section("Causes", func() {
		var began []point
		for i := range t.Causes {
			c := &t.Causes[i]
			if c.Began != nil {
				began = append(began, point{*c.Began, fmt.Sprintf("%s: %s", c.Code, c.Message), tones[string(c.Severity)]})
			}
		}
		for i := range t.Causes {
			p.cause(&t.Causes[i])
		}
		p.timeline("When the causes began", began)
	})
}

// changes draws what changed lately, and lists all where the drawing leaves some out.
func (p *page) changes(c *report.Changes) {
	if c == nil {
		return
	}
	p.section("Changes since "+stamp(c.Since), func() {
		var points []point
		var rows [][]cell
		for _, x := range c.Items {
			tone := "quiet"
			if x.Kind == report.ChangeEvent || x.Kind == report.ChangeReady {
				tone = "warn"
			}
			points = append(points, point{x.Time, nameOf(x.Object) + ": " + x.Message, tone})
			rows = append(rows, []cell{{text: stamp(x.Time)}, {text: nameOf(x.Object)}, {text: string(x.Kind)}, {text: x.Message}})
		}
		p.timeline("Time line", points)
		if len(points) > mostPoints || len(points) == 1 {
			p.table("Changes", []string{"Time", "Object", "Kind", "Change"}, rows)
		}
		if len(points) == 0 {
			p.element("p", "None were found.")
		}
		if c.LeftOut > 0 {
			p.element("p", output.Plural(c.LeftOut, "older change")+" left out: choose a shorter --since.")
		}
		p.list("Changes that are unknown", c.Unknown)
	})
}

func (p *page) cause(c *report.Cause) {
	b := block{Finding: c.Finding}
	if c.Began != nil {
		b.notes = append(b.notes, "for "+output.Age(p.now.Sub(*c.Began)))
	}
	if l := c.Log; l != nil {
		b.log = &output.Log{Pod: l.Pod, Container: l.Container, Previous: l.Previous, Lines: l.Lines}
	}
	p.finding(b, func() {
		p.within("p", func() {
			p.WriteString("Found at: ")
			for i, s := range c.Subjects {
				if i > 0 {
					p.WriteString(", ")
				}
				p.text(subject(s))
			}
		})
		if len(c.Explains) == 0 {
			return
		}
		rows := make([][]cell, 0, len(c.Explains))
		for _, e := range c.Explains {
			row := []cell{{text: subject(e.Subject)}, {text: e.Subject.Verdict, badge: true}, {text: string(e.Code)}, {text: e.Message}}
			rows = append(rows, row)
		}
		p.folded("Explains "+c.ExplainsSummary, func() {
			p.table("What "+string(c.Code)+" explains", []string{"Object", "Verdict", "Code", "Message"}, rows)
		})
	})
}

func subject(s report.Subject) string {
	if s.Object == report.ClusterDNS {
		return "cluster DNS"
	}
	return nameOf(s.Object)
}

func (p *page) workflows(t *report.Triage) {
	rows := make([][]cell, 0, len(t.Workflows))
	for _, r := range t.Workflows {
		state := r.Healthy
		if r.Unread != "" {
			state = "not read: " + r.Unread
		}
		rows = append(rows, []cell{{text: string(r.Workflow)}, {text: r.Verdict, badge: true}, {text: state}, {text: r.Command}})
	}
	p.table("Workflows", []string{"Workflow", "Verdict", "Healthy", "Command"}, rows)
}
