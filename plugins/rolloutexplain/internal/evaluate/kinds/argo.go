package kinds

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ArgoPaused      finding.Code = "ArgoPaused"
	ArgoAborted     finding.Code = "ArgoAborted"
	ArgoDegraded    finding.Code = "ArgoDegraded"
	ArgoInvalidSpec finding.Code = "ArgoInvalidSpec"
)

var argoRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ArgoPaused, Severity: finding.Warning, Title: "Argo Rollout is paused",
		Meaning:  "The Argo Rollout waits at a pause step, or is paused by a user.",
		Evidence: "status.pauseConditions, or spec.paused true.",
		Next:     "Promote the rollout.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ArgoAborted, Severity: finding.Critical, Title: "Argo Rollout was aborted",
		Meaning:  "The Argo Rollout was aborted, so its controller runs the stable version.",
		Evidence: "status.abort true.",
		Next:     "Retry or undo the rollout.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ArgoDegraded, Severity: finding.Critical, Title: "Argo Rollout is degraded",
		Meaning:  "The Argo Rollouts controller reports the phase Degraded.",
		Evidence: "status.phase Degraded; status.message.",
		Next:     "Run kubectl argo rollouts get rollout.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ArgoInvalidSpec, Severity: finding.Critical, Title: "Argo Rollout spec is invalid",
		Meaning:  "The Argo Rollouts controller rejects the spec of the Rollout.",
		Evidence: "status.phase Degraded, and \"InvalidSpec\" or \"invalid\" in status.message.",
		Next:     "Correct the spec.",
	}},
}

// argo judges an Argo Rollout by its own phase machine; its pods are judged like a Deployment's.
// https://argo-rollouts.readthedocs.io/en/stable/features/specification/
func argo(e *model.Evaluation, o map[string]any) *model.Workload {
	u := unstructured.Unstructured{Object: o}
	meta := &metav1.ObjectMeta{
		Name: u.GetName(), Namespace: u.GetNamespace(), UID: u.GetUID(), Generation: u.GetGeneration(),
		CreationTimestamp: u.GetCreationTimestamp(), Annotations: u.GetAnnotations(), Labels: u.GetLabels(), ManagedFields: u.GetManagedFields(),
	}
	var template corev1.PodTemplateSpec
	if t, ok, _ := unstructured.NestedMap(o, "spec", "template"); ok {
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(t, &template)
	}
	replicas := argoInt(o, "spec", "replicas")
	minReady := plain.Or(argoInt(o, "spec", "minReadySeconds"), 0)
	w := e.NewWorkload(model.KindArgo, meta, &template, replicas, minReady)
	if text, ok, _ := unstructured.NestedString(o, "status", "observedGeneration"); ok {
		w.Observed, _ = strconv.ParseInt(text, 10, 64) // a string there
	}
	w.Revisions = setRevisions(replicaSetsOf(e, meta.UID))
	hash, _, _ := unstructured.NestedString(o, "status", "currentPodHash")
	for _, r := range w.Revisions {
		r.Hash = r.Set.Labels["rollouts-pod-template-hash"]
		if n, err := strconv.ParseInt(r.Set.Annotations["rollout.argoproj.io/revision"], 10, 64); err == nil {
			r.Number = n
		}
		if r.Hash == hash && hash != "" {
			w.Target = r
		}
	}
	e.AttachPods(w)
	w.Report.Counts.Updated = argoInt(o, "status", "updatedReplicas")
	w.Report.Counts.Ready, w.Report.Counts.Available = argoInt(o, "status", "readyReplicas"), argoInt(o, "status", "availableReplicas")
	startOfRevision(w)
	w.Begun = w.Target != nil
	if w.Target != nil {
		if counted := int32(len(model.CountedPods(w.NewPods()))); plain.Or(w.Target.Set.Spec.Replicas, 0) > counted { //nolint:gosec // pods
			w.Missing, w.MissingOf = plain.Or(w.Target.Set.Spec.Replicas, 0)-counted, w.Target.UID
		}
	}
	argoPhase(e, o, w)
	return w
}

func argoInt(o map[string]any, path ...string) *int32 {
	v, ok, _ := unstructured.NestedFieldNoCopy(o, path...)
	if !ok {
		return nil
	}
	switch n := v.(type) {
	case int64:
		return plain.Ptr(int32(n)) //nolint:gosec // pods
	case float64:
		return plain.Ptr(int32(n))
	}
	return nil
}

