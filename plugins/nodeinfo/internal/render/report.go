package render

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Sections are the names that --section takes, in the order of the report.
func Sections() []string {
	return []string{
		"health", "components", "resources", "devices", "pods", "network", "storage", "controlplane", "scheduling", "autoscaler", "events",
		"lifecycle",
	}
}

// ReportOptions choose what of a node's report is written.
type ReportOptions struct {
	Sections []string // empty: all

	Thresholds []report.Threshold // that differ from the defaults
	Terminal   output.Terminal
}

// Report writes the report on one node: the verdict, its causes with evidence and next steps, what follows from them,
// findings for information, the sections, and what was not checked.
func Report(w io.Writer, n report.Node, now time.Time, o ReportOptions) error {
	p := &page{Page: output.Page{Terminal: o.Terminal, Now: now}}
	object := "node/" + n.Name
	if n.Context != "" {
		object += " (" + n.Context + ")"
	}
	causes, notes := p.blocks(n)
	p.judgement(string(n.Verdict), verdictStyle(n.Verdict), object, first(causes, n.Summary), causes, n.Consequences, notes)
	for _, name := range Sections() {
		if name == "devices" && len(n.Devices) == 0 && len(n.ResourcePools) == 0 && len(o.Sections) == 0 {
			continue // most nodes have none
		}
		if name == "autoscaler" && n.Autoscaler == nil && len(o.Sections) == 0 {
			continue
		}
		if n.Status != report.NotFound && (len(o.Sections) == 0 || slices.Contains(o.Sections, name)) {
			p.section(name, n)
		}
	}
	p.Section(changedThresholds, thresholdTexts(o.Thresholds)...)
	p.Section("Not checked", n.Sources.Gaps()...)
	_, err := io.WriteString(w, p.String())
	return err
}

const changedThresholds = "Changed thresholds"

// thresholdTexts are the thresholds that differ from their defaults, one a line.
func thresholdTexts(list []report.Threshold) []string {
	var texts []string
	for _, t := range list {
		texts = append(texts, t.Name+": "+t.Value+" (default: "+t.Default+")")
	}
	return texts
}

// page is a report in the making.
type page struct{ output.Page }

// blocks are the findings of a node, with how long each has been there.
func (p *page) blocks(n report.Node) (causes, notes []output.Block) {
	causes, notes = blocks(n.Findings)
	for _, list := range [][]output.Block{causes, notes} {
		for i := range list {
			if since := began(n, &list[i].Finding); since != nil {
				list[i].Notes = []string{"for " + output.Age(p.Now.Sub(*since))}
			}
		}
	}
	return causes, notes
}

// fieldOfStart is the field whose recorded time is the moment from which a finding is true. Others have no such moment.
var fieldOfStart = map[finding.Code]string{
	"ContainerRuntimeDown": "status.conditions", "NetworkPluginNotReady": "status.conditions", "NodeShuttingDown": "status.conditions",
	"NodeNotReady": "status.conditions", "DiskPressure": "status.conditions", "MemoryPressure": "status.conditions",
	"PIDPressure": "status.conditions", "NetworkUnavailable": "status.conditions", "ConditionProblem": "status.conditions",
	"Cordoned": "spec.unschedulable", "NodeRemovalInProgress": "spec.taints", "NodeRemovalStuck": "spec.taints", "OutOfService": "spec.taints",
	"PodStuckTerminating": "metadata.deletionTimestamp",
}

// began is when a finding became true, as far as the report has that; nil: unknown.
func began(n report.Node, f *finding.Finding) *time.Time {
	switch f.Code {
	case "KubeletNotReporting", "ReadyConditionStale", "HeartbeatLate":
		if n.Health != nil && n.Health.Heartbeat != nil {
			return n.Health.Heartbeat.ReceivedAt
		}
	case "LeaderLeaseExpired":
		return lastRenewal(n, f)
	}
	field := fieldOfStart[f.Code]
	for i := range f.Evidence {
		if e := &f.Evidence[i]; field != "" && strings.HasPrefix(e.Path, field) {
			return e.Time
		}
	}
	return nil
}

func lastRenewal(n report.Node, f *finding.Finding) *time.Time {
	if n.ControlPlane == nil || f.Object == nil {
		return nil
	}
	for _, l := range n.ControlPlane.Leases {
		if l.Name == f.Object.Name {
			return l.RenewTime
		}
	}
	return nil
}

// titleWidth is the column at which the facts of a section begin.
const titleWidth = 15

// facts writes the facts of a section beside its title, one a line; empty ones are left out.
func (p *page) facts(title string, facts ...string) {
	p.Facts(titleWidth, title, slices.DeleteFunc(facts, func(f string) bool { return f == "" })...)
}

func (p *page) table(t output.TableText) {
	_ = t.Fprint(p, output.TableOptions{Wide: true, Indent: "  ", Terminal: p.Terminal}) // a strings.Builder does not fail
}

// gap is a section without data: the end of the report says why.
func (p *page) gap(title string, n report.Node, source string) {
	p.facts(title, cmp.Or(unread(n, source), "nothing to report"))
}

// unread is "not checked" for a source without data, after what it would tell; empty for one that was read.
func unread(n report.Node, source string, what ...string) string {
	if n.Sources.Get(source).Readable() {
		return ""
	}
	return strings.Join(append(what, "not checked"), " ")
}

func (p *page) since(t *time.Time) string { return output.Since(t, p.Now) }

func (p *page) section(name string, n report.Node) {
	switch name {
	case "health":
		p.health(n)
	case "components":
		p.components(n)
	case "resources":
		p.resources(n)
	case "devices":
		p.devices(n)
	case "pods":
		p.pods(n)
	case "network":
		p.network(n)
	case "storage":
		p.storage(n)
	case "controlplane":
		p.controlPlane(n)
	case "scheduling":
		p.scheduling(n)
	case "autoscaler":
		p.autoscaler(n)
	case "events":
		p.events(n)
	case "lifecycle":
		p.lifecycle(n)
	}
}
