// Package evaluate judges what was collected about a cluster's DNS. It is pure: the same Input, time and options give
// the same report.
//
// It is the door of its rooms, whose arrows point one way: discover finds the servers among the API's objects, facts
// holds what was read with all that follows from it, ask knows what is asked and what an answer means, rules judges,
// reports puts together what a command prints. Below them corefile, records and resolver know one thing each.
package evaluate

import (
	"slices"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/reports"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// What was read, and the choices that change the judgement: the package facts describes them.
type (
	Input   = facts.Input
	Options = facts.Options
	Scope   = facts.Scope
	Access  = facts.Access
	Kubelet = facts.Kubelet
	Probe   = facts.Probe
	Log     = facts.Log
	FromPod = facts.FromPod
	KeyMask = facts.KeyMask
	Metrics = facts.Metrics
	Sample  = facts.Sample
	Bucket  = facts.Bucket
)

// Masked gives a copy of the input for a file, with the secrets hidden that look like one or stand in a Corefile.
func Masked(in Input) Input {
	in.Logs = slices.Clone(in.Logs)
	for i := range in.Logs {
		in.Logs[i].Text = facts.HideKeys(in.Logs[i].Text)
	}
	in = mask.Copy(in)
	for _, m := range in.ConfigMaps {
		for key := range m.Data {
			m.Data[key] = corefile.HideSecrets(m.Data[key])
		}
	}
	return in
}

// Catalog lists every finding code of kubectl dns, sorted by code.
func Catalog() []finding.Entry { return rules.Book.Catalog() }

// Status describes the cluster DNS, with the findings about what was collected.
func Status(in Input, now time.Time, o Options, kind string) report.Status {
	return reports.Status(in, now, o, kind)
}

// Verify compares every answer with the API.
func Verify(in Input, now time.Time, o Options, s Scope) report.Verification {
	return reports.Verify(in, now, o, s)
}

// Names lists every name that leads to an object, with what it must answer.
func Names(in Input, now time.Time, o Options, s Scope, fromNamespace string) report.Names {
	return reports.Names(in, now, o, s, fromNamespace)
}

// Resolve joins the answers from every point of view.
func Resolve(in Input, now time.Time, o Options, name string, types []string, expect string) report.Resolution {
	return reports.Resolve(in, now, o, name, types, expect)
}

// Explain walks a name for one library, or for all when it is not known.
func Explain(in Input, now time.Time, o Options, name string, libcs []resolver.Libc) report.Explanation {
	return reports.Explain(in, now, o, name, libcs)
}

// Pod explains a pod's resolver settings.
func Pod(in Input, now time.Time, o Options) report.PodResolver { return reports.Pod(in, now, o) }

// ConfigReport explains the Corefile of the Input.
func ConfigReport(in Input, now time.Time, o Options) report.Config {
	return reports.Config(in, now, o)
}

// MergeLogs joins the logs of all replicas, oldest first, with lines that differ in numbers alone put together.
func MergeLogs(in Input, now time.Time, o Options, errorsOnly bool) report.Logs {
	return reports.Logs(in, now, o, errorsOnly)
}

// ClassifyLine says what one line of a server's log means; with errorsOnly lines that report no problem are left out.
func ClassifyLine(pod, line string, errorsOnly bool) (report.LogLine, bool) {
	return reports.ClassifyLine(pod, line, errorsOnly)
}

// Top shares out what every replica answered, since its start or between two readings.
func Top(in Input, now time.Time, o Options) report.Top { return reports.Top(in, now, o) }

// Upstreams lists the forwarders as each replica's own metrics see them, and those of the Corefile that no metric names.
func Upstreams(in Input, now time.Time, o Options) report.Upstreams {
	return reports.Upstreams(in, now, o)
}