func argoPhase(e *model.Evaluation, o map[string]any, w *model.Workload) {
	phase, _, _ := unstructured.NestedString(o, "status", "phase")
	message, _, _ := unstructured.NestedString(o, "status", "message")
	aborted, _, _ := unstructured.NestedBool(o, "status", "abort")
	pauses, _, _ := unstructured.NestedSlice(o, "status", "pauseConditions")
	user, _, _ := unstructured.NestedBool(o, "spec", "paused")
	seen := plain.Evidence("Rollout "+w.Meta.Name, "status.phase", phase+" "+message, plain.NoTime)
	step := argoStep(o)
	if step != "" {
		w.Report.NextAction = []string{step}
	}
	switch {
	case aborted:
		f := e.Finding(ArgoAborted, report.Fatal, "the rollout was aborted and runs the stable version: %s",
			plain.OneLine(message))
		f.Confidence, f.SelfHealing, f.Evidence = "high", "no", []finding.Evidence{seen}
		f.Next = []finding.Next{
			e.Next(w, finding.Change, "Retry the same version", "argo", "rollouts", "retry", "rollout", w.Meta.Name),
			e.Next(w, finding.Change, "Roll back to the stable version instead", "argo", "rollouts", "undo", w.Meta.Name),
		}
		w.Add(f)
	case len(pauses) > 0 || user:
		argoPaused(e, w, pauses, user, seen)
	case phase == "Degraded":
		code := ArgoDegraded
		if plain.ContainsAny(message, "InvalidSpec", "invalid") {
			code = ArgoInvalidSpec
		}
		f := e.Finding(code, report.Fatal, "the Argo Rollouts controller reports the phase Degraded: %s",
			plain.OneLine(message))
		f.Confidence, f.SelfHealing, f.Evidence = "high", "no", []finding.Evidence{seen}
		f.Next = []finding.Next{e.Next(w, finding.Read, "Show the rollout as Argo Rollouts reports it", "argo", "rollouts", "get",
			"rollout", w.Meta.Name)}
		w.Add(f)
	case phase == "Healthy":
		w.Settled = w.Observed >= w.Meta.Generation
	case phase == "" && e.Now.Sub(w.Meta.CreationTimestamp.Time) > 10*time.Second:
		argoController(e, w)
	case phase == "Progressing" && w.Observed > 0 && w.Observed < w.Meta.Generation:
		argoController(e, w)
	}
}

func argoController(e *model.Evaluation, w *model.Workload) {
	f := e.Finding(SpecUpdateNotObserved, report.Transient,
		"the Argo Rollouts controller has not observed the latest change")
	f.Confidence, f.SelfHealing = "medium", "maybe"
	f.Evidence = []finding.Evidence{plain.Evidence("Rollout "+w.Meta.Name, "status.observedGeneration",
		fmt.Sprintf("%d of %d", w.Observed, w.Meta.Generation), plain.NoTime)}
	f.Next = []finding.Next{e.NextCluster(finding.Read, "Check whether the Argo Rollouts controller is running", "get", "pods", "-A", "-l",
		"app.kubernetes.io/name=argo-rollouts")}
	w.Add(f)
}

func argoPaused(e *model.Evaluation, w *model.Workload, pauses []any, user bool, seen finding.Evidence) {
	reason, since := "paused by a user", plain.NoTime
	for _, p := range pauses {
		if m, ok := p.(map[string]any); ok {
			if r, ok := m["reason"].(string); ok {
				reason = r
			}
			if s, ok := m["startTime"].(string); ok {
				since, _ = time.Parse(time.RFC3339, s)
			}
		}
	}
	f := e.Finding(ArgoPaused, report.PausedClass, "the rollout is paused (%s) until it is promoted",
		reason)
	f.Confidence, f.SelfHealing, f.FirstSeen = "high", "no", plain.TimePtr(since)
	f.Evidence = []finding.Evidence{seen}
	f.Next = []finding.Next{
		e.Next(w, finding.Change, "Promote the rollout", "argo", "rollouts", "promote", w.Meta.Name),
		e.Next(w, finding.Change, "Abort the rollout and return to the stable version", "argo", "rollouts", "abort", w.Meta.Name),
	}
	w.Add(f)
}

// argoStep says where in its steps a canary is.
func argoStep(o map[string]any) string {
	steps, ok, _ := unstructured.NestedSlice(o, "spec", "strategy", "canary", "steps")
	index := argoInt(o, "status", "currentStepIndex")
	if !ok || index == nil {
		return ""
	}
	text := fmt.Sprintf("canary step %d of %d", min(int(*index)+1, len(steps)), len(steps))
	if weight := argoInt(o, "status", "canary", "weights", "canary", "weight"); weight != nil {
		text += fmt.Sprintf(", weight %d%%", *weight)
	}
	return text
}
