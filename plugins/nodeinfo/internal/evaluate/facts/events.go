package facts

import (
	"cmp"
	"slices"
	"time"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Recently is the time an event counts for: the API server keeps events an hour by default.
const Recently = time.Hour

// harmless are warnings that every start of a kubelet or a cluster brings, or that a check of its own judges.
var harmless = map[string]bool{
	"InvalidDiskCapacity":               true, // https://github.com/kubernetes/kubernetes/issues/109241
	"CIDRAssignmentFailed":              true,
	"CIDRNotAvailable":                  true,
	CgroupV1:                            true, // the check of that name
	"PossibleMemoryBackedVolumesOnDisk": true,
	"CheckLimitsForResolvConf":          true,
	"IPVSDeprecation":                   true,
}

// Reasons of events that say more than their text.
const (
	CgroupV1     = "CgroupV1" // the kubelet found cgroup v1 when it started
	Rebooted     = "Rebooted"
	NodeNotReady = "NodeNotReady"
)

// Events are the node's own.
type Events struct {
	Folded   []report.Event // by type, reason and reporter; newest first; nil: not read
	Reboots  []time.Time    // oldest first
	NotReady []time.Time    // when the node became NotReady, oldest first
	Falls    int64          // how often that was within the last hour, as far as is known
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
	out := Events{Folded: folded(mine), Falls: n.falls(mine)}
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
			f = &report.Event{
				Type: e.Type, Reason: e.Reason, From: e.From, Harmless: harmless[e.Reason], Last: e.Last.UTC(), Message: e.Message,
			}
			byKind[key] = f
		}
		f.Count += int64(e.Count)
	}
	out := []report.Event{}
	for _, f := range byKind {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b report.Event) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.From, b.From), cmp.Compare(a.Type, b.Type))
	})
	return out
}

// falls counts what one reporter saw: the kubelet and the node controller may both report the same fall.
func (n *Node) falls(mine []eventfact.Event) int64 {
	counts, most := map[string]int64{}, int64(0)
	for _, e := range mine {
		if e.Reason != NodeNotReady || n.Age(e.Last) >= Recently {
			continue
		}
		count := int64(e.Count)
		if n.Age(e.First) > Recently {
			count = 1 // of the earlier ones the time is not known
		}
		counts[e.From] += count
		most = max(most, counts[e.From])
	}
	return most
}
