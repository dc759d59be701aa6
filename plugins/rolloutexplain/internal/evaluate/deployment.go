package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/budget"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	causeAnnotation    = "kubernetes.io/change-cause"
	noDeadline         = int32(1<<31 - 1)
)

func deployment(e *model.Evaluation, d *appsv1.Deployment) *model.Workload {
	w := e.NewWorkload("Deployment", &d.ObjectMeta, &d.Spec.Template, d.Spec.Replicas, d.Spec.MinReadySeconds)
	w.Observed = d.Status.ObservedGeneration
	sets := replicaSetsOf(e, d.UID)
	w.Revisions = setRevisions(sets)
	w.Target = matching(w.Revisions, &d.Spec.Template)
	e.AttachPods(w)
	known := w.RevisionsKnown(e)
	w.SetCounts(d.Status.UpdatedReplicas, d.Status.ReadyReplicas, d.Status.AvailableReplicas)
	if w.Target == nil && known {
		w.Report.Counts.Updated = plain.Ptr(int32(0)) // the API's number is of the template before
	}
	if d.Status.TerminatingReplicas != nil {
		w.Report.Counts.Terminating = d.Status.TerminatingReplicas
	}
	w.Report.Budget = budget.Deployment(d, w.Desired)
	if known && w.Report.Budget.Surge != nil {
		fresh, old := arithmeticSets(w)
		budget.Moves(w.Report.Budget, w.Desired, fresh, old)
	}
	startOfRevision(w)

	observed := d.Status.ObservedGeneration >= d.Generation
	w.Settled = observed && d.Status.UpdatedReplicas == w.Desired && d.Status.Replicas == w.Desired && d.Status.AvailableReplicas == w.Desired
	progress := deploymentCondition(d, appsv1.DeploymentProgressing)
	w.Completed = observed && progress != nil && progress.Reason == "NewReplicaSetAvailable" && w.Target != nil && d.Status.UpdatedReplicas == d.Status.Replicas
	if w.Target != nil && w.Target.Set != nil {
		w.Begun = true
		if counted := int32(len(model.Live(w.NewPods()))); counted < plain.Or(w.Target.Set.Spec.Replicas, 0) && e.In.Sources.Get(model.SourcePods).Readable() { //nolint:gosec // pods of one workload
			w.Missing, w.MissingOf = plain.Or(w.Target.Set.Spec.Replicas, 0)-counted, w.Target.Uid
		}
	}
	deploymentGates(e, d, w, observed, progress)
	deploymentAction(e, d, w)
	deploymentClocks(e, d, w, progress)
	return w
}

// replicaSetsOf gives the ReplicaSets that an owner controls, oldest first.
func replicaSetsOf(e *model.Evaluation, owner any) []*appsv1.ReplicaSet {
	var sets []*appsv1.ReplicaSet
	for i := range e.In.ReplicaSets {
		if ref := metav1.GetControllerOfNoCopy(&e.In.ReplicaSets[i]); ref != nil && ref.UID == owner {
			sets = append(sets, &e.In.ReplicaSets[i])
		}
	}
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return sets
}

func setRevisions(sets []*appsv1.ReplicaSet) []*model.Revision {
	list := make([]*model.Revision, 0, len(sets))
	for _, rs := range sets {
		number, _ := strconv.ParseInt(rs.Annotations[revisionAnnotation], 10, 64)
		list = append(list, &model.Revision{
			Number: number, Name: rs.Name, Uid: rs.UID, Created: rs.CreationTimestamp.Time, Template: &rs.Spec.Template, Set: rs,
			Hash: rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey], ChangeLog: rs.Annotations[causeAnnotation],
		})
	}
	return list
}

// matching gives the oldest revision with the wanted template: the controller's own rule. The highest number is not it
// while no ReplicaSet exists for a new template.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/util/deployment_util.go (FindNewReplicaSet)
func matching(list []*model.Revision, template *corev1.PodTemplateSpec) *model.Revision {
	want := diff.WithoutHash(template)
	for _, r := range list {
		if apiequality.Semantic.DeepEqual(want, diff.WithoutHash(r.Template)) {
			return r
		}
	}
	return nil
}

