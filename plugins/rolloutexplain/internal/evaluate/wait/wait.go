// Package wait decides when a wait for a rollout is over. It is fed with reports and the time of each, and knows neither
// the snapshot that they were made of nor a clock.
package wait

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// FailFast is how soon --wait fails.
type FailFast string

// The ways to fail.
const (
	FailAuto   FailFast = "auto"   // when a cause has lasted and repeated
	FailNever  FailFast = "never"  // only when the controller itself reports failure, or on timeout
	FailStrict FailFast = "strict" // as soon as a cause that does not recover without a change is seen
)

// FailFastWords lists the accepted words.
var FailFastWords = []string{string(FailAuto), string(FailNever), string(FailStrict)}

// ParseFailFast reads a --fail-fast value.
func ParseFailFast(s string) (FailFast, error) {
	if !slices.Contains(FailFastWords, s) {
		return "", fmt.Errorf("--fail-fast %q: unknown value; valid values: %s", s, strings.Join(FailFastWords, ", "))
	}
	return FailFast(s), nil
}

// Patience is how long --wait waits for what.
type Patience struct {
	FailFast        FailFast
	FailAfter       time.Duration // age of a likely-fatal cause before it counts
	Stable          time.Duration // how long success must last
	ProgressTimeout time.Duration // without progress, where no deadline of the API runs; 0: 10 minutes
	AllowOnHold     bool
}

// Outcome is how a wait ends.
type Outcome string

// The outcomes; Waiting is none.
const (
	Waiting    Outcome = ""
	Complete   Outcome = "Complete"
	Failed     Outcome = "Failed"
	OnHold     Outcome = "OnHold"
	Superseded Outcome = "Superseded"
)

// confirmAfter is how far apart two looks must be before a fatal cause is believed: a status may be a moment old.
const confirmAfter = 2 * time.Second

// flipLimit is how often readiness may come and go before that is a failure.
const flipLimit = 5

// Wait remembers what has been seen of one rollout over time. It is fed with reports and knows no clock.
type Wait struct {
	rules    *rule.Book
	patience Patience

	template string               // first one seen, also one that the controller has not come to see
	revision string               // first one observed
	first    map[string]time.Time // of each cause seen in an unbroken row of looks
	begun    time.Time            // first look
	progress time.Time            // last progress
	counts   string               // the counters at that time
	best     [4]int32

	complete   time.Time // success since
	succeeded  bool      // success has been seen
	restarts   int32
	everReady  bool
	readySince time.Time
	lastReady  int32
	flips      int
}

// New begins a wait.
func New(rules *rule.Book, p Patience) *Wait {
	return &Wait{rules: rules, patience: p, first: map[string]time.Time{}}
}

// Observe takes one look and says whether the wait is over, and why.
func (w *Wait) Observe(r *report.Rollout, now time.Time) (Outcome, string) {
	if w.begun.IsZero() {
		w.begun, w.progress = now, now
	}
	w.remember(r, now)
	if why := w.superseded(r); why != "" {
		return Superseded, why
	}
	if r.Verdict == report.Complete || onlyUnexplained(r) {
		return w.success(r, now)
	}
	if w.succeeded && r.Verdict == report.Degraded && w.confirmed("degraded", now, confirmAfter) {
		return Failed, "the rollout was complete, but failed within the time of --stable-for: " + r.Summary
	}
	w.complete = time.Time{}
	if r.Verdict == report.OnHold && !w.patience.AllowOnHold && w.confirmed("on hold", now, time.Second) {
		return OnHold, r.Summary
	}
	if why := w.failed(r, now); why != "" {
		return Failed, why
	}
	return Waiting, ""
}

// onlyUnexplained says that the rollout is complete but for evidence that nothing explains: it is told, and no deployment
// waits for an event to grow old.
func onlyUnexplained(r *report.Rollout) bool {
	root := RootOf(r)
	return root != nil && root.Code == finding.UnexplainedEvidence
}

// success must last: minReadySeconds are in the counters already, so only restarts within the window can spoil it.
func (w *Wait) success(r *report.Rollout, now time.Time) (Outcome, string) {
	restarts := plain.Or(r.Counts.Restarts, 0)
	if w.complete.IsZero() || restarts > w.restarts {
		w.complete = now
	}
	w.succeeded, w.restarts = true, restarts
	if now.Sub(w.complete) >= w.patience.Stable || r.Object.Kind == "Job" || plain.Or(r.Counts.Desired, 1) == 0 {
		return Complete, r.Summary
	}
	return Waiting, ""
}

