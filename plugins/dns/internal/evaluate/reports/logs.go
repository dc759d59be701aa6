package reports

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// logClass says what a line of a CoreDNS log means; the first mark that a line contains decides.
type logClass struct {
	mark, class, meaning string
	severity             finding.Severity
}

var logClasses = []logClass{
	{"plugin/loop: Loop (", "loop", "a query of the loop plugin came back: the server forwards to itself and exits", finding.Critical},
	{"Error during parsing", "corefile", "the Corefile cannot be loaded", finding.Critical},
	{"Unknown directive", "corefile", "the Corefile uses a plugin that this binary does not contain", finding.Critical},
	{"Restart failed", "reload", "a changed Corefile was rejected; the previous one is still in use", finding.Critical},
	{"reload failed", "reload", "a changed Corefile was rejected; the previous one is still in use", finding.Critical},
	{"address already in use", "port", "another process uses the port", finding.Critical},
	{"concurrent queries exceeded", "overload", "max_concurrent is reached; further queries are refused", finding.Warning},
	{"HINFO: read udp", "upstream", "a query of the loop plugin got no answer from the upstream; harmless on its own", finding.Info},
	{"HINFO: dial", "upstream", "a query of the loop plugin got no answer from the upstream; harmless on its own", finding.Info},
	{"i/o timeout", "upstream", "an upstream server did not respond", finding.Warning},
	{"connection refused", "upstream", "no process listens at the address of the upstream or of the API server", finding.Warning},
	{"no route to host", "upstream", "no network route to the address", finding.Warning},
	{"unsynced Kubernetes API", "api", "the server started without data from the API; cluster names get SERVFAIL", finding.Warning},
	{"waiting for Kubernetes API", "api", "the server has not reached the API server yet", finding.Info},
	{"Failed to watch", "api", "a watch of the API server failed", finding.Warning},
	{"Plugins not ready", "api", "the readiness probe fails until the named plugins are ready", finding.Warning},
	{"no such host", "upstream", "the server cannot resolve the name of an upstream", finding.Warning},
	{"[PANIC]", "panic", "the server panicked", finding.Critical},
	{"[FATAL]", "fatal", "the server exited", finding.Critical},
	{"[ERROR]", "error", "", finding.Warning},
	{"Reloading complete", "reload", "a changed Corefile was loaded", finding.Info},
	{"[WARNING]", "warning", "", finding.Info},
}

func classify(line string) (logClass, bool) {
	if facts.LacksPermission(line) { // whatever else the line says of it
		return logClass{class: "forbidden", meaning: "the ServiceAccount of the server lacks a permission", severity: finding.Critical}, true
	}
	for _, c := range logClasses {
		if strings.Contains(line, c.mark) {
			return c, true
		}
	}
	return logClass{class: "other", severity: finding.Info}, false
}

// ClassifyLine says what one line of a server's log means; with errorsOnly lines that report no problem are left out.
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

// linesOf classifies the lines of a log, with keys hidden.
func linesOf(l facts.Log) []report.LogLine {
	var list []report.LogLine
	var key facts.KeyMask
	for line := range strings.Lines(l.Text) {
		if one, ok := ClassifyLine(l.Pod, key.Line(line), false); ok {
			list = append(list, one)
		}
	}
	return list
}

var numbers = regexp.MustCompile(`\d[\d.:]*\d|\d`)

// Logs joins the logs of all replicas, oldest first, with lines that differ in numbers alone put together.
func Logs(in facts.Input, now time.Time, o facts.Options, errorsOnly bool) report.Logs {
	w := facts.New(in, now, o)
	out := report.Logs{Header: header(w, "DNSLogs"), Items: []report.LogLine{}}
	at := map[string]int{}
	for _, l := range w.Logs {
		for _, one := range linesOf(l) {
			if errorsOnly && one.Severity == string(finding.Info) {
				continue
			}
			kind := one.Class + "|" + numbers.ReplaceAllString(one.Text, "#")
			i, ok := at[kind]
			if !ok {
				i = len(out.Items)
				at[kind] = i
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
	sorting.Stable(out.Items, func(a, b report.LogLine) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Text, b.Text))
	})
	conclude(w, &out.Header, servers.CheckPodsDown, servers.CheckLoop, servers.CheckCorefileInvalid, servers.CheckForbidden,
		servers.CheckReload)
	if logs := w.Sources.Get("logs"); out.Verdict == report.Healthy && !logs.Readable() && len(w.Pods) > 0 {
		out.Verdict, out.Summary = report.Unknown, "not all logs could be read: "+logs.Reason()
	}
	complaints := 0
	for _, l := range out.Items {
		if l.Severity != string(finding.Info) {
			complaints++
		}
	}
	switch {
	case out.Verdict != report.Healthy:
	case complaints == 0:
		out.Summary = fmt.Sprintf("the logs of %d DNS %s report no problem", len(w.Live()), facts.Plural(len(w.Live()), "pod"))
	default:
		out.Summary = fmt.Sprintf("no log line reports an outage; %d %s of log lines report other problems", complaints,
			facts.Plural(complaints, "kind"))
	}
	return out
}
