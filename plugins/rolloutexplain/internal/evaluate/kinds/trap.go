package kinds

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// statefulTrap: the controller does not replace a pod of an abandoned template while that pod is broken. After a
// correction or an undo it waits for ever. https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
func statefulTrap(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload) {
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || w.Target == nil {
		return
	}
	if !w.Ordered() && w.Report.UpdateStrategy.MaxUnavailable == nil {
		return // Parallel without the maxUnavailable gate deletes outdated pods whatever their health
	}
	partition := int(plain.Or(w.Report.UpdateStrategy.Partition, 0))
	var trapped []*model.Pod
	var inner *model.Cause
	abandoned := false
	for _, p := range model.Live(w.Pods) {
		hash := p.Labels[appsv1.StatefulSetRevisionLabel]
		if p.IsNew || hash == "" || p.Ready || ordinalOf(p.Name) < partition+start(s) {
			continue
		}
		// A pod that only needs time becomes ready and is replaced then: nothing is trapped.
		c := pods.Diagnose(e, w, p)
		if c == nil || !codes.HoldsFast(&c.Finding) && e.Now.Sub(p.CreationTimestamp.Time) < patienceNotReady {
			continue
		}
		trapped = append(trapped, p)
		abandoned = abandoned || hash != s.Status.CurrentRevision || s.Status.CurrentRevision == s.Status.UpdateRevision
		if inner == nil {
			inner = c
		}
	}
	if len(trapped) == 0 {
		return
	}
	trapFinding(e, s, w, trapped, inner, abandoned)
}

// patienceNotReady is how long a pod without a clear cause may be not ready before it counts as broken.
const patienceNotReady = 2 * time.Minute

func trapFinding(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, trapped []*model.Pod, inner *model.Cause, abandoned bool) {
	class, which := report.LikelyFatal, "the old template"
	if abandoned && codes.HoldsFast(&inner.Finding) {
		class, which = report.Fatal, "an abandoned template"
	}
	if !codes.HoldsFast(&inner.Finding) {
		class = report.Transient
	}
	f := e.Finding(codes.StatefulSetPodNotReplaced, class, finding.Critical,
		"pod %s is broken and of %s (%s); the controller replaces no pod that is not ready, so the present template does not reach it",
		plain.List(model.Names(trapped), 5), which, inner.Message)
	f.Confidence, f.SelfHealing, f.Pods, f.FirstSeen, f.Log = "high", "no", model.Names(trapped), plain.TimePtr(w.Started), inner.Log
	p := trapped[0]
	f.Evidence = append(slices.Clone(inner.Evidence),
		plain.Evidence("Pod "+p.Name, "metadata.labels[controller-revision-hash]", p.Labels[appsv1.StatefulSetRevisionLabel],
			p.CreationTimestamp.Time),
		plain.Evidence("StatefulSet "+s.Name, "status.updateRevision", s.Status.UpdateRevision, w.Started))
	f.Next = []finding.Next{e.Next(w, finding.Destructive,
		"delete the broken pod: it comes back with the present template (its volume claims stay)",
		append([]string{"delete", "pod"}, model.Names(trapped)...)...)}
	w.Add(f)
}
