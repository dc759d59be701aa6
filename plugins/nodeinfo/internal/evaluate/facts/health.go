package facts

import (
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
)

// neverReady is how soon after the birth of a node that was never Ready its Ready last changed.
const neverReady = 30 * time.Second

// Cause is why a node's own kubelet says that it is not ready.
type Cause string

// The causes.
const (
	NoCause     Cause = "" // it is Ready, or what it says is not believed
	Joining     Cause = "joining"
	Stopping    Cause = "shutting down"
	RuntimeDown Cause = "container runtime"
	NetworkDown Cause = "pod network"
	OtherCause  Cause = "other"
)

// Fragments of the kubelet's Ready message, from its runtime state and node status setters
// (https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/runtime.go, nodestatus/setters.go).
var (
	runtimeWords = []string{
		"container runtime is down", "RuntimeReady=false", "container runtime not ready", "PLEG is not healthy", "runtime service",
		"container runtime status check",
	}
	networkWords = []string{
		"NetworkReady=false", "NetworkPluginNotReady", "cni plugin not initialized", "cni config uninitialized",
		"network plugin is not ready",
	}
	shutdownWords = []string{"node is shutting down"}
)

// health fills in readiness, conditions, and the cause of a Ready that is False. Where leases could not be read, Ready
// alone has to do.
func (c *Cluster) health(n *Node) {
	var lease *coordinationv1.Lease
	if n.Read(SourceLeases) {
		lease = c.leases[n.Object.Name]
	}
	n.Readiness = nodefact.ReadinessOf(n.Object, lease, c.now, c.limits.StaleAfter)
	for _, condition := range nodefact.Conditions(n.Object) {
		n.Conditions = append(n.Conditions, Condition{condition, c.problemCondition(condition), c.silent(condition)})
	}
	if n.Readiness.State == nodefact.NotReady {
		n.Cause = n.cause(n.Readiness.Condition)
	}
	n.KubeletsAsked = len(c.in.Kubelets) > 0
	if k, asked := c.in.Kubelets[n.Object.Name]; asked {
		n.Kubelet = &k
	}
}

func (n *Node) cause(ready *corev1.NodeCondition) Cause {
	born := n.Object.CreationTimestamp.Time
	said := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(ready.Message, w) })
	}
	switch {
	case ready.LastTransitionTime.Sub(born) < neverReady && n.Age(born) < n.Limits.NodeJoin:
		return Joining
	case said(shutdownWords):
		return Stopping
	case said(runtimeWords):
		return RuntimeDown
	case said(networkWords):
		return NetworkDown
	}
	return OtherCause
}

// SaysNoNetwork says whether the kubelet itself reports that the runtime has no pod network, however young the node is.
func (n *Node) SaysNoNetwork() bool {
	ready := n.Readiness.Condition
	return ready != nil && n.Readiness.State == nodefact.NotReady &&
		slices.ContainsFunc(networkWords, func(w string) bool { return strings.Contains(ready.Message, w) })
}

// StatusOld says whether the kubelet's last status is older than its conditions can be believed.
func (n *Node) StatusOld() bool {
	posted := n.Readiness.Condition.LastHeartbeatTime.Time
	return !posted.IsZero() && n.Age(posted) > n.Limits.StatusStaleAfter
}

// ClockSkew is how far the node's clock is ahead of the API server's; 0 where it is not known, or within what is believed.
func (n *Node) ClockSkew() time.Duration {
	h := n.Readiness.Heartbeat
	if h.Renewed.IsZero() {
		return 0
	}
	skew := time.Duration(0)
	if h.Skew != nil {
		skew = h.Renewed.Sub(h.Received)
	} else if ahead := h.Renewed.Sub(n.Now); ahead > 0 {
		skew = ahead // without the server's time of writing only a clock that is ahead shows
	}
	if skew <= n.Limits.ClockAhead && skew >= -n.Limits.ClockBehind {
		return 0
	}
	return skew
}

// RecoveredSince says whether the node became Ready after the moment: what it complained of before is over.
func (n *Node) RecoveredSince(t time.Time) bool {
	return nodefact.PostedReady(n.Object) && nodefact.ReadyCondition(n.Object).LastTransitionTime.After(t)
}
