package model

import (
	"fmt"
	"time"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// The stages of a pod's life: of several causes in one pod the earliest is the one that the others wait for.
const (
	StageCreate = iota
	StageSchedule
	StageNode
	StageVolume
	StageSandbox
	StageImage
	StageConfig
	StageInit
	StageRun
	StageReady
	StageAvailable
	StageEnd
)

// Cause is why one pod is not where it should be.
type Cause struct {
	report.Finding
	Stage int
	Key   string // causes with equal code, container and key are one
	Pod   *Pod
	// Considered is how many nodes the scheduler counted, where the sentence begins with them.
	Considered int
	// Target is the only node on which the pod can run; the message about a group names the nodes of its pods.
	Target string
	// Many is what several pods are said to do, where the message begins with the name of one ("are terminating").
	Many string
	// Awaits is a pod that is being deleted and that the pod waits for; nil: none.
	Awaits *Pod
}

// Sentence is the cause in words, without the pods that have it.
func (c *Cause) Sentence() string {
	if c.Considered == 0 || c.Target != "" {
		return c.Message
	}
	return fmt.Sprintf("0 of %d nodes can run the pod: %s", c.Considered, c.Message)
}

// Says makes another sentence of it, which does not begin with nodes.
func (c *Cause) Says(format string, args ...any) {
	c.Message, c.Considered = fmt.Sprintf(format, args...), 0
}

// Cause makes a cause of one pod, with the severity and the confidence that are usual for its class.
func (e *Evaluation) Cause(p *Pod, stage int, code finding.Code, class report.Class, format string, args ...any) *Cause {
	c := &Cause{Finding: e.Finding(code, class, format, args...), Stage: stage, Pod: p}
	c.Severity = finding.Critical
	if class == report.Transient || class == report.PausedClass {
		c.Severity = finding.Warning
	}
	c.Confidence, c.SelfHealing = "high", healsOf(class)
	return c
}

// Recode makes a cause the same one of another code; the severity is the class's, and stays.
func (e *Evaluation) Recode(c *Cause, code finding.Code) {
	c.Code, c.Title = code, e.Rules.Of(code).Title
}

func healsOf(c report.Class) string {
	switch c {
	case report.Transient:
		return "maybe"
	case report.Info:
		return "yes"
	}
	return "no"
}

// In names the container that it is about.
func (c *Cause) In(name string) *Cause { c.Finding.Container = name; return c }

// WithEvidence adds evidence.
func (c *Cause) WithEvidence(ev finding.Evidence) *Cause {
	c.Evidence = append(c.Evidence, ev)
	return c
}

// WithNext adds next commands.
func (c *Cause) WithNext(next ...finding.Next) *Cause { c.Next = append(c.Next, next...); return c }

// Since dates its begin.
func (c *Cause) Since(t time.Time) *Cause { c.FirstSeen = plain.TimePtr(t); return c }

// ByEvent quotes an event and takes its count as attempts.
func (c *Cause) ByEvent(ev *eventfact.Event) *Cause {
	if ev == nil {
		return c
	}
	c.Attempts = max(c.Attempts, ev.Count)
	if c.FirstSeen == nil {
		c.FirstSeen = plain.TimePtr(ev.First)
	}
	return c.WithEvidence(plain.Evidence("Event", ev.Reason, ev.Message, ev.Last))
}

// WithKey sets what tells it from others of its code and container.
func (c *Cause) WithKey(key string) *Cause { c.Key = key; return c }

// MarkSelfHealing says that waiting is enough, so that it is no more than information.
func (c *Cause) MarkSelfHealing() *Cause {
	c.SelfHealing, c.Severity = "yes", finding.Info
	return c
}
