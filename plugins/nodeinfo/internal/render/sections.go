package render

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func (p *page) health(n report.Node) {
	h := n.Health
	if h == nil {
		p.gap("Health", n, "nodes")
		return
	}
	var parts, silent []string
	var problems, unclear []report.Condition
	ready := ""
	for _, c := range h.Conditions {
		switch {
		case c.Type == "Ready":
			ready = c.Status
			parts = append(parts, fmt.Sprintf("Ready=%s for %s", c.Status, p.since(c.Since)))
		case c.Status == "Unknown":
			silent = append(silent, c.Type)
		case c.Problem != nil && *c.Problem:
			problems = append(problems, c)
		case c.Problem == nil && c.Status == "True":
			unclear = append(unclear, c)
		}
	}
	parts = append(parts, heartbeatText(n))
	if h.Kubelet != "" {
		parts = append(parts, "kubelet "+h.Kubelet)
	}
	for _, c := range h.Certificates {
		parts = append(parts, certificateText(c, p.Now))
	}
	if len(silent) > 0 {
		parts = append(parts, strings.Join(silent, ", ")+": Unknown")
	} else if len(problems) == 0 && ready == "True" {
		parts = append(parts, "no condition reports a problem")
	}
	p.facts("Health", parts...)
	p.conditions(append(problems, unclear...))
}

func certificateText(c report.Certificate, now time.Time) string {
	text := c.Use + " certificate"
	if c.SelfSigned != nil && *c.SelfSigned {
		text += " (self-signed)"
	}
	if left := c.NotAfter.Sub(now); left > 0 {
		return text + " valid for " + output.Age(left)
	}
	return text + " expired " + output.Age(now.Sub(c.NotAfter)) + " ago"
}

func heartbeatText(n report.Node) string {
	h := n.Health.Heartbeat
	switch {
	case h == nil:
		return cmp.Or(unread(n, "leases", "heartbeat"), "heartbeat "+output.Unknown)
	case h.State == report.HeartbeatNone:
		return "no heartbeat Lease (virtual kubelets have none)"
	}
	text := fmt.Sprintf("heartbeat %s ago", output.Age(time.Duration(*h.AgeSeconds)*time.Second))
	if h.ClockSkew != nil && h.ClockOff {
		text += fmt.Sprintf(", node clock off by %.0fs", *h.ClockSkew)
	}
	return text
}

func (p *page) conditions(list []report.Condition) {
	t := output.TableText{Columns: []output.Column{
		{Header: "CONDITION"},
		{Header: "STATUS"},
		{Header: "SINCE"},
		{Header: "PROBLEM"},
		{Header: "REASON"},
		{Header: "MESSAGE", Flexible: true},
	}}
	for _, c := range list {
		problem, style := "unknown", output.Plain
		if c.Problem != nil {
			problem = map[bool]string{true: "yes", false: "no"}[*c.Problem]
			if *c.Problem {
				style = output.Bad
			}
		}
		t.Rows = append(t.Rows, []output.Cell{
			{Text: c.Type}, {Text: c.Status, Style: style}, {Text: p.since(c.Since)}, {Text: problem}, {Text: c.Reason}, {Text: c.Message},
		})
	}
	p.table(t)
}

func (p *page) components(n report.Node) {
	c := n.Components
	if c == nil {
		p.gap("Components", n, "nodes")
		return
	}
	parts := []string{kubeletText(c), "container runtime " + runtimeText(c.Runtime)}
	if gap := unread(n, "pods", "kube-proxy, network plugin (CNI), CSI drivers"); gap != "" {
		parts = append(parts, gap)
	} else {
		parts = append(parts, proxyLine(c), "network plugin (CNI) "+cniText(c.Network), "CSI drivers "+orNone(names(c.Storage)))
		if len(c.DNSCache) > 0 {
			parts = append(parts, "DNS cache "+names(c.DNSCache))
		}
	}
	p.facts("Components", append(parts, systemText(c.OS), stale(n))...)
	t := output.TableText{Columns: []output.Column{
		{Header: "COMPONENT"}, {Header: "POD"}, {Header: "STATE"}, {Header: "RESTARTS"}, {Header: "EVIDENCE", Flexible: true},
	}}
	var all []report.Component
	if c.Proxy != nil {
		all = append(all, c.Proxy.Component)
	}
	for _, x := range slices.Concat(all, c.Network, c.Storage, c.DNSCache) {
		if x.Ready != nil && !*x.Ready {
			t.Rows = append(t.Rows, output.Text(x.Name, x.Pod, x.State, strconv.FormatInt(*x.Restarts, 10), x.Evidence))
		}
	}
	p.table(t)
}

