package kinds

import (
	"fmt"
	"regexp"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ProgressDeadlineExceeded finding.Code = "ProgressDeadlineExceeded"
	StaleProgressDeadline    finding.Code = "StaleProgressDeadline"
)

var timerRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ProgressDeadlineExceeded, Severity: finding.Critical, Title: "Deployment exceeded its progress deadline",
		Meaning: "The current ReplicaSet has made no progress within progressDeadlineSeconds. The controller still " +
			"continues to try.",
		Evidence: "Deployment condition Progressing=False with reason ProgressDeadlineExceeded that names the current " +
			"ReplicaSet.",
		Next: "Correct the root cause of the report.",
	}},
	{Layer: rule.LayerNote, Entry: finding.Entry{
		Code: StaleProgressDeadline, Severity: finding.Info, Title: "Expired deadline belongs to another ReplicaSet",
		Meaning: "ProgressDeadlineExceeded names a ReplicaSet other than the current one. The condition is left over " +
			"from an earlier rollout.",
		Evidence: "ReplicaSet name in the message of the Deployment condition Progressing.",
		Next:     "Ignore the condition; it does not concern this rollout.",
	}},
}

var timedOutSet = regexp.MustCompile(`ReplicaSet "([^"]+)" has timed out progressing`)

// deploymentTimers reports which timers run. The progress deadline is lastUpdateTime plus progressDeadlineSeconds; any new,
// ready or available pod and any old pod that goes restarts it.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/progress.go
func deploymentTimers(e *model.Evaluation, d *appsv1.Deployment, w *model.Workload, progress *appsv1.DeploymentCondition) {
	deadline := plain.Or(d.Spec.ProgressDeadlineSeconds, 600)
	c := report.Timer{Name: "progress deadline", State: report.TimerOff}
	switch {
	case w.Settled || w.Completed:
		return
	case w.Target == nil && !e.In.Sources.Get(model.SourceRevisions).Readable():
		return // which ReplicaSet it runs for is unknown
	case d.Spec.Paused:
		c.Message = "off while the Deployment is paused"
	case deadline == noDeadline:
		c.Message = "off (progressDeadlineSeconds is not set)"
	case progress == nil:
		c.Message = "not started"
	case w.Target == nil:
		c.Message = "does not run before the new ReplicaSet exists"
	case progress.Reason == "ProgressDeadlineExceeded":
		c = deadlineExceeded(e, w, deadline, progress)
	case progress.Reason == "NewReplicaSetAvailable":
		return
	default:
		ends := progress.LastUpdateTime.Add(time.Duration(deadline) * time.Second)
		c.Ends, c.State = plain.TimePtr(ends), report.TimerRunning
		c.Message = fmt.Sprintf("%ds, ends in %s (last progress %s ago; any new, ready or available pod restarts it)",
			deadline, plain.Age(ends.Sub(e.Now)), plain.Age(e.Now.Sub(progress.LastUpdateTime.Time)))
	}
	w.Report.Timers = append(w.Report.Timers, c)
}

// deadlineExceeded judges an expired deadline: only the ReplicaSet that the message names has timed out; after an undo
// the condition still speaks of the other one for a while.
func deadlineExceeded(e *model.Evaluation, w *model.Workload, deadline int32, progress *appsv1.DeploymentCondition) report.Timer {
	ended := progress.LastUpdateTime.Time
	c := report.Timer{Name: "progress deadline", Ends: plain.TimePtr(ended), State: report.TimerExpired}
	if m := timedOutSet.FindStringSubmatch(progress.Message); m != nil && m[1] != w.Target.Name {
		c.Message, c.State = fmt.Sprintf("ignored (the expired deadline belongs to ReplicaSet %s, not to the current %s)", m[1], w.Target.Name),
			report.TimerOff
		f := e.Note(StaleProgressDeadline, "ProgressDeadlineExceeded is left over from ReplicaSet %s and does not concern %s", m[1],
			w.Target.Name)
		f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.Meta.Name, "status.conditions[Progressing]", progress.Message, ended)}
		w.Add(f)
		return c
	}
	c.Message = fmt.Sprintf("%ds, expired %s ago without progress; the controller continues to try", deadline,
		plain.Age(e.Now.Sub(ended)))
	f := e.Finding(ProgressDeadlineExceeded, report.Fatal, "ReplicaSet %s has made no progress within %ds",
		w.Target.Name, deadline)
	f.Stance, f.Confidence, f.SelfHealing, f.FirstSeen = finding.Follows, "high", "maybe", plain.TimePtr(ended)
	f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.Meta.Name, "status.conditions[Progressing]", progress.Message, ended)}
	w.Add(f)
	return c
}
