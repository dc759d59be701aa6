package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const ReplicaSetMutated finding.Code = "ReplicaSetMutated"

var replicaSetRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ReplicaSetMutated, Severity: finding.Critical, Title: "Admission changes each new ReplicaSet",
		Meaning: "A mutating webhook or policy changes the template of each new ReplicaSet. The Deployment controller recognizes none " +
			"as its own and creates another one.",
		Evidence: "status.collisionCount of the Deployment; ReplicaSets younger than the template that differ from it.",
		Next:     "Exclude ReplicaSets from the webhook or policy, or make it change the Deployment, too.",
	}},
}

// outdated gives the pods of a ReplicaSet that were created with another template than it has now. Its status does not tell:
// it counts pods by their labels. A pod that admission has changed differs, too, so only pods older than the last write of
// the template count; where that is unknown, a ReplicaSet that has never been written again has none.
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#how-a-replicaset-works
func outdated(w *model.Workload, rs *appsv1.ReplicaSet) []*model.Pod {
	written := templateWritten(&rs.ObjectMeta)
	if written.IsZero() && rs.Generation < 2 {
		return nil
	}
	old := model.Select(model.CountedPods(w.Pods), func(p *model.Pod) bool {
		return (written.IsZero() || p.CreationTimestamp.Time.Before(written)) && !madeFrom(p.Pod, &rs.Spec.Template)
	})
	for _, p := range old {
		p.IsNew = false
	}
	return old
}

// madeFrom compares what admission seldom changes: image, command and arguments of each container of the template, and its
// own environment.
func madeFrom(p *corev1.Pod, t *corev1.PodTemplateSpec) bool {
	return !slices.ContainsFunc(t.Spec.Containers, func(c corev1.Container) bool {
		return !slices.ContainsFunc(p.Spec.Containers, func(q corev1.Container) bool {
			return q.Name == c.Name && q.Image == c.Image && slices.Equal(q.Command, c.Command) && slices.Equal(q.Args, c.Args) &&
				!slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return !hasVariable(q.Env, v) })
		})
	})
}

func hasVariable(list []corev1.EnvVar, v corev1.EnvVar) bool {
	return slices.ContainsFunc(list, func(o corev1.EnvVar) bool { return o.Name == v.Name && o.Value == v.Value })
}

// setKeepsPods: a ReplicaSet makes new pods of its template and never replaces others.
func setKeepsPods(e *model.Evaluation, w *model.Workload, old []*model.Pod) {
	f := e.Finding(OnDelete, report.PausedClass, "%s: a ReplicaSet replaces no pods (%s)",
		plain.Plural(len(old), "pod has an older template until it is deleted", "pods have an older template until they are deleted"),
		plain.List(model.Names(old), 4))
	f.Confidence, f.SelfHealing, f.Pods = "high", "no", model.Names(old)
	written := templateWritten(w.Meta)
	f.Evidence = []finding.Evidence{plain.Evidence("ReplicaSet "+w.Meta.Name, "spec.template", "differs from the listed pods", written)}
	f.Next = []finding.Next{e.Next(w, finding.Destructive, "Delete one pod, and check its replacement before the next",
		"delete", "pod", old[0].Name)}
	w.Add(f)
	w.Report.Counts.Updated = plain.Ptr(plain.Or(w.Report.Counts.Updated, 0) - int32(len(old))) //nolint:gosec // pods
	w.CountPods(e)
}

// setsMutated reports the loop of an admission that changes each new ReplicaSet: the controller finds none that equals its
// template, takes the changed one for a collision of names, and makes another. Collisions are counted since the Deployment
// exists, so that only ReplicaSets younger than the template's last write prove it.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/sync.go (getNewReplicaSet)
func setsMutated(e *model.Evaluation, w *model.Workload) bool {
	collisions := collisionsOf(e, w)
	written := templateWritten(w.Meta)
	if written.IsZero() && w.Meta.Generation == 1 {
		written = w.Meta.CreationTimestamp.Time
	}
	if w.Target != nil || collisions == 0 || written.IsZero() {
		return false
	}
	sets := slices.DeleteFunc(slices.Clone(w.Revisions), func(r *model.Revision) bool { return r.Created.Before(written) })
	if len(sets) == 0 {
		return false
	}
	newest := slices.MaxFunc(sets, func(a, b *model.Revision) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	changes := diff.Templates(w.Template, newest.Template)
	paths := make([]string, 0, len(changes))
	for _, c := range changes {
		paths = append(paths, c.Path)
	}
	f := e.Finding(ReplicaSetMutated, report.LikelyFatal,
		"admission changes each new ReplicaSet, so that none has the template of the Deployment (%s): %s so far, %s",
		plain.List(paths, 3), plain.Plural(len(sets), "ReplicaSet", "ReplicaSets"),
		plain.Plural(int(collisions), "hash collision", "hash collisions"))
	f.SelfHealing, f.Confidence, f.FirstSeen = "no", "high", plain.TimePtr(sets[0].Created)
	f.Evidence = []finding.Evidence{
		plain.Evidence("Deployment "+w.Meta.Name, "status.collisionCount", fmt.Sprint(collisions), time.Time{}),
		plain.Evidence("ReplicaSet "+newest.Name, "spec.template", "differs in "+strings.Join(paths, ", "), newest.Created),
	}
	f.Next = []finding.Next{e.Mutators("ReplicaSets")}
	w.Add(f)
	return true
}

func collisionsOf(e *model.Evaluation, w *model.Workload) int32 {
	if d := e.Deployments[w.Meta.UID]; len(d) > 0 {
		return plain.Or(d[0].Status.CollisionCount, 0)
	}
	return 0
}
