package kinds

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ReplicaSetCreateError     finding.Code = "ReplicaSetCreateError"
	DeploymentPaused          finding.Code = "DeploymentPaused"
	RecreateWaitingForOldPods finding.Code = "RecreateWaitingForOldPods"
	MaxUnavailableExceeded    finding.Code = "MaxUnavailableExceeded"
	SelectorMatchesAllPods    finding.Code = "SelectorMatchesAllPods"
	ScaledToZero              finding.Code = "ScaledToZero"
)

var gateRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ReplicaSetCreateError, Severity: finding.Critical, Title: "New ReplicaSet cannot be created",
		Meaning: "The API server rejects the ReplicaSet of the current pod template, so no new pod is requested. The " +
			"progress deadline never starts.",
		Evidence: "Deployment condition Progressing=False with reason ReplicaSetCreateError, or the event of that name.",
		Next:     "Correct what the error names, such as a quota on ReplicaSets, an invalid template or a policy.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: DeploymentPaused, Severity: finding.Warning, Title: "Deployment is paused",
		Meaning: "spec.paused is set, so the Deployment controller does not roll out template changes. Scaling still " +
			"works, in proportion over all revisions; kubectl rollout undo is rejected.",
		Evidence: "spec.paused.",
		Next:     "Run kubectl rollout resume.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: RecreateWaitingForOldPods, Severity: finding.Warning, Title: "Recreate strategy waits for old pods to terminate",
		Meaning: "With strategy Recreate, the controller creates no new pod until every old pod is deleted. The " +
			"progress deadline does not run meanwhile.",
		Evidence: "Old pods that still exist, and no ReplicaSet for the current pod template.",
		Next:     "Check why the old pods do not terminate.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: MaxUnavailableExceeded, Severity: finding.Warning, Title: "Unavailable old pods exceed maxUnavailable",
		Meaning: "Fewer pods are available than the strategy requires, because old pods are not available. The " +
			"controller cannot remove any old pod.",
		Evidence: "status.availableReplicas below spec.replicas minus maxUnavailable.",
		Next:     "Repair the old pods, or raise maxUnavailable.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: SelectorMatchesAllPods, Severity: finding.Critical, Title: "Selector matches every pod",
		Meaning:  "The label selector matches every pod, so the controller does not act.",
		Evidence: "SelectingAll events.",
		Next:     "Correct the selector so that it matches only the pods of this workload.",
	}},
	{Layer: rule.LayerNote, Entry: finding.Entry{
		Code: ScaledToZero, Severity: finding.Info, Title: "Workload is scaled to zero",
		Meaning:  "A workload with 0 replicas is complete by definition. This does not prove that the pod template works.",
		Evidence: "spec.replicas 0.",
		Next:     "Scale the workload up if it should run.",
	}},
}

// deploymentGates finds what keeps the controller itself from acting, whatever the pods do.
func deploymentGates(e *model.Evaluation, d *appsv1.Deployment, w *model.Workload, observed bool, progress *appsv1.DeploymentCondition) {
	known := e.In.Sources.Get(model.SourceRevisions).Readable() // else a target that is nil says nothing
	switch {
	case progress != nil && progress.Status == corev1.ConditionFalse && progress.Reason == "ReplicaSetCreateError" && w.Target == nil:
		setRejected(e, w, progress)
		return
	case d.Spec.Paused:
		paused(e, d, w)
		return
	case !observed:
		if setRejected(e, w, nil) {
			return
		}
		notObserving(e, w, fmt.Sprintf("metadata.generation is %d, status.observedGeneration is %d", d.Generation, d.Status.ObservedGeneration))
	case w.Target == nil && known && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		recreateWaits(e, w)
	case w.Target == nil && known:
		if !setRejected(e, w, nil) {
			notObserving(e, w, "no ReplicaSet exists for the current pod template")
		}
	case w.Desired == 0:
		w.Add(e.Note(ScaledToZero, "spec.replicas is 0: complete by definition, which does not prove that the pod template works"))
	}
	selectingAll(e, w)
	belowMinimum(e, w)
	replicasFlapping(e, w)
}

// setRejected reports that the API server rejects the new ReplicaSet itself. The controller then never counts the
// generation as observed and the progress deadline never fires.
func setRejected(e *model.Evaluation, w *model.Workload, progress *appsv1.DeploymentCondition) bool {
	if setsMutated(e, w) {
		return true
	}
	text, at := "", time.Time{}
	ev := eventfact.Newest(e.EventsOf(w.Meta), "ReplicaSetCreateError")
	if ev != nil && (ev.Last.Before(w.Meta.CreationTimestamp.Time) || ev.Last.Before(templateWritten(w.Meta))) {
		ev = nil // of another template, or of another object of this name
	}
	if ev != nil {
		text, at = ev.Message, ev.Last
	}
	if progress != nil && (text == "" || progress.LastUpdateTime.After(at)) {
		text, at = progress.Message, progress.LastUpdateTime.Time
	}
	if text == "" {
		return false
	}
	inner := refusal.Read(e, text, w)
	f := e.Finding(ReplicaSetCreateError, report.LikelyFatal,
		"the API server rejects the new ReplicaSet because %s; the progress deadline never starts", strings.TrimSuffix(inner.What, "."))
	f.SelfHealing, f.Confidence = inner.SelfHealing, "high"
	if inner.Class == report.Fatal {
		f.Class = report.Fatal
	}
	f.FirstSeen, f.Attempts = plain.TimePtr(at), attemptsOf(ev)
	if ev != nil {
		f.FirstSeen = plain.TimePtr(ev.First)
	}
	if f.Attempts == 0 {
		f.Attempts = 3 // the condition alone: it stands only while every retry is refused
	}
	f.Evidence = append(f.Evidence, plain.Evidence("Deployment "+w.Meta.Name, "status.conditions[Progressing]", text, at))
	f.Next = inner.Next
	w.Add(f)
	return true
}

