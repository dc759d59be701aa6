package pods

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	SidecarNotStarted         finding.Code = "SidecarNotStarted"
	ReadinessProbeFailing     finding.Code = "ReadinessProbeFailing"
	StartupProbePending       finding.Code = "StartupProbePending"
	ReadinessGatesNotReady    finding.Code = "ReadinessGatesNotReady"
	MinReadySecondsNotElapsed finding.Code = "MinReadySecondsNotElapsed"
	PodReadinessFlapping      finding.Code = "PodReadinessFlapping"
)

var readyRules = []rule.Rule{
	{Layer: rule.LayerPod, Slow: true, Bears: []string{"initContainers"}, Entry: finding.Entry{
		Code: SidecarNotStarted, Severity: finding.Warning, Title: "Sidecar container has not started",
		Meaning:  "The startup probe of a sidecar container has not succeeded. The containers after it wait for this.",
		Evidence: "status.initContainerStatuses[].started false.",
		Next:     "Check the startup probe of the sidecar container.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"readinessProbe", ".ports", ".image", ".env", ".command", ".args"}, Entry: finding.Entry{
		Code: ReadinessProbeFailing, Severity: finding.Warning, Title: "Readiness probe is failing",
		Meaning:  "The container is running, but its readiness probe fails or has not succeeded.",
		Evidence: "Unhealthy events of the readiness probe; ready false in the container status.",
		Next:     "Read the log of the container, and check the target of the probe.",
	}},
	{Layer: rule.LayerPod, Slow: true, Bears: []string{"startupProbe", ".image"}, Entry: finding.Entry{
		Code: StartupProbePending, Severity: finding.Warning, Title: "Startup probe has not succeeded yet",
		Meaning: "The container is running, and its startup probe has not succeeded yet. The time that the probe " +
			"allows is not over.",
		Evidence: "The field started is false in the container status.",
		Next:     "Wait, and read the log of the container if the start takes unusually long.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"readinessGates"}, Entry: finding.Entry{
		Code: ReadinessGatesNotReady, Severity: finding.Warning, Title: "Pod readiness gate is not true",
		Meaning: "The containers of the pod are ready, but another controller has not set the condition of a readiness " +
			"gate to True.",
		Evidence: "Condition of a readiness gate in spec.readinessGates absent or not True.",
		Next:     "Check the controller that sets the condition.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: MinReadySecondsNotElapsed, Severity: finding.Info, Title: "Pod is ready but not yet available",
		Meaning:  "The pod is ready, and counts as available after minReadySeconds of readiness.",
		Evidence: "Time of the last transition of the pod condition Ready, less than minReadySeconds ago.",
		Next:     "Wait until minReadySeconds have passed.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"readinessProbe", ".image", ".env", ".resources"}, Entry: finding.Entry{
		Code: PodReadinessFlapping, Severity: finding.Critical, Title: "Pod readiness is flapping",
		Meaning: "The pod becomes ready and not ready in turn and never stays ready for minReadySeconds. Each return " +
			"to ready restarts the progress deadline, so the deadline never expires.",
		Evidence: "At least 3 Unhealthy events of the readiness probe, and the last transition of the pod condition " +
			"Ready.",
		Next: "Read the log of the pod from the time when the probe fails.",
	}},
}

// notReady explains a pod whose containers run.
func notReady(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if p.Ready {
		return minReadyWait(e, w, p)
	}
	if wasReady(p) {
		if c := flapping(e, w, p); c != nil {
			return c
		}
	}
	for i := range p.Spec.Containers {
		spec := &p.Spec.Containers[i]
		s := statusOf(p.Status.ContainerStatuses, spec.Name)
		if s == nil || s.Ready || s.State.Running == nil {
			continue
		}
		if spec.StartupProbe != nil && !plain.Or(s.Started, false) {
			return startupPending(e, w, p, spec, s, false)
		}
		return readiness(e, w, p, spec, s)
	}
	for i := range p.Spec.InitContainers {
		spec := &p.Spec.InitContainers[i]
		s := statusOf(p.Status.InitContainerStatuses, spec.Name)
		if spec.RestartPolicy != nil && s != nil && s.State.Running != nil && !s.Ready {
			return readiness(e, w, p, spec, s)
		}
	}
	return readinessGate(e, w, p)
}

