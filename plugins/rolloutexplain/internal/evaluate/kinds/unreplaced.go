package kinds

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const StatefulSetPodNotReplaced finding.Code = "StatefulSetPodNotReplaced"

var unreplacedRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: StatefulSetPodNotReplaced, Severity: finding.Critical, Title: "StatefulSet controller does not replace a broken pod",
		Meaning: "The StatefulSet controller does not replace a pod that is not ready. After a correction or a " +
			"rollback, the broken pod therefore stays.",
		Evidence: "Pod label controller-revision-hash different from status.updateRevision, and the pod not Ready.",
		Next:     "Delete that pod; its PersistentVolumeClaims stay.",
	}},
}

// unreplacedPods: the controller does not replace a pod of a superseded template while that pod is broken. After a
// correction or a rollback it waits indefinitely. https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
func unreplacedPods(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload) {
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || w.Target == nil {
		return
	}
	if !w.Ordered() && w.Report.UpdateStrategy.MaxUnavailable == nil {
		// Parallel without the maxUnavailable gate deletes outdated pods whatever their health. So does v1.37, where the gate is on and the
		// server fills maxUnavailable in: the pod is being deleted before status.observedGeneration tells of the new template.
		// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/controller/statefulset/stateful_set_control.go
		return
	}
	partition := int(plain.Or(w.Report.UpdateStrategy.Partition, 0))
	var broken []*model.Pod
	var inner *model.Cause
	superseded := false
	for _, p := range model.CountedPods(w.Pods) {
		hash := p.Labels[appsv1.StatefulSetRevisionLabel]
		if p.IsNew || hash == "" || p.Ready || ordinalOf(p.Name) < partition+start(s) {
			continue
		}
		// A pod that only needs time becomes ready and is replaced then: it is not broken.
		c := pods.Diagnose(e, w, p)
		if c == nil || !e.Rules.IsPersistent(&c.Finding) && e.Now.Sub(p.CreationTimestamp.Time) < brokenAfter {
			continue
		}
		broken = append(broken, p)
		superseded = superseded || hash != s.Status.CurrentRevision || s.Status.CurrentRevision == s.Status.UpdateRevision
		if inner == nil {
			inner = c
		}
	}
	if len(broken) == 0 {
		return
	}
	unreplacedFinding(e, s, w, broken, inner, superseded)
}

// brokenAfter is how long a pod without a clear cause may be not ready before it counts as broken.
const brokenAfter = 2 * time.Minute

// readyBetweenCrashes reports whether a pod is ready whenever its containers run, until they exit again: if the controller looks in that
// moment, it does replace the pod. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#probe-outcome
func readyBetweenCrashes(s *appsv1.StatefulSet, p *model.Pod) bool {
	ran := func(c corev1.ContainerStatus) bool {
		end := c.LastTerminationState.Terminated
		return end != nil && !podfact.NeverRan(end)
	}
	probed := func(c corev1.Container) bool { return c.ReadinessProbe != nil || c.StartupProbe != nil }
	return s.Spec.MinReadySeconds == 0 && len(p.Spec.ReadinessGates) == 0 && !slices.ContainsFunc(p.Spec.Containers, probed) &&
		slices.ContainsFunc(p.Status.ContainerStatuses, ran)
}

func unreplacedFinding(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, broken []*model.Pod,
	inner *model.Cause, superseded bool,
) {
	class, which := report.LikelyFatal, "the old template"
	if superseded && e.Rules.IsPersistent(&inner.Finding) {
		class, which = report.Fatal, "a superseded template"
	}
	if !e.Rules.IsPersistent(&inner.Finding) {
		class = report.Transient
	}
	heals := "no"
	if class != report.Transient && !slices.ContainsFunc(broken, func(p *model.Pod) bool { return !readyBetweenCrashes(s, p) }) {
		class, heals = report.LikelyFatal, "maybe"
	}
	format := "pod %s has %s and is broken (%s); the controller does not replace a pod that is not ready, " +
		"so the current template is not applied to it"
	if len(broken) > 1 {
		format = "pods %s have %s and are broken (%s); the controller does not replace a pod that is not ready, " +
			"so the current template is not applied to them"
	}
	f := e.Finding(StatefulSetPodNotReplaced, class,
		format, plain.List(model.Names(broken), 5), which, inner.Sentence())
	f.Confidence, f.SelfHealing, f.Pods, f.FirstSeen, f.Log = "high", heals, model.Names(broken), plain.TimePtr(w.Started), inner.Log
	p := broken[0]
	f.Evidence = append(slices.Clone(inner.Evidence),
		plain.Evidence("Pod "+p.Name, "metadata.labels[controller-revision-hash]", p.Labels[appsv1.StatefulSetRevisionLabel],
			p.CreationTimestamp.Time),
		plain.Evidence("StatefulSet "+s.Name, "status.updateRevision", s.Status.UpdateRevision, w.Started))
	f.Next = []finding.Next{e.Next(w, finding.Destructive,
		"Delete the broken pod to recreate it with the current template (its PersistentVolumeClaims stay)",
		append([]string{"delete", "pod"}, model.Names(broken)...)...)}
	w.Add(f)
}
