package report

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// DrainKind is the type of a Drain.
const DrainKind = "DrainPreview"

// DrainVerdict is the judgement of a drain.
type DrainVerdict string

// The verdicts of a drain.
const (
	Drainable    DrainVerdict = "Drainable" // it ends, and what moves has room elsewhere
	Removable    DrainVerdict = "Removable" // the same of a node that is removed for good: nothing is lost with it
	Risky        DrainVerdict = "Risky"     // it ends, but pods are lost or find no room
	Undecided    DrainVerdict = "Unknown"   // what decides could not be read
	DrainBlocked DrainVerdict = "Blocked"   // it does not end
)

// Drain is the preview of draining nodes, all at once, or of removing one for good.
type Drain struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Time       time.Time         `json:"time"` // the API server's clock
	Nodes      []string          `json:"nodes"`
	NotFound   []string          `json:"notFound,omitempty"` // named nodes that do not exist; then nothing else is judged
	Verdict    DrainVerdict      `json:"verdict"`
	Summary    string            `json:"summary"`
	Findings   []finding.Finding `json:"findings"`
	Counts     DrainCounts       `json:"counts"`
	Pods       []DrainPod        `json:"pods"`  // of the drained nodes, by namespace and name
	Rooms      []DrainRoom       `json:"rooms"` // the other nodes

	// GraceSeconds is the longest grace period of the pods that go: no pod takes longer to stop. GracePod is whose it is.
	GraceSeconds *int64 `json:"graceSeconds,omitempty"`
	GracePod     string `json:"gracePod,omitempty"` // namespace/name

	// Tight says that the pods fit only in another order or on other nodes than the scheduler would try first.
	Tight bool `json:"tight,omitempty"`

	NotModeled []string      `json:"notModeled,omitempty"` // rules of the scheduler that bear on the pods and were not tried
	Command    *finding.Next `json:"command,omitempty"`    // kubectl drain with the flags that it needs, and no others
	Removal    *Removal      `json:"removal,omitempty"`    // of a node that is removed for good
	Sources    source.List   `json:"sources"`
}

// DrainCounts counts the pods of the drained nodes by what becomes of them.
type DrainCounts struct {
	Moves    int `json:"moves"`    // evicted, and replaced by their controllers
	Unplaced int `json:"unplaced"` // of those, the ones that fit on no other node
	Lost     int `json:"lost"`     // evicted and not replaced
	Ends     int `json:"ends"`     // finished, or terminating before the drain
	Stays    int `json:"stays"`    // of DaemonSets, and static pods
}

// PodFate is what becomes of a pod.
type PodFate string

// The fates of pods.
const (
	PodMoves       PodFate = "moves"       // evicted; its controller makes another
	PodLost        PodFate = "lost"        // evicted for good: no controller makes another
	PodFinished    PodFate = "finished"    // evicted; it had ended
	PodTerminating PodFate = "terminating" // was deleted before; the drain waits for its end
	PodOfDaemonSet PodFate = "daemonset"   // stays
	PodStatic      PodFate = "static"      // stays
)

// DrainPod is a pod of a drained node.
type DrainPod struct {
	Namespace    string      `json:"namespace"`
	Name         string      `json:"name"`
	Node         string      `json:"node"`
	Controller   string      `json:"controller,omitempty"` // Kind/name
	Fate         PodFate     `json:"fate"`
	GraceSeconds *int64      `json:"graceSeconds,omitempty"` // of pods that are evicted
	Budgets      []string    `json:"budgets,omitempty"`      // PodDisruptionBudgets that the API server asks
	EmptyDirs    []string    `json:"emptyDirs,omitempty"`    // volumes whose data ends with the pod
	Finalizers   []string    `json:"finalizers,omitempty"`
	To           string      `json:"to,omitempty"`       // a node with room for it, where it moves
	Refusals     []NodeMatch `json:"refusals,omitempty"` // why each other node does not take it, the nearest miss first, where none does
}

// NodeMatch is why a node does not take a pod.
type NodeMatch struct {
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

// DrainRoom is another node: how many of the pods it takes, what it has free after that, or why it takes none at all.
type DrainRoom struct {
	Node    string             `json:"node"`
	Takes   int                `json:"takes"`
	Free    map[string]*Amount `json:"free,omitempty"` // cpu, memory, pods; after the pods that it takes
	Refuses string             `json:"refuses,omitempty"`
}
