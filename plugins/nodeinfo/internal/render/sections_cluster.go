package render

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func (p *page) network(n report.Node) {
	var parts []string
	for _, a := range n.Network.Addresses {
		parts = append(parts, a.Type+" "+a.Address)
	}
	cidr := "pod CIDR " + orNone(strings.Join(n.Network.PodCIDRs, ", "))
	switch {
	case n.Network.PodIPsUsed != nil && n.Network.PodIPsTotal != nil:
		used, total := *n.Network.PodIPsUsed, *n.Network.PodIPsTotal
		cidr += fmt.Sprintf(" (%d of %d addresses in use, %d free)", used, total, total-used)
	case !n.Sources.Get("pods").Readable():
		cidr += " (addresses not checked)"
	}
	p.facts("Network", append(parts, cidr)...)
}

func (p *page) storage(n report.Node) {
	if n.Storage == nil {
		p.gap("Storage", n, "csinodes")
		return
	}
	s := n.Storage
	attached := unread(n, "volumeattachments", "attached volumes")
	if s.Attached != nil {
		attached = output.Plural(*s.Attached, "volume") + " attached"
	}
	drivers, filesystems := unread(n, "csinodes", "CSI drivers"), ""
	if drivers == "" && len(s.Drivers) == 0 {
		drivers = "no CSI driver registered"
	}
	if len(s.Filesystems) == 0 {
		filesystems = cmp.Or(unread(n, "kubelet", "filesystems"), "filesystems unknown")
	}
	p.facts("Storage", attached, drivers, filesystems)
	t := output.TableText{Columns: []output.Column{{Header: "DRIVER"}, {Header: "ATTACHED"}, {Header: "LIMIT"}}}
	for _, d := range s.Drivers {
		t.Rows = append(t.Rows, output.Text(d.Name, number(d.Attached, output.Unknown), number(d.Limit, output.None)))
	}
	p.table(t)
	fs := output.TableText{Columns: []output.Column{
		{Header: "FILESYSTEM"}, {Header: "SIZE"}, {Header: "USED"}, {Header: "FREE"}, {Header: "FREE%"}, {Header: "INODES-FREE%"},
	}}
	for _, f := range s.Filesystems {
		fs.Rows = append(fs.Rows, output.Text(f.Name, bytesText(f.Capacity), bytesText(f.Used), bytesText(f.Available),
			share(f.Available, f.Capacity), share(f.InodesFree, f.Inodes)))
	}
	p.table(fs)
	users := output.TableText{Columns: []output.Column{{Header: "NAMESPACE"}, {Header: "POD"}, {Header: "DISK-USED"}}}
	for _, u := range s.DiskUsers {
		users.Rows = append(users.Rows, output.Text(u.Namespace, u.Pod, output.Bytes(u.Used)))
	}
	p.table(users)
}

func number(n *int64, absent string) string {
	if n == nil {
		return absent
	}
	return strconv.FormatInt(*n, 10)
}

func bytesText(n *int64) string {
	if n == nil {
		return output.Unknown
	}
	return output.Bytes(*n)
}

func share(part, whole *int64) string {
	if part == nil || whole == nil {
		return output.Unknown
	}
	return output.Percent(*part, *whole)
}

func (p *page) controlPlane(n report.Node) {
	c := n.ControlPlane
	if c == nil {
		p.gap("Control plane", n, "control-plane leases")
		return
	}
	parts := []string{cmp.Or(unread(n, "pods", "static pods"), "no component runs on this node")}
	if len(c.StaticPods) > 0 {
		parts[0] = "on this node: " + names(c.StaticPods)
	}
	for i := range c.Leases {
		parts = append(parts, leaderText(&c.Leases[i])+versionText(&c.Leases[i]))
	}
	if len(c.Leases) == 0 {
		parts = append(parts, cmp.Or(unread(n, "control-plane leases", "leaders"), "no leader election Lease"))
	}
	parts = append(parts, serversText(c.APIServers, n.Components))
	switch {
	case c.Readyz != "":
		parts = append(parts, "readiness of the API server: "+c.Readyz)
	case n.Sources.Has("readyz"): // of a healthy worker it is not asked
		parts = append(parts, unread(n, "readyz", "readiness of the API server"))
	}
	p.facts("Control plane", parts...)
	t := output.TableText{Columns: []output.Column{
		{Header: "COMPONENT"}, {Header: "VERSION"}, {Header: "STATE"}, {Header: "RESTARTS"}, {Header: "POD"},
	}}
	for _, h := range c.StaticPods {
		if h.Ready != nil && !*h.Ready {
			t.Rows = append(t.Rows, output.Text(h.Name, orUnknown(h.Version), h.State, number(h.Restarts, output.Unknown), h.Pod))
		}
	}
	p.table(t)
}

// versionText is the version of a leader, or that it is unknown: a Lease names none.
func versionText(l *report.Leader) string {
	switch {
	case l.Version != "":
		return ", " + l.Version
	case l.Expired || l.Holder == "":
		return ""
	case l.OnThisNode:
		return ", version unknown"
	}
	return ", version unknown (no pod of it on this node)"
}

