package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// rows prints a table of items behind a blank line, and nothing for none.
func rows[T any](p *page, items []T, row func(T) []output.Cell, headers ...string) {
	if len(items) == 0 {
		return
	}
	cells := make([][]output.Cell, len(items))
	for i, item := range items {
		cells[i] = row(item)
	}
	p.line("")
	p.table(columns(headers...), cells)
}

// Config prints the Corefile in the order in which it works.
func Config(w io.Writer, c report.Config, o Options) error {
	p := &page{w: w, o: o}
	p.head(c.Header)
	for _, b := range c.Blocks {
		p.line("")
		p.line("%s (%s:%d), in the order in which plugins run:", strings.Join(b.Zones, " "), b.File, b.Line)
		var plugins [][]output.Cell
		for _, pl := range b.Plugins {
			plugins = append(plugins, output.Text(strconv.Itoa(pl.Order), pl.Name, blank(strings.TrimSpace(pl.Args)), blank(strings.Join(pl.Options, "; ")), strconv.Itoa(pl.Line), pl.File))
		}
		p.table(columns("ORDER", "PLUGIN", "ARGUMENTS", "OPTIONS~", "LINE", "+FILE"), plugins)
	}
	p.findings(c.Header)
	return p.err
}

// Pod prints a pod's resolver settings.
func Pod(w io.Writer, r report.PodResolver, o Options) error {
	p := &page{w: w, o: o}
	p.head(r.Header)
	p.line("")
	p.line("pod %s/%s on node %s, dnsPolicy %s, C library %s", r.Namespace, r.Name, blank(r.Node), r.Policy, map[bool]string{true: "not known", false: r.Libc}[r.Libc == ""])
	rows(p, r.Settings, func(s report.ValueFrom) []output.Cell { return output.Text(s.Value, s.From) }, "THE KUBELET WRITES", "FROM")
	if r.Actual != nil {
		p.line("")
		p.line("in the pod now: nameserver %s; search %s; options %s", blank(strings.Join(r.Actual.Nameservers, " ")), blank(strings.Join(r.Actual.Searches, " ")), blank(strings.Join(r.Actual.Options, " ")))
		for _, d := range r.Differences {
			p.line("  differs: %s", d)
		}
	}
	for _, a := range r.Aliases {
		p.line("/etc/hosts: %s %s", a.IP, strings.Join(a.Names, " "))
	}
	rows(p, r.Policies, func(e report.PolicyEffect) []output.Cell {
		return output.Text(e.Direction, e.Transport, e.To, e.Result, blank(strings.Join(e.Policies, " ")))
	}, "POLICY", "BY", "TO", "RESULT", "SELECTED BY")
	p.findings(r.Header)
	return p.err
}

// Explain prints the walk of a name.
func Explain(w io.Writer, e report.Explanation, o Options) error {
	p := &page{w: w, o: o}
	p.head(e.Header)
	for _, walk := range e.Lookups {
		p.line("")
		by := walk.Libc
		if walk.Detected {
			by += " (found in the image)"
		}
		p.line("%s: %s after %s: %s", by, walk.Outcome, output.Plural(walk.Queries, "query", "queries"), walk.Reason)
		var steps [][]output.Cell
		for _, s := range walk.Steps {
			steps = append(steps, output.Text(strconv.Itoa(s.Number), s.Name, blank(s.Search), s.A, s.AAAA, s.Next, s.Source))
		}
		p.table(columns("STEP", "NAME", "+SEARCH", "A", "AAAA", "THEN", "SEEN BY"), steps)
		if len(walk.Answer) > 0 {
			p.line("answer: %s", strings.Join(walk.Answer, ", "))
		}
	}
	p.findings(e.Header)
	return p.err
}

// Resolve prints the answers from each point of view.
func Resolve(w io.Writer, r report.Resolution, o Options) error {
	p := &page{w: w, o: o}
	p.head(r.Header)
	p.line("")
	p.answers(r.Answers)
	if r.Met != nil {
		p.line("")
		p.line("expected %s: %s", r.Expect, map[bool]string{true: "met", false: "not met"}[*r.Met])
	}
	p.findings(r.Header)
	return p.err
}

// Names prints every name of an object.
func Names(w io.Writer, n report.Names, o Options) error {
	p := &page{w: w, o: o}
	p.head(n.Header)
	rows(p, n.Records, func(r report.NameRecord) []output.Cell {
		answer := strings.Join(r.Data, ", ")
		if answer == "" {
			answer = r.Expected
		}
		return output.Text(strings.TrimSuffix(r.Name, "."), r.Type, blank(r.Shortest), answer, blank(r.Why))
	}, "NAME", "TYPE", "ENOUGH TO TYPE", "ANSWER", "+WHY")
	p.findings(n.Header)
	return p.err
}

