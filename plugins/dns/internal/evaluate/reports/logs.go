package reports

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// logClass says what a line of CoreDNS's log means; the first mark that a line contains decides.
type logClass struct {
	mark, class, meaning string
	severity             finding.Severity
}

var logClasses = []logClass{
	{"plugin/loop: Loop (", "loop", "its own probe came back: it forwards to itself, and ends", finding.Critical},
	{"Error during parsing", "corefile", "the Corefile does not load", finding.Critical},
	{"Unknown directive", "corefile", "the Corefile names a plugin that this binary does not have", finding.Critical},
	{"Restart failed", "reload", "a changed Corefile was refused: the old one still serves", finding.Critical},
	{"reload failed", "reload", "a changed Corefile was refused: the old one still serves", finding.Critical},
	{"address already in use", "port", "another process has the port", finding.Critical},
	{"concurrent queries exceeded", "overload", "max_concurrent is reached: further queries are refused", finding.Warning},
	{"HINFO: read udp", "upstream", "the loop plugin's own probe got no answer from upstream; harmless alone", finding.Info},
	{"HINFO: dial", "upstream", "the loop plugin's own probe got no answer from upstream; harmless alone", finding.Info},
	{"i/o timeout", "upstream", "an upstream server did not answer", finding.Warning},
	{"connection refused", "upstream", "nothing listens at the upstream address, or at the API server's", finding.Warning},
	{"no route to host", "upstream", "no way leads to the address", finding.Warning},
	{"unsynced Kubernetes API", "api", "it serves without having seen the API: names of the cluster get SERVFAIL", finding.Warning},
	{"waiting for Kubernetes API", "api", "it has not reached the API server yet", finding.Info},
	{"Failed to watch", "api", "a watch of the API server broke off", finding.Warning},
	{"Plugins not ready", "api", "the readiness probe fails until the named plugins are ready", finding.Warning},
	{"no such host", "upstream", "an upstream is given by a name that it cannot resolve", finding.Warning},
	{"[PANIC]", "panic", "it panicked", finding.Critical},
	{"[FATAL]", "fatal", "it ended", finding.Critical},
	{"[ERROR]", "error", "", finding.Warning},
	{"Reloading complete", "reload", "a changed Corefile was loaded", finding.Info},
	{"[WARNING]", "warning", "", finding.Info},
}

func classify(line string) (logClass, bool) {
	if facts.LacksPermission(line) { // whatever else the line says of it
		return logClass{class: "forbidden", meaning: "its service account lacks a permission", severity: finding.Critical}, true
	}
	for _, c := range logClasses {
		if strings.Contains(line, c.mark) {
			return c, true
		}
	}
	return logClass{class: "other", severity: finding.Info}, false
}

// ClassifyLine says what one line of a server's log means; with errorsOnly lines that tell of nothing wrong are left out.
func ClassifyLine(pod, line string, errorsOnly bool) (report.LogLine, bool) {
	class, known := classify(line)
	text := facts.LogText(line)
	if text == "" || errorsOnly && (!known || class.severity == finding.Info) {
		return report.LogLine{}, false
	}
	stamp, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	return report.LogLine{
		Class: class.class, Severity: string(class.severity), Text: text, Meaning: class.meaning, Count: 1,
		Replicas: []string{pod}, First: stamp, Last: stamp,
	}, true
}

var numbers = regexp.MustCompile(`\d[\d.:]*\d|\d`)

// Logs joins the logs of all replicas, oldest first, with lines that differ in numbers alone put together.
func Logs(in facts.Input, now time.Time, o facts.Options, errorsOnly bool) report.Logs {
	w := facts.New(in, now, o)
	out := report.Logs{Header: header(w, "DNSLogs"), Items: []report.LogLine{}}
	at := map[string]int{}
	for _, l := range w.Logs {
		for line := range strings.Lines(l.Text) {
			one, ok := ClassifyLine(l.Pod, line, errorsOnly)
			if !ok {
				continue
			}
			key := one.Class + "|" + numbers.ReplaceAllString(one.Text, "#")
			i, ok := at[key]
			if !ok {
				i = len(out.Items)
				at[key] = i
				out.Items = append(out.Items, one)
				continue
			}
			item := &out.Items[i]
			item.Count++
			item.First, item.Last = min(item.First, one.First), max(item.Last, one.Last)
			if item.Last == one.Last {
				item.Text = one.Text
			}
			if !slices.Contains(item.Replicas, l.Pod) {
				item.Replicas = append(item.Replicas, l.Pod)
			}
		}
	}
	for i := range out.Items {
		slices.Sort(out.Items[i].Replicas)
	}
	slices.SortStableFunc(out.Items, func(a, b report.LogLine) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Text, b.Text))
	})
	conclude(w, &out.Header, servers.CheckLoop, servers.CheckCorefileInvalid, servers.CheckForbidden, servers.CheckReload)
	if logs := w.Sources.Get("logs"); out.Verdict == report.Healthy && !logs.Readable() && len(w.Pods) > 0 {
		out.Verdict, out.Summary = report.Unknown, "not every log could be read: "+strings.TrimPrefix(logs.Gap(), "not checked: ")
	}
	complaints := 0
	for _, l := range out.Items {
		if l.Severity != string(finding.Info) {
			complaints++
		}
	}
	if out.Verdict == report.Healthy && complaints > 0 {
		out.Summary = fmt.Sprintf("no line says that DNS is down; %d %s of lines below tell of something that went wrong", complaints,
			facts.Plural(complaints, "kind"))
	}
	return out
}
