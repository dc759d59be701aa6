package render

import (
	"cmp"
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
	p.Gap()
	p.table(columns(headers...), cells)
}

// Config prints the Corefile in the order in which it works.
func Config(w io.Writer, c report.Config, o Options) error {
	p := newPage(o, c.Header)
	p.verdict(c.Header, clusterDNS)
	p.findings(c.Header)
	for _, b := range c.Blocks {
		p.Gap()
		p.line("%s (%s:%d), plugins in the order in which they run:", strings.Join(b.Zones, " "), b.File, b.Line)
		var plugins [][]output.Cell
		for _, pl := range b.Plugins {
			plugins = append(plugins, output.Text(strconv.Itoa(pl.Order), pl.Name, blank(strings.TrimSpace(pl.Args)),
				blank(strings.Join(pl.Options, "; ")), strconv.Itoa(pl.Line), pl.File))
		}
		p.table(columns("ORDER", "PLUGIN", "ARGUMENTS", "OPTIONS~", "LINE", "+FILE"), plugins)
	}
	p.gaps(c.Sources)
	return p.print(w)
}

// Pod prints a pod's resolver settings.
func Pod(w io.Writer, r report.PodResolver, o Options) error {
	r.Header = about(r.Header, "pod "+r.Namespace+"/"+r.Name)
	p := newPage(o, r.Header)
	p.verdict(r.Header, "pod/"+r.Name)
	p.findings(r.Header)
	const width = len("C library:  ")
	p.Gap()
	p.Facts(width, "Node", cmp.Or(r.Node, output.None))
	p.Facts(width, "dnsPolicy", r.Policy)
	p.Facts(width, "C library", cmp.Or(r.Libc, "unknown"))
	rows(p, r.Settings, func(s report.ValueFrom) []output.Cell { return output.Text(s.Value, s.From) }, "SETTING", "SOURCE")
	if a := r.Actual; a != nil {
		p.Section("resolv.conf in the pod", "nameserver "+blank(strings.Join(a.Nameservers, " ")),
			"search "+blank(strings.Join(a.Searches, " ")), "options "+blank(strings.Join(a.Options, " ")))
		p.Section("Differences from the settings", r.Differences...)
	}
	var hosts []string
	for _, a := range r.Aliases {
		hosts = append(hosts, a.IP+" "+strings.Join(a.Names, " "))
	}
	p.Section("/etc/hosts entries of the pod", hosts...)
	rows(p, r.Policies, func(e report.PolicyEffect) []output.Cell {
		return output.Text(e.Direction, e.Transport, e.To, e.Result, blank(strings.Join(e.Policies, " ")))
	}, "DIRECTION", "PROTOCOL", "TO", "RESULT", "POLICIES")
	p.gaps(r.Sources)
	return p.print(w)
}

// Explain prints the lookup of a name by each C library.
func Explain(w io.Writer, e report.Explanation, o Options) error {
	e.Header = about(e.Header, strings.TrimSuffix(e.Name, "."))
	p := newPage(o, e.Header)
	p.verdict(e.Header, e.Name)
	p.findings(e.Header)
	for _, l := range e.Lookups {
		p.Gap()
		libc := l.Libc
		if l.Detected {
			libc += " (detected in the image)"
		}
		p.line("%s: %s after %s: %s", libc, l.Outcome, output.Plural(l.Queries, "query", "queries"), l.Reason)
		var steps [][]output.Cell
		for _, s := range l.Steps {
			steps = append(steps, output.Text(strconv.Itoa(s.Number), s.Name, blank(s.Search), s.A, s.AAAA, s.Next, s.Source))
		}
		p.table(columns("STEP", "NAME", "+SEARCH", "A", "AAAA", "NEXT", "SOURCE"), steps)
		if len(l.Answer) > 0 {
			p.line("Answer: %s", report.Listed(l.Answer))
		}
	}
	p.gaps(e.Sources)
	return p.print(w)
}

// Resolve prints the answers from each point of view.
func Resolve(w io.Writer, r report.Resolution, o Options) error {
	r.Header = about(r.Header, strings.TrimSuffix(r.Name, "."))
	p := newPage(o, r.Header)
	p.verdict(r.Header, strings.TrimSuffix(r.Name, "."))
	p.findings(r.Header)
	p.Gap()
	p.answers(r.Answers)
	if r.Met != nil {
		p.Gap()
		p.line("Expected %s: %s", r.Expect, map[bool]string{true: "met", false: "not met"}[*r.Met])
	}
	p.gaps(r.Sources)
	return p.print(w)
}

// Names prints every name of an object.
func Names(w io.Writer, n report.Names, o Options) error {
	p := newPage(o, n.Header)
	p.verdict(n.Header, object(n.Object))
	p.findings(n.Header)
	rows(p, n.Records, func(r report.NameRecord) []output.Cell {
		answer := report.Listed(r.Data)
		if answer == "" {
			answer = r.Expected
		}
		return output.Text(strings.TrimSuffix(r.Name, "."), r.Type, blank(r.Shortest), answer, blank(r.Why))
	}, "NAME", "TYPE", "SHORTEST-NAME", "ANSWER", "+WHY")
	p.gaps(n.Sources)
	return p.print(w)
}

