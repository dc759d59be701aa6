package kinds

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/budget"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	RevisionAnnotation = "deployment.kubernetes.io/revision"
	CauseAnnotation    = "kubernetes.io/change-cause"
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
	w.Report.UpdateStrategy = budget.Deployment(d, w.Desired)
	if known && w.Report.UpdateStrategy.MaxSurge != nil {
		fresh, old := arithmeticSets(w)
		budget.Moves(w.Report.UpdateStrategy, w.Desired, fresh, old)
	}
	startOfRevision(w)

	observed := d.Status.ObservedGeneration >= d.Generation
	w.Settled = observed && d.Status.UpdatedReplicas == w.Desired && d.Status.Replicas == w.Desired && d.Status.AvailableReplicas == w.Desired
	progress := deploymentCondition(d, appsv1.DeploymentProgressing)
	w.Completed = observed && progress != nil && progress.Reason == "NewReplicaSetAvailable" && w.Target != nil &&
		d.Status.UpdatedReplicas == d.Status.Replicas
	if w.Target != nil && w.Target.Set != nil {
		w.Begun = true
		counted := int32(len(model.CountedPods(w.NewPods()))) //nolint:gosec // pods of one workload
		if counted < plain.Or(w.Target.Set.Spec.Replicas, 0) &&
			e.In.Sources.Get(model.SourcePods).Readable() {
			w.Missing, w.MissingOf = plain.Or(w.Target.Set.Spec.Replicas, 0)-counted, w.Target.UID
		}
	}
	deploymentGates(e, d, w, observed, progress)
	deploymentAction(e, d, w)
	deploymentTimers(e, d, w, progress)
	return w
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

func mayRemove(b *report.UpdateStrategy) string {
	return fmt.Sprintf("may remove %d old: %s", *b.MayRemove, b.RemoveReason)
}

// deploymentAction puts the arithmetic into words; without what it counts there are none.
func deploymentAction(e *model.Evaluation, d *appsv1.Deployment, w *model.Workload) {
	b := w.Report.UpdateStrategy
	switch {
	case w.Settled, !w.RevisionsKnown(e), !e.In.Sources.Get(model.SourcePods).Readable():
		return
	case d.Spec.Paused:
		w.Report.NextAction = []string{"nothing while the Deployment is paused"}
	case w.Has(SpecUpdateNotObserved):
		w.Report.NextAction = []string{"nothing until the controller has observed the latest change"}
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		switch old := len(model.Select(w.OldPods(), func(p *model.Pod) bool { return !p.Dead })); {
		case old > 0:
			w.Report.NextAction = []string{fmt.Sprintf("wait until %s terminated, then create %d",
				plain.Plural(old, "old pod has", "old pods have"), w.Desired)}
		default:
			w.Report.NextAction = []string{fmt.Sprintf("create up to %d", w.Desired)}
		}
	case b.MayCreate == nil:
		return
	case w.Missing > 0:
		w.Report.NextAction = []string{
			fmt.Sprintf("create %s of ReplicaSet %s", plain.Plural(int(w.Missing), "missing pod", "missing pods"), w.Target.Name),
			mayRemove(b),
		}
	default:
		w.Report.NextAction = []string{fmt.Sprintf("may create %d: %s", *b.MayCreate, b.CreateReason), mayRemove(b)}
	}
}
