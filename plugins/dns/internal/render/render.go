// Package render turns the reports of kubectl dns into text: the verdict first, then what it rests on.
package render

import (
	"cmp"
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

// page collects text and keeps the first error of a table.
type page struct {
	output.Page
	o   Options
	err error
}

func newPage(o Options, h report.Header) *page {
	return &page{Page: output.Page{Terminal: o.Terminal, Now: h.Time}, o: o}
}

// line writes one line of text, which is not wrapped.
func (p *page) line(format string, args ...any) {
	p.WriteString(strings.TrimRight(output.Sanitize(fmt.Sprintf(format, args...)), " ") + "\n")
}

func (p *page) table(columns []output.Column, rows [][]output.Cell) {
	if p.err == nil {
		p.err = output.TableText{Columns: columns, Rows: rows}.Fprint(&p.Builder, p.o.table())
	}
}

// print writes the page out.
func (p *page) print(w io.Writer) error {
	if p.err != nil {
		return p.err
	}
	_, err := io.WriteString(w, p.String())
	return err
}

var verdictStyle = map[report.Verdict]output.Style{
	report.Healthy: output.Good, report.Degraded: output.Warn, report.Unhealthy: output.Bad, report.Unknown: output.Warn,
}

// clusterDNS is the object of a verdict on the cluster DNS as a whole.
const clusterDNS = "cluster DNS"

// verdict writes the first line.
func (p *page) verdict(h report.Header, object string) {
	p.Verdict(string(h.Verdict), verdictStyle[h.Verdict], object, h.Summary, output.Blocks(h.Findings)...)
}

// about gives a header whose messages leave out the object, which the first line names before them.
func about(h report.Header, subject string) report.Header {
	trim := func(text string) string {
		if rest, ok := strings.CutPrefix(text, subject+" "); ok {
			return rest
		}
		return strings.Replace(text, " of "+subject, "", 1)
	}
	h.Summary = trim(h.Summary)
	h.Findings = slices.Clone(h.Findings)
	for i := range h.Findings {
		h.Findings[i].Message = trim(h.Findings[i].Message)
	}
	return h
}

// findings writes the first cause, and the others under their own heading.
func (p *page) findings(h report.Header) {
	blocks := output.Blocks(h.Findings)
	p.Findings(blocks[:min(1, len(blocks))]...)
	if len(blocks) > 1 {
		p.Gap()
		p.line("Other findings:")
		p.Findings(blocks[1:]...)
	}
}

// gaps lists what could not be read.
func (p *page) gaps(sources source.List) { p.Section("Not checked", sources.Gaps(source.Absent)...) }

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
	p := newPage(o, s.Header)
	p.verdict(s.Header, clusterDNS)
	p.server(s)
	p.findings(s.Header)
	p.replicas(s)
	p.routes(s)
	p.gaps(s.Sources)
	return p.print(w)
}

// Check prints the verdict and the causes first, then the checks that passed and what was not checked.
func Check(w io.Writer, s report.Status, o Options) error {
	p := newPage(o, s.Header)
	p.verdict(s.Header, clusterDNS)
	if o.Wide {
		p.server(s)
	}
	p.findings(s.Header)
	if o.Wide {
		p.replicas(s)
		p.routes(s)
		if s.From != nil && len(s.From.Answers) > 0 {
			p.Gap()
			p.answers(s.From.Answers)
		}
	}
	p.Section("Passed checks", s.PassedChecks...)
	p.gaps(s.Sources)
	return p.print(w)
}

// server writes a line per fact about the DNS Service and its pods.
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
	const width = len("Node cache:  ")
	p.Facts(width, "Server", fmt.Sprintf("%s%s, %d of %d pods ready", cmp.Or(s.Provider, "DNS"), version, ready, len(s.Replicas)))
	p.Facts(width, "Service", fmt.Sprintf("%s/%s %s (%s)", s.Service.Namespace, s.Service.Name,
		strings.Join(s.Service.ClusterIPs, " "), strings.Join(s.Service.Ports, " ")))
	p.Facts(width, "Domain", s.Zone)
	for _, other := range s.Others {
		p.Facts(width, "Also found", fmt.Sprintf("Service %s/%s %s, %s", other.Namespace, other.Name, strings.Join(other.ClusterIPs, " "),
			output.Plural(other.Ready, "ready endpoint", "ready endpoints")))
	}
	if c := s.NodeCache; c != nil {
		p.Facts(width, "Node cache", nodeCache(c)...)
	}
}

func nodeCache(c *report.NodeCache) []string {
	ready := fmt.Sprintf("%s %s, ready on %d of %d nodes", c.Name, strings.Join(c.IPs, " "), c.Ready, c.Nodes)
	if len(c.Missing) > 0 {
		ready += "; not on " + strings.Join(c.Missing, ", ")
	}
	lines := []string{ready}
	if u := c.Upstream; u != nil {
		lines = append(lines, fmt.Sprintf("forwards to Service %s/%s %s, %s", u.Namespace, u.Name, strings.Join(u.ClusterIPs, " "),
			output.Plural(u.Ready, "ready endpoint", "ready endpoints")))
	}
	return lines
}

func (p *page) replicas(s report.Status) {
	if len(s.Replicas) == 0 {
		return
	}
	p.Gap()
	var rows [][]output.Cell
	for _, r := range s.Replicas {
		state := output.Cell{Text: r.State}
		if !r.Ready {
			state = output.Cell{Text: r.State + " (not ready)", Style: output.Bad}
		}
		answering := output.Cell{Text: "yes"}
		switch {
		case !r.Queried && len(r.Answers) == 0:
			answering = output.Cell{Text: output.Unknown, Style: output.Warn}
		case !r.Queried:
			answering = output.Cell{Text: "no", Style: output.Warn}
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
			state, answering,
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
	p.table(columns("REPLICA", "NODE", "+ZONE", "+IP", "STATE", "ANSWERING", "RESTARTS", "+LAST-EXIT", "LAG", "QPS", "SERVFAIL", "P99",
		"+CONFIG", "+NOT-QUERIED"), rows)
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
	p.Gap()
	var rows [][]output.Cell
	for _, r := range s.Routes {
		rows = append(rows, output.Text(strings.Join(r.Zones, " "), r.Via, blank(strings.Join(r.To, " ")), r.Port, strconv.Itoa(r.Line)))
	}
	p.table(columns("ZONES", "PLUGIN", "UPSTREAM", "+PORT", "LINE"), rows)
}

// served is the address that was asked, and what answers there where that is no DNS server of the cluster itself.
func served(a report.Answer) string {
	if a.ServedBy == "" {
		return a.Server
	}
	return a.Server + " (node cache)"
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
		text := report.Listed(data)
		if a.Error != "" {
			text = a.Error
		}
		if a.Truncated {
			text = strings.TrimSpace(text + " (truncated)")
		}
		if a.Lost > 0 {
			text = fmt.Sprintf("%s (%d of %d queries lost)", blank(text), a.Lost, a.Asked)
		}
		rows = append(rows, []output.Cell{
			{Text: a.Viewpoint},
			{Text: served(a)},
			{Text: a.Transport},
			{Text: a.Name},
			{Text: a.Type},
			outcome,
			{Text: num(a.Milliseconds, "%.0fms")},
			{Text: blank(text)},
		})
	}
	p.table(columns("VIEWPOINT", "SERVER", "PROTOCOL", "+NAME", "TYPE", "RCODE", "TIME", "ANSWER~"), rows)
}
