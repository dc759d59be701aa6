// Package report holds what "kubectl rollout-explain -o json" prints. Fields are only ever added within one apiVersion;
// what is unknown is absent or null, never 0.
package report

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// The type of every document.
const (
	APIVersion = "kubectl-runbooks.github.io/v1alpha1"
	Kind       = "RolloutExplanation"
	KindList   = "RolloutExplanationList"
)

// Verdict is the state of a rollout in one word.
type Verdict string

// The verdicts, a closed set.
const (
	Failed      Verdict = "Failed"      // will not finish: a fatal cause, or this revision exceeded its deadline
	Stuck       Verdict = "Stuck"       // makes no progress, and nothing seen shows that it will without a change
	Degraded    Verdict = "Degraded"    // was complete, and pods of it failed afterwards
	OnHold      Verdict = "OnHold"      // waits for an action by a user: spec.paused, a partition, OnDelete, a gate, spec.suspend
	Superseded  Verdict = "Superseded"  // a newer change has replaced the updated revision
	Unknown     Verdict = "Unknown"     // what can be read does not show the state
	Progressing Verdict = "Progressing" // makes progress, or waits for something that ends without a change
	Complete    Verdict = "Complete"    // every desired pod has the updated revision and is available
)

// Verdicts lists the words, worst first: the order of the table.
func Verdicts() []Verdict {
	return []Verdict{Failed, Stuck, Degraded, OnHold, Superseded, Unknown, Progressing, Complete}
}

// List is what several rollouts print.
type List struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Summary    string      `json:"summary"`
	Items      []Rollout   `json:"items"`
	Sources    source.List `json:"sources"`
}

// Rollout explains one workload.
type Rollout struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Object     finding.ObjectRef  `json:"object"`
	Requested  *finding.ObjectRef `json:"requested,omitempty"` // the pod or ReplicaSet that the user named, where it is not Object
	Verdict    Verdict            `json:"verdict"`
	Summary    string             `json:"summary"`
	Time       time.Time          `json:"time"`                // the server's, when it was judged
	CreatedAt  *time.Time         `json:"createdAt,omitempty"` // of the workload

	Generation         int64 `json:"generation,omitempty"`
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	Template       string          `json:"template,omitempty"` // fingerprint of the current pod template: another one is another change
	Revision       *Revision       `json:"revision,omitempty"` // the updated one; absent while it does not exist
	Counts         Counts          `json:"counts"`
	UpdateStrategy *UpdateStrategy `json:"updateStrategy,omitempty"`
	NextAction     []string        `json:"nextAction,omitempty"` // what the controller can do next, one fact each
	Timers         []Timer         `json:"timers,omitempty"`
	Pods           []PodGroup      `json:"pods,omitempty"`
	Findings       []Finding       `json:"findings"`

	Rollback *Rollback `json:"rollback,omitempty"` // only where a rollback is possible for the root cause

	Changes    *Diff       `json:"changes,omitempty"`    // of the updated revision since the one before
	History    []Revision  `json:"history,omitempty"`    // with --history, newest first
	Diff       *Diff       `json:"diff,omitempty"`       // with --diff
	NotChecked []string    `json:"notChecked,omitempty"` // what was not checked and why
	Sources    source.List `json:"sources"`
}

// Counts are numbers of pods. A count that the API does not report is null.
type Counts struct {
	Desired     *int32 `json:"desired"`
	Updated     *int32 `json:"updated"`     // of the updated revision
	Ready       *int32 `json:"ready"`       // of any revision
	Available   *int32 `json:"available"`   // of any revision
	Old         *int32 `json:"old"`         // of another revision, not terminating
	Terminating *int32 `json:"terminating"` // still running, no longer counted by the controller

	UpdatedReady *int32 `json:"updatedReady"` // pods of the updated revision that are ready
	Restarts     *int32 `json:"restarts"`     // container restarts in pods of the updated revision
}

// UpdateStrategy is the update strategy of a workload, and what it allows with the controller's own rounding.
type UpdateStrategy struct {
	Type                string `json:"type"`
	MaxSurge            *Bound `json:"maxSurge,omitempty"`
	MaxUnavailable      *Bound `json:"maxUnavailable,omitempty"`
	Partition           *int32 `json:"partition,omitempty"`
	PodManagementPolicy string `json:"podManagementPolicy,omitempty"`
	MaxPods             *int32 `json:"maxPods,omitempty"`      // most pods at once
	MinAvailable        *int32 `json:"minAvailable,omitempty"` // fewest available pods
	MayCreate           *int32 `json:"mayCreate,omitempty"`
	MayRemove           *int32 `json:"mayRemove,omitempty"`
	CreateReason        string `json:"createReason,omitempty"`
	RemoveReason        string `json:"removeReason,omitempty"`
	MinReadySeconds     int32  `json:"minReadySeconds,omitempty"`
}