func arithmeticSets(w *model.Workload) (fresh budget.Set, old []budget.Set) {
	for _, r := range w.Revisions {
		if r.Set == nil {
			continue
		}
		s := budget.Set{Spec: plain.Or(r.Set.Spec.Replicas, 0), Available: r.Set.Status.AvailableReplicas}
		if r == w.Target {
			fresh = s
		} else {
			old = append(old, s)
		}
	}
	return fresh, old
}

func deploymentCondition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

// deploymentGates finds what keeps the controller itself from acting, whatever the pods do.
func deploymentGates(e *model.Evaluation, d *appsv1.Deployment, w *model.Workload, observed bool, progress *appsv1.DeploymentCondition) {
	known := e.In.Sources.Get(model.SourceRevisions).Readable() // else a target that is nil says nothing
	switch {
	case progress != nil && progress.Status == corev1.ConditionFalse && progress.Reason == "ReplicaSetCreateError" && w.Target == nil:
		setRefused(e, w, progress)
		return
	case d.Spec.Paused:
		paused(e, d, w)
		return
	case !observed:
		if setRefused(e, w, nil) {
			return
		}
		notObserving(e, w, fmt.Sprintf("generation %d is wanted, the controller has seen %d", d.Generation, d.Status.ObservedGeneration))
	case w.Target == nil && known && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		recreateWaits(e, w)
	case w.Target == nil && known:
		if !setRefused(e, w, nil) {
			notObserving(e, w, "no ReplicaSet exists for the present template")
		}
	case w.Desired == 0:
		w.Add(e.Note(codes.ScaledToZero, "0 replicas are wanted: complete by definition, and no proof that the template works"))
	}
	selectingAll(e, w)
	brokenFloor(e, w)
	foreignWriter(e, w)
}

// setRefused reports that the API server refuses the new ReplicaSet itself. The controller then never counts the
// generation as observed and the progress deadline never fires.
func setRefused(e *model.Evaluation, w *model.Workload, progress *appsv1.DeploymentCondition) bool {
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
	f := e.Finding(codes.ReplicaSetCreateError, report.Likely, finding.Critical,
		"the API server refuses the new ReplicaSet: %s; the deadline never starts", strings.TrimSuffix(inner.What, "."))
	f.Heals, f.Confidence = inner.Heals, "high"
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
		w.Add(e.Note(codes.Paused, "the Deployment is paused: the next change of the template will not roll out until it is resumed"))
		return
	}
	what := "it stops where it stands"
	if w.Target == nil && e.In.Sources.Get(model.SourceRevisions).Readable() {
		what = "no ReplicaSet exists for the new template yet"
	}
	f := e.Finding(codes.Paused, report.HeldClass, finding.Warning,
		"the Deployment is paused: %s; scaling is still applied, to every revision in proportion, and undo is refused", what)
	f.Confidence, f.Heals = "high", "no"
	f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.Meta.Name, "spec.paused", "true", time.Time{})}
	if c := deploymentCondition(d, appsv1.DeploymentProgressing); c != nil && c.Reason == "DeploymentPaused" {
		f.Evidence = append(f.Evidence, plain.Evidence("Deployment "+w.Meta.Name, "status.conditions[Progressing]", c.Reason, c.LastTransitionTime.Time))
		f.FirstSeen = plain.TimePtr(c.LastTransitionTime.Time)
	}
	f.Next = []finding.Next{e.Next(w, finding.Change, "let the rollout go on", "rollout", "resume", w.Slash())}
	w.Add(f)
}

