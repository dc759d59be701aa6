package evaluate

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// argoReport judges a Rollout of this strategy and status.
func argoReport(t *testing.T, strategy, status map[string]any) report.Rollout {
	t.Helper()
	b := argoCase(status)()
	b.in.Rollouts[0]["spec"].(map[string]any)["strategy"] = strategy
	list := Evaluate(b.in, now, model.Options{})
	if len(list.Items) != 1 {
		t.Fatalf("%d rollouts", len(list.Items))
	}
	return list.Items[0]
}

func canary(steps ...any) map[string]any {
	return map[string]any{"canary": map[string]any{"steps": steps}}
}

func paused(reason string) map[string]any {
	return map[string]any{
		"phase": "Paused", "observedGeneration": "1", "currentStepIndex": int64(1),
		"pauseConditions": []any{map[string]any{"reason": reason, "startTime": now.Add(-20e9).Format("2006-01-02T15:04:05Z07:00")}},
	}
}

func TestAPauseWithADurationEndsByItself(t *testing.T) {
	weight := map[string]any{"setWeight": int64(20)}
	pause := func(duration any) map[string]any {
		return canary(weight, map[string]any{"pause": map[string]any{"duration": duration}})
	}
	auto := map[string]any{"blueGreen": map[string]any{"activeService": "live", "autoPromotionSeconds": int64(60)}}
	for name, tt := range map[string]struct {
		strategy map[string]any
		reason   string
		verdict  report.Verdict
		says     string
	}{
		"seconds":                     {pause(int64(60)), "CanaryPauseStep", report.Progressing, "for 60s, and continues in 40s"},
		"seconds as text":             {pause("60"), "CanaryPauseStep", report.Progressing, "for 60s, and continues in 40s"},
		"with a unit":                 {pause("1m"), "CanaryPauseStep", report.Progressing, "for 60s, and continues in 40s"},
		"over already":                {pause("10s"), "CanaryPauseStep", report.Progressing, "continues in 0s"},
		"no duration":                 {canary(weight, map[string]any{"pause": map[string]any{}}), "CanaryPauseStep", report.OnHold, "until it is promoted"},
		"of another reason":           {pause("1m"), "InconclusiveAnalysisRun", report.OnHold, "until it is promoted"},
		"blue-green":                  {auto, "BlueGreenPause", report.Progressing, "for 60s, and continues in 40s"},
		"blue-green without an end":   {map[string]any{"blueGreen": map[string]any{"activeService": "live"}}, "BlueGreenPause", report.OnHold, "until it is promoted"},
		"steps that are not readable": {canary("x", "y"), "CanaryPauseStep", report.OnHold, "until it is promoted"},
	} {
		r := argoReport(t, tt.strategy, paused(tt.reason))
		if r.Verdict != tt.verdict || !strings.Contains(r.Summary, tt.says) {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Summary)
		}
	}
	status := paused("CanaryPauseStep")
	status["pauseConditions"] = append(status["pauseConditions"].([]any), map[string]any{"reason": "InconclusiveAnalysisRun", "startTime": "2026-03-01T11:00:00Z"})
	if r := argoReport(t, pause("1m"), status); r.Verdict != report.OnHold {
		t.Errorf("two pauses: %s: %s", r.Verdict, r.Summary)
	}
}

func TestAnAbortNamesItsReason(t *testing.T) {
	for message, want := range map[string]string{
		"RolloutAborted: Rollout aborted update to revision 2": "the rollout was aborted and runs the stable version",
		`RolloutAborted: Rollout aborted update to revision 2: Background analysis phase error/failed: Metric "m" assessed Failed due to failed (3) > failureLimit (2)`:                                                                 `the rollout was aborted: metric "m" is Failed (failed 3, limit 2); it runs the stable version`,
		`RolloutAborted: Rollout aborted update to revision 2: Blue/green pre-promotion analysis phase error/failed: Metric "m" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4): "Error Message: no such host"`: `the rollout was aborted: metric "m" is Error (consecutiveErrors 5, limit 4); no such host; it runs the stable version`,
		"RolloutAborted: metric success-rate failed": "the rollout was aborted: metric success-rate failed; it runs the stable version",
	} {
		r := argoReport(t, canary(), map[string]any{"phase": "Degraded", "abort": true, "observedGeneration": "1", "currentStepIndex": int64(0), "message": message})
		if r.Verdict != report.Failed || r.Summary != want {
			t.Errorf("%s\n%s: %s\nwant %s", message, r.Verdict, r.Summary, want)
		}
		if len(r.NextAction) != 0 {
			t.Errorf("an aborted rollout does nothing next, and the report says %q", r.NextAction)
		}
	}
}

// The controller leaves out counters that are 0; those of a Rollout that it has not seen are unknown.
func TestArgoCountersThatAreLeftOut(t *testing.T) {
	seen := argoReport(t, canary(), map[string]any{"phase": "Progressing", "observedGeneration": "1"})
	if n := seen.Counts.Updated; n == nil || *n != 0 {
		t.Errorf("observed: %v", n)
	}
	if unseen := argoReport(t, canary(), map[string]any{}); unseen.Counts.Updated != nil {
		t.Errorf("not observed: %d", *unseen.Counts.Updated)
	}
}

// The recorded argo-bluegreen-not-ready shows what it follows from; without a cause it is as with a Deployment.
func TestADeadlineOfArgoIsNoCause(t *testing.T) {
	r := argoReport(t, canary(), map[string]any{
		"phase": "Degraded", "observedGeneration": "1", "message": `ProgressDeadlineExceeded: ReplicaSet "web-1" has timed out progressing.`,
	})
	i := slices.IndexFunc(r.Findings, func(f report.Finding) bool { return f.Code == kinds.ArgoDegraded })
	if i < 0 || r.Verdict != report.Unknown || r.Findings[i].Role != report.Consequence || r.Findings[i].Message != "ReplicaSet web-1 has made no progress within 600s" {
		t.Errorf("%s: %+v", r.Verdict, r.Findings)
	}
}
