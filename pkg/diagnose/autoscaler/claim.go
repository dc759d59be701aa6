package autoscaler

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What Karpenter sets on nodes, NodeClaims and pods. https://karpenter.sh/docs/concepts/disruption/
const (
	NodePoolLabel = "karpenter.sh/nodepool"
	DoNotDisrupt  = "karpenter.sh/do-not-disrupt"
	Termination   = "karpenter.sh/termination" // the finalizer that holds a NodeClaim until its machine is drained and ended

	// KarpenterLease is that of Karpenter's leader election, in the namespace in which it runs.
	KarpenterLease = "karpenter-leader-election"
)

// NodeClaim is what is judged of Karpenter's request for a machine; of labels its pool alone is kept.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.8.0/pkg/apis/v1/nodeclaim.go, nodeclaim_status.go
type NodeClaim struct {
	Metadata struct {
		Name       string       `json:"name"`
		Created    metav1.Time  `json:"creationTimestamp,omitzero"`
		Deleted    *metav1.Time `json:"deletionTimestamp,omitempty"`
		Finalizers []string     `json:"finalizers,omitempty"`
		Labels     struct {
			NodePool string `json:"karpenter.sh/nodepool,omitempty"`
		} `json:"labels,omitzero"`
	} `json:"metadata"`
	Spec struct {
		TerminationGracePeriod string `json:"terminationGracePeriod,omitempty"`
		ExpireAfter            string `json:"expireAfter,omitempty"`
	} `json:"spec,omitzero"`
	Status struct {
		NodeName   string             `json:"nodeName,omitempty"`
		Conditions []metav1.Condition `json:"conditions,omitempty"`
	} `json:"status,omitzero"`
}

// The conditions of a NodeClaim that something follows from.
const (
	Launched       = "Launched"
	Registered     = "Registered"
	Initialized    = "Initialized"
	Drifted        = "Drifted"
	Consolidatable = "Consolidatable"
)

// Condition is one by its type; nil: it is not there.
func (c *NodeClaim) Condition(kind string) *metav1.Condition {
	for i := range c.Status.Conditions {
		if c.Status.Conditions[i].Type == kind {
			return &c.Status.Conditions[i]
		}
	}
	return nil
}

// Is says whether a condition is True.
func (c *NodeClaim) Is(kind string) bool {
	condition := c.Condition(kind)
	return condition != nil && condition.Status == metav1.ConditionTrue
}

// Lack is the step that a NodeClaim has not made.
type Lack int

// The steps, in their order. https://karpenter.sh/docs/concepts/nodeclaims/
const (
	NothingLacks   Lack = iota
	NotLaunched         // there is no machine
	NotRegistered       // no kubelet of the machine has joined
	NotInitialized      // the Node is not ready for pods yet, by Karpenter's count
)

// How long a step may take. Karpenter itself deletes a NodeClaim that was not launched after 5 minutes or not registered after 15, and
// makes another; it waits without end for initialization. A step counts as missed within that time, so that it can be seen.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.8.0/pkg/controllers/nodeclaim/lifecycle/liveness.go
const (
	launchTime         = 3 * time.Minute
	registrationTime   = 10 * time.Minute
	initializationTime = 10 * time.Minute
)

// awaited is the reason of a condition that Karpenter has not come to yet.
// https://github.com/awslabs/operatorpkg/blob/main/status/condition_set.go
const awaited = "AwaitingReconciliation"

// Lacks is the step that a NodeClaim should have made by now, with the condition that tells why, and since when it is lacking; the
// condition is nil where Karpenter has reported none. One that is being deleted lacks nothing.
func (c *NodeClaim) Lacks(now time.Time) (lack Lack, why *metav1.Condition, since time.Time) {
	if c.Metadata.Deleted != nil || c.Is(Initialized) {
		return NothingLacks, nil, time.Time{}
	}
	created := c.Metadata.Created.Time
	late := func(begin time.Time, most time.Duration) bool { return !begin.IsZero() && now.Sub(begin) > most }
	switch launched, registered := c.Condition(Launched), c.Condition(Registered); {
	case !c.Is(Launched):
		failed := launched != nil && (launched.Status == metav1.ConditionFalse || launched.Reason != awaited && launched.Reason != "")
		if failed || late(created, launchTime) {
			return NotLaunched, launched, created
		}
	case !c.Is(Registered):
		if begin := launched.LastTransitionTime.Time; late(begin, registrationTime) {
			return NotRegistered, registered, begin
		}
	default:
		if begin := registered.LastTransitionTime.Time; late(begin, initializationTime) {
			return NotInitialized, c.Condition(Initialized), begin
		}
	}
	return NothingLacks, nil, time.Time{}
}

// ClaimOf is the name of the NodeClaim that a Node was made for, which Karpenter writes as its owner; empty: none is told.
func ClaimOf(n *corev1.Node) string {
	for _, o := range n.OwnerReferences {
		if o.Kind == "NodeClaim" && strings.HasPrefix(o.APIVersion, "karpenter.sh/") {
			return o.Name
		}
	}
	return ""
}

// OfKarpenter says whether Karpenter made a node.
func OfKarpenter(n *corev1.Node) bool { return n.Labels[NodePoolLabel] != "" }

// NodePool is what is judged of the pool of a NodeClaim: when its nodes may be removed, and how many it may have.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.8.0/pkg/apis/v1/nodepool.go
type NodePool struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Replicas   *int64 `json:"replicas,omitempty"` // a pool of a fixed size, which is not consolidated
		Disruption struct {
			After   string   `json:"consolidateAfter,omitempty"`
			Policy  string   `json:"consolidationPolicy,omitempty"`
			Budgets []Budget `json:"budgets,omitempty"`
		} `json:"disruption,omitzero"`
		Limits corev1.ResourceList `json:"limits,omitempty"`
	} `json:"spec,omitzero"`
	Status struct {
		Resources corev1.ResourceList `json:"resources,omitempty"` // what the nodes of the pool have
	} `json:"status,omitzero"`
}

// Budget bounds how many nodes of a pool may be removed at once, at certain times or for certain reasons.
type Budget struct {
	Nodes    string   `json:"nodes"`
	Reasons  []string `json:"reasons,omitempty"`
	Schedule string   `json:"schedule,omitempty"`
	Duration string   `json:"duration,omitempty"`
}

// Closed says whether a budget allows nothing, at all times.
func (b *Budget) Closed() bool { return b.Schedule == "" && (b.Nodes == "0" || b.Nodes == "0%") }

// String is a budget as one phrase.
func (b *Budget) String() string {
	text := b.Nodes
	if len(b.Reasons) > 0 {
		text += " for " + strings.Join(b.Reasons, ", ")
	}
	if b.Schedule != "" {
		text += " at " + b.Schedule + " for " + b.Duration
	}
	return text
}
