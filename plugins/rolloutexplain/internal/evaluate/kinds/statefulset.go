package kinds

import (
	"cmp"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/budget"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

func statefulSet(e *model.Evaluation, s *appsv1.StatefulSet) *model.Workload {
	w := e.NewWorkload("StatefulSet", &s.ObjectMeta, &s.Spec.Template, s.Spec.Replicas, s.Spec.MinReadySeconds)
	w.Observed = s.Status.ObservedGeneration
	w.Revisions = controllerRevisions(e, s.UID, &s.Spec.Template)
	w.Target = revisionNamed(w.Revisions, s.Status.UpdateRevision)
	attachOwned(e, w, s.UID, s.Status.UpdateRevision, appsv1.StatefulSetRevisionLabel)
	available := s.Status.AvailableReplicas
	w.SetCounts(s.Status.UpdatedReplicas, s.Status.ReadyReplicas, available)
	w.Report.UpdateStrategy = budget.StatefulSet(s, w.Desired)
	startOfOwned(w)

	observed := s.Status.ObservedGeneration >= s.Generation
	partition := plain.Or(w.Report.UpdateStrategy.Partition, 0)
	onDelete := s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
	current := model.Select(model.CountedPods(w.Pods), func(p *model.Pod) bool { return p.IsNew })
	due := w.Desired
	if partition > 0 {
		due = max(0, w.Desired-partition)
	}
	all := s.Status.ReadyReplicas == w.Desired && available == w.Desired && s.Status.Replicas == w.Desired
	w.Settled = observed && all &&
		(s.Status.UpdateRevision == s.Status.CurrentRevision && !onDelete || int32(len(current)) >= w.Desired || //nolint:gosec // pods
			s.Status.UpdatedReplicas >= w.Desired)
	w.Completed = observed && s.Status.UpdatedReplicas == w.Desired && !onDelete && s.Status.CurrentRevision == s.Status.UpdateRevision
	w.Begun = true
	if e.In.Sources.Get(model.SourcePods).Readable() {
		w.Missing, w.MissingOf = missingOrdinals(w, start(s)), w.Meta.UID
	}
	if !observed {
		notObserving(e, w, fmt.Sprintf("metadata.generation is %d, status.observedGeneration is %d", s.Generation, s.Status.ObservedGeneration))
		return w
	}
	statefulGates(e, s, w, partition, due, onDelete, all)
	return w
}

// missingOrdinals counts the pods that the controller should have created by now. With OrderedReady none is due while one
// of a lower ordinal is not available: orderedWait tells that.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/statefulset/stateful_set_control.go (processReplica)
func missingOrdinals(w *model.Workload, first int) int32 {
	have := map[int]*model.Pod{}
	for _, p := range w.Pods {
		if !p.Dead {
			have[ordinalOf(p.Name)] = p
		}
	}
	missing := int32(0)
	for i := first; i < first+int(w.Desired); i++ {
		switch p := have[i]; {
		case p == nil:
			missing++
		case missing == 0 && w.Ordered() && (p.Terminating || !p.Available):
			return 0
		}
	}
	return missing
}

// statefulGates explains what the StatefulSet controller itself waits for.
func statefulGates(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, partition, due int32, onDelete, all bool) {
	old := model.Select(model.CountedPods(w.Pods), func(p *model.Pod) bool { return !p.IsNew })
	sorting.Func(old, func(a, b *model.Pod) int { return cmp.Compare(ordinalOf(a.Name), ordinalOf(b.Name)) })
	statefulUpdateError(e, w)
	switch {
	case w.Settled && len(old) == 0:
		if w.Desired == 0 {
			w.Add(e.Note(ScaledToZero, "spec.replicas is 0: complete by definition, which does not prove that the pod template works"))
		}
		return
	case onDelete && len(old) > 0:
		heldByOnDelete(e, w, old)
	case partition > 0 && len(old) > 0 && all && int32(len(model.CountedPods(w.NewPods()))) >= due: //nolint:gosec // pods
		partitioned(e, s, w, partition, due, old)
	}
	unreplacedPods(e, s, w)
	orderedWait(e, s, w)
	statefulAction(e, s, w, old, partition, onDelete)
}

func statefulAction(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, old []*model.Pod, partition int32, onDelete bool) {
	switch {
	case !e.In.Sources.Get(model.SourcePods).Readable():
	case w.Has(StatefulSetPodNotReplaced):
		w.Report.NextAction = []string{"nothing: the controller waits for a broken pod that it does not replace"}
	case onDelete:
		w.Report.NextAction = []string{"replace a pod only after the pod is deleted (OnDelete)"}
	case w.FindOrdered != nil:
		w.Report.NextAction = []string{fmt.Sprintf("nothing until pod %s is available", w.FindOrdered.Name)}
	case w.Missing > 0:
		w.Report.NextAction = []string{fmt.Sprintf("create %s", plain.Plural(int(w.Missing), "pod", "pods"))}
	case len(old) > 0 && w.Has(PartitionedRollout), w.Has(PartitionExcludesAllPods):
		w.Report.NextAction = []string{"nothing: the partition keeps the remaining pods on the old template"}
	case len(old) > 0:
		next, lowest := old[len(old)-1], int(partition)+start(s)
		w.Report.NextAction = []string{fmt.Sprintf("replace pods from the highest ordinal down to %d; next is %s", lowest, next.Name)}
		if ordinalOf(next.Name) < lowest {
			w.Report.NextAction = []string{fmt.Sprintf("nothing: the remaining old pods are below partition %d", partition)}
		}
	}
}