func kubeletText(c *report.Components) string {
	text := "kubelet " + cmp.Or(c.Kubelet, output.Unknown)
	switch {
	case c.MinorsBehind == nil:
	case *c.MinorsBehind == 0:
		text += " (same minor version as the API server)"
	case *c.MinorsBehind > 0:
		text += fmt.Sprintf(" (%s older than the API server, %s)", output.Plural(*c.MinorsBehind, "minor version"), c.APIServer)
	default:
		text += fmt.Sprintf(" (newer than the API server, %s)", c.APIServer)
	}
	return text
}

func systemText(os report.OS) string {
	var parts []string
	for _, part := range []struct{ prefix, value string }{{"", os.Image}, {"kernel ", os.Kernel}, {"", os.Arch}, {"cgroup ", os.Cgroups}} {
		if part.value != "" {
			parts = append(parts, part.prefix+part.value)
		}
	}
	return orUnknown(strings.Join(parts, ", "))
}

func cniText(list []report.Component) string {
	if len(list) == 0 {
		return output.Unknown + " (no pod, annotation or condition of a known one)"
	}
	return names(list)
}

// stale marks what a node has reported before it stopped.
func stale(n report.Node) string {
	if n.Health == nil || n.Health.Heartbeat == nil || n.Health.Heartbeat.State != report.HeartbeatExpired {
		return ""
	}
	return "as reported before the kubelet stopped reporting"
}

func proxyLine(c *report.Components) string {
	switch {
	case c.Proxy == nil:
		return "kube-proxy " + output.Unknown
	case c.Proxy.Mode == "":
		return c.Proxy.Name + " (mode unknown: " + c.Proxy.Evidence + ")"
	}
	return strings.TrimSpace(c.Proxy.Name+" "+c.Proxy.Version) + " (" + c.Proxy.Mode + ")"
}

// resources is always a table: its figures are what people come for. Empty kinds are left out.
func (p *page) resources(n report.Node) {
	p.facts("Resources", "requests and limits relative to allocatable, usage relative to capacity",
		unread(n, "metrics", "usage"), unread(n, "pods", "requests and limits"), swapText(n.Swap), psiText(n.PSI))
	t := output.TableText{Columns: []output.Column{
		{Header: "RESOURCE"}, {Header: "CAPACITY"}, {Header: "RESERVED"}, {Header: "ALLOCATABLE"}, {Header: "REQUESTS"}, {Header: "REQ%"},
	}}
	if p.Terminal.TTY && p.Terminal.Width >= 120 {
		t.Columns = append(t.Columns, output.Column{Header: ""})
	}
	for _, h := range []string{"LIMITS", "LIM%", "USAGE", "USE%", "FREE"} {
		t.Columns = append(t.Columns, output.Column{Header: h})
	}
	for _, r := range n.Resources {
		if value(r.Capacity) == 0 && value(r.Requests) == 0 {
			continue
		}
		row := output.Text(r.Name, amountText(r.Unit, r.Capacity), amountText(r.Unit, r.Reserved), amountText(r.Unit, r.Allocatable),
			amountText(r.Unit, r.Requests), percentText(r.RequestsPercent))
		if r.RequestsPercent != nil && *r.RequestsPercent >= 100 {
			row[5].Style = output.Warn
		}
		if p.Terminal.TTY && p.Terminal.Width >= 120 {
			row = append(row, output.Cell{Text: p.Terminal.Bar(value(r.Requests), value(r.Allocatable), 10)})
		}
		row = append(row, output.Text(limits(r, amountText(r.Unit, r.Limits)), limits(r, percentText(r.LimitsPercent)),
			usageText(r, amountText(r.Unit, r.Usage)), usageText(r, percentText(r.UsagePercent)), amountText(r.Unit, r.Free))...)
		t.Rows = append(t.Rows, row)
	}
	p.table(t)
	p.psi(n.PSI)
}

// shownHolders bounds the pods that a row names; JSON has them all.
const shownHolders = 3

