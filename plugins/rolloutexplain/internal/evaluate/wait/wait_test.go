package wait

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// look is one observation of a wait, some seconds after the one before.
type look struct {
	after time.Duration
	r     report.Rollout
	want  Outcome
}

func seen(v report.Verdict, change ...func(*report.Rollout)) report.Rollout {
	r := report.Rollout{
		Object: finding.ObjectRef{Kind: "Deployment", Namespace: "n", Name: "api"}, Verdict: v, Generation: 1, ObservedGeneration: 1,
		Revision: &report.Revision{Number: 2, Name: "api-2"},
	}
	r.Counts.Desired, r.Counts.Updated, r.Counts.Available, r.Counts.UpdatedReady, r.Counts.Restarts = plain.Ptr(int32(2)), plain.Ptr(int32(1)), plain.Ptr(int32(2)), plain.Ptr(int32(0)), plain.Ptr(int32(0))
	for _, c := range change {
		c(&r)
	}
	return r
}

func because(code finding.Code, class report.Class, attempts int32) func(*report.Rollout) {
	return func(r *report.Rollout) {
		r.Summary = string(code)
		r.Findings = append(r.Findings, report.Finding{Finding: finding.Finding{Code: code, Message: string(code)}, Role: report.RootCause, Class: class, Attempts: attempts})
	}
}

func readyPods(n int32) func(*report.Rollout) {
	return func(r *report.Rollout) { r.Counts.UpdatedReady = plain.Ptr(n) }
}

func restarted(n int32) func(*report.Rollout) {
	return func(r *report.Rollout) { r.Counts.Restarts = plain.Ptr(n) }
}

func ofRevision(name string) func(*report.Rollout) {
	return func(r *report.Rollout) { r.Revision = &report.Revision{Number: 3, Name: name} }
}

func ofTemplate(fingerprint string) func(*report.Rollout) {
	return func(r *report.Rollout) { r.Template = fingerprint }
}

// unseen is a template that the controller has not acted on.
func unseen(template string, generation int64) report.Rollout {
	return seen(report.Progressing, ofTemplate(template), func(r *report.Rollout) { r.Generation = generation })
}

const sec = time.Second

