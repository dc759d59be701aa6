// Package node says what is true of a node: whether its kubelet is heard of, whether its Ready condition can be believed,
// and whether a component of the control plane leads. All times are the API server's.
package node

import (
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Patience is the age of a heartbeat from which Ready=True is not believed: the node controller's own patience
// (node-monitor-grace-period: 50 s from 1.32, 40 s before) and two of its looks, one every 5 s.
// https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
const Patience = 60 * time.Second

// leaseDuration is how long a heartbeat lasts where its lease does not say: the kubelet's nodeLeaseDurationSeconds. It
// renews the lease every quarter of that.
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
const leaseDuration = 40 * time.Second

// Beat is how a heartbeat stands.
type Beat string

// The states of a heartbeat.
const (
	NoBeat  Beat = "none"    // there is no lease, or nobody has renewed it yet
	Fresh   Beat = "ok"      // younger than it lasts
	Late    Beat = "late"    // older than it lasts; a busy node or API server does that, too
	Expired Beat = "expired" // older than the node controller waits
)

// Heartbeat is what a node's lease in kube-node-lease says of its kubelet.
// https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats
type Heartbeat struct {
	Beat     Beat
	Renewed  time.Time      // by the node's clock
	Received time.Time      // by the API server's, where the object tells it; else Renewed
	Skew     *time.Duration // the node's clock against the server's when it wrote; nil: not known
	Age      time.Duration  // since Received; 0 where that is ahead
	Duration time.Duration  // how long a renewal lasts
}

// HeartbeatOf judges a lease by the server's clock at its last renewal, so that a node with a wrong clock is not called
// dead. A nil lease is no heartbeat. patience is Patience, or what the user says of his controllers.
func HeartbeatOf(lease *coordinationv1.Lease, now time.Time, patience time.Duration) Heartbeat {
	h := Heartbeat{Beat: NoBeat}
	if lease == nil || lease.Spec.RenewTime == nil {
		return h
	}
	h.Renewed, h.Received = lease.Spec.RenewTime.Time, Renewal(lease)
	if _, ok := WrittenAt(lease.ManagedFields, "renewTime"); ok {
		skew := h.Renewed.Sub(h.Received)
		h.Skew = &skew
	}
	h.Age, h.Duration = max(0, now.Sub(h.Received)), duration(lease, leaseDuration)
	switch {
	case h.Age > max(patience, h.Duration):
		h.Beat = Expired
	case h.Age > h.Duration:
		h.Beat = Late
	default:
		h.Beat = Fresh
	}
	return h
}

// Renewal is when a lease was last renewed: by the server's clock where managedFields have it, else by its holder's.
// Zero: never.
func Renewal(lease *coordinationv1.Lease) time.Time {
	if lease.Spec.RenewTime == nil {
		return time.Time{}
	}
	if m, ok := WrittenAt(lease.ManagedFields, "renewTime"); ok {
		return m.Time.Time
	}
	return lease.Spec.RenewTime.Time
}

// WrittenAt is the newest entry of managedFields that owns a field: who wrote it, and when by the API server's clock, the
// only time in an object that no client chooses. A dump has none: kubectl leaves them out without --show-managed-fields.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
func WrittenAt(entries []metav1.ManagedFieldsEntry, field string) (entry metav1.ManagedFieldsEntry, ok bool) {
	for _, m := range entries {
		if m.Time == nil || m.FieldsV1 == nil || !strings.Contains(m.FieldsV1.GetRawString(), `"f:`+field+`"`) {
			continue
		}
		if !ok || m.Time.After(entry.Time.Time) {
			entry, ok = m, true
		}
	}
	return entry, ok
}

// renewals is how many times the kubelet renews its lease within the time that a renewal lasts; onTheWay is what a renewal may
// take, and the server's times are whole seconds.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kubelet.go (nodeLeaseRenewIntervalFraction)
const (
	renewals = 4
	onTheWay = 2 * time.Second
)

// Missed is how many renewals in a row did not come.
func (h *Heartbeat) Missed() int {
	if h.Beat == NoBeat || h.Duration < renewals*time.Second {
		return 0
	}
	return int(max(0, h.Age-onTheWay) / h.Interval())
}

// Interval is the time between two renewals.
func (h *Heartbeat) Interval() time.Duration { return h.Duration / renewals }

// together is how far apart the last renewals of a node (one every 10 s) and of a component (one every 2 s) lie where the
// same moment ended all of them.
const together = 15 * time.Second

// StoppedTogether says whether the leases of nodes and those of components ended in one moment, and when the newest of them
// was renewed: none is held any longer, there are three or more, of both kinds, and all were last renewed within 15 s. What
// they have in common is where they are written.
func StoppedTogether(nodes, components []*coordinationv1.Lease, now time.Time) (at time.Time, stopped bool) {
	if len(nodes) == 0 || len(components) == 0 || len(nodes)+len(components) < 3 {
		return time.Time{}, false
	}
	var first time.Time
	see := func(renewed time.Time) {
		if first.IsZero() || renewed.Before(first) {
			first = renewed
		}
		if renewed.After(at) {
			at = renewed
		}
	}
	for _, l := range nodes {
		h := HeartbeatOf(l, now, Patience)
		if h.Beat != Late && h.Beat != Expired {
			return time.Time{}, false
		}
		see(h.Received)
	}
	for _, l := range components {
		leader := LeaderOf(l, now)
		if !leader.Expired {
			return time.Time{}, false
		}
		see(leader.Renewed)
	}
	return at, at.Sub(first) <= together
}

func duration(lease *coordinationv1.Lease, unless time.Duration) time.Duration {
	if s := lease.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		return time.Duration(*s) * time.Second
	}
	return unless
}