// minReadyWait: ready, and not for long enough yet. A pod that keeps losing readiness never gets there, and each time it
// is ready again the progress deadline starts anew.
func minReadyWait(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if flaps := flapping(e, w, p); flaps != nil {
		return flaps
	}
	c := e.Cause(p, model.StageAvailable, MinReadySecondsNotElapsed, report.Transient,
		"the pod is ready and becomes available in %[2]s, after %[1]ds of readiness (minReadySeconds)", w.MinReady,
		plain.Age(p.ReadySince.Add(time.Duration(w.MinReady)*time.Second).Sub(e.Now))).MarkSelfHealing()
	return c.Since(p.ReadySince).
		WithEvidence(plain.Evidence("Pod "+p.Name, "status.conditions[Ready].lastTransitionTime",
			p.ReadySince.UTC().Format(time.RFC3339), p.ReadySince))
}

// wasReady says whether a pod that is not ready now has been: its Ready condition changed after its containers started.
func wasReady(p *model.Pod) bool {
	c := podfact.ReadyCondition(p.Pod)
	for _, s := range p.Status.ContainerStatuses {
		if c == nil || s.State.Running == nil || !c.LastTransitionTime.After(s.State.Running.StartedAt.Add(time.Second)) {
			return false
		}
	}
	return c != nil
}

// flapping tells readiness that comes and goes: probe failures over a longer time, by a pod that has been ready.
func flapping(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if w.MinReady == 0 || e.Now.Sub(p.CreationTimestamp.Time) < 2*time.Duration(w.MinReady)*time.Second {
		return nil
	}
	ev := model.NewestMatching(e.PodEvents(p), "Unhealthy", "Readiness probe")
	if ev == nil || ev.Count < 3 || e.Now.Sub(ev.Last) > 2*time.Duration(w.MinReady)*time.Second {
		return nil
	}
	changed := lastTransition(p)
	return e.Cause(p, model.StageAvailable, PodReadinessFlapping, report.LikelyFatal,
		"readiness is flapping: never ready for %ds (minReadySeconds) in %s; each time the pod becomes ready restarts the progress deadline",
		w.MinReady, plain.Age(e.Now.Sub(p.CreationTimestamp.Time))).ByEvent(ev).
		WithEvidence(plain.Evidence("Pod "+p.Name, "status.conditions[Ready].lastTransitionTime",
			changed.UTC().Format(time.RFC3339), changed)).
		WithNext(ReadLog(e, w, p, "Read what the containers log when the probe fails", "--tail=50"))
}

func lastTransition(p *model.Pod) time.Time {
	if c := podfact.ReadyCondition(p.Pod); c != nil {
		return c.LastTransitionTime.Time
	}
	return plain.NoTime
}

// startupPending: readiness is not asked before the startup probe has passed.
func startupPending(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, s *corev1.ContainerStatus,
	sidecar bool,
) *model.Cause {
	since, left := s.State.Running.StartedAt.Time, time.Duration(0)
	left = budgetOf(spec.StartupProbe) - e.Now.Sub(since)
	code, stage, what := StartupProbePending, model.StageReady, p.Called(spec.Name)
	if sidecar {
		code, stage, what = SidecarNotStarted, model.StageInit, p.Called(spec.Name)+", for which all later containers wait,"
	}
	c := e.Cause(p, stage, code, report.Transient, "%s has not passed its startup probe (%s), which allows %s more", what,
		describeProbe(spec.StartupProbe), plain.Age(left))
	c.In(spec.Name).Since(since)
	c.WithEvidence(plain.Evidence("Pod "+p.Name, p.StatusPath(spec.Name)+".started", "false", since))
	if ev := unhealthy(e.PodEvents(p), spec.Name, "Startup probe failed"); ev != nil {
		words := probeWords(ev.Message)
		c.Message += ": " + words
		c.ByEvent(ev)
		c.WithNext(nameLookup(e, w, p, spec.StartupProbe, words)...)
	}
	return c.WithNext(e.Next(w, finding.Read, "Read the log of the starting container", "logs", p.Name, "-c", spec.Name, "--tail=20"))
}

