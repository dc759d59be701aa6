// Package kinds judges the controllers' side of each kind of workload: which template is current, which pods have it, what the
// controller may do next and what keeps it from acting. A kind asks pods, placement and refusal; none of these knows a kind.
package kinds

import (
	"iter"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// Rules are the findings about what a controller itself does or waits for.
var Rules = slices.Concat(observingRules, gateRules, replicaSetRules, statefulSetRules, unreplacedRules, daemonSetRules, timerRules,
	replicasFlappingRules, jobRules, jobEndRules, argoRules)

// Workloads judges the controllers' side of every requested workload, one at a time: the pods of all would fill the memory.
func Workloads(e *model.Evaluation) iter.Seq[*model.Workload] {
	return func(yield func(*model.Workload) bool) {
		in := e.In
		_ = each(e, in.Deployments, "Deployment", deployment, yield) && each(e, in.StatefulSets, "StatefulSet", statefulSet, yield) &&
			each(e, in.DaemonSets, "DaemonSet", daemonSet, yield) && each(e, in.Jobs, "Job", job, yield) && rollouts(e, yield) &&
			ownerless(e, yield)
	}
}

// each judges the requested ones of a list; false: no more are wanted.
func each[T any, P interface {
	*T
	metav1.Object
}](e *model.Evaluation, list []T, kind string, judge func(*model.Evaluation, P) *model.Workload, yield func(*model.Workload) bool) bool {
	for i := range list {
		if o := P(&list[i]); requested(e, kind, o) && !yield(judge(e, o)) {
			return false
		}
	}
	return true
}

func rollouts(e *model.Evaluation, yield func(*model.Workload) bool) bool {
	for _, o := range e.In.Rollouts {
		u := unstructured.Unstructured{Object: o}
		meta := &metav1.ObjectMeta{Name: u.GetName(), Namespace: u.GetNamespace()}
		if requested(e, model.KindArgo, meta) && !yield(argo(e, o)) {
			return false
		}
	}
	return true
}

// ownerless judges ReplicaSets and pods that were named and that no rollout owns.
func ownerless(e *model.Evaluation, yield func(*model.Workload) bool) bool {
	if len(e.In.Targets) == 0 {
		return true
	}
	for i := range e.In.ReplicaSets {
		if requested(e, "ReplicaSet", &e.In.ReplicaSets[i]) && !yield(replicaSet(e, i)) {
			return false
		}
	}
	for i := range e.In.Pods {
		if requested(e, "Pod", &e.In.Pods[i]) && !yield(ownerlessPod(e, i)) {
			return false
		}
	}
	return true
}

func requested(e *model.Evaluation, kind string, meta metav1.Object) bool {
	if len(e.In.Targets) == 0 {
		// Jobs of a CronJob and finished Jobs belong to the table as much as any; owned workloads are their owner's.
		return metav1.GetControllerOfNoCopy(meta) == nil || kind == "Job"
	}
	return slices.ContainsFunc(e.In.Targets, func(t finding.ObjectRef) bool {
		return t.Kind == kind && t.Name == meta.GetName() && (t.Namespace == "" || t.Namespace == meta.GetNamespace())
	})
}

func replicaSet(e *model.Evaluation, i int) *model.Workload {
	rs := &e.In.ReplicaSets[i]
	w := e.NewWorkload("ReplicaSet", &rs.ObjectMeta, &rs.Spec.Template, rs.Spec.Replicas, rs.Spec.MinReadySeconds)
	w.Observed = rs.Status.ObservedGeneration
	w.Revisions = setRevisions(replicaSetsAt(e, i))
	w.Target = w.Revisions[0]
	e.AttachPods(w)
	w.SetCounts(rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas)
	w.Started, w.Begun = rs.CreationTimestamp.Time, true
	if counted := int32(len(model.CountedPods(w.Pods))); w.Desired > counted { //nolint:gosec // pods
		w.Missing, w.MissingOf = w.Desired-counted, rs.UID
	}
	w.Settled = rs.Status.ObservedGeneration >= rs.Generation && rs.Status.Replicas == w.Desired && rs.Status.AvailableReplicas == w.Desired
	if old := outdated(w, rs); len(old) > 0 {
		w.Settled = false
		setKeepsPods(e, w, old)
	}
	return w
}

func ownerlessPod(e *model.Evaluation, i int) *model.Workload {
	p := &e.In.Pods[i]
	one := int32(1)
	w := e.NewWorkload("Pod", &p.ObjectMeta, nil, &one, 0)
	v := e.PodView(p, 0)
	v.IsNew = true
	w.Pods = []*model.Pod{v}
	w.SetCounts(1, int32(plain.Int(v.Ready)), int32(plain.Int(v.Available))) //nolint:gosec // 0 or 1
	w.Started, w.Begun, w.Settled = p.CreationTimestamp.Time, true, v.Available || v.Status.Phase == "Succeeded"
	return w
}

func replicaSetsAt(e *model.Evaluation, i int) []*appsv1.ReplicaSet {
	return []*appsv1.ReplicaSet{&e.In.ReplicaSets[i]}
}