// Each of these is a false failure or a missed one of some tool in use.
func TestWaitEndsOnlyForWhatItKnows(t *testing.T) {
	auto := Patience{FailFast: FailAuto, FailAfter: 2 * time.Minute, Stable: 10 * sec}
	strict, never := auto, auto
	strict.FailFast, never.FailFast = FailStrict, FailNever
	held := auto
	held.AllowOnHold = true
	deadline := func(r *report.Rollout) {
		r.Findings = append(r.Findings, report.Finding{Finding: finding.Finding{Code: kinds.ProgressDeadlineExceeded, Message: "no progress"}, Role: report.Consequence, Class: report.Fatal})
	}
	clock := func(r *report.Rollout) {
		r.Timers = []report.Timer{{Name: "progress deadline", State: report.TimerRunning}}
	}
	crash := func(n int32) report.Rollout {
		return seen(report.Stuck, because(pods.ContainerCrashing, report.LikelyFatal, n), clock)
	}
	pull := seen(report.Stuck, because(pods.ImageNotFound, report.LikelyFatal, 4), clock)
	away := seen(report.Stuck, because(pods.RegistryUnavailable, report.Transient, 40), clock)
	patient := auto
	patient.ProgressTimeout = time.Minute
	ofJob := func(r *report.Rollout) { r.Object.Kind = "Job" }
	tests := []struct {
		name     string
		patience Patience
		looks    []look
	}{
		{"a fatal cause must be seen twice, two seconds apart", auto, []look{{0, seen(report.Failed, because(pods.InvalidImageName, report.Fatal, 1)), Waiting}, {sec, seen(report.Failed, because(pods.InvalidImageName, report.Fatal, 1)), Waiting}, {sec, seen(report.Failed, because(pods.InvalidImageName, report.Fatal, 1)), Failed}}},
		{"strict believes the first look", strict, []look{{0, seen(report.Failed, because(pods.InvalidImageName, report.Fatal, 1)), Failed}}},
		{"never only believes the controller", never, []look{{0, pull, Waiting}, {5 * time.Minute, pull, Waiting}, {sec, seen(report.Failed, because(pods.ContainerCrashing, report.LikelyFatal, 9), deadline), Waiting}, {3 * sec, seen(report.Failed, because(pods.ContainerCrashing, report.LikelyFatal, 9), deadline), Failed}}},
		{"a crash loop fails after attempts and age", auto, []look{{0, crash(2), Waiting}, {60 * sec, crash(4), Waiting}, {61 * sec, crash(5), Failed}}},
		{"two crashes while a dependency comes up are none", auto, []look{{0, crash(2), Waiting}, {3 * time.Minute, crash(2), Waiting}}},
		{"an image that is pushed later", auto, []look{{0, pull, Waiting}, {100 * sec, pull, Waiting}, {5 * sec, seen(report.Progressing), Waiting}, {sec, seen(report.Complete), Waiting}, {10 * sec, seen(report.Complete), Complete}}},
		{"a cause that went away and came back begins anew", auto, []look{{0, pull, Waiting}, {110 * sec, seen(report.Progressing, clock), Waiting}, {5 * sec, pull, Waiting}, {60 * sec, pull, Waiting}, {61 * sec, pull, Failed}}},
		{"a registry that is away never fails it", auto, []look{{0, away, Waiting}, {8 * time.Minute, away, Waiting}, {8 * time.Minute, away, Waiting}}},
		{"once a new pod has been ready the template is not at fault", auto, []look{{0, seen(report.Progressing, readyPods(1), clock), Waiting}, {6 * sec, seen(report.Progressing, readyPods(1), clock), Waiting}, {sec, seen(report.Stuck, because(pods.ImageNotFound, report.LikelyFatal, 9), readyPods(1), clock), Waiting}, {5 * time.Minute, seen(report.Stuck, because(pods.ImageNotFound, report.LikelyFatal, 9), readyPods(1), clock), Waiting}}},
		{"but where pods are placed still is", auto, []look{{0, seen(report.Progressing, readyPods(1), clock), Waiting}, {6 * sec, seen(report.Progressing, readyPods(1), clock), Waiting}, {sec, seen(report.Stuck, because(placement.NodeAffinityUnsatisfied, report.LikelyFatal, 0), readyPods(1), clock), Waiting}, {3 * time.Minute, seen(report.Stuck, because(placement.NodeAffinityUnsatisfied, report.LikelyFatal, 0), readyPods(1), clock), Failed}}},
		{"ready for a moment before each crash is not ready", auto, []look{{0, seen(report.Stuck, because(pods.ContainerCrashing, report.LikelyFatal, 3), readyPods(1), clock), Waiting}, {130 * sec, seen(report.Stuck, because(pods.ContainerCrashing, report.LikelyFatal, 6), readyPods(1), clock), Failed}}},
		{"success must last", auto, []look{{0, seen(report.Complete), Waiting}, {9 * sec, seen(report.Complete), Waiting}, {sec, seen(report.Complete), Complete}}},
		{"a restart within the window begins it anew", auto, []look{{0, seen(report.Complete), Waiting}, {9 * sec, seen(report.Complete, restarted(1)), Waiting}, {9 * sec, seen(report.Complete, restarted(1)), Waiting}, {sec, seen(report.Complete, restarted(1)), Complete}}},
		{"success, then crash", auto, []look{{0, seen(report.Complete), Waiting}, {5 * sec, seen(report.Degraded, because(pods.ContainerCrashing, report.LikelyFatal, 2)), Waiting}, {2 * sec, seen(report.Degraded, because(pods.ContainerCrashing, report.LikelyFatal, 2)), Failed}}},
		{"on hold ends the wait when it is seen twice", auto, []look{{0, seen(report.OnHold, because(kinds.DeploymentPaused, report.PausedClass, 0)), Waiting}, {sec, seen(report.OnHold, because(kinds.DeploymentPaused, report.PausedClass, 0)), OnHold}}},
		{"on hold is waited for when allowed", held, []look{{0, seen(report.OnHold, because(kinds.DeploymentPaused, report.PausedClass, 0)), Waiting}, {time.Hour, seen(report.OnHold, because(kinds.DeploymentPaused, report.PausedClass, 0)), Waiting}}},
		{"another revision supersedes", auto, []look{{0, seen(report.Progressing), Waiting}, {sec, seen(report.Progressing, ofRevision("api-3")), Superseded}}},
		{"a revision of a status that lags is not one", auto, []look{{0, seen(report.Progressing, func(r *report.Rollout) { r.Generation = 2 }), Waiting}, {sec, seen(report.Progressing, ofRevision("api-3")), Waiting}, {sec, seen(report.Complete, ofRevision("api-3")), Waiting}}},
		{"a template that changes before the controller has seen the first", auto, []look{{0, unseen("a", 2), Waiting}, {sec, unseen("a", 3), Waiting}, {sec, unseen("b", 4), Superseded}}},
		{"a template that the controller never came to see", auto, []look{{0, unseen("a", 2), Waiting}, {sec, seen(report.Progressing, ofRevision("api-3"), ofTemplate("b")), Superseded}}},
		{"a template that is seen late", auto, []look{{0, unseen("a", 2), Waiting}, {sec, seen(report.Progressing, ofRevision("api-3"), ofTemplate("a")), Waiting}, {sec, seen(report.Complete, ofRevision("api-3"), ofTemplate("a")), Waiting}}},
		{"no deadline runs: its own clock", auto, []look{{0, seen(report.Stuck, because(pods.NodeNotReady, report.Transient, 0)), Waiting}, {9 * time.Minute, seen(report.Stuck, because(pods.NodeNotReady, report.Transient, 0)), Waiting}, {time.Minute, seen(report.Stuck, because(pods.NodeNotReady, report.Transient, 0)), Failed}}},
		{"a Job may run for hours", auto, []look{{0, seen(report.Progressing, ofJob), Waiting}, {5 * time.Hour, seen(report.Progressing, ofJob), Waiting}, {sec, seen(report.Complete, ofJob), Complete}}},
		{"a Job whose pods have no place does not end itself", auto, []look{{0, seen(report.Stuck, ofJob, because(placement.InsufficientResources, report.Transient, 0)), Waiting}, {9 * time.Minute, seen(report.Stuck, ofJob, because(placement.InsufficientResources, report.Transient, 0)), Waiting}, {2 * time.Minute, seen(report.Stuck, ofJob, because(placement.InsufficientResources, report.Transient, 0)), Failed}}},
		{"a Job makes progress where that is asked for", patient, []look{{0, seen(report.Progressing, ofJob), Waiting}, {time.Minute, seen(report.Progressing, ofJob), Failed}}},
		{"what heals by itself is waited for", auto, []look{{0, seen(report.Progressing, because(pods.PodTerminating, report.Transient, 0), func(r *report.Rollout) { r.Findings[0].SelfHealing = "yes" }), Waiting}, {time.Hour, seen(report.Progressing, because(pods.PodTerminating, report.Transient, 0), func(r *report.Rollout) { r.Findings[0].SelfHealing = "yes" }), Waiting}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, now := New(evaluate.Rules, tt.patience), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for i, l := range tt.looks {
				now = now.Add(l.after)
				got, why := w.Observe(&l.r, now)
				if got != l.want {
					t.Fatalf("look %d: got %q (%s), want %q", i, got, why, l.want)
				}
				if got != Waiting && got != Complete && strings.TrimSpace(why) == "" {
					t.Errorf("look %d: %s without a reason", i, got)
				}
			}
		})
	}
}