// serversText names the API servers by their Leases, with the versions that are known.
func serversText(list []report.APIServer, c *report.Components) string {
	if len(list) == 0 {
		return ""
	}
	var known, unknown, parts []string
	for _, s := range list {
		if s.Version == "" {
			unknown = append(unknown, s.Host)
		} else {
			known = append(known, s.Host+" "+s.Version)
		}
	}
	if len(known) > 0 {
		parts = append(parts, strings.Join(known, ", "))
	}
	if len(unknown) > 0 {
		parts = append(parts, "version unknown (no pod of it was read): "+strings.Join(unknown, ", "))
		if c != nil && c.APIServer != "" {
			parts = append(parts, "the one that answered is "+c.APIServer)
		}
	}
	return "API servers by their Leases: " + strings.Join(parts, "; ")
}

func leaderText(l *report.Leader) string {
	text, renewed := l.Name+": leader on ", "renewed"
	switch host, _, _ := strings.Cut(l.Holder, "_"); {
	case l.ElectionOff:
		text, renewed = l.Name+": runs without leader election", "old Lease last renewed"
	case l.Expired:
		text, renewed = l.Name+": no leader", "last renewed"
	case l.OnThisNode:
		text += "this node"
	default:
		text += orUnknown(host)
	}
	if l.AgeSeconds != nil {
		text += fmt.Sprintf(" (%s %s ago)", renewed, output.Age(time.Duration(*l.AgeSeconds)*time.Second))
	}
	return text
}

func (p *page) scheduling(n report.Node) {
	s := n.Scheduling
	text, taints := "schedulable", ""
	if slices.ContainsFunc(s.Taints, func(t report.Taint) bool { return t.Effect == "NoSchedule" || t.Effect == "NoExecute" }) {
		text = "schedulable for pods that tolerate the taints"
	}
	if s.Cordoned {
		text = "cordoned"
		if s.CordonedBy != "" {
			text += " by " + s.CordonedBy
		}
		if s.CordonedSince != nil {
			text += " (" + p.since(s.CordonedSince) + " ago)"
		}
	}
	if len(s.Taints) == 0 {
		taints = "no taints"
	}
	for _, r := range n.Resources {
		if slices.Contains(s.Full, r.Name) && r.Free != nil {
			taints = strings.TrimPrefix(taints+fmt.Sprintf("; %s left for new pods: %s", r.Name, r.Free.Quantity), "; ")
		}
	}
	p.facts("Scheduling", text, taints)
	t := output.TableText{Columns: []output.Column{
		{Header: "TAINT"}, {Header: "EFFECT"}, {Header: "SINCE"}, {Header: "MEANING", Flexible: true},
	}}
	for _, taint := range s.Taints {
		key := taint.Key
		if taint.Value != "" {
			key += "=" + taint.Value
		}
		t.Rows = append(t.Rows, output.Text(key, taint.Effect, p.since(taint.Since), cmp.Or(taint.Meaning, "custom taint")))
	}
	p.table(t)
}

// shownEvents bounds the table; JSON has them all.
const shownEvents = 8

func (p *page) events(n report.Node) {
	if n.Events == nil {
		p.gap("Events", n, "events")
		return
	}
	warnings, known := 0, 0
	t := output.TableText{Columns: []output.Column{
		{Header: "LAST"}, {Header: "TYPE"}, {Header: "REASON"}, {Header: "COUNT"}, {Header: "FROM"}, {Header: "MESSAGE", Flexible: true},
	}}
	for _, e := range n.Events.Items {
		switch {
		case e.Type != "Warning":
			continue
		case e.Harmless:
			known++
			continue
		}
		warnings++
		if len(t.Rows) < shownEvents {
			t.Rows = append(t.Rows, output.Text(p.since(&e.Last), e.Type, e.Reason, strconv.FormatInt(e.Count, 10), orNone(e.From), e.Message))
		}
	}
	text, harmless, normal := "no Warning events", "", ""
	if warnings > 0 {
		text = "Warning events: " + output.Plural(warnings, "reason")
	}
	if known > 0 {
		harmless = "harmless Warning events: " + output.Plural(known, "reason") + " (see -o json)"
	}
	if rest := len(n.Events.Items) - warnings - known; rest > 0 {
		normal = "Normal events: " + output.Plural(rest, "reason") + " (see -o json)"
	}
	p.facts("Events", text, harmless, normal)
	p.table(t)
}

func (p *page) lifecycle(n report.Node) {
	l := n.Lifecycle
	parts := []string{"joined " + p.since(n.CreatedAt) + " ago"}
	if gap := unread(n, "events", "reboots and changes to NotReady"); gap != "" {
		parts = append(parts, gap)
	} else {
		falls, since := int64(0), ""
		if l.NotReadyCount != nil {
			falls = *l.NotReadyCount
		}
		if l.NotReadySince != nil {
			since = " within " + p.since(l.NotReadySince)
		}
		parts = append(parts, fmt.Sprintf("events of the last hour: %s, %s%s",
			output.Plural(len(l.Reboots), "reboot"), output.Plural(int(falls), "change to NotReady", "changes to NotReady"), since))
	}
	if l.Removal != "" {
		parts = append(parts, "removal in progress: "+l.Removal)
	}
	for _, part := range []struct{ name, value string }{{"zone", l.Zone}, {"instance type", l.InstanceType}, {"provider ID", l.ProviderID}} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	p.facts("Lifecycle", parts...)
}
