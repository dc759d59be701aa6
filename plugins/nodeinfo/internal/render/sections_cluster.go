package render

import (
	"cmp"
	"fmt"
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
		cidr += fmt.Sprintf(" (%d of %d addresses taken, %d left)", *n.Network.PodIPsUsed, *n.Network.PodIPsTotal, *n.Network.PodIPsTotal-*n.Network.PodIPsUsed)
	case !n.Sources.Get("pods").Readable():
		cidr += " (addresses " + n.Sources.Get("pods").Gap() + ")"
	}
	p.titled("Network", strings.Join(append(parts, cidr), "; "))
}

func (p *page) storage(n report.Node) {
	if n.Storage == nil {
		p.gap("Storage", n, "csinodes")
		return
	}
	s := n.Storage
	text := "volumes attached " + n.Sources.Get("volumeattachments").Gap()
	if s.Attached != nil {
		text = output.Plural(*s.Attached, "volume") + " attached"
	}
	switch {
	case !n.Sources.Get("csinodes").Readable():
		text += "; CSI drivers " + n.Sources.Get("csinodes").Gap()
	case len(s.Drivers) == 0:
		text += "; no CSI driver registered"
	}
	if len(s.Filesystems) == 0 {
		text += "; filesystems " + cmp.Or(n.Sources.Get("kubelet").Gap(), "not known")
	}
	p.titled("Storage", text)
	drivers := output.TableText{Columns: []output.Column{{Header: "DRIVER"}, {Header: "ATTACHED"}, {Header: "LIMIT"}}}
	for _, d := range s.Drivers {
		drivers.Rows = append(drivers.Rows, output.Text(d.Name, number(d.Attached, output.Unknown), number(d.Limit, output.None)))
	}
	p.table(drivers)
	fs := output.TableText{Columns: []output.Column{{Header: "FILESYSTEM"}, {Header: "SIZE"}, {Header: "USED"}, {Header: "FREE"}, {Header: "FREE%"}, {Header: "INODES FREE%"}}}
	for _, f := range s.Filesystems {
		fs.Rows = append(fs.Rows, output.Text(f.Name, bytesText(f.Capacity), bytesText(f.Used), bytesText(f.Available), share(f.Available, f.Capacity), share(f.InodesFree, f.Inodes)))
	}
	p.table(fs)
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
	parts := []string{"nothing of it runs here"}
	if len(c.StaticPods) > 0 {
		parts[0] = "here " + names(c.StaticPods)
	} else if gap := n.Sources.Get("pods").Gap(); gap != "" {
		parts[0] = "static pods " + gap
	}
	for _, l := range c.Leases {
		text := l.Name + " leads"
		switch {
		case l.Expired:
			text = l.Name + " leads nowhere"
		case l.OnThisNode:
			text += " here"
		default:
			host, _, _ := strings.Cut(l.Holder, "_")
			text += " on " + orUnknown(host)
		}
		if l.AgeSeconds != nil {
			text += fmt.Sprintf(" (renewed %s ago)", output.Age(time.Duration(*l.AgeSeconds)*time.Second))
		}
		parts = append(parts, text)
	}
	if len(c.Leases) == 0 {
		parts = append(parts, "leaders "+cmp.Or(n.Sources.Get("control-plane leases").Gap(), "hold no leases"))
	}
	parts = append(parts, "readyz "+cmp.Or(c.Readyz, n.Sources.Get("readyz").Gap()))
	p.titled("Control plane", strings.Join(parts, "; "))
	t := output.TableText{Columns: []output.Column{{Header: "COMPONENT"}, {Header: "VERSION"}, {Header: "STATE"}, {Header: "RESTARTS"}, {Header: "POD"}}}
	for _, h := range c.StaticPods {
		if h.Ready != nil && !*h.Ready {
			t.Rows = append(t.Rows, output.Text(h.Name, orUnknown(h.Version), h.State, number(h.Restarts, output.Unknown), h.Pod))
		}
	}
	p.table(t)
}

func (p *page) scheduling(n report.Node) {
	s := n.Scheduling
	text := "open to pods"
	if s.Cordoned {
		text = "cordoned"
		if s.CordonedSince != nil {
			text += " since " + p.since(s.CordonedSince)
		}
		if s.CordonedBy != "" {
			text += " by " + s.CordonedBy
		}
	}
	if len(s.Taints) == 0 {
		text += ", no taints"
	}
	p.titled("Scheduling", text)
	t := output.TableText{Columns: []output.Column{{Header: "TAINT"}, {Header: "EFFECT"}, {Header: "SINCE"}, {Header: "MEANING", Flexible: true}}}
	for _, taint := range s.Taints {
		key := taint.Key
		if taint.Value != "" {
			key += "=" + taint.Value
		}
		t.Rows = append(t.Rows, output.Text(key, taint.Effect, p.since(taint.Since), cmp.Or(taint.Meaning, "the cluster's own")))
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
	t := output.TableText{Columns: []output.Column{{Header: "LAST"}, {Header: "TYPE"}, {Header: "REASON"}, {Header: "COUNT"}, {Header: "FROM"}, {Header: "MESSAGE", Flexible: true}}}
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
	text := "no warnings"
	if warnings > 0 {
		text = output.Plural(warnings, "kind") + " of warning"
	}
	if known > 0 {
		text += fmt.Sprintf(", %d harmless", known)
	}
	text += fmt.Sprintf(", %d ordinary (-o json shows all)", len(n.Events.Items)-warnings-known)
	p.titled("Events", text)
	p.table(t)
}

func (p *page) lifecycle(n report.Node) {
	l := n.Lifecycle
	parts := []string{"joined " + p.since(n.CreatedAt) + " ago"}
	if n.Sources.Get("events").Readable() {
		parts = append(parts, fmt.Sprintf("by the events kept: rebooted %s, fell from Ready %s", times(len(l.Reboots)), times(len(l.NotReady))))
	} else {
		parts = append(parts, "reboots "+n.Sources.Get("events").Gap())
	}
	if l.Removal != "" {
		parts = append(parts, "being removed: "+l.Removal)
	}
	for _, part := range []struct{ name, value string }{{"zone", l.Zone}, {"type", l.InstanceType}, {"provider ID", l.ProviderID}} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	p.titled("Lifecycle", strings.Join(parts, "; "))
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
