package kinds

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
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
		Meaning:  "The Argo Rollout waits at a pause step, or is paused by a user. A pause with a duration ends without a change.",
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
		Next:     "Read the conditions and events of the Rollout.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: ArgoInvalidSpec, Severity: finding.Critical, Title: "Argo Rollout spec is invalid",
		Meaning:  "The Argo Rollouts controller rejects the spec of the Rollout.",
		Evidence: "status.phase Degraded, and status.message that begins with InvalidSpec.",
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
		r.Hash = r.Set.Labels[diff.ArgoHash]
		if n, err := strconv.ParseInt(r.Set.Annotations["rollout.argoproj.io/revision"], 10, 64); err == nil {
			r.Number = n
		}
		if r.Hash == hash && hash != "" {
			w.Target = r
		}
	}
	// The API server fills in no defaults in a custom resource, so its template equals none of a ReplicaSet or a pod.
	w.Given, w.Template = &template, nil
	if w.Target != nil && w.Observed >= meta.Generation {
		w.Template = w.Target.Template
	}
	e.AttachPods(w)
	argoCounts(o, w)
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

// argoCounts takes the controller's counters: it leaves out those that are 0.
func argoCounts(o map[string]any, w *model.Workload) {
	count := func(field string) *int32 {
		if n := argoInt(o, "status", field); n != nil || w.Observed == 0 {
			return n
		}
		return plain.Ptr(int32(0))
	}
	c := &w.Report.Counts
	c.Updated, c.Ready, c.Available = count("updatedReplicas"), count("readyReplicas"), count("availableReplicas")
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
	seen := plain.Evidence("Rollout "+w.Meta.Name, "status.phase", strings.TrimSpace(phase+" "+message), plain.NoTime)
	switch {
	case aborted:
		argoAborted(e, o, w, message, seen)
		return // where it is in its steps is of the next try
	case len(pauses) > 0 || user:
		argoPaused(e, o, w, pauses, user, seen)
	case phase == "Degraded":
		argoDegraded(e, o, w, message, seen)
	case phase == "Healthy":
		w.Settled = w.Observed >= w.Meta.Generation
		if w.Settled {
			return
		}
	case phase == "" && e.Now.Sub(w.Meta.CreationTimestamp.Time) > 10*time.Second:
		argoController(e, w)
	case phase == "Progressing" && w.Observed > 0 && w.Observed < w.Meta.Generation:
		argoController(e, w)
	}
	if step := cmp.Or(argoStep(o), argoSwitch(o)); step != "" {
		w.Report.NextAction = []string{step}
	}
}

// abortWords is what the controller says before the reason of an abort: which update it was, and which kind of analysis.
// https://github.com/argoproj/argo-rollouts/blob/v1.10.1/utils/conditions/conditions.go (RolloutAbortedMessage)
// https://github.com/argoproj/argo-rollouts/blob/v1.10.1/rollout/analysis.go (reconcileStepBasedAnalysisRun)
var abortWords = regexp.MustCompile(
	`^RolloutAborted: (Rollout aborted update to revision \d+(: )?)?([\w/ -]+ analysis phase (is )?error/failed: )?`)

// metricWords is what the controller says of a metric that ended an analysis.
// https://github.com/argoproj/argo-rollouts/blob/v1.10.1/analysis/analysis.go (assessMetricStatus)
var metricWords = regexp.MustCompile(`^Metric ("[^"]*") assessed (\w+) due to (\w+) \((\d+)\) > \w+ \((\d+)\)(?:: "Error Message: (.*)")?$`)

func argoAborted(e *model.Evaluation, o map[string]any, w *model.Workload, message string, seen finding.Evidence) {
	text := "the rollout was aborted and runs the stable version"
	if reason := abortWords.ReplaceAllString(plain.OneLine(message), ""); reason != "" {
		if m := metricWords.FindStringSubmatch(reason); m != nil {
			reason = fmt.Sprintf("metric %s is %s (%s %s, limit %s)", m[1], m[2], m[3], m[4], m[5])
			if m[6] != "" {
				reason += "; " + m[6]
			}
		}
		text = "the rollout was aborted: " + reason + "; it runs the stable version"
	}
	f := e.Finding(ArgoAborted, report.Fatal, "%s", text)
	f.Confidence, f.SelfHealing, f.Evidence = "high", "no", []finding.Evidence{seen}
	f.FirstSeen = plain.TimePtr(argoTime(o, "status", "abortedAt"))
	if w.Target != nil && strings.Contains(message, "Metric ") {
		f.Next = append(f.Next, e.Next(w, finding.Read, "Show the analysis runs of the revision with their measurements",
			"describe", "analysisruns.argoproj.io", "-l", diff.ArgoHash+"="+w.Target.Hash))
	}
	f.Next = append(f.Next,
		e.Next(w, finding.Change, "Retry the same version", "argo", "rollouts", "retry", "rollout", w.Meta.Name),
		e.Next(w, finding.Change, "Roll back to the stable version instead", "argo", "rollouts", "undo", w.Meta.Name))
	w.Add(f)
}

