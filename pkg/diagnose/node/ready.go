package node

import (
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// State is what can be believed of a node.
type State string

// The states of a node.
const (
	Ready      State = "Ready"      // the kubelet says so, and is heard of
	NotReady   State = "NotReady"   // the kubelet says so, and is heard of
	Silent     State = "Silent"     // nothing is heard of the kubelet: whatever Ready says is old
	Returning  State = "Returning"  // the kubelet is heard of again and has not posted its status yet
	NeverHeard State = "NeverHeard" // no kubelet has ever posted a status
)

// Readiness is condition Ready with the heartbeat beside it.
type Readiness struct {
	State     State
	Condition *corev1.NodeCondition // Ready as it is posted; nil: never
	Heartbeat Heartbeat

	// Posting says that the kubelet runs and posts its status, though it has not renewed its lease for longer than that lasts:
	// it writes to the API server, and its renewals are refused. Posted is when it last did, by the server's clock as far as
	// the lease tells how the node's differs.
	Posting bool
	Posted  time.Time
}

// A kubelet posts its status every 5 min (nodeStatusReportFrequency), with room for one miss, and looks every 10 s
// (nodeStatusUpdateFrequency) whether the object still says what it posted: Ready is not Unknown for longer where it runs.
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
const (
	postsWithin   = 6 * time.Minute
	returnsWithin = 10*time.Second + onTheWay
)

// ReadinessOf is the order of belief: what the heartbeat says about Ready, then Ready itself. With the controller-manager
// gone, the Ready of a dead node stays True for ever; and a fresh lease overrules a Ready that is still Unknown. A nil
// lease (there is none, or it could not be read) says nothing: then Ready alone has to do.
func ReadinessOf(n *corev1.Node, lease *coordinationv1.Lease, now time.Time, patience time.Duration) Readiness {
	r := Readiness{Condition: ReadyCondition(n), Heartbeat: HeartbeatOf(lease, now, patience)}
	r.posting(now)
	switch {
	case r.Condition == nil, r.Condition.Status == corev1.ConditionUnknown && r.Condition.Reason == "NodeStatusNeverUpdated":
		r.State = NeverHeard
	case r.Condition.Status == corev1.ConditionUnknown && r.Heartbeat.Beat == Fresh:
		r.State = Returning
	case r.Condition.Status == corev1.ConditionUnknown, r.Heartbeat.Beat == Expired && !r.Posting:
		r.State = Silent
	case r.Condition.Status == corev1.ConditionTrue:
		r.State = Ready
	default:
		r.State = NotReady
	}
	return r
}

// posting compares two times of the node's own clock: when it last posted its status, and when it last renewed its lease.
func (r *Readiness) posting(now time.Time) {
	c, h := r.Condition, &r.Heartbeat
	if c == nil || c.LastHeartbeatTime.IsZero() {
		return
	}
	if r.Posted = c.LastHeartbeatTime.Time; h.Skew != nil {
		r.Posted = r.Posted.Add(-*h.Skew)
	}
	if h.Beat != Late && h.Beat != Expired || c.LastHeartbeatTime.Sub(h.Renewed) <= h.Duration {
		return
	}
	if c.Status == corev1.ConditionUnknown {
		r.Posting = now.Sub(c.LastTransitionTime.Time) <= returnsWithin
		return
	}
	r.Posting = now.Sub(r.Posted) <= postsWithin
}

// ReadyCondition is condition Ready as it is posted, nil where it never was.
func ReadyCondition(n *corev1.Node) *corev1.NodeCondition { return Condition(n, corev1.NodeReady) }

// PostedReady says that the posted Ready is True. Without the lease that is what kubectl prints, and no more.
func PostedReady(n *corev1.Node) bool {
	c := ReadyCondition(n)
	return c != nil && c.Status == corev1.ConditionTrue
}

// controlPlaneLabel is the role that kubeadm and others give a node of the control plane.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// ControlPlane says that the node has the role of one of the control plane.
func ControlPlane(n *corev1.Node) bool {
	_, is := n.Labels[controlPlaneLabel]
	return is
}

// Condition is a condition of the node, nil where it was never posted.
func Condition(n *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// Standard says whether a condition is one of those that the kubelet or a cloud's route controller posts: all others are
// of add-ons. https://kubernetes.io/docs/reference/node/node-status/#condition
func Standard(kind corev1.NodeConditionType) bool {
	switch kind {
	case corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable:
		return true
	}
	return false
}

// Conditions are all conditions of the node: Ready first, the others by name.
func Conditions(n *corev1.Node) []*corev1.NodeCondition {
	list := make([]*corev1.NodeCondition, 0, len(n.Status.Conditions))
	for i := range n.Status.Conditions {
		list = append(list, &n.Status.Conditions[i])
	}
	sorting.Stable(list, func(a, b *corev1.NodeCondition) int {
		if first := a.Type == corev1.NodeReady; first != (b.Type == corev1.NodeReady) {
			if first {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a.Type), string(b.Type))
	})
	return list
}
