package report

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// JoinKind is the type of a Join.
const JoinKind = "JoinReport"

// JoinVerdict is how far machines have come.
type JoinVerdict string

// The verdicts of a join.
const (
	Joined        JoinVerdict = "Joined"     // every step is done
	JoinUndecided JoinVerdict = "Unknown"    // nothing is missing, and a step could not be read
	Joining       JoinVerdict = "Joining"    // steps are in progress, and nothing is missing
	Incomplete    JoinVerdict = "Incomplete" // a step is missing, and does not come by waiting
)

// JoinVerdicts are all verdicts of a join, the worst first.
func JoinVerdicts() []JoinVerdict { return []JoinVerdict{Incomplete, JoinUndecided, Joining, Joined} }

// Join is how far machines have come on their way to a node that pods can use, and what they lack.
type Join struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Time       time.Time     `json:"time"` // the API server's clock
	Verdict    JoinVerdict   `json:"verdict"`
	Summary    string        `json:"summary"`
	Nodes      []string      `json:"nodes,omitempty"`    // those that were named; none: all that have not joined yet
	NotFound   []string      `json:"notFound,omitempty"` // named ones that have neither a Node nor a certificate request
	Machines   []JoinMachine `json:"machines"`           // the worst first
	Sources    source.List   `json:"sources"`
}

// JoinMachine is a node that joins, or a machine that has no Node yet.
type JoinMachine struct {
	Name         string                `json:"name"`
	Registered   bool                  `json:"registered"` // there is a Node
	Verdict      JoinVerdict           `json:"verdict"`
	Summary      string                `json:"summary"`
	Missing      JoinStepName          `json:"missing,omitempty"` // the first step that is missing
	Findings     []finding.Finding     `json:"findings"`
	Consequences []finding.Consequence `json:"consequences,omitempty"`
	Steps        []JoinStep            `json:"steps"`          // in their order; without a Node, the first two
	Next         []finding.Next        `json:"next,omitempty"` // what to do where no finding says it
	Sources      source.List           `json:"sources,omitempty"`
}

// JoinState is what is known of a step.
type JoinState string

// The states of steps.
const (
	JoinDone      JoinState = "done"
	JoinWaiting   JoinState = "waiting" // in progress, or due after an earlier step
	JoinMissing   JoinState = "missing"
	JoinUnknown   JoinState = "unknown" // not read, or not conclusive; the evidence says why
	JoinInfo      JoinState = "info"    // differs from other nodes, which may be intended
	JoinNotNeeded JoinState = "not needed"
)

// JoinStepName is a step on the way from a machine to a node.
type JoinStepName string

// The steps, in their order.
const (
	JoinClientCertificate  JoinStepName = "client certificate"
	JoinNode               JoinStepName = "node object"
	JoinReports            JoinStepName = "heartbeat"
	JoinVersion            JoinStepName = "version"
	JoinServingCertificate JoinStepName = "serving certificate"
	JoinCloud              JoinStepName = "cloud"
	JoinNetwork            JoinStepName = "network plugin"
	JoinPodCIDR            JoinStepName = "pod CIDR"
	JoinDaemonSets         JoinStepName = "daemonsets"
	JoinCSI                JoinStepName = "csi drivers"
	JoinTaints             JoinStepName = "taints"
	JoinLabels             JoinStepName = "labels"
	JoinReady              JoinStepName = "ready"
)

// JoinStep is a step, and what tells of it.
type JoinStep struct {
	Step     JoinStepName `json:"step"`
	State    JoinState    `json:"state"`
	Evidence string       `json:"evidence"`
	Code     finding.Code `json:"code,omitempty"` // of the finding or consequence that tells of it
}
