package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

type leaseType = coordinationv1.Lease

// recently is the time an event counts for: the API server keeps events an hour by default.
const recently = time.Hour

// ongoing is how long a kubelet's own trouble counts after its last event: it collects garbage every minute, and images
// every five (https://kubernetes.io/docs/concepts/architecture/garbage-collection/), and repeats the event while it fails.
const ongoing = 7 * time.Minute

// flaps is how often a node becomes NotReady within an hour before it is said to flap. A reboot is one fall, an update
// two or three; a link or a kubelet that comes and goes falls every few minutes.
const flaps = 5

// harmless are warnings that every start of a kubelet or a cluster brings, or that a check of its own judges.
var harmless = map[string]bool{
	"InvalidDiskCapacity":               true, // https://github.com/kubernetes/kubernetes/issues/109241
	"CIDRAssignmentFailed":              true,
	"CIDRNotAvailable":                  true,
	"CgroupV1":                          true, // the check of that name
	"PossibleMemoryBackedVolumesOnDisk": true,
	"CheckLimitsForResolvConf":          true,
	"IPVSDeprecation":                   true,
}

// kubeletErrors are events by which the kubelet says that it cannot do its own work.
var kubeletErrors = map[string]string{
	"ImageGCFailed":                    "cannot clean up images",
	"FreeDiskSpaceFailed":              "cannot free disk space",
	"ContainerGCFailed":                "cannot clean up containers",
	"KubeletSetupFailed":               "cannot set itself up",
	"FailedNodeAllocatableEnforcement": "cannot enforce allocatable limits",
	"NodeAllocatableEnforcementFailed": "cannot enforce allocatable limits",
	"FailedToRegisterNode":             "cannot register the node",
}

// ours says whether an event is about this Node object: the kubelet's carry no UID or the node's name in its place,
// controllers' the real one. An older node of the same name is another node
// (https://github.com/kubernetes/kubectl/issues/1838).
func (v *view) ours(e *eventfact.Event) bool {
	uid := string(e.About.UID)
	if uid != "" && uid != v.node.Name && uid != string(v.node.UID) {
		return false
	}
	return !e.Last.Before(v.node.CreationTimestamp.Add(-time.Minute))
}

func (v *view) events() {
	if !v.read(SourceEvents) {
		return
	}
	folded := map[[3]string]*report.Event{}
	var mine []eventfact.Event
	for _, e := range v.index.events[v.node.Name] {
		if !v.ours(&e) {
			continue
		}
		mine = append(mine, e)
		key := [3]string{e.Type, e.Reason, e.From}
		f := folded[key]
		if f == nil { // the newest of its kind
			f = &report.Event{Type: e.Type, Reason: e.Reason, From: e.From, Harmless: harmless[e.Reason], Last: e.Last.UTC(), Message: e.Message}
			folded[key] = f
		}
		f.Count += int64(e.Count)
	}
	out := &report.Events{Items: []report.Event{}}
	for _, f := range folded {
		out.Items = append(out.Items, *f)
	}
	slices.SortFunc(out.Items, func(a, b report.Event) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.From, b.From))
	})
	v.out.Events = out
	slices.Reverse(mine) // oldest first
	v.checkReboots(mine)
	v.checkFlapping(mine)
	v.checkEvents(out.Items)
}

func (v *view) checkReboots(mine []eventfact.Event) {
	for _, e := range mine {
		if e.Reason == "Rebooted" {
			v.out.Lifecycle.Reboots = append(v.out.Lifecycle.Reboots, e.Last.UTC())
		}
	}
	if n := len(v.out.Lifecycle.Reboots); n > 0 && v.now.Sub(v.out.Lifecycle.Reboots[n-1]) < recently {
		last := v.out.Lifecycle.Reboots[n-1]
		v.add(Rebooted, "the node rebooted "+v.ago(last)+" ago", []finding.Evidence{{Source: "Event", Path: "Rebooted", Value: "boot ID " + v.node.Status.NodeInfo.BootID, Time: &last}}, v.eventsNext())
	}
}

// checkFlapping counts what one reporter saw: the kubelet and the node controller may both report the same fall.
func (v *view) checkFlapping(mine []eventfact.Event) {
	counts := map[string]int64{}
	for _, e := range mine {
		if e.Reason != "NodeNotReady" {
			continue
		}
		v.out.Lifecycle.NotReady = append(v.out.Lifecycle.NotReady, e.Last.UTC())
		if v.now.Sub(e.Last) < recently {
			n := int64(e.Count)
			if v.now.Sub(e.First) > recently {
				n = 1 // of the earlier ones the time is not known
			}
			counts[e.From] += n
		}
	}
	most := int64(0)
	for _, n := range counts {
		most = max(most, n)
	}
	if most >= flaps {
		v.add(ReadyFlapping, fmt.Sprintf("Ready comes and goes: the node became NotReady %d times within the last hour", most),
			[]finding.Evidence{{Source: "Event", Path: "NodeNotReady", Value: fmt.Sprintf("%d times", most), Time: timeOf(v.out.Lifecycle.NotReady[len(v.out.Lifecycle.NotReady)-1])}}, v.eventsNext())
	}
}

// recoveredSince says whether the node became Ready after the moment: what it complained of before is over.
func (v *view) recoveredSince(t time.Time) bool {
	return nodefact.PostedReady(v.node) && nodefact.ReadyCondition(v.node).LastTransitionTime.After(t)
}

// checkEvents raises the events that no other check judges, of the last hour.
func (v *view) checkEvents(items []report.Event) {
	var rest []string
	for _, e := range items {
		if e.Reason == "CgroupV1" {
			v.out.Components.OS.Cgroups = "v1"
			v.add(CgroupV1, "the node uses cgroup v1, which Kubernetes is giving up", []finding.Evidence{{Source: "Event", Path: e.Reason, Value: "the kubelet found cgroup v1 when it started", Time: &e.Last}})
		}
		if e.Type != corev1.EventTypeWarning || e.Harmless || v.now.Sub(e.Last) > recently {
			continue
		}
		evidence := []finding.Evidence{{Source: "Event", Path: e.Reason, Value: e.Message, Time: &e.Last}}
		trouble := kubeletErrors[e.Reason]
		switch {
		case e.Reason == "SystemOOM" || e.Reason == "OOMKilling" && !strings.HasPrefix(e.Message, "Memory cgroup out of memory"):
			v.add(SystemOOM, fmt.Sprintf("the kernel killed a process for memory %s ago (%s): %s", v.ago(e.Last), plural(int(e.Count), "time"), e.Message), evidence,
				finding.Next{Command: v.kubectl("", "top", "pods", "-A", "--sort-by=memory"), Why: "the biggest users in the cluster", Risk: finding.Read})
		case trouble != "" && v.now.Sub(e.Last) < ongoing && !v.recoveredSince(e.Last):
			v.add(KubeletTrouble, fmt.Sprintf("the kubelet %s (%s ago): %s", trouble, v.ago(e.Last), e.Message), evidence, v.eventsNext())
		case e.Reason == "EvictionThresholdMet", e.Reason == "Rebooted", e.Reason == "NodeNotReady":
		default:
			rest = append(rest, fmt.Sprintf("%s (%d)", e.Reason, e.Count))
		}
	}
	if len(rest) > 0 {
		slices.Sort(rest)
		v.add(WarningEvents, "warnings about the node in the last hour: "+strings.Join(rest, ", "), nil, v.eventsNext())
	}
}