// Verify prints the counts of each replica, and what differs.
func Verify(w io.Writer, v report.Verification, o Options) error {
	p := &page{w: w, o: o}
	p.head(v.Header)
	rows(p, v.Replicas, func(r report.VerifyReplica) []output.Cell {
		return output.Text(r.Name, strconv.Itoa(r.Queried), strconv.Itoa(r.Correct), strconv.Itoa(r.Incorrect), strconv.Itoa(r.Overridden), strconv.Itoa(r.Settling), strconv.Itoa(r.Unanswered))
	}, "REPLICA", "ASKED", "RIGHT", "WRONG", "ALTERED", "SETTLING", "UNANSWERED")
	rows(p, v.Items, func(i report.Mismatch) []output.Cell {
		return output.Text(i.State, strings.TrimSuffix(i.Name, "."), i.Type, strings.Join(i.Expected, ", "), strings.Join(i.Answered, ", "), strings.Join(i.Replicas, ", "), i.Object, blank(i.Why))
	}, "STATE", "NAME", "TYPE", "EXPECTED", "ANSWERED", "REPLICAS", "+OBJECT", "+WHY")
	p.findings(v.Header)
	return p.err
}

// Upstreams prints the forwarders.
func Upstreams(w io.Writer, u report.Upstreams, o Options) error {
	p := &page{w: w, o: o}
	p.head(u.Header)
	rows(p, u.Items, func(i report.Upstream) []output.Cell {
		now := output.None
		if i.Probe != nil {
			now = i.Probe.Rcode
			if i.Probe.Error != "" {
				now = i.Probe.Error
			} else if i.Probe.Milliseconds != nil {
				now += fmt.Sprintf(" in %.0fms", *i.Probe.Milliseconds)
			}
		}
		return output.Text(i.Replica, blank(i.Zone), i.To, num(i.Queries, "%.0f"), num(i.Failed, "%.1f%%"), num(i.P50, "%.1fms"), num(i.P99, "%.1fms"), num(i.HealthcheckFail, "%.0f"), now)
	}, "REPLICA", "NAMES UNDER", "UPSTREAM", "QUERIES", "SERVFAIL", "P50", "P99", "HEALTH FAILS", "A NAME NOW")
	if len(u.Direct) > 0 {
		p.line("")
		p.line("Asked directly, from a pod beside each server:")
		p.answers(u.Direct)
	}
	p.findings(u.Header)
	return p.err
}

// Top prints the traffic of the replicas.
func Top(w io.Writer, t report.Top, o Options) error {
	p := &page{w: w, o: o}
	p.head(t.Header)
	rows(p, t.Items, func(s report.Server) []output.Cell {
		memory := output.Unknown
		if s.MemoryBytes != nil {
			memory = output.Bytes(int64(*s.MemoryBytes))
		}
		return output.Text(s.Replica, num(s.QPS, "%.1f"), num(s.Queries, "%.0f"), shares(s.Rcodes), shares(s.Types), num(s.CacheHit, "%.0f%%"), num(s.P50, "%.1fms"), num(s.P99, "%.1fms"),
			num(s.Forwarded, "%.0f%%"), num(s.ForwardP99, "%.1fms"), num(s.Rejects, "%.0f"), num(s.Panics, "%.0f"), memory)
	}, "REPLICA", "QPS", "+QUERIES", "RCODES", "+TYPES", "CACHE HIT", "+P50", "P99", "FORWARDED", "FORWARD P99", "+REJECTS", "+PANICS", "MEMORY")
	p.findings(t.Header)
	return p.err
}

func shares(list []report.Share) string {
	var words []string
	for _, s := range list[:min(4, len(list))] {
		words = append(words, fmt.Sprintf("%s %.0f%%", s.Name, s.Percent))
	}
	return blank(strings.Join(words, " "))
}

// Logs prints the merged log.
func Logs(w io.Writer, l report.Logs, o Options) error {
	p := &page{w: w, o: o}
	p.head(l.Header)
	rows(p, l.Items, func(i report.LogLine) []output.Cell {
		return output.Text(clock(i.Last), strconv.Itoa(i.Count), i.Class, strings.Join(i.Replicas, ","), i.Text, blank(i.Meaning))
	}, "LAST", "TIMES", "CLASS", "+REPLICAS", "LINE~", "+MEANING")
	p.findings(l.Header)
	return p.err
}

// clock keeps the seconds of a time stamp.
func clock(stamp string) string {
	if date, rest, ok := strings.Cut(stamp, "T"); ok {
		return date + " " + rest[:min(8, len(rest))]
	}
	return stamp
}

// LogLine prints one line as it comes.
func LogLine(w io.Writer, l report.LogLine, o Options) error {
	p := &page{w: w, o: o}
	meaning := ""
	if o.Wide && l.Meaning != "" {
		meaning = " (" + l.Meaning + ")"
	}
	p.line("%s", output.Sanitize(fmt.Sprintf("%s %s %s: %s%s", clock(l.Last), strings.Join(l.Replicas, ","), l.Class, l.Text, meaning)))
	return p.err
}
