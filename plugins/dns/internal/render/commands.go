package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Config prints the Corefile in the order in which it works.
func Config(w io.Writer, c report.Config, o Options) error {
	p := &page{w: w, o: o}
	p.head(c.Header)
	for _, b := range c.Blocks {
		p.line("")
		p.line("%s (%s:%d), in the order in which plugins run:", strings.Join(b.Zones, " "), b.File, b.Line)
		var rows [][]output.Cell
		for _, pl := range b.Plugins {
			rows = append(rows, output.Text(strconv.Itoa(pl.Order), pl.Name, blank(strings.TrimSpace(pl.Args)), blank(strings.Join(pl.Options, "; ")), strconv.Itoa(pl.Line), pl.File))
		}
		p.table(columns("ORDER", "PLUGIN", "ARGUMENTS", "OPTIONS~", "LINE", "+FILE"), rows)
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
	p.line("")
	var rows [][]output.Cell
	for _, s := range r.Settings {
		rows = append(rows, output.Text(s.Value, s.From))
	}
	p.table(columns("THE KUBELET WRITES", "FROM"), rows)
	if r.Actual != nil {
		p.line("")
		p.line("in the pod now: nameserver %s; search %s; options %s", blank(strings.Join(r.Actual.Nameservers, " ")), blank(strings.Join(r.Actual.Searches, " ")), blank(strings.Join(r.Actual.Options, " ")))
		for _, d := range r.Differs {
			p.line("  differs: %s", d)
		}
	}
	for _, a := range r.Aliases {
		p.line("/etc/hosts: %s %s", a.IP, strings.Join(a.Names, " "))
	}
	if len(r.Policies) > 0 {
		p.line("")
		var rows [][]output.Cell
		for _, e := range r.Policies {
			rows = append(rows, output.Text(e.Direction, e.Transport, e.To, e.Result, blank(strings.Join(e.Policies, " "))))
		}
		p.table(columns("POLICY", "BY", "TO", "RESULT", "SELECTED BY"), rows)
	}
	p.findings(r.Header)
	return p.err
}

// Explain prints the walk of a name.
func Explain(w io.Writer, e report.Explanation, o Options) error {
	p := &page{w: w, o: o}
	p.head(e.Header)
	for _, walk := range e.Walks {
		p.line("")
		by := walk.Libc
		if walk.Detected {
			by += " (found in the image)"
		}
		p.line("%s: %s after %s: %s", by, walk.Outcome, output.Plural(walk.Queries, "query", "queries"), walk.Because)
		var rows [][]output.Cell
		for _, s := range walk.Steps {
			rows = append(rows, output.Text(strconv.Itoa(s.Number), s.Name, blank(s.Search), s.A, s.AAAA, s.Then, s.Source))
		}
		p.table(columns("STEP", "NAME", "+SEARCH", "A", "AAAA", "THEN", "SEEN BY"), rows)
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
	if len(n.Records) > 0 {
		p.line("")
	}
	var rows [][]output.Cell
	for _, r := range n.Records {
		answer := strings.Join(r.Data, ", ")
		if answer == "" {
			answer = r.Expected
		}
		rows = append(rows, output.Text(strings.TrimSuffix(r.Name, "."), r.Type, blank(r.Shortest), answer, blank(r.Why)))
	}
	p.table(columns("NAME", "TYPE", "ENOUGH TO TYPE", "ANSWER", "+WHY"), rows)
	p.findings(n.Header)
	return p.err
}

// Verify prints the counts of each replica, and what differs.
func Verify(w io.Writer, v report.Verification, o Options) error {
	p := &page{w: w, o: o}
	p.head(v.Header)
	if len(v.Replicas) > 0 {
		p.line("")
	}
	var rows [][]output.Cell
	for _, r := range v.Replicas {
		rows = append(rows, output.Text(r.Name, strconv.Itoa(r.Asked), strconv.Itoa(r.Right), strconv.Itoa(r.Wrong), strconv.Itoa(r.Altered), strconv.Itoa(r.Settling), strconv.Itoa(r.Unanswered)))
	}
	p.table(columns("REPLICA", "ASKED", "RIGHT", "WRONG", "ALTERED", "SETTLING", "UNANSWERED"), rows)
	if len(v.Items) > 0 {
		p.line("")
	}
	rows = nil
	for _, i := range v.Items {
		rows = append(rows, output.Text(i.State, strings.TrimSuffix(i.Name, "."), i.Type, strings.Join(i.Expected, ", "), strings.Join(i.Answered, ", "), strings.Join(i.Replicas, ", "), i.Object, blank(i.Why)))
	}
	p.table(columns("STATE", "NAME", "TYPE", "EXPECTED", "ANSWERED", "REPLICAS", "+OBJECT", "+WHY"), rows)
	p.findings(v.Header)
	return p.err
}

// Upstreams prints the forwarders.
func Upstreams(w io.Writer, u report.Upstreams, o Options) error {
	p := &page{w: w, o: o}
	p.head(u.Header)
	if len(u.Items) > 0 {
		p.line("")
	}
	var rows [][]output.Cell
	for _, i := range u.Items {
		now := output.None
		if i.Probe != nil {
			now = i.Probe.Rcode
			if i.Probe.Error != "" {
				now = i.Probe.Error
			} else if i.Probe.Milliseconds != nil {
				now += fmt.Sprintf(" in %.0fms", *i.Probe.Milliseconds)
			}
		}
		rows = append(rows, output.Text(i.Replica, blank(i.Zone), i.To, num(i.Queries, "%.0f"), num(i.Failed, "%.1f%%"), num(i.P50, "%.1fms"), num(i.P99, "%.1fms"), num(i.HealthcheckFail, "%.0f"), now))
	}
	p.table(columns("REPLICA", "NAMES UNDER", "UPSTREAM", "QUERIES", "SERVFAIL", "P50", "P99", "HEALTH FAILS", "A NAME NOW"), rows)
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
	if len(t.Items) > 0 {
		p.line("")
	}
	var rows [][]output.Cell
	for _, s := range t.Items {
		memory := output.Unknown
		if s.MemoryBytes != nil {
			memory = output.Bytes(int64(*s.MemoryBytes))
		}
		rows = append(rows, output.Text(s.Replica, num(s.QPS, "%.1f"), num(s.Queries, "%.0f"), shares(s.Rcodes), shares(s.Types), num(s.CacheHit, "%.0f%%"), num(s.P50, "%.1fms"), num(s.P99, "%.1fms"),
			num(s.Forwarded, "%.0f%%"), num(s.ForwardP99, "%.1fms"), num(s.Rejects, "%.0f"), num(s.Panics, "%.0f"), memory))
	}
	p.table(columns("REPLICA", "QPS", "+QUERIES", "RCODES", "+TYPES", "CACHE HIT", "+P50", "P99", "FORWARDED", "FORWARD P99", "+REJECTS", "+PANICS", "MEMORY"), rows)
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
	if len(l.Items) > 0 {
		p.line("")
	}
	var rows [][]output.Cell
	for _, i := range l.Items {
		rows = append(rows, output.Text(clock(i.Last), strconv.Itoa(i.Count), i.Class, strings.Join(i.Replicas, ","), i.Text, blank(i.Meaning)))
	}
	p.table(columns("LAST", "TIMES", "CLASS", "+REPLICAS", "LINE~", "+MEANING"), rows)
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