// argoDegraded: a deadline says only that pods did not become available, so what keeps those is the cause.
func argoDegraded(e *model.Evaluation, o map[string]any, w *model.Workload, message string, seen finding.Evidence) {
	code, text := ArgoDegraded, "the Argo Rollouts controller reports the phase Degraded: "+plain.OneLine(message)
	if reason, invalid := strings.CutPrefix(plain.OneLine(message), "InvalidSpec: "); invalid {
		code = ArgoInvalidSpec
		text = "the Argo Rollouts controller rejects the spec: " +
			strings.TrimPrefix(reason, fmt.Sprintf("The Rollout %q is invalid: ", w.Meta.Name))
	}
	f := e.Finding(code, report.Fatal, "%s", text)
	f.Confidence, f.SelfHealing, f.Evidence = "high", "no", []finding.Evidence{seen}
	if set := timedOutSet.FindStringSubmatch(message); set != nil {
		f.Message = fmt.Sprintf("ReplicaSet %s has made no progress within %ds", set[1],
			plain.Or(argoInt(o, "spec", "progressDeadlineSeconds"), 600))
		f.Stance, f.SelfHealing = finding.Follows, "maybe"
	}
	f.Next = []finding.Next{e.Next(w, finding.Read, "Show the rollout with its conditions and events", "describe",
		"rollouts.argoproj.io", w.Meta.Name)}
	w.Add(f)
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

func argoPaused(e *model.Evaluation, o map[string]any, w *model.Workload, pauses []any, user bool, seen finding.Evidence) {
	reason, since := "paused by a user", plain.NoTime
	for _, p := range pauses {
		if m, ok := p.(map[string]any); ok {
			if r, ok := m["reason"].(string); ok {
				reason = r
			}
			since = argoTime(m, "startTime")
		}
	}
	class, heals, until := report.PausedClass, "no", "until it is promoted"
	if d := argoPauseLength(o, reason); d > 0 && len(pauses) == 1 && !user && !since.IsZero() {
		left := max(0, since.Add(d).Sub(e.Now))
		class, heals, until = report.Transient, "yes", fmt.Sprintf("for %s, and continues in %s", plain.Age(d), plain.Age(left))
	}
	f := e.Finding(ArgoPaused, class, "the rollout is paused (%s) %s", reason, until)
	f.Confidence, f.SelfHealing, f.FirstSeen = "high", heals, plain.TimePtr(since)
	f.Evidence = []finding.Evidence{seen}
	f.Next = []finding.Next{
		e.Next(w, finding.Change, "Promote the rollout", "argo", "rollouts", "promote", w.Meta.Name),
		e.Next(w, finding.Change, "Abort the rollout and return to the stable version", "argo", "rollouts", "abort", w.Meta.Name),
	}
	w.Add(f)
}

// argoPauseLength is how long a pause lasts that ends by itself; 0: it waits for a promotion.
func argoPauseLength(o map[string]any, reason string) time.Duration {
	switch reason {
	case "CanaryPauseStep":
		steps, _, _ := unstructured.NestedSlice(o, "spec", "strategy", "canary", "steps")
		if index := plain.Or(argoInt(o, "status", "currentStepIndex"), 0); int(index) < len(steps) {
			step, _ := steps[index].(map[string]any)
			return argoDuration(step, "pause", "duration")
		}
	case "BlueGreenPause":
		return argoDuration(o, "spec", "strategy", "blueGreen", "autoPromotionSeconds")
	}
	return 0
}

// argoDuration reads seconds as a number or as text, or a duration with its unit.
// https://argo-rollouts.readthedocs.io/en/stable/features/canary/#pause-duration
func argoDuration(o map[string]any, path ...string) time.Duration {
	if n := argoInt(o, path...); n != nil {
		return time.Duration(*n) * time.Second
	}
	text, _, _ := unstructured.NestedString(o, path...)
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	d, _ := time.ParseDuration(text)
	return d
}

func argoTime(o map[string]any, path ...string) time.Time {
	text, _, _ := unstructured.NestedString(o, path...)
	at, _ := time.Parse(time.RFC3339, text)
	return at
}

// argoStep says where in its steps a canary is, and what the step does.
func argoStep(o map[string]any) string {
	steps, ok, _ := unstructured.NestedSlice(o, "spec", "strategy", "canary", "steps")
	index := argoInt(o, "status", "currentStepIndex")
	if !ok || index == nil {
		return ""
	}
	if int(*index) >= len(steps) {
		return fmt.Sprintf("all %s are done", plain.Plural(len(steps), "canary step", "canary steps"))
	}
	text := fmt.Sprintf("canary step %d of %d", *index+1, len(steps))
	if step, ok := steps[*index].(map[string]any); ok {
		for _, kind := range slices.Sorted(maps.Keys(step)) {
			text += ": " + argoStepWords(kind, step)
		}
	}
	if weight := argoInt(o, "status", "canary", "weights", "canary", "weight"); weight != nil {
		text += fmt.Sprintf(" (weight %d%%)", *weight)
	}
	return text
}

func argoStepWords(kind string, step map[string]any) string {
	switch kind {
	case "setWeight":
		return fmt.Sprintf("set the weight to %d%%", plain.Or(argoInt(step, kind), 0))
	case "pause":
		if d := argoDuration(step, kind, "duration"); d > 0 {
			return "pause for " + plain.Age(d)
		}
		return "pause until the rollout is promoted"
	}
	return kind
}

// argoSwitch says what a blue-green rollout waits for before its active Service selects the new version.
func argoSwitch(o map[string]any) string {
	service, ok, _ := unstructured.NestedString(o, "spec", "strategy", "blueGreen", "activeService")
	active, _, _ := unstructured.NestedString(o, "status", "blueGreen", "activeSelector")
	hash, _, _ := unstructured.NestedString(o, "status", "currentPodHash")
	if !ok || active == "" || active == hash {
		return ""
	}
	text := fmt.Sprintf("Service %s selects the old version until all new pods are available", service)
	if auto, set, _ := unstructured.NestedBool(o, "spec", "strategy", "blueGreen", "autoPromotionEnabled"); set && !auto {
		text += " and the rollout is promoted"
	}
	return text
}
