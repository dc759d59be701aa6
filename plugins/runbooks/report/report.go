// Package report holds the types that kubectl runbooks prints with -o json and -o yaml: version v1alpha1, additive only.
package report

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// The type of a Triage.
const (
	APIVersion = "kubectl-runbooks.github.io/v1alpha1"
	Kind       = "Triage"
)

// Verdict is the judgement of the cluster, as far as it was read.
type Verdict string

// The verdicts.
const (
	Healthy   Verdict = "Healthy"   // no workflow found a problem
	Degraded  Verdict = "Degraded"  // the worst cause is a warning
	Unhealthy Verdict = "Unhealthy" // a cause is critical
	Unknown   Verdict = "Unknown"   // no problem was found, and a workflow could not be read
)

// Verdicts lists the words, worst first.
func Verdicts() []Verdict { return []Verdict{Unhealthy, Degraded, Unknown, Healthy} }

// Workflow names one of the workflows that a triage runs: the plugin whose findings it has.
type Workflow string

// The workflows, from what carries the others upwards.
const (
	Nodes    Workflow = "nodeinfo"
	DNS      Workflow = "dns"
	Rollouts Workflow = "rollout-explain"
)

// Workflows lists them in that order.
func Workflows() []Workflow { return []Workflow{Nodes, DNS, Rollouts} }

// ClusterDNS is the subject of a finding about the DNS of the cluster.
var ClusterDNS = finding.ObjectRef{Kind: "DNS", Name: "cluster"}

// Triage is the report: root causes across all workflows, worst first, and what each explains.
type Triage struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Verdict    Verdict     `json:"verdict"`
	Summary    string      `json:"summary"`
	Time       time.Time   `json:"time"` // by the API server's clock
	Scope      Scope       `json:"scope"`
	Causes     []Cause     `json:"causes"`
	Notes      []string    `json:"notes,omitempty"` // what the problems of several nodes have in common
	Workflows  []Result    `json:"workflows"`
	Changes    *Changes    `json:"changes,omitempty"`    // what changed lately, with --since
	NotChecked []string    `json:"notChecked,omitempty"` // what was not checked and why
	Sources    source.List `json:"sources"`              // of all workflows, as "WORKFLOW: SOURCE"
}

// Changes is what changed since a time, on one time line, newest last.
type Changes struct {
	Since   time.Time `json:"since"`
	Items   []Change  `json:"items"`
	LeftOut int       `json:"leftOut,omitempty"` // older ones that the list has no room for
	Unknown []string  `json:"unknown,omitempty"` // changes that nothing that was read tells of
}

// Change is one change of an object.
type Change struct {
	Time    time.Time         `json:"time"`
	Object  finding.ObjectRef `json:"object"`
	Kind    ChangeKind        `json:"kind"`
	Message string            `json:"message"`
}

// ChangeKind says what a change is.
type ChangeKind string

// The kinds of changes.
const (
	ChangeCreated  ChangeKind = "created"  // a node or a workload
	ChangeRevision ChangeKind = "revision" // of a workload
	ChangeReady    ChangeKind = "ready"    // of a node, the last one
	ChangeCordoned ChangeKind = "cordoned" // of a node
	ChangeCorefile ChangeKind = "corefile" // the ConfigMap was written
	ChangeEvent    ChangeKind = "event"    // a warning, or any of a node, at its last time
)

// Scope says whose rollouts were read, and whose pods nodes are reported to have problems with; nodes and DNS are the cluster's.
type Scope struct {
	Namespace string `json:"namespace,omitempty"` // empty: all
	Selector  string `json:"selector,omitempty"`
}

// Cause is a finding that no other finding explains, with all that it explains.
type Cause struct {
	finding.Finding

	Workflow Workflow   `json:"workflow"` // whose finding it is: kubectl WORKFLOW --explain CODE
	Subjects []Subject  `json:"subjects"` // where the same cause was found, the worst first
	Began    *time.Time `json:"began,omitempty"`
	Log      *Log       `json:"log,omitempty"`
	Explains []Effect   `json:"explains,omitempty"`
	// ExplainsSummary is what it explains in a few words.
	ExplainsSummary string `json:"explainsSummary,omitempty"`
}

// Subject is a node, a rollout or the cluster DNS, with the verdict of its workflow.
type Subject struct {
	Object  finding.ObjectRef `json:"object"`
	Verdict string            `json:"verdict"`
}

// Effect is a finding that another one explains.
type Effect struct {
	Workflow Workflow          `json:"workflow"`
	Subject  Subject           `json:"subject"`
	Object   finding.ObjectRef `json:"object"` // of the finding: a pod, a node
	Code     finding.Code      `json:"code"`
	CausedBy finding.Code      `json:"causedBy"` // the nearest cause, which the root may explain
	Message  string            `json:"message"`
}

// Log is the last log lines of a container.
type Log struct {
	Pod       string   `json:"pod"`
	Container string   `json:"container"`
	Previous  bool     `json:"previous"` // of the run before the current one
	Lines     []string `json:"lines"`
}

// Result is what one workflow came to.
type Result struct {
	Workflow Workflow `json:"workflow"`
	Verdict  string   `json:"verdict"`           // the worst of its subjects, in its own words; Unknown: it could not be read
	Healthy  string   `json:"healthy,omitempty"` // what is well, in one sentence
	Unread   string   `json:"unread,omitempty"`  // why it could not be read
	LeftOut  string   `json:"leftOut,omitempty"` // what it found outside the namespace of the scope
	Command  string   `json:"command"`           // shows its own report
}