// readiness: it runs and its readiness probe fails.
func readiness(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, s *corev1.ContainerStatus) *model.Cause {
	since := s.State.Running.StartedAt.Time
	up := e.Now.Sub(since)
	if spec.ReadinessProbe == nil {
		return nil // the kubelet has not reported it yet
	}
	ev := unhealthy(e.PodEvents(p), spec.Name, "Readiness probe failed", "Readiness probe errored")
	budget := budgetOf(spec.ReadinessProbe)
	c := e.Cause(p, model.StageReady, ReadinessProbeFailing, report.Transient, "%s is running but not ready", p.Called(spec.Name))
	c.In(spec.Name).Since(since)
	c.WithEvidence(plain.Evidence("Pod "+p.Name, p.SpecPath(spec.Name)+".readinessProbe", describeProbe(spec.ReadinessProbe), plain.NoTime))
	switch {
	case ev != nil:
		words := probeWords(ev.Message)
		c.Message = fmt.Sprintf("%s is running but its readiness probe (%s) fails: %s",
			p.Called(spec.Name), describeProbe(spec.ReadinessProbe), words)
		c.WithKey(probeKind(words))
		c.ByEvent(ev)
		c.Message += probeHint(words, spec)
		c.WithNext(nameLookup(e, w, p, spec.ReadinessProbe, words)...)
	case up < budget:
		c.Message = fmt.Sprintf("%s has been running for %s and is not ready yet; its readiness probe (%s) has not failed so far",
			p.Called(spec.Name), plain.Age(up), describeProbe(spec.ReadinessProbe))
		c.MarkSelfHealing()
	default:
		c.Message = fmt.Sprintf("%s has been running for %s, but its readiness probe (%s) has not succeeded", p.Called(spec.Name), plain.Age(up),
			describeProbe(spec.ReadinessProbe))
	}
	if hint := portHint(spec); hint != "" {
		c.Message += "; " + hint
	}
	return c.WithNext(e.Next(w, finding.Read, "Read the log of the container", "logs", p.Name, "-c", spec.Name, "--tail=50"))
}

// readinessGate: all containers are ready, and somebody else's condition is not.
func readinessGate(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	for _, gate := range p.Spec.ReadinessGates {
		c := podfact.Condition(p.Pod, gate.ConditionType)
		if c != nil && c.Status == corev1.ConditionTrue {
			continue
		}
		state, at := "not set", plain.NoTime
		if c != nil {
			state, at = fmt.Sprintf("%s %s", c.Status, plain.OneLine(c.Message)), c.LastTransitionTime.Time
		}
		found := e.Cause(p, model.StageReady, ReadinessGatesNotReady, report.Transient,
			"the containers are ready, but readiness gate %q is not True (%s); the controller that owns the gate sets it",
			gate.ConditionType, state).
			WithKey(string(gate.ConditionType)).Since(p.CreationTimestamp.Time)
		return found.WithEvidence(plain.Evidence("Pod "+p.Name, "status.conditions["+string(gate.ConditionType)+"]", state, at)).
			WithNext(e.Next(w, finding.Read, "Read the readiness gates and the conditions of the pod", "get", "pod", p.Name, "-o",
				"jsonpath={.spec.readinessGates}{.status.conditions}"))
	}
	return nil
}
