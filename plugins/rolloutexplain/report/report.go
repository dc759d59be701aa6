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
	Failed      Verdict = "Failed"      // will not finish: a fatal cause, or the deadline has passed for this revision
	Stuck       Verdict = "Stuck"       // does not move, and nothing seen says that it will by itself
	Degraded    Verdict = "Degraded"    // was complete, and pods of it broke afterwards
	Held        Verdict = "Held"        // waits for a person: paused, partition, OnDelete, a gate
	Superseded  Verdict = "Superseded"  // a newer change has replaced the wanted revision
	Unknown     Verdict = "Unknown"     // what is readable does not tell
	Progressing Verdict = "Progressing" // moves, or waits for something that ends by itself
	Complete    Verdict = "Complete"    // every wanted pod is of the wanted revision and available
)

// Verdicts lists the words, worst first: the order of the table.
func Verdicts() []Verdict {
	return []Verdict{Failed, Stuck, Degraded, Held, Superseded, Unknown, Progressing, Complete}
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
	Asked      *finding.ObjectRef `json:"asked,omitempty"` // the pod or ReplicaSet that was named, when it is not Object
	Verdict    Verdict            `json:"verdict"`
	Summary    string             `json:"summary"`
	Time       time.Time          `json:"time"`                // the server's, when it was judged
	CreatedAt  *time.Time         `json:"createdAt,omitempty"` // of the workload

	Generation         int64 `json:"generation,omitempty"`
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	Template string     `json:"template,omitempty"` // fingerprint of the wanted pod template: another one is another change
	Revision *Revision  `json:"revision,omitempty"` // the wanted one; absent when none exists yet
	Counts   Counts     `json:"counts"`
	Budget   *Budget    `json:"budget,omitempty"`
	Action   string     `json:"action,omitempty"` // what the controller may do next, in words
	Clocks   []Clock    `json:"clocks,omitempty"`
	Pods     []PodGroup `json:"pods,omitempty"`
	Findings []Finding  `json:"findings"`

	Undo *Undo `json:"undo,omitempty"` // when a rollback is a question at all

	Changes   *Diff       `json:"changes,omitempty"`   // wanted revision against the one before
	History   []Revision  `json:"history,omitempty"`   // with --history, newest first
	Diff      *Diff       `json:"diff,omitempty"`      // with --diff
	Unchecked []string    `json:"unchecked,omitempty"` // what could not be checked, in words
	Sources   source.List `json:"sources"`
}

// Counts are pods. A count that the API does not tell is null.
type Counts struct {
	Desired     *int32 `json:"desired"`
	Updated     *int32 `json:"updated"`     // of the wanted revision
	Ready       *int32 `json:"ready"`       // of any revision
	Available   *int32 `json:"available"`   // of any revision
	Old         *int32 `json:"old"`         // of another revision, not terminating
	Terminating *int32 `json:"terminating"` // still running, no longer counted by the controller

	UpdatedReady *int32 `json:"updatedReady"` // pods of the wanted revision that are ready
	Restarts     *int32 `json:"restarts"`     // container restarts in pods of the wanted revision
}

// Budget is the controller's arithmetic, with its own rounding.
type Budget struct {
	Strategy       string `json:"strategy"`
	Surge          *Bound `json:"surge,omitempty"`
	Unavailable    *Bound `json:"unavailable,omitempty"`
	Partition      *int32 `json:"partition,omitempty"`
	PodManagement  string `json:"podManagement,omitempty"`
	Max            *int32 `json:"max,omitempty"`   // most pods at once
	Floor          *int32 `json:"floor,omitempty"` // fewest available pods
	MayCreate      *int32 `json:"mayCreate,omitempty"`
	MayRemove      *int32 `json:"mayRemove,omitempty"`
	CreateBecause  string `json:"createBecause,omitempty"`
	RemoveBecause  string `json:"removeBecause,omitempty"`
	MinReadySecond int32  `json:"minReadySeconds,omitempty"`
}

// Bound is a surge or unavailable setting: as written, and in pods.
type Bound struct {
	Spec string `json:"spec"`
	Pods int32  `json:"pods"`
}

// Clock is a timer that decides when something changes.
type Clock struct {
	Name    string     `json:"name"`
	Ends    *time.Time `json:"ends,omitempty"` // null: it does not run
	State   string     `json:"state"`          // one of the states below
	Message string     `json:"message"`
}

// The states of a clock.
const (
	ClockRunning = "running"
	ClockExpired = "expired"
	ClockOff     = "off"
)

// PodGroup is pods in the same state.
type PodGroup struct {
	Role  string   `json:"role"` // new or old; empty where nothing tells
	State string   `json:"state"`
	Pods  []string `json:"pods"`
}

// Undo says whether going back to an older revision would help.
type Undo struct {
	Advised  bool   `json:"advised"`
	Revision int64  `json:"revision,omitempty"`
	Name     string `json:"name,omitempty"`
	Command  string `json:"command,omitempty"` // only when advised
	Why      string `json:"why"`
}

// Role is what a finding is to the rollout.
type Role string

// The roles.
const (
	Root        Role = "root"        // why the rollout is not finished
	Contributes Role = "contributes" // another cause beside the root
	Consequence Role = "consequence" // follows from the root
	Unrelated   Role = "unrelated"   // true, and not what the rollout waits for
)

// Class says what --wait makes of a finding.
type Class string

// The classes.
const (
	Fatal     Class = "fatal"     // fails once confirmed
	Likely    Class = "likely"    // fails after enough attempts and time
	Transient Class = "transient" // ends by itself: never fails early
	HeldClass Class = "held"      // waits for a person
	Note      Class = "note"      // no cause
)

// Finding is one cause, as every plugin reports it, and its place in this rollout.
type Finding struct {
	finding.Finding
	Role       Role       `json:"role"`
	Class      Class      `json:"class"`
	Confidence string     `json:"confidence,omitempty"` // high, medium, low
	Heals      string     `json:"heals,omitempty"`      // by itself: yes, maybe, no
	Pods       []string   `json:"pods,omitempty"`
	Container  string     `json:"container,omitempty"`
	Attempts   int32      `json:"attempts,omitempty"` // how often it was tried, where that is counted
	FirstSeen  *time.Time `json:"firstSeen,omitempty"`
	RetryAt    *time.Time `json:"retryAt,omitempty"`
	Log        *Log       `json:"log,omitempty"`
}

// Log is the last lines of a container that ended.
type Log struct {
	Pod       string   `json:"pod"`
	Container string   `json:"container"`
	Previous  bool     `json:"previous"` // of the run before the current one
	Lines     []string `json:"lines"`
}

// Revision is one template in the history of a workload.
type Revision struct {
	Number      int64      `json:"number"`
	Name        string     `json:"name"`           // of the ReplicaSet or ControllerRevision
	Role        string     `json:"role,omitempty"` // wanted, current or old
	CreatedAt   *time.Time `json:"createdAt,omitempty"`
	Images      []string   `json:"images,omitempty"`
	Pods        *int32     `json:"pods,omitempty"`
	Available   *int32     `json:"available,omitempty"`
	Cause       string     `json:"changeCause,omitempty"`
	CauseStale  bool       `json:"changeCauseStale,omitempty"` // the same text as the revision before: probably not rewritten
	KnownGood   *bool      `json:"knownGood"`                  // null: not proven
	GoodBecause string     `json:"knownGoodBecause,omitempty"`
}

// Diff is the difference of two pod templates in the words of the template.
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
	// Relevant marks a change that may bear on the root cause.
	Relevant bool `json:"relevant,omitempty"`
}
