package autoscaler

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

// Cluster is what was read of a cluster's autoscalers.
type Cluster struct {
	Claims  []NodeClaim
	Pools   []NodePool
	Status  *Status // of Cluster Autoscaler; nil: it has none, or that was not read
	Budgets Budgets
	Events  []eventfact.Event // newest first; those of others are left out
}

// Scaler is who adds and removes the machine of a node.
type Scaler struct {
	Karpenter bool
	NodePool  string
	Claim     *NodeClaim // nil: not read, or there is none
	Pool      *NodePool  // likewise

	Status *Status // of Cluster Autoscaler; nil: it has none, or that was not read
	Group  *Group  // of the node; nil: not known

	Said *eventfact.Event // of Karpenter: why it does not remove the node, in its own words; nil: it says nothing lately

	Checked bool   // the pods were read for what keeps it from removing the node
	Holds   []Hold // what does
	Most    *Share // what is requested most, where that keeps the node by default
}

// Share is the part of a resource that pods request.
type Share struct {
	Resource string
	Percent  float64
}

// MayManage says whether a node may be Cluster Autoscaler's, which tells by the provider ID to which node group a node belongs. A node
// without one is passed over, unless somebody told the autoscaler to keep it.
// https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/cloud_provider.go (NodeGroupForNode)
func MayManage(n *corev1.Node) bool {
	_, kept := n.Annotations[ScaleDownDisabled]
	return !OfKarpenter(n) && (n.Spec.ProviderID != "" || kept)
}

// Of is the scaler of a node; nil: none is known. shares are of CPU and memory; none where something else decides, as it does for
// nodes with GPUs. pods are those of the node; read says that they were read.
func (c *Cluster) Of(n *corev1.Node, pods []*corev1.Pod, read bool, shares []Share, now time.Time) *Scaler {
	if OfKarpenter(n) {
		s := &Scaler{Karpenter: true, Checked: read, NodePool: n.Labels[NodePoolLabel], Claim: c.claimOf(n)}
		s.Said = Kept(c.Events, n, now)
		for i := range c.Pools {
			if c.Pools[i].Metadata.Name == s.NodePool {
				s.Pool = &c.Pools[i]
			}
		}
		if read {
			s.Holds = KarpenterHolds(n, s.Pool, pods, c.Budgets, now)
		}
		return s
	}
	if c.Status == nil {
		return nil
	}
	s := &Scaler{Checked: read, Status: c.Status, Group: c.Status.GroupOf(n)}
	if !read {
		return s
	}
	s.Holds = Holds(n, s.Group, pods, c.Budgets, now)
	for _, share := range shares {
		if share.Percent >= UtilizationThreshold && (s.Most == nil || share.Percent > s.Most.Percent) {
			s.Most = &share
		}
	}
	if s.Most != nil {
		s.Holds = append(s.Holds, Hold{Reason: Utilized, Value: s.Most.Resource})
	}
	return s
}

func (c *Cluster) claimOf(n *corev1.Node) *NodeClaim {
	name := ClaimOf(n)
	for i := range c.Claims {
		claim := &c.Claims[i]
		if name != "" && claim.Metadata.Name == name || name == "" && claim.Status.NodeName == n.Name {
			return claim
		}
	}
	return nil
}

// The reasons of Cluster Autoscaler's events that say why nodes are not added. Those of node groups are about its ConfigMap, the
// others about pods.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/FAQ.md#what-events-are-emitted-by-ca
const (
	NotTriggered = "NotTriggerScaleUp"
	GroupFailed  = "FailedToScaleUpGroup"
	TimedOut     = "ScaleUpTimedOut"
)

// FailedScaleUps are the events that say why nodes were not added to a group, newest first.
func (c *Cluster) FailedScaleUps(g *Group) []eventfact.Event {
	return slices.DeleteFunc(slices.Clone(c.Events), func(e eventfact.Event) bool {
		return e.Reason != GroupFailed && e.Reason != TimedOut || !names(e.Message, g.Name)
	})
}

// names says whether a text has a name as a word of its own: group "pool" is not meant by "pool-2".
func names(text, name string) bool {
	return slices.ContainsFunc(strings.Fields(text), func(word string) bool { return strings.TrimRight(word, ":,.") == name })
}

// stillPending is how old the last NotTriggerScaleUp of a pod that waits for a node can be: it is said again as long as the pod waits.
const stillPending = 10 * time.Minute

// NoGroupFits are the events of pods that wait and for which no node group would help, or no NodePool of Karpenter, newest first, one of
// each pod.
func (c *Cluster) NoGroupFits(karpenter bool, now time.Time) []eventfact.Event {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(c.Events), func(e eventfact.Event) bool {
		id := e.About.Namespace + "/" + e.About.Name
		refuses := !karpenter && e.Reason == NotTriggered || karpenter && RefusedByKarpenter(&e)
		drop := !refuses || e.About.Kind != "Pod" || seen[id] || now.Sub(e.Last) > stillPending
		seen[id] = seen[id] || !drop
		return drop
	})
}
