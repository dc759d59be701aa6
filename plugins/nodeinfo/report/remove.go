package report

import "github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"

// Removal is what a Drain adds where its one node is removed for good.
type Removal struct {
	Left  []Leftover     `json:"left"`           // what of the node there is beside the Node, by what becomes of it
	Etcd  *EtcdMember    `json:"etcd,omitempty"` // the member that a static pod of the node runs
	Steps []finding.Next `json:"steps"`          // in this order; none if what decides about them could not be read
}

// LeftoverFate is what becomes of an object after its Node is deleted.
type LeftoverFate string

// The fates of what is left.
const (
	LeftGoes  LeftoverFate = "goes"  // is deleted without a further command
	LeftStays LeftoverFate = "stays" // stays until somebody removes it
	LeftLost  LeftoverFate = "lost"  // stays, and cannot be used any more
)

// Leftover is an object of the node, or several of one kind.
type Leftover struct {
	Object finding.ObjectRef `json:"object"`
	Fate   LeftoverFate      `json:"fate"`
	Note   string            `json:"note"` // why, in words
}

// EtcdMember is an etcd member on the node and those on other nodes, by their static pods.
type EtcdMember struct {
	Name    string `json:"name,omitempty"` // as the member list has it; empty: unknown
	Members int    `json:"members"`        // with this one
	Ready   int    `json:"ready"`          // of the others
	Quorum  int    `json:"quorum"`         // how many of the others must work after the removal
}
