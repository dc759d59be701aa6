// Package render turns a node report into text. It reads nothing but the report: text and JSON cannot disagree.
package render

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// TableOptions choose the fleet table's columns.
type TableOptions struct {
	Wide         bool
	NoHeaders    bool
	LabelColumns []string
	Terminal     output.Terminal
}

// column is a column of the fleet table and what it shows of a node.
type column struct {
	header   string
	wide     bool
	flexible bool
	cell     func(n report.Node, now time.Time) output.Cell
	known    func(n report.Node) bool // nil: always; a column that is known of no node is left out
}

func plain(text func(n report.Node) string) func(report.Node, time.Time) output.Cell {
	return func(n report.Node, _ time.Time) output.Cell { return output.Cell{Text: text(n)} }
}

func columns() []column {
	c := []column{
		{header: "NAME", cell: plain(func(n report.Node) string { return n.Name })},
		{header: "VERDICT", cell: func(n report.Node, _ time.Time) output.Cell {
			return output.Cell{Text: string(n.Verdict), Style: verdictStyle(n.Verdict)}
		}},
		{header: "STATUS", cell: plain(func(n report.Node) string { return n.Status })},
		{header: "ROLES", cell: plain(func(n report.Node) string { return orNone(strings.Join(n.Roles, ",")) })},
		{header: "AGE", cell: func(n report.Node, now time.Time) output.Cell {
			return output.Cell{Text: output.Since(n.CreatedAt, now)}
		}},
		{header: "HEARTBEAT", cell: func(n report.Node, _ time.Time) output.Cell { return heartbeatCell(n) }},
		{header: "VERSION", cell: plain(func(n report.Node) string { return orUnknown(n.Components.Kubelet) })},
		{header: "CPU%", cell: usageCell("cpu")},
		{header: "MEM%", cell: usageCell("memory")},
		{
			header: "PODS", cell: func(n report.Node, _ time.Time) output.Cell { return podsCell(n) },
			known: func(n report.Node) bool { return n.Pods != nil }, // the three calls of the plain table count none
		},
	}
	for _, r := range []struct{ name, short string }{{"cpu", "CPU"}, {"memory", "MEM"}} {
		c = append(c,
			column{header: r.short + "-REQ", wide: true, cell: amountCell(r.name, func(r report.Resource) *report.Amount { return r.Requests })},
			column{header: r.short + "-REQ%", wide: true, cell: percentCell(r.name, func(r report.Resource) *float64 { return r.RequestsPercent })},
			column{header: r.short + "-LIM", wide: true, cell: amountCell(r.name, func(r report.Resource) *report.Amount { return r.Limits })},
			column{header: r.short + "-LIM%", wide: true, cell: percentCell(r.name, func(r report.Resource) *float64 { return r.LimitsPercent })},
		)
	}
	for _, w := range []struct {
		header string
		text   func(n report.Node) string
	}{
		{"DISK%", diskText},
		{"TAINTS", taintsText},
		{"RUNTIME", func(n report.Node) string { return runtimeText(n.Components.Runtime) }},
		{"OS", func(n report.Node) string { return n.Components.OS.Image }},
		{"KERNEL", func(n report.Node) string { return n.Components.OS.Kernel }},
		{"ARCH", func(n report.Node) string { return n.Components.OS.Arch }},
		{"ZONE", func(n report.Node) string { return n.Lifecycle.Zone }},
		{"TYPE", func(n report.Node) string { return n.Lifecycle.InstanceType }},
		{"INTERNAL-IP", func(n report.Node) string { return address(n, "InternalIP") }},
		{"POD-CIDR", func(n report.Node) string { return strings.Join(n.Network.PodCIDRs, ",") }},
		{"CNI", func(n report.Node) string { return orUnknown(names(n.Components.Network)) }},
		{"PROXY-MODE", proxyText},
	} {
		c = append(c, column{header: w.header, wide: true, cell: plain(func(n report.Node) string { return orNone(w.text(n)) })})
	}
	return append(c,
		column{header: "REASON", flexible: true, cell: func(n report.Node, now time.Time) output.Cell {
			return output.Cell{Text: reason(n, now)}
		}},
		column{header: "MESSAGE", wide: true, flexible: true, cell: plain(message)},
	)
}

// Table writes the fleet table.
func Table(w io.Writer, list report.List, o TableOptions) error {
	var t output.TableText
	all := columns()
	if slices.ContainsFunc(list.Items, func(n report.Node) bool { return n.Context != "" }) {
		all = slices.Insert(all, 0, column{header: "CONTEXT", cell: plain(func(n report.Node) string { return n.Context })})
	}
	all = slices.DeleteFunc(all, func(c column) bool { return c.known != nil && !slices.ContainsFunc(list.Items, c.known) })
	for _, c := range all {
		t.Columns = append(t.Columns, output.Column{Header: c.header, Wide: c.wide, Flexible: c.flexible})
	}
	for _, label := range o.LabelColumns {
		t.Columns = append(t.Columns, output.Column{Header: strings.ToUpper(label[strings.LastIndex(label, "/")+1:])})
	}
	for _, n := range list.Items {
		var row []output.Cell
		for _, c := range all {
			row = append(row, c.cell(n, list.Time))
		}
		for _, label := range o.LabelColumns {
			row = append(row, output.Cell{Text: orNone(n.Labels[label])})
		}
		t.Rows = append(t.Rows, row)
	}
	return t.Fprint(w, output.TableOptions{Wide: o.Wide, NoHeaders: o.NoHeaders, Terminal: o.Terminal})
}