// devices are counted by the kubelet: one that is unhealthy is not allocatable.
func (p *page) devices(n report.Node) {
	if len(n.ResourcePools) > 0 {
		defer p.pools(n)
	}
	if len(n.Devices) == 0 {
		p.facts("Devices", "the node lists no extended resource")
		return
	}
	p.facts("Devices", "extended resources; only healthy devices are allocatable", unread(n, "pods", "requests"))
	t := output.TableText{Columns: []output.Column{
		{Header: "RESOURCE"}, {Header: "CAPACITY"}, {Header: "ALLOCATABLE"}, {Header: "REQUESTED"}, {Header: "PODS", Flexible: true},
	}}
	for _, d := range n.Devices {
		row := output.Text(d.Resource, deviceCount(d.Capacity, output.None), deviceCount(d.Allocatable, output.None),
			deviceCount(d.Requested, output.Unknown), holders(d))
		if d.Capacity != nil && d.Allocatable != nil && *d.Allocatable < *d.Capacity {
			row[2].Style = output.Warn
		}
		t.Rows = append(t.Rows, row)
	}
	p.table(t)
}

func deviceCount(n *int64, without string) string {
	if n == nil {
		return without
	}
	return strconv.FormatInt(*n, 10)
}

func holders(d report.Device) string {
	if d.Requested == nil {
		return output.Unknown
	}
	var names []string
	for i, pod := range d.Pods {
		if i == shownHolders {
			names = append(names, fmt.Sprintf("and %d more", len(d.Pods)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s/%s (%d)", pod.Namespace, pod.Name, pod.Requested))
	}
	return orNone(strings.Join(names, ", "))
}

func value(a *report.Amount) int64 {
	if a == nil {
		return 0
	}
	return a.Value
}

// Limits and usage do not exist for every resource: that is not the same as unknown.
func limits(r report.Resource, text string) string {
	if r.Unit == "count" {
		return "-"
	}
	return text
}

func usageText(r report.Resource, text string) string {
	if r.Name != "cpu" && r.Name != "memory" {
		return "-"
	}
	return text
}

func (p *page) pods(n report.Node) {
	if n.Pods == nil {
		p.gap("Pods", n, "pods")
		return
	}
	var phases []string
	for _, c := range n.Pods.Phases {
		phases = append(phases, fmt.Sprintf("%d %s", c.Count, c.Phase))
	}
	parts := []string{output.Plural(n.Pods.Total, "pod")}
	if len(phases) > 0 {
		parts[0] += ": " + strings.Join(phases, ", ")
	}
	if n.Pods.MaxPods != nil {
		parts = append(parts, fmt.Sprintf("%d non-terminated of at most %d", n.Pods.NonTerminated, *n.Pods.MaxPods))
	}
	if len(n.Pods.Problems) == 0 {
		parts = append(parts, "no pod has a problem")
	}
	p.facts("Pods", append(parts, stale(n))...)
	t := output.TableText{Columns: []output.Column{
		{Header: "NAMESPACE"}, {Header: "POD"}, {Header: "PROBLEM"}, {Header: "RESTARTS"}, {Header: "SINCE"}, {Header: "DETAIL", Flexible: true},
	}}
	for _, a := range n.Pods.Problems {
		t.Rows = append(t.Rows, output.Text(a.Namespace, a.Name, a.Reason,
			strconv.FormatInt(a.Restarts, 10), p.since(a.Since), orNone(a.Message)))
	}
	p.table(t)
	p.largest(n.Pods.Items)
}

const largest = 5

// largest lists the pods with the largest memory requests, then cpu; pods that request nothing are no answer.
func (p *page) largest(items []report.PodUse) {
	items = slices.DeleteFunc(slices.Clone(items), func(u report.PodUse) bool {
		return value(u.Requests["memory"]) == 0 && value(u.Requests["cpu"]) == 0
	})
	sorting.Func(items, func(a, b report.PodUse) int {
		return cmp.Or(
			cmp.Compare(value(b.Requests["memory"]), value(a.Requests["memory"])),
			cmp.Compare(value(b.Requests["cpu"]), value(a.Requests["cpu"])),
			cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name),
		)
	})
	if len(items) == 0 {
		return
	}
	p.Line(2, "Largest requests:")
	t := output.TableText{Columns: []output.Column{
		{Header: "POD"}, {Header: "CPU"}, {Header: "MEMORY"}, {Header: "MEMORY-LIMIT"}, {Header: "RESIZE"},
	}}
	for _, u := range items[:min(largest, len(items))] {
		t.Rows = append(t.Rows, output.Text(u.Namespace+"/"+u.Name, output.Millicores(value(u.Requests["cpu"])),
			output.Bytes(value(u.Requests["memory"])), limitText(u.Limits["memory"]), orNone(u.Resize)))
	}
	p.table(t)
}

func limitText(a *report.Amount) string {
	if a == nil {
		return output.None
	}
	return output.Bytes(a.Value)
}