func attemptsOf(ev *eventfact.Event) int32 {
	if ev == nil {
		return 0
	}
	return ev.Count
}

func paused(e *model.Evaluation, d *appsv1.Deployment, w *model.Workload) {
	if w.Settled && w.Target != nil {
		w.Add(e.Note(DeploymentPaused, "template changes are not rolled out until the Deployment is resumed"))
		return
	}
	what := "the rollout is stopped"
	if w.Target == nil && e.In.Sources.Get(model.SourceRevisions).Readable() {
		what = "no ReplicaSet exists for the new template"
	}
	f := e.Finding(DeploymentPaused, report.PausedClass,
		"the Deployment is paused: %s; only scaling still works", what)
	f.Confidence, f.SelfHealing = "high", "no"
	f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.Meta.Name, "spec.paused", "true", time.Time{})}
	if c := deploymentCondition(d, appsv1.DeploymentProgressing); c != nil && c.Reason == "DeploymentPaused" {
		f.Evidence = append(f.Evidence,
			plain.Evidence("Deployment "+w.Meta.Name, "status.conditions[Progressing]", c.Reason, c.LastTransitionTime.Time))
		f.FirstSeen = plain.TimePtr(c.LastTransitionTime.Time)
	}
	f.Next = []finding.Next{e.Next(w, finding.Change, "Resume the rollout", "rollout", "resume", w.Slash())}
	w.Add(f)
}

// recreateWaits: the Recreate strategy makes the new ReplicaSet only when every old pod has gone.
func recreateWaits(e *model.Evaluation, w *model.Workload) {
	left := model.Select(w.Pods, func(p *model.Pod) bool { return !p.Dead })
	if len(left) == 0 {
		if !setRejected(e, w, nil) && e.In.Sources.Get(model.SourcePods).Readable() {
			notObserving(e, w, "no old pods are left and no ReplicaSet exists for the current pod template")
		}
		return
	}
	f := e.Finding(RecreateWaitingForOldPods, report.Transient,
		"strategy Recreate creates no new pod until %s terminated; the progress deadline does not run meanwhile",
		plain.Plural(len(left), "old pod has", "old pods have"))
	f.Confidence, f.SelfHealing, f.Stance, f.Pods = "high", "maybe", finding.Follows, model.Names(left)
	if !slices.ContainsFunc(left, func(p *model.Pod) bool { return !p.Terminating || p.DeletionTimestamp.Time.Before(e.Now) }) {
		f.Severity = finding.Info // all are within their grace periods
	}
	f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.Meta.Name, "spec.strategy.type", "Recreate", time.Time{})}
	w.Add(f)
	w.Moving = "old pods are terminating"
}

// selectingAll: an empty selector stops the controller.
func selectingAll(e *model.Evaluation, w *model.Workload) {
	if ev := eventfact.Newest(e.EventsOf(w.Meta), "SelectingAll"); ev != nil {
		f := e.Finding(SelectorMatchesAllPods, report.Fatal,
			"the controller does not act because the selector matches every pod: %s",
			ev.Message)
		f.SelfHealing, f.Confidence = "no", "high"
		f.Evidence = []finding.Evidence{plain.Evidence("Event", "SelectingAll", ev.Message, ev.Last)}
		f.Next = []finding.Next{e.Next(w, finding.Read, "Show the selector", "get", w.Slash(), "-o", "jsonpath={.spec.selector}")}
		w.Add(f)
	}
}

// belowMinimum reports old pods that are not available, so that the controller cannot remove any.
func belowMinimum(e *model.Evaluation, w *model.Workload) {
	b := w.Report.UpdateStrategy
	if b == nil || b.MinAvailable == nil || b.MayRemove == nil || w.Settled || *b.MayRemove > 0 || plain.Or(b.MayCreate, 0) > 0 {
		return
	}
	sick := model.Select(model.CountedPods(w.OldPods()), func(p *model.Pod) bool { return !p.Available })
	if len(sick) == 0 || plain.Or(w.Report.Counts.Available, 0) >= *b.MinAvailable {
		return
	}
	f := e.Finding(MaxUnavailableExceeded, report.Transient,
		"%s not available: fewer than the required %s available, so no old pod can be removed before new ones are available",
		plain.Plural(len(sick), "old pod is", "old pods are"), plain.Plural(int(*b.MinAvailable), "pod is", "pods are"))
	f.Stance, f.Pods, f.SelfHealing, f.Confidence = finding.Adds, model.Names(sick), "maybe", "high"
	f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "status.availableReplicas",
		fmt.Sprint(plain.Or(w.Report.Counts.Available, 0)), time.Time{})}
	f.Next = []finding.Next{e.Next(w, finding.Read, "Check why the old pod is not available", "describe", "pod", sick[0].Name)}
	w.Add(f)
}
