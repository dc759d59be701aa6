package report

import "time"

// Autoscaler is who adds and removes the machine of the node, what it reports, and what keeps it from removing the node.
type Autoscaler struct {
	Name      string           `json:"name"`            // "Karpenter", "Cluster Autoscaler"
	Group     string           `json:"group,omitempty"` // the NodePool or node group; absent: not known
	NodeClaim *NodeClaim       `json:"nodeClaim,omitempty"`
	Budgets   []string         `json:"disruptionBudgets,omitempty"` // of the NodePool: how many of its nodes may be removed at once
	Limits    []PoolLimit      `json:"limits,omitempty"`            // of the NodePool
	Reported  *ScalerEvent     `json:"reported,omitempty"`          // why Karpenter does not remove the node, in its own words
	Status    *ScalerStatus    `json:"status,omitempty"`            // of Cluster Autoscaler
	NodeGroup *NodeGroup       `json:"nodeGroup,omitempty"`         // of the node
	Removal   string           `json:"removal,omitempty"`           // "inProgress", "candidate"; absent: none is planned that is known
	Since     *time.Time       `json:"removalSince,omitempty"`
	Holds     []RemovalHold    `json:"holds,omitempty"`       // what keeps it from removing the node, what cannot be changed by a flag first
	Checked   bool             `json:"holdsChecked"`          // false: pods were not read for that
	Waiting   *WaitingForNodes `json:"waitingPods,omitempty"` // pods for which the autoscaler adds no node
}

// The values of Removal.
const (
	RemovalInProgress = "inProgress"
	RemovalCandidate  = "candidate"
)

// PoolLimit is how much of a resource the nodes of a NodePool may have together, and how much they have, as Quantities.
type PoolLimit struct {
	Resource string `json:"resource"`
	Used     string `json:"used"`
	Limit    string `json:"limit"`
}

// ScalerEvent is an event of the autoscaler about the node.
type ScalerEvent struct {
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Time    time.Time `json:"time"`
}

// NodeClaim is Karpenter's request for the machine.
type NodeClaim struct {
	Name                   string           `json:"name"`
	DeletedAt              *time.Time       `json:"deletedAt,omitempty"`
	Finalizers             []string         `json:"finalizers,omitempty"`
	TerminationGracePeriod string           `json:"terminationGracePeriod,omitempty"` // from when on holds are not heeded
	Conditions             []ClaimCondition `json:"conditions,omitempty"`
}

// ClaimCondition is a condition of a NodeClaim.
type ClaimCondition struct {
	Type    string     `json:"type"`
	Status  string     `json:"status"`
	Reason  string     `json:"reason,omitempty"`
	Message string     `json:"message,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
}

// ScalerStatus is what Cluster Autoscaler says of itself and of the cluster.
type ScalerStatus struct {
	State      string     `json:"state,omitempty"`
	Updated    *time.Time `json:"updated,omitempty"`
	Stopped    bool       `json:"stopped,omitempty"` // nobody renews it
	Health     string     `json:"health,omitempty"`
	ScaleUp    string     `json:"scaleUp,omitempty"`
	ScaleDown  string     `json:"scaleDown,omitempty"`
	Candidates *int       `json:"candidates,omitempty"`
	Groups     int        `json:"nodeGroups"`
	Backoff    []string   `json:"groupsInBackoff,omitempty"`
}

// NodeGroup is a node group of Cluster Autoscaler.
type NodeGroup struct {
	Name    string `json:"name"`
	Target  *int   `json:"target,omitempty"`
	Min     *int   `json:"min,omitempty"`
	Max     *int   `json:"max,omitempty"`
	ScaleUp string `json:"scaleUp,omitempty"`
}

// RemovalHold is one thing that keeps an autoscaler from removing the node.
type RemovalHold struct {
	Reason    string   `json:"reason"`
	Namespace string   `json:"namespace,omitempty"` // of the pod
	Pod       string   `json:"pod,omitempty"`
	Message   string   `json:"message"`
	Budgets   []string `json:"budgets,omitempty"`
	ByDefault bool     `json:"byDefault,omitempty"` // a flag of Cluster Autoscaler may say otherwise; its flags are not read
}

// WaitingForNodes are pods that have no node, and for which no node group or NodePool would help.
type WaitingForNodes struct {
	Pods    int       `json:"pods"`
	Newest  string    `json:"newest"` // NAMESPACE/NAME
	Message string    `json:"message"`
	Time    time.Time `json:"time"`
}