func TestReadinessThatComesAndGoesFailsAfterFiveTimes(t *testing.T) {
	w, now := New(evaluate.Rules, Patience{FailFast: FailAuto, FailAfter: time.Minute}), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 20 {
		now = now.Add(3 * sec)
		r := seen(report.Progressing, because(pods.ReadinessProbeFailing, report.Transient, 1), readyPods(int32((i+1)%2)))
		if got, why := w.Observe(&r, now); got != Waiting {
			if got != Failed || !strings.Contains(why, "readiness was lost") || i < 2*flipLimit-1 {
				t.Fatalf("look %d: %s %s", i, got, why)
			}
			return
		}
	}
	t.Error("never failed")
}

// A Job's pods end, one after the other: that is its work.
func TestPodsOfAJobThatEndAreNoFlapping(t *testing.T) {
	w, now := New(evaluate.Rules, Patience{FailFast: FailAuto, FailAfter: time.Minute}), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 20 {
		now = now.Add(3 * sec)
		r := seen(report.Progressing, because(pods.ImagePullInProgress, report.Transient, 1), readyPods(int32((i+1)%2)), func(r *report.Rollout) { r.Object.Kind = "Job" })
		if got, why := w.Observe(&r, now); got != Waiting {
			t.Fatalf("look %d: %s %s", i, got, why)
		}
	}
}

// The waits that a person types most: what they say when they end must name the object's trouble, not the tool's.
func TestWaitSaysWhatWasWrong(t *testing.T) {
	w, at := New(evaluate.Rules, Patience{FailFast: FailAuto, FailAfter: time.Minute}), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := seen(report.Failed, because(refusal.PodSecurityViolated, report.Fatal, 3))
	r.Findings[0].Message = "the namespace enforces Pod Security"
	w.Observe(&r, at)
	if got, why := w.Observe(&r, at.Add(3*sec)); got != Failed || why != "the namespace enforces Pod Security" {
		t.Errorf("%s: %s", got, why)
	}
}

// Evidence that nothing explains is told and delays no deployment; what is explained does.
func TestUnexplainedEvidenceDelaysNoWait(t *testing.T) {
	for code, want := range map[finding.Code]Outcome{finding.UnexplainedEvidence: Complete, pods.ContainerCrashing: Waiting} {
		w := New(evaluate.Rules, Patience{FailFast: FailAuto, FailAfter: time.Minute})
		r := seen(report.Degraded, because(code, report.Transient, 0))
		if got, why := w.Observe(&r, time.Now()); got != want {
			t.Errorf("%s: %q (%s), want %q", code, got, why, want)
		}
	}
}