// recreateWaits: the Recreate strategy makes the new ReplicaSet only when every old pod has gone.
func recreateWaits(e *model.Evaluation, w *model.Workload) {
	left := model.Select(w.Pods, func(p *model.Pod) bool { return !p.Dead })
	if len(left) == 0 {
		if !setRefused(e, w, nil) && e.In.Sources.Get(model.SourcePods).Readable() {
			notObserving(e, w, "no old pods are left and no ReplicaSet exists for the present template")
		}
		return
	}
	f := e.Finding(codes.RecreateWaits, report.Transient, finding.Warning,
		"strategy Recreate creates no new pod before %s gone; no deadline runs while it waits", plain.Plural(len(left), "old pod is", "old pods are"))
	f.Confidence, f.Heals, f.Role, f.Pods = "high", "maybe", report.Consequence, model.Names(left)
	f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.Meta.Name, "spec.strategy.type", "Recreate", time.Time{})}
	w.Add(f)
	w.Moving = "old pods are ending"
}

// selectingAll: an empty selector stops the controller.
func selectingAll(e *model.Evaluation, w *model.Workload) {
	if ev := eventfact.Newest(e.EventsOf(w.Meta), "SelectingAll"); ev != nil {
		f := e.Finding(codes.SelectorClash, report.Fatal, finding.Critical, "the selector matches every pod, so the controller does nothing: %s", ev.Message)
		f.Heals, f.Confidence = "no", "high"
		f.Evidence = []finding.Evidence{plain.Evidence("Event", "SelectingAll", ev.Message, ev.Last)}
		f.Next = []finding.Next{e.Next(w, finding.Read, "see the selector", "get", w.Slash(), "-o", "jsonpath={.spec.selector}")}
		w.Add(f)
	}
}

// brokenFloor: old pods that are not available use up the budget, so the controller may not act.
func brokenFloor(e *model.Evaluation, w *model.Workload) {
	b := w.Report.Budget
	if b == nil || b.Floor == nil || b.MayRemove == nil || w.Settled || *b.MayRemove > 0 || plain.Or(b.MayCreate, 0) > 0 {
		return
	}
	sick := model.Select(model.Live(w.OldPods()), func(p *model.Pod) bool { return !p.Available })
	if len(sick) == 0 || plain.Or(w.Report.Counts.Available, 0) >= *b.Floor {
		return
	}
	f := e.Finding(codes.BudgetEaten, report.Transient, finding.Warning,
		"%s of the old revision not available: the floor of %d is broken, so no old pod may go before new ones are available", plain.Plural(len(sick), "pod is", "pods are"), *b.Floor)
	f.Role, f.Pods, f.Heals, f.Confidence = report.Contributes, model.Names(sick), "maybe", "high"
	f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "status.availableReplicas", fmt.Sprint(plain.Or(w.Report.Counts.Available, 0)), time.Time{})}
	f.Next = []finding.Next{e.Next(w, finding.Read, "why the old pod is not available", "describe", "pod", sick[0].Name)}
	w.Add(f)
}

// deploymentAction puts the arithmetic into one sentence; without what it counts there is none.
func deploymentAction(e *model.Evaluation, d *appsv1.Deployment, w *model.Workload) {
	b := w.Report.Budget
	switch {
	case w.Settled, !w.RevisionsKnown(e), !e.In.Sources.Get(model.SourcePods).Readable():
		return
	case d.Spec.Paused:
		w.Report.Action = "nothing while it is paused"
	case w.Has(codes.ControllerNotObserving):
		w.Report.Action = "nothing before the controller has seen the newest change"
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		switch old := len(model.Select(w.OldPods(), func(p *model.Pod) bool { return !p.Dead })); {
		case old > 0:
			w.Report.Action = fmt.Sprintf("wait until %s gone, then create %d", plain.Plural(old, "old pod is", "old pods are"), w.Desired)
		default:
			w.Report.Action = fmt.Sprintf("create up to %d", w.Desired)
		}
	case b.MayCreate == nil:
		return
	case w.Missing > 0:
		w.Report.Action = fmt.Sprintf("wants %s of ReplicaSet %s than exist; may remove %d old (%s)",
			plain.Plural(int(w.Missing), "more pod", "more pods"), w.Target.Name, *b.MayRemove, b.RemoveBecause)
	default:
		w.Report.Action = fmt.Sprintf("may create %d (%s); may remove %d old (%s)", *b.MayCreate, b.CreateBecause, *b.MayRemove, b.RemoveBecause)
	}
}