// remember updates what only time shows: progress, readiness that comes and goes, causes that last.
func (w *Wait) remember(r *report.Rollout, now time.Time) {
	now4 := [4]int32{
		plain.Or(r.Counts.Updated, 0), -plain.Or(r.Counts.Old, 0), plain.Or(r.Counts.UpdatedReady, 0),
		plain.Or(r.Counts.Available, 0),
	}
	if key := r.Object.String() + fmt.Sprint(r.Revision != nil); key != w.counts {
		w.counts, w.best = key, now4
	}
	for i := range now4 { // only a new best is progress: what comes and goes is none
		if now4[i] > w.best[i] {
			w.best[i], w.progress = now4[i], now
		}
	}
	ready := plain.Or(r.Counts.UpdatedReady, 0)
	if ready < w.lastReady && r.Verdict != report.Complete && r.Object.Kind != "Job" { // a Job's pods are there to end
		w.flips++
	}
	w.lastReady = ready
	root := RootOf(r)
	crashing := root != nil && w.rules.Of(root.Code).Crashes
	switch {
	case ready == 0 || crashing:
		w.readySince = time.Time{}
	case w.readySince.IsZero():
		w.readySince = now
	case now.Sub(w.readySince) > 5*time.Second:
		w.everReady = true // a container without a probe is ready for a moment before it crashes
	}
	seen := map[string]bool{"on hold": r.Verdict == report.OnHold, "degraded": r.Verdict == report.Degraded}
	for i := range r.Findings {
		seen[causeKey(&r.Findings[i])] = true
	}
	for key := range w.first {
		if !seen[key] {
			delete(w.first, key)
		}
	}
	for key, is := range seen {
		if _, known := w.first[key]; is && !known {
			w.first[key] = now
		}
	}
}

func causeKey(f *report.Finding) string { return string(f.Code) + "/" + f.Container }

// RootOf gives the root cause of a report; nil: it has none.
func RootOf(r *report.Rollout) *report.Finding {
	if len(r.Findings) > 0 && r.Findings[0].Role == report.RootCause {
		return &r.Findings[0]
	}
	return nil
}

// confirmed says whether something has been seen in every look for this long.
func (w *Wait) confirmed(key string, now time.Time, d time.Duration) bool {
	at, ok := w.first[key]
	return ok && (w.patience.FailFast == FailStrict || now.Sub(at) >= d)
}

// superseded: another revision is wanted now than the one that the wait began with. Until the controller has named the
// revision of the first template, the templates are compared.
func (w *Wait) superseded(r *report.Rollout) string {
	if r.Verdict == report.Superseded {
		return r.Summary
	}
	if w.template == "" {
		w.template = r.Template
	}
	named := r.Revision != nil && r.ObservedGeneration >= r.Generation
	if r.Template != "" && r.Template != w.template && (!named || w.revision == "") {
		return "a newer change replaced the pod template of the start of the wait"
	}
	if !named {
		return ""
	}
	if w.revision == "" {
		w.revision = r.Revision.Name
	}
	if w.revision != r.Revision.Name {
		return fmt.Sprintf("a newer change replaced revision %s by %s", w.revision, r.Revision.Name)
	}
	return ""
}

// failed applies the classes: fatal at once when confirmed, likely after attempts and age, transient never.
func (w *Wait) failed(r *report.Rollout, now time.Time) string {
	for i := range r.Findings {
		f := &r.Findings[i]
		late := f.Code == kinds.ProgressDeadlineExceeded || f.Code == kinds.ArgoDegraded
		gaveUp := late && f.Class == report.Fatal || f.Code == kinds.JobFailed
		if gaveUp && w.confirmed(causeKey(f), now, confirmAfter) {
			return f.Message
		}
	}
	root := RootOf(r)
	if root != nil && w.patience.FailFast != FailNever {
		if why := w.failedBy(r, root, now); why != "" {
			return why
		}
		if w.flips >= flipLimit {
			return fmt.Sprintf("readiness was lost %d times: %s", w.flips, r.Summary)
		}
	}
	return w.stalled(r, root, now)
}

func (w *Wait) failedBy(r *report.Rollout, root *report.Finding, now time.Time) string {
	switch root.Class {
	case report.Fatal:
		if w.confirmed(causeKey(root), now, confirmAfter) {
			return root.Message
		}
	case report.LikelyFatal:
		if w.patience.FailFast == FailStrict && w.rules.IsPersistent(root) {
			return root.Message
		}
		since := w.first[causeKey(root)]
		if root.FirstSeen != nil && root.FirstSeen.Before(since) {
			since = *root.FirstSeen
		}
		enough := root.Attempts == 0 || root.Attempts >= rule.Repeats
		template := w.rules.Of(root.Code).Layer == rule.LayerPod && !w.rules.Of(root.Code).Place && root.Code != pods.PodReadinessFlapping
		if enough && now.Sub(since) >= w.patience.FailAfter && w.confirmed(causeKey(root), now, confirmAfter) && !(template && w.everReady) {
			return fmt.Sprintf("%s (for %s)", root.Message, plain.Age(now.Sub(since)))
		}
	}
	return ""
}

// stalled is the clock of kinds without a deadline of their own. A Job makes no progress between its start and its end,
// may run for days, and ends itself: backoffLimit, activeDeadlineSeconds.
func (w *Wait) stalled(r *report.Rollout, root *report.Finding, now time.Time) string {
	limit := w.patience.ProgressTimeout
	if limit == 0 {
		if r.Object.Kind == "Job" &&
			(root == nil || !w.rules.Of(root.Code).Place && w.rules.Of(root.Code).Layer != rule.LayerCreate ||
				now.Sub(w.first[causeKey(root)]) < 10*time.Minute) {
			return ""
		}
		for _, c := range r.Timers {
			if c.Name == "progress deadline" && c.State == report.TimerRunning {
				return ""
			}
		}
		limit = 10 * time.Minute
	}
	if r.Verdict == report.OnHold || now.Sub(w.progress) < limit || root != nil && root.SelfHealing == "yes" {
		return ""
	}
	return fmt.Sprintf("no progress for %s: %s", plain.Age(now.Sub(w.progress)), r.Summary)
}
