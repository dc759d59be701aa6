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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	causeAnnotation    = "kubernetes.io/change-cause"
	noDeadline         = int32(1<<31 - 1)
)

func (e *evaluator) deployment(d *appsv1.Deployment) *workload {
	w := e.newWorkload("Deployment", &d.ObjectMeta, &d.Spec.Template, d.Spec.Replicas, d.Spec.MinReadySeconds)
	w.observed = d.Status.ObservedGeneration
	sets := e.replicaSetsOf(d.UID)
	w.revisions = setRevisions(sets)
	w.target = matching(w.revisions, &d.Spec.Template)
	e.attachPods(w)
	known := w.revisionsKnown(e)
	w.setCounts(d.Status.UpdatedReplicas, d.Status.ReadyReplicas, d.Status.AvailableReplicas)
	if w.target == nil && known {
		w.rep.Counts.Updated = plain.Ptr(int32(0)) // the API's number is of the template before
	}
	if d.Status.TerminatingReplicas != nil {
		w.rep.Counts.Terminating = d.Status.TerminatingReplicas
	}
	w.rep.Budget = budget.Deployment(d, w.desired)
	if known && w.rep.Budget.Surge != nil {
		fresh, old := arithmeticSets(w)
		budget.Moves(w.rep.Budget, w.desired, fresh, old)
	}
	w.startOfRevision()

	observed := d.Status.ObservedGeneration >= d.Generation
	w.settled = observed && d.Status.UpdatedReplicas == w.desired && d.Status.Replicas == w.desired && d.Status.AvailableReplicas == w.desired
	progress := deploymentCondition(d, appsv1.DeploymentProgressing)
	w.completed = observed && progress != nil && progress.Reason == "NewReplicaSetAvailable" && w.target != nil && d.Status.UpdatedReplicas == d.Status.Replicas
	if w.target != nil && w.target.rs != nil {
		w.begun = true
		if counted := int32(len(live(w.newPods()))); counted < plain.Or(w.target.rs.Spec.Replicas, 0) && e.in.Sources.Get(SourcePods).Readable() { //nolint:gosec // pods of one workload
			w.missing, w.missingOf = plain.Or(w.target.rs.Spec.Replicas, 0)-counted, w.target.uid
		}
	}
	e.deploymentGates(d, w, observed, progress)
	e.deploymentAction(d, w)
	e.deploymentClocks(d, w, progress)
	return w
}

// replicaSetsOf gives the ReplicaSets that an owner controls, oldest first.
func (e *evaluator) replicaSetsOf(owner any) []*appsv1.ReplicaSet {
	var sets []*appsv1.ReplicaSet
	for i := range e.in.ReplicaSets {
		if ref := metav1.GetControllerOfNoCopy(&e.in.ReplicaSets[i]); ref != nil && ref.UID == owner {
			sets = append(sets, &e.in.ReplicaSets[i])
		}
	}
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return sets
}

func setRevisions(sets []*appsv1.ReplicaSet) []*revision {
	list := make([]*revision, 0, len(sets))
	for _, rs := range sets {
		number, _ := strconv.ParseInt(rs.Annotations[revisionAnnotation], 10, 64)
		list = append(list, &revision{
			number: number, name: rs.Name, uid: rs.UID, created: rs.CreationTimestamp.Time, template: &rs.Spec.Template, rs: rs,
			hash: rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey], changeLog: rs.Annotations[causeAnnotation],
		})
	}
	return list
}

// matching gives the oldest revision with the wanted template: the controller's own rule. The highest number is not it
// while no ReplicaSet exists for a new template.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/util/deployment_util.go (FindNewReplicaSet)
func matching(list []*revision, template *corev1.PodTemplateSpec) *revision {
	want := diff.WithoutHash(template)
	for _, r := range list {
		if apiequality.Semantic.DeepEqual(want, diff.WithoutHash(r.template)) {
			return r
		}
	}
	return nil
}

