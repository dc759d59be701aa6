// Package render turns the reports of kubectl dns into text: the verdict first, then what it rests on.
package render

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Options say how to print.
type Options struct {
	Terminal  output.Terminal
	Wide      bool
	NoHeaders bool
}

func (o Options) table() output.TableOptions {
	return output.TableOptions{Wide: o.Wide, NoHeaders: o.NoHeaders, Terminal: o.Terminal}
}

// page collects text and keeps the first error.
type page struct {
	w   io.Writer
	o   Options
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

func (p *page) table(columns []output.Column, rows [][]output.Cell) {
	if p.err == nil {
		p.err = output.TableText{Columns: columns, Rows: rows}.Fprint(p.w, p.o.table())
	}
}

var verdictStyle = map[report.Verdict]output.Style{report.Healthy: output.Good, report.Degraded: output.Warn, report.Unhealthy: output.Bad, report.Unknown: output.Warn}

// head prints the verdict and what it says.
func (p *page) head(h report.Header) {
	word := string(h.Verdict)
	p.line("%s", p.o.Terminal.Paint(word, verdictStyle[h.Verdict])+": "+output.Wrap(output.Sanitize(h.Summary), p.o.Terminal, len(word)+2, "  "))
}

// findings prints the headline, then the others under their own heading, then what could not be read.
func (p *page) findings(h report.Header) {
	list := h.Findings
	if len(list) > 0 && p.err == nil {
		p.line("")
		p.err = output.Findings(p.w, p.o.Terminal, list[:1], h.Time)
		list = list[1:]
	}
	if len(list) > 0 && p.err == nil {
		p.line("")
		p.line("Also seen:")
		p.err = output.Findings(p.w, p.o.Terminal, list, h.Time)
	}
	p.gaps(h.Sources)
}

func (p *page) gaps(sources source.List) {
	first := true
	for _, s := range sources {
		if s.State == source.OK || s.State == source.Absent {
			continue
		}
		if first {
			p.line("")
			first = false
		}
		p.line("%s", output.Wrap(output.Sanitize(s.Name+": "+s.Gap()), p.o.Terminal, 0, "  "))
	}
}

func num(v *float64, format string) string {
	if v == nil {
		return output.Unknown
	}
	return fmt.Sprintf(format, *v)
}

func columns(names ...string) []output.Column {
	list := make([]output.Column, len(names))
	for i, n := range names {
		wide := strings.HasPrefix(n, "+")
		list[i] = output.Column{Header: strings.TrimPrefix(n, "+"), Wide: wide, Flexible: strings.HasSuffix(n, "~")}
		list[i].Header = strings.TrimSuffix(list[i].Header, "~")
	}
	return list
}

// Status prints what the cluster DNS is.
func Status(w io.Writer, s report.Status, o Options) error {
	p := &page{w: w, o: o}
	p.head(s.Header)
	p.line("")
	p.server(s)
	p.replicas(s)
	p.routes(s)
	p.findings(s.Header)
	return p.err
}

// Check prints the verdict and the causes first; what was checked stands behind.
func Check(w io.Writer, s report.Status, o Options) error {
	p := &page{w: w, o: o}
	p.head(s.Header)
	p.findings(s.Header)
	if len(s.PassedChecks) > 0 {
		p.line("")
		p.line("Checked and right:")
		for _, c := range s.PassedChecks {
			p.line("  %s", output.Wrap(c, o.Terminal, 2, "    "))
		}
	}
	if o.Wide {
		p.line("")
		p.server(s)
		p.replicas(s)
		p.routes(s)
		if s.From != nil && len(s.From.Answers) > 0 {
			p.line("")
			p.answers(s.From.Answers)
		}
	}
	return p.err
}

func (p *page) server(s report.Status) {
	if s.Service == nil {
		return
	}
	ready := 0
	version := ""
	for _, r := range s.Replicas {
		if r.Ready {
			ready++
		}
		if r.Version != "" {
			version = " " + r.Version
		}
	}
	provider := s.Provider
	if provider == "" {
		provider = "DNS"
	}
	p.line("%s%s, %d of %d ready, Service %s/%s %s (%s), zone %s", provider, version, ready, len(s.Replicas), s.Service.Namespace, s.Service.Name,
		strings.Join(s.Service.ClusterIPs, " "), strings.Join(s.Service.Ports, " "), s.Zone)
	for _, other := range s.Others {
		p.line("also: Service %s/%s %s, %d ready endpoints", other.Namespace, other.Name, strings.Join(other.ClusterIPs, " "), other.Ready)
	}
	if c := s.NodeCache; c != nil {
		p.line("node cache: %s at %s on %d of %d nodes", c.Name, strings.Join(c.IPs, " "), c.Ready, c.Nodes)
	}
}

func (p *page) replicas(s report.Status) {
	if len(s.Replicas) == 0 {
		return
	}
	p.line("")
	var rows [][]output.Cell
	for _, r := range s.Replicas {
		state := output.Cell{Text: r.State}
		if !r.Ready {
			state = output.Cell{Text: r.State + " (not ready)", Style: output.Bad}
		}
		answers := output.Cell{Text: "yes"}
		switch {
		case !r.Queried && len(r.Answers) == 0:
			answers = output.Cell{Text: output.Unknown, Style: output.Warn}
		case !r.Queried:
			answers = output.Cell{Text: "no", Style: output.Warn}
		}
		lag := output.Cell{Text: output.Unknown}
		if r.LagSeconds != nil {
			lag.Text = fmt.Sprintf("%.0fs", *r.LagSeconds)
			if *r.LagSeconds > 60 {
				lag.Style = output.Bad
			}
		}
		restarts := strconv.Itoa(int(r.Restarts))
		rows = append(rows, []output.Cell{
			{Text: r.Name},
			{Text: blank(r.Node)},
			{Text: blank(r.Zone)},
			{Text: blank(r.IP)},
			state, answers,
			{Text: restarts},
			{Text: blank(r.LastExit)},
			lag,
			{Text: num(r.QPS, "%.1f")},
			{Text: num(r.Servfail, "%.1f%%")},
			{Text: num(r.P99, "%.1fms")},
			{Text: cut(r.Config)},
			{Text: blank(r.NotQueriedReason)},
		})
	}
	p.table(columns("REPLICA", "NODE", "+ZONE", "+IP", "STATE", "ANSWERS", "RESTARTS", "+LAST EXIT", "LAG", "QPS", "SERVFAIL", "P99", "+CONFIG", "+WHY NOT"), rows)
}

func cut(s string) string {
	if s == "" {
		return output.Unknown
	}
	return s[:min(8, len(s))]
}

func blank(s string) string {
	if s == "" {
		return output.None
	}
	return s
}

func (p *page) routes(s report.Status) {
	if len(s.Routes) == 0 {
		return
	}
	p.line("")
	var rows [][]output.Cell
	for _, r := range s.Routes {
		rows = append(rows, output.Text(strings.Join(r.Zones, " "), r.Via, blank(strings.Join(r.To, " ")), r.Port, strconv.Itoa(r.Line)))
	}
	p.table(columns("NAMES UNDER", "ANSWERED BY", "UPSTREAM", "+PORT", "LINE"), rows)
}

func (p *page) answers(list []report.Answer) {
	var rows [][]output.Cell
	for _, a := range list {
		outcome := output.Cell{Text: a.Rcode}
		if a.Error != "" {
			outcome = output.Cell{Text: "no answer", Style: output.Bad}
		}
		var data []string
		for _, r := range a.Records {
			text := r.Data
			if r.Type != a.Type {
				text = r.Type + " " + r.Data
			}
			data = append(data, text)
		}
		slices.Sort(data)
		text := strings.Join(data, ", ")
		if a.Error != "" {
			text = a.Error
		}
		rows = append(rows, []output.Cell{{Text: a.Viewpoint}, {Text: a.Server}, {Text: a.Transport}, {Text: a.Name}, {Text: a.Type}, outcome, {Text: num(a.Milliseconds, "%.0fms")}, {Text: blank(text)}})
	}
	p.table(columns("VIEWPOINT", "SERVER", "BY", "+NAME", "TYPE", "RCODE", "TOOK", "ANSWER~"), rows)
}