// Footer writes what concerns the whole fleet: the count, what the problems of nodes have in common, and what was not checked.
func Footer(w io.Writer, list report.List, term output.Terminal) error {
	p := output.Page{Terminal: term, Now: list.Time}
	p.WriteString("\n")
	p.Line(0, list.Summary)
	for _, s := range list.CommonCauses {
		p.Line(0, s)
	}
	if len(list.Findings) > 0 {
		for i := range list.Findings {
			p.Findings(output.Block{Finding: list.Findings[i]})
		}
	}
	p.Section(changedThresholds, thresholdTexts(list.Thresholds)...)
	asked := slices.DeleteFunc(slices.Clone(list.Sources), func(s source.Source) bool { return s.State == source.Skipped })
	p.Section("Not checked", asked.Gaps()...)
	_, err := io.WriteString(w, p.String())
	return err
}

func verdictStyle(v report.Verdict) output.Style {
	switch v {
	case report.Healthy:
		return output.Good
	case report.Degraded:
		return output.Warn
	case report.Unhealthy:
		return output.Bad
	}
	return output.Plain
}

func heartbeatCell(n report.Node) output.Cell {
	h := n.Health.Heartbeat
	switch {
	case h == nil:
		return output.Cell{Text: output.Unknown}
	case h.State == report.HeartbeatNone:
		return output.Cell{Text: output.None}
	}
	style := output.Plain
	switch h.State {
	case report.HeartbeatLate:
		style = output.Warn
	case report.HeartbeatExpired:
		style = output.Bad
	}
	return output.Cell{Text: output.Age(time.Duration(*h.AgeSeconds) * time.Second), Style: style}
}

func find(n report.Node, name string) report.Resource {
	if i := slices.IndexFunc(n.Resources, func(r report.Resource) bool { return r.Name == name }); i >= 0 {
		return n.Resources[i]
	}
	return report.Resource{}
}

func usageCell(name string) func(report.Node, time.Time) output.Cell {
	return percentCell(name, func(r report.Resource) *float64 { return r.UsagePercent })
}

func percentCell(name string, pick func(report.Resource) *float64) func(report.Node, time.Time) output.Cell {
	return func(n report.Node, _ time.Time) output.Cell {
		return output.Cell{Text: percentText(pick(find(n, name)))}
	}
}

func percentText(p *float64) string {
	if p == nil {
		return output.Unknown
	}
	return output.Percent(int64(*p*10+0.5), 1000)
}

func amountCell(name string, pick func(report.Resource) *report.Amount) func(report.Node, time.Time) output.Cell {
	return func(n report.Node, _ time.Time) output.Cell {
		r := find(n, name)
		return output.Cell{Text: amountText(r.Unit, pick(r))}
	}
}

func amountText(unit string, a *report.Amount) string {
	switch {
	case a == nil:
		return output.Unknown
	case unit == "millicores":
		return output.Millicores(a.Value)
	case unit == "bytes":
		return output.Bytes(a.Value)
	}
	return strconv.FormatInt(a.Value, 10)
}

// podsCell is taken/max, or the number alone where the node does not say how many it takes.
func podsCell(n report.Node) output.Cell {
	if n.Pods == nil {
		return output.Cell{Text: output.Unknown}
	}
	text := strconv.Itoa(n.Pods.NonTerminated)
	if r := find(n, "pods"); r.Allocatable != nil {
		text += "/" + strconv.FormatInt(r.Allocatable.Value, 10)
	}
	return output.Cell{Text: text}
}

// reason is the worst finding in words that fit a cell, since when, and how many more there are.
func reason(n report.Node, now time.Time) string {
	if len(n.Findings) == 0 {
		return output.None
	}
	f := n.Findings[0]
	var notes []string
	if since := began(n, &f); since != nil {
		notes = append(notes, "for "+output.Age(now.Sub(*since)))
	}
	if worse := count(n.Findings); worse > 1 {
		notes = append(notes, strconv.Itoa(worse-1)+" more")
	}
	text := string(f.Code) + ": " + f.Title
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, "; ") + ")"
	}
	return text
}

// message is the worst finding in full.
func message(n report.Node) string {
	if len(n.Findings) == 0 {
		return output.None
	}
	return n.Findings[0].Message
}

func count(list []finding.Finding) int {
	total := 0
	for _, f := range list {
		if f.Severity != finding.Info {
			total++
		}
	}
	return total
}

func diskText(n report.Node) string {
	if n.Storage == nil {
		return output.Unknown
	}
	for _, f := range n.Storage.Filesystems {
		if f.Name == "root" && f.Used != nil && f.Capacity != nil {
			return output.Percent(*f.Used, *f.Capacity)
		}
	}
	return output.Unknown
}

func taintsText(n report.Node) string {
	var taints []string
	for _, t := range n.Scheduling.Taints {
		text := t.Key
		if t.Value != "" {
			text += "=" + t.Value
		}
		taints = append(taints, text+":"+t.Effect)
	}
	return strings.Join(taints, ",")
}

func runtimeText(r report.Runtime) string {
	switch {
	case r.Name == "":
		return output.Unknown
	case r.Version == "":
		return r.Name + " " + output.Unknown
	}
	return r.Name + "://" + r.Version
}

func address(n report.Node, kind string) string {
	for _, a := range n.Network.Addresses {
		if a.Type == kind {
			return a.Address
		}
	}
	return ""
}

func names(list []report.Component) string {
	var all []string
	for _, c := range list {
		all = append(all, c.Name)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

func proxyText(n report.Node) string {
	if n.Components.Proxy == nil || n.Components.Proxy.Mode == "" {
		return output.Unknown
	}
	return n.Components.Proxy.Mode
}

func orNone(s string) string {
	if s == "" {
		return output.None
	}
	return s
}

func orUnknown(s string) string {
	if s == "" {
		return output.Unknown
	}
	return s
}