func arithmeticSets(w *workload) (fresh budget.Set, old []budget.Set) {
	for _, r := range w.revisions {
		if r.rs == nil {
			continue
		}
		s := budget.Set{Spec: plain.Or(r.rs.Spec.Replicas, 0), Available: r.rs.Status.AvailableReplicas}
		if r == w.target {
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
func (e *evaluator) deploymentGates(d *appsv1.Deployment, w *workload, observed bool, progress *appsv1.DeploymentCondition) {
	known := e.in.Sources.Get(SourceRevisions).Readable() // else a target that is nil says nothing
	switch {
	case progress != nil && progress.Status == corev1.ConditionFalse && progress.Reason == "ReplicaSetCreateError" && w.target == nil:
		e.setRefused(w, progress)
		return
	case d.Spec.Paused:
		e.paused(d, w)
		return
	case !observed:
		if e.setRefused(w, nil) {
			return
		}
		e.notObserving(w, fmt.Sprintf("generation %d is wanted, the controller has seen %d", d.Generation, d.Status.ObservedGeneration))
	case w.target == nil && known && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		e.recreateWaits(w)
	case w.target == nil && known:
		if !e.setRefused(w, nil) {
			e.notObserving(w, "no ReplicaSet exists for the present template")
		}
	case w.desired == 0:
		w.add(e.note(codes.ScaledToZero, "0 replicas are wanted: complete by definition, and no proof that the template works"))
	}
	e.selectingAll(w)
	e.brokenFloor(w)
	e.foreignWriter(w)
}

// setRefused reports that the API server refuses the new ReplicaSet itself. The controller then never counts the
// generation as observed and the progress deadline never fires.
func (e *evaluator) setRefused(w *workload, progress *appsv1.DeploymentCondition) bool {
	text, at := "", time.Time{}
	ev := eventfact.Newest(e.eventsOf(w.meta), "ReplicaSetCreateError")
	if ev != nil && (ev.Last.Before(w.meta.CreationTimestamp.Time) || ev.Last.Before(templateWritten(w.meta))) {
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
	inner := e.refusal(text, w)
	f := e.finding(codes.ReplicaSetCreateError, report.Likely, finding.Critical,
		"the API server refuses the new ReplicaSet: %s; the deadline never starts", strings.TrimSuffix(inner.what, "."))
	f.Heals, f.Confidence = inner.heals, "high"
	if inner.class == report.Fatal {
		f.Class = report.Fatal
	}
	f.FirstSeen, f.Attempts = plain.TimePtr(at), attemptsOf(ev)
	if ev != nil {
		f.FirstSeen = plain.TimePtr(ev.First)
	}
	if f.Attempts == 0 {
		f.Attempts = 3 // the condition alone: it stands only while every retry is refused
	}
	f.Evidence = append(f.Evidence, plain.Evidence("Deployment "+w.meta.Name, "status.conditions[Progressing]", text, at))
	f.Next = inner.next
	w.add(f)
	return true
}

func attemptsOf(ev *eventfact.Event) int32 {
	if ev == nil {
		return 0
	}
	return ev.Count
}

func (e *evaluator) paused(d *appsv1.Deployment, w *workload) {
	if w.settled && w.target != nil {
		w.add(e.note(codes.Paused, "the Deployment is paused: the next change of the template will not roll out until it is resumed"))
		return
	}
	what := "it stops where it stands"
	if w.target == nil && e.in.Sources.Get(SourceRevisions).Readable() {
		what = "no ReplicaSet exists for the new template yet"
	}
	f := e.finding(codes.Paused, report.HeldClass, finding.Warning,
		"the Deployment is paused: %s; scaling is still applied, to every revision in proportion, and undo is refused", what)
	f.Confidence, f.Heals = "high", "no"
	f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.meta.Name, "spec.paused", "true", time.Time{})}
	if c := deploymentCondition(d, appsv1.DeploymentProgressing); c != nil && c.Reason == "DeploymentPaused" {
		f.Evidence = append(f.Evidence, plain.Evidence("Deployment "+w.meta.Name, "status.conditions[Progressing]", c.Reason, c.LastTransitionTime.Time))
		f.FirstSeen = plain.TimePtr(c.LastTransitionTime.Time)
	}
	f.Next = []finding.Next{e.next(w, finding.Change, "let the rollout go on", "rollout", "resume", w.slash())}
	w.add(f)
}

// recreateWaits: the Recreate strategy makes the new ReplicaSet only when every old pod has gone.
func (e *evaluator) recreateWaits(w *workload) {
	left := selectPods(w.pods, func(p *pod) bool { return !p.dead })
	if len(left) == 0 {
		if !e.setRefused(w, nil) && e.in.Sources.Get(SourcePods).Readable() {
			e.notObserving(w, "no old pods are left and no ReplicaSet exists for the present template")
		}
		return
	}
	f := e.finding(codes.RecreateWaits, report.Transient, finding.Warning,
		"strategy Recreate creates no new pod before %s gone; no deadline runs while it waits", plain.Plural(len(left), "old pod is", "old pods are"))
	f.Confidence, f.Heals, f.Role, f.Pods = "high", "maybe", report.Consequence, podNames(left)
	f.Evidence = []finding.Evidence{plain.Evidence("Deployment "+w.meta.Name, "spec.strategy.type", "Recreate", time.Time{})}
	w.add(f)
	w.moving = "old pods are ending"
}

// selectingAll: an empty selector stops the controller.
func (e *evaluator) selectingAll(w *workload) {
	if ev := eventfact.Newest(e.eventsOf(w.meta), "SelectingAll"); ev != nil {
		f := e.finding(codes.SelectorClash, report.Fatal, finding.Critical, "the selector matches every pod, so the controller does nothing: %s", ev.Message)
		f.Heals, f.Confidence = "no", "high"
		f.Evidence = []finding.Evidence{plain.Evidence("Event", "SelectingAll", ev.Message, ev.Last)}
		f.Next = []finding.Next{e.next(w, finding.Read, "see the selector", "get", w.slash(), "-o", "jsonpath={.spec.selector}")}
		w.add(f)
	}
}

// brokenFloor: old pods that are not available use up the budget, so the controller may not act.
func (e *evaluator) brokenFloor(w *workload) {
	b := w.rep.Budget
	if b == nil || b.Floor == nil || b.MayRemove == nil || w.settled || *b.MayRemove > 0 || plain.Or(b.MayCreate, 0) > 0 {
		return
	}
	sick := selectPods(live(w.oldPods()), func(p *pod) bool { return !p.available })
	if len(sick) == 0 || plain.Or(w.rep.Counts.Available, 0) >= *b.Floor {
		return
	}
	f := e.finding(codes.BudgetEaten, report.Transient, finding.Warning,
		"%s of the old revision not available: the floor of %d is broken, so no old pod may go before new ones are available", plain.Plural(len(sick), "pod is", "pods are"), *b.Floor)
	f.Role, f.Pods, f.Heals, f.Confidence = report.Contributes, podNames(sick), "maybe", "high"
	f.Evidence = []finding.Evidence{plain.Evidence(w.kind+" "+w.meta.Name, "status.availableReplicas", fmt.Sprint(plain.Or(w.rep.Counts.Available, 0)), time.Time{})}
	f.Next = []finding.Next{e.next(w, finding.Read, "why the old pod is not available", "describe", "pod", sick[0].Name)}
	w.add(f)
}

// deploymentAction puts the arithmetic into one sentence; without what it counts there is none.
func (e *evaluator) deploymentAction(d *appsv1.Deployment, w *workload) {
	b := w.rep.Budget
	switch {
	case w.settled, !w.revisionsKnown(e), !e.in.Sources.Get(SourcePods).Readable():
		return
	case d.Spec.Paused:
		w.rep.Action = "nothing while it is paused"
	case w.has(codes.ControllerNotObserving):
		w.rep.Action = "nothing before the controller has seen the newest change"
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		switch old := len(selectPods(w.oldPods(), func(p *pod) bool { return !p.dead })); {
		case old > 0:
			w.rep.Action = fmt.Sprintf("wait until %s gone, then create %d", plain.Plural(old, "old pod is", "old pods are"), w.desired)
		default:
			w.rep.Action = fmt.Sprintf("create up to %d", w.desired)
		}
	case b.MayCreate == nil:
		return
	case w.missing > 0:
		w.rep.Action = fmt.Sprintf("wants %s of ReplicaSet %s than exist; may remove %d old (%s)",
			plain.Plural(int(w.missing), "more pod", "more pods"), w.target.name, *b.MayRemove, b.RemoveBecause)
	default:
		w.rep.Action = fmt.Sprintf("may create %d (%s); may remove %d old (%s)", *b.MayCreate, b.CreateBecause, *b.MayRemove, b.RemoveBecause)
	}
}
