package facts

import (
	"cmp"
	"slices"
	"time"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Recently is the time an event counts for: the API server keeps events an hour by default.
const Recently = time.Hour

// RestartsWithin is the time in which starts of the kubelet are counted. systemd starts it again 10 s after each end
// (https://github.com/kubernetes/release/blob/master/cmd/krel/templates/latest/kubelet/kubelet.service, RestartSec).
const RestartsWithin = 10 * time.Minute

// Reasons of events that say more than their text.
const (
	CgroupV1     = "CgroupV1" // the kubelet found cgroup v1 when it started
	Rebooted     = "Rebooted"
	NodeNotReady = "NodeNotReady"
	// KubeletStarts is of each start of a kubelet (https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/events/event.go)
	KubeletStarts = "Starting"
)

// Events are the node's own.
type Events struct {
	Current  []eventfact.Event // warnings that may still be so; newest first
	Folded   []report.Event    // by type, reason and reporter; newest first; nil: not read
	Reboots  []time.Time       // oldest first
	NotReady []time.Time       // when the node became NotReady, oldest first
	Falls    int64             // how often that was within the last hour, as far as is known
	Fell     time.Time         // the first of those; zero: there was none
	Starts   int64             // how often the kubelet started within the last RestartsWithin
	Started  time.Time         // the first of those; zero: there was none
}

// Newest gives the newest of a reason; nil: there is none.
func (e *Events) Newest(reason string) *report.Event {
	for i := range e.Folded {
		if e.Folded[i].Reason == reason {
			return &e.Folded[i]
		}
	}
	return nil
}

// concernsNode says whether an event is about this Node object: the kubelet's carry no UID or the node's name in its place,
// controllers' the real one. An older node of the same name is another node
// (https://github.com/kubernetes/kubectl/issues/1838).
func (n *Node) concernsNode(e *eventfact.Event) bool {
	uid := string(e.About.UID)
	if uid != "" && uid != n.Object.Name && uid != string(n.Object.UID) {
		return false
	}
	return !e.Last.Before(n.Object.CreationTimestamp.Add(-time.Minute))
}

func (c *Cluster) eventsOf(n *Node) Events {
	if !n.Read(SourceEvents) {
		return Events{}
	}
	var mine []eventfact.Event // newest first
	for _, e := range c.events[n.Object.Name] {
		if n.concernsNode(&e) {
			mine = append(mine, e)
		}
	}
	out := Events{Folded: folded(mine)}
	out.Falls, out.Fell = eventfact.Often(mine, n.Now, Recently, func(e *eventfact.Event) bool { return e.Reason == NodeNotReady })
	out.Starts, out.Started = eventfact.Often(mine, n.Now, RestartsWithin, func(e *eventfact.Event) bool {
		return e.Reason == KubeletStarts && e.From == "kubelet" // kube-proxy has an event of the same reason
	})
	for _, e := range mine {
		if e.Current(time.Time{}, n.Now) {
			out.Current = append(out.Current, e)
		}
	}
	for _, e := range slices.Backward(mine) {
		switch e.Reason {
		case Rebooted:
			out.Reboots = append(out.Reboots, e.Last.UTC())
		case NodeNotReady:
			out.NotReady = append(out.NotReady, e.Last.UTC())
		}
	}
	return out
}

func folded(mine []eventfact.Event) []report.Event {
	byKind := map[[3]string]*report.Event{}
	for _, e := range mine {
		key := [3]string{e.Type, e.Reason, e.From}
		f := byKind[key]
		if f == nil { // the newest of its kind
			_, harmless := eventfact.Harmless(e.Reason)
			f = &report.Event{
				Type: e.Type, Reason: e.Reason, From: e.From, Harmless: harmless, Last: e.Last.UTC(), Message: e.Message,
			}
			byKind[key] = f
		}
		f.Count += int64(e.Count)
	}
	out := []report.Event{}
	for _, f := range byKind {
		out = append(out, *f)
	}
	sorting.Func(out, func(a, b report.Event) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.From, b.From), cmp.Compare(a.Type, b.Type))
	})
	return out
}