// Bound is a maxSurge or maxUnavailable setting: as written, and in pods.
type Bound struct {
	Spec string `json:"spec"`
	Pods int32  `json:"pods"`
}

// Timer decides when something changes.
type Timer struct {
	Name    string     `json:"name"`
	Ends    *time.Time `json:"ends,omitempty"` // absent: the timer is not running
	State   string     `json:"state"`          // one of the states below
	Message string     `json:"message"`
}

// The states of a timer.
const (
	TimerRunning = "running"
	TimerExpired = "expired"
	TimerOff     = "off"
)

// PodGroup is pods in the same state.
type PodGroup struct {
	Role  string   `json:"role"` // new or old; empty where nothing tells
	State string   `json:"state"`
	Pods  []string `json:"pods"`
}

// Rollback says whether a rollback to an older revision would help.
type Rollback struct {
	Advised  bool   `json:"advised"`
	Revision int64  `json:"revision,omitempty"`
	Name     string `json:"name,omitempty"`
	Command  string `json:"command,omitempty"` // only when advised
	Why      string `json:"why"`
}

// Role is what a finding is to the rollout.
type Role = finding.Role

// The roles.
const (
	RootCause    = finding.RoleRoot         // why the rollout is not finished
	Contributing = finding.RoleContributing // another cause next to the root cause
	Consequence  = finding.RoleConsequence  // follows from the root cause
	Unrelated    = finding.RoleUnrelated    // true, but the rollout does not wait for it
)

// Class says how --wait treats a finding.
type Class string

// The classes.
const (
	Fatal       Class = "fatal"       // fails the wait once confirmed
	LikelyFatal Class = "likelyFatal" // fails the wait after enough attempts and time
	Transient   Class = "transient"   // ends without a change: never fails the wait early
	PausedClass Class = "paused"      // waits for an action by a user
	Info        Class = "info"        // is no cause
)

// Finding is one cause, as every plugin reports it, and its role in this rollout.
type Finding struct {
	finding.Finding
	Role        Role       `json:"role"`
	Class       Class      `json:"class"`
	Confidence  string     `json:"confidence,omitempty"`  // high, medium, low
	SelfHealing string     `json:"selfHealing,omitempty"` // recovers without a change: yes, maybe, no
	Pods        []string   `json:"pods,omitempty"`
	Container   string     `json:"container,omitempty"`
	Attempts    int32      `json:"attempts,omitempty"` // number of attempts, where the API counts them
	FirstSeen   *time.Time `json:"firstSeen,omitempty"`
	RetryAt     *time.Time `json:"retryAt,omitempty"`
	Log         *Log       `json:"log,omitempty"`
}

// Log is the last log lines of a container.
type Log struct {
	Pod       string   `json:"pod"`
	Container string   `json:"container"`
	Previous  bool     `json:"previous"` // of the run before the current one
	Lines     []string `json:"lines"`
}

// Revision is one template in the history of a workload.
type Revision struct {
	Number          int64      `json:"number"`
	Name            string     `json:"name"`           // of the ReplicaSet or ControllerRevision
	Role            string     `json:"role,omitempty"` // updated or old
	CreatedAt       *time.Time `json:"createdAt,omitempty"`
	Images          []string   `json:"images,omitempty"`
	Pods            *int32     `json:"pods,omitempty"`
	Available       *int32     `json:"available,omitempty"`
	Cause           string     `json:"changeCause,omitempty"`
	CauseStale      bool       `json:"changeCauseStale,omitempty"` // the same text as the revision before: probably not rewritten
	KnownGood       *bool      `json:"knownGood"`                  // null: not proven
	KnownGoodReason string     `json:"knownGoodReason,omitempty"`
}

// Diff is the difference of two pod templates, by template field.
type Diff struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Changes []Change `json:"changes"`
}

// Change is one difference; values whose names look secret are masked.
type Change struct {
	Path string `json:"path"`
	Kind string `json:"kind"` // added, removed, changed
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Part is what was added or removed as a whole (a container, a probe, a volume), where the change is a leaf of such.
	Part string `json:"part,omitempty"`
	// Relevant marks a change that may be related to the root cause.
	Relevant bool `json:"relevant,omitempty"`
}