// Verify prints the counts of each replica, and what differs.
func Verify(w io.Writer, v report.Verification, o Options) error {
	p := newPage(o, v.Header)
	p.verdict(v.Header, clusterDNS)
	p.findings(v.Header)
	rows(p, v.Replicas, func(r report.VerifyReplica) []output.Cell {
		return output.Text(r.Name, strconv.Itoa(r.Queried), strconv.Itoa(r.Correct), strconv.Itoa(r.Incorrect), strconv.Itoa(r.Overridden),
			strconv.Itoa(r.Settling), strconv.Itoa(r.Unanswered))
	}, "REPLICA", "QUERIED", "CORRECT", "INCORRECT", "OVERRIDDEN", "SETTLING", "UNANSWERED")
	rows(p, v.Items, func(i report.Mismatch) []output.Cell {
		return output.Text(i.State, strings.TrimSuffix(i.Name, "."), i.Type, strings.Join(i.Expected, ", "), strings.Join(i.Answered, ", "),
			strings.Join(i.Replicas, ", "), i.Object, blank(i.Why))
	}, "STATE", "NAME", "TYPE", "EXPECTED", "ANSWERED", "REPLICAS", "+OBJECT", "+WHY")
	p.gaps(v.Sources)
	return p.print(w)
}

// Upstreams prints the forwarders.
func Upstreams(w io.Writer, u report.Upstreams, o Options) error {
	p := newPage(o, u.Header)
	p.verdict(u.Header, clusterDNS)
	p.findings(u.Header)
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
		return output.Text(i.Replica, blank(i.Zone), i.To, num(i.Queries, "%.0f"), num(i.Failed, "%.1f%%"), num(i.P50, "%.1fms"),
			num(i.P99, "%.1fms"), num(i.HealthcheckFail, "%.0f"), now)
	}, "REPLICA", "ZONES", "UPSTREAM", "QUERIES", "SERVFAIL", "P50", "P99", "HEALTHCHECK-FAILURES", "PROBE")
	if len(u.Direct) > 0 {
		p.Gap()
		p.line("Direct queries from a pod on the node of each DNS pod:")
		p.answers(u.Direct)
	}
	p.gaps(u.Sources)
	return p.print(w)
}

// Top prints the traffic of the replicas.
func Top(w io.Writer, t report.Top, o Options) error {
	p := newPage(o, t.Header)
	p.verdict(t.Header, clusterDNS)
	p.findings(t.Header)
	rows(p, t.Items, func(s report.Server) []output.Cell {
		memory := output.Unknown
		if s.MemoryBytes != nil {
			memory = output.Bytes(int64(*s.MemoryBytes))
		}
		return output.Text(s.Replica, num(s.QPS, "%.1f"), num(s.Queries, "%.0f"), shares(s.Rcodes), shares(s.Types),
			num(s.CacheHit, "%.0f%%"), num(s.P50, "%.1fms"), num(s.P99, "%.1fms"), num(s.Forwarded, "%.0f%%"),
			num(s.ForwardP99, "%.1fms"), num(s.Rejects, "%.0f"), num(s.Panics, "%.0f"), memory)
	}, "REPLICA", "QPS", "+QUERIES", "RCODES", "+TYPES", "CACHE-HIT", "+P50", "P99",
		"FORWARDED", "FORWARD-P99", "+REJECTS", "+PANICS", "MEMORY")
	p.gaps(t.Sources)
	return p.print(w)
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
	p := newPage(o, l.Header)
	p.verdict(l.Header, clusterDNS)
	p.findings(l.Header)
	rows(p, l.Items, func(i report.LogLine) []output.Cell {
		return output.Text(clock(i.Last), strconv.Itoa(i.Count), i.Class, strings.Join(i.Replicas, ","), i.Text, blank(i.Meaning))
	}, "LAST", "COUNT", "CLASS", "+REPLICAS", "LINE~", "+MEANING")
	p.gaps(l.Sources)
	return p.print(w)
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
	meaning := ""
	if o.Wide && l.Meaning != "" {
		meaning = " (" + l.Meaning + ")"
	}
	text := fmt.Sprintf("%s %s %s: %s%s", clock(l.Last), strings.Join(l.Replicas, ","), l.Class, l.Text, meaning)
	_, err := fmt.Fprintln(w, strings.TrimRight(output.Sanitize(text), " "))
	return err
}

// object writes Kind/namespace/name as kubectl writes it: kind/name.
func object(ref string) string {
	parts := strings.Split(ref, "/")
	return strings.ToLower(parts[0]) + "/" + parts[len(parts)-1]
}
