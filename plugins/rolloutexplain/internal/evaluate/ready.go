package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/masking"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// notReady explains a pod whose containers run.
func (e *evaluator) notReady(w *workload, p *pod) *cause {
	if p.ready {
		return e.minReadyWait(w, p)
	}
	if wasReady(p) {
		if c := e.flapping(w, p); c != nil {
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
			return e.startupPending(w, p, spec, s, false)
		}
		return e.readiness(w, p, spec, s)
	}
	for i := range p.Spec.InitContainers {
		spec := &p.Spec.InitContainers[i]
		s := statusOf(p.Status.InitContainerStatuses, spec.Name)
		if spec.RestartPolicy != nil && s != nil && s.State.Running != nil && !s.Ready {
			return e.readiness(w, p, spec, s)
		}
	}
	return e.readinessGate(w, p)
}

// minReadyWait: ready, and not for long enough yet. A pod that keeps losing readiness never gets there, and each time it
// is ready again the progress deadline starts anew.
func (e *evaluator) minReadyWait(w *workload, p *pod) *cause {
	if flaps := e.flapping(w, p); flaps != nil {
		return flaps
	}
	c := e.cause(p, stageAvailable, codes.MinReadyWait, report.Transient, "ready, and available after %ds of readiness, in %s", w.minReady,
		plain.Age(p.readySince.Add(time.Duration(w.minReady)*time.Second).Sub(e.now))).healing()
	c.Severity = finding.Info
	return c.since(p.readySince).by(plain.Evidence("Pod "+p.Name, "status.conditions[Ready].lastTransitionTime", p.readySince.UTC().Format(time.RFC3339), p.readySince))
}

// wasReady says whether a pod that is not ready now has been: its Ready condition changed after its containers started.
func wasReady(p *pod) bool {
	c := podCondition(p.Pod, corev1.PodReady)
	for _, s := range p.Status.ContainerStatuses {
		if c == nil || s.State.Running == nil || !c.LastTransitionTime.After(s.State.Running.StartedAt.Add(time.Second)) {
			return false
		}
	}
	return c != nil
}

// flapping tells readiness that comes and goes: probe failures over a longer time, by a pod that has been ready.
func (e *evaluator) flapping(w *workload, p *pod) *cause {
	if w.minReady == 0 || e.now.Sub(p.CreationTimestamp.Time) < 2*time.Duration(w.minReady)*time.Second {
		return nil
	}
	ev := newestMatching(e.podEvents(p), "Unhealthy", "Readiness probe")
	if ev == nil || ev.Count < 3 || e.now.Sub(ev.Last) > 2*time.Duration(w.minReady)*time.Second {
		return nil
	}
	return e.cause(p, stageAvailable, codes.Flapping, report.Likely,
		"readiness comes and goes: never ready for the %ds of minReadySeconds in %s, and each return restarts the deadline", w.minReady, plain.Age(e.now.Sub(p.CreationTimestamp.Time))).
		byEvent(ev).by(plain.Evidence("Pod "+p.Name, "status.conditions[Ready].lastTransitionTime", lastTransition(p).UTC().Format(time.RFC3339), lastTransition(p))).
		then(e.next(w, finding.Read, "what it says when the probe fails", "logs", p.Name, "--all-containers", "--tail=50"))
}

func lastTransition(p *pod) time.Time {
	if c := podCondition(p.Pod, corev1.PodReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return plain.NoTime
}

// startupPending: readiness is not asked before the startup probe has passed.
func (e *evaluator) startupPending(w *workload, p *pod, spec *corev1.Container, s *corev1.ContainerStatus, sidecar bool) *cause {
	since, left := s.State.Running.StartedAt.Time, time.Duration(0)
	left = budgetOf(spec.StartupProbe) - e.now.Sub(since)
	code, stage, what := codes.StartupPending, stageReady, p.called(spec.Name)
	if sidecar {
		code, stage, what = codes.SidecarNotStarted, stageInit, p.called(spec.Name)+", for which all later containers wait,"
	}
	c := e.cause(p, stage, code, report.Transient, "%s has not passed its startup probe (%s), which allows it %s more", what, describeProbe(spec.StartupProbe), plain.Age(left))
	c.container(spec.Name).since(since)
	c.by(plain.Evidence("Pod "+p.Name, p.statusPath(spec.Name)+".started", "false", since))
	if ev := unhealthy(e.podEvents(p), spec.Name, "Startup probe failed"); ev != nil {
		c.Message += ": " + probeWords(ev.Message)
		c.byEvent(ev)
	}
	return c.then(e.next(w, finding.Read, "what it does meanwhile", "logs", p.Name, "-c", spec.Name, "--tail=20"))
}

// readiness: it runs and its readiness probe fails.
func (e *evaluator) readiness(w *workload, p *pod, spec *corev1.Container, s *corev1.ContainerStatus) *cause {
	since := s.State.Running.StartedAt.Time
	up := e.now.Sub(since)
	if spec.ReadinessProbe == nil {
		return nil // the kubelet has not reported it yet
	}
	ev := unhealthy(e.podEvents(p), spec.Name, "Readiness probe failed", "Readiness probe errored")
	budget := budgetOf(spec.ReadinessProbe)
	c := e.cause(p, stageReady, codes.ReadinessFailing, report.Transient, "%s runs and is not ready", p.called(spec.Name))
	c.container(spec.Name).since(since)
	c.by(plain.Evidence("Pod "+p.Name, p.specPath(spec.Name)+".readinessProbe", describeProbe(spec.ReadinessProbe), plain.NoTime))
	switch {
	case ev != nil:
		words := probeWords(ev.Message)
		c.Message = fmt.Sprintf("%s runs and its readiness probe (%s) fails: %s", p.called(spec.Name), describeProbe(spec.ReadinessProbe), words)
		c.withKey(probeKind(words))
		c.byEvent(ev)
		c.Message += probeHint(words, spec)
	case up < budget:
		c.Message = fmt.Sprintf("%s has been running for %s and is not ready yet; its readiness probe (%s) has failed no test so far", p.called(spec.Name), plain.Age(up), describeProbe(spec.ReadinessProbe))
		c.Heals = "yes"
	default:
		c.Message = fmt.Sprintf("%s has been running for %s and its readiness probe (%s) has not passed", p.called(spec.Name), plain.Age(up), describeProbe(spec.ReadinessProbe))
	}
	if hint := portHint(spec); hint != "" {
		c.Message += "; " + hint
	}
	return c.then(e.next(w, finding.Read, "what the application says", "logs", p.Name, "-c", spec.Name, "--tail=50"),
		e.next(w, finding.Read, "the probe and its failures", "describe", "pod", p.Name))
}

// unhealthy is the newest failure of a container's probe: the event's path names the container.
func unhealthy(events []eventfact.Event, container string, words ...string) *eventfact.Event {
	for i := range events {
		ev := &events[i]
		if ev.Reason == "Unhealthy" && plain.ContainsAny(ev.Message, words...) && (ev.About.FieldPath == "" || strings.Contains(ev.About.FieldPath, "{"+container+"}")) {
			return ev
		}
	}
	return nil
}

// probeWords keeps the probe's own words.
func probeWords(message string) string {
	for _, prefix := range []string{"probe failed: ", "probe errored: ", "probe errored and resulted in unknown state: "} {
		if _, after, ok := strings.Cut(message, prefix); ok {
			message = after
		}
	}
	if message = plain.OneLine(message); message == "" || strings.HasSuffix(message, "probe failed:") {
		return "it gives no output"
	}
	return message
}

func probeKind(words string) string {
	for _, k := range []string{"connection refused", "statuscode", "deadline exceeded", "no such host", "no such file", "not found", "no route to host", "connection reset"} {
		if plain.ContainsAny(words, k) {
			return k
		}
	}
	return ""
}

// probeHint says what the usual words of a probe mean.
func probeHint(words string, spec *corev1.Container) string {
	switch {
	case plain.ContainsAny(words, "connection refused"):
		return " (nothing listens on that port)"
	case plain.ContainsAny(words, "statuscode: 404"):
		return " (it answers, and does not know that path)"
	case plain.ContainsAny(words, "statuscode: 503", "statuscode: 500", "statuscode: 502"):
		return " (it answers that it is not ready: a dependency?)"
	case plain.ContainsAny(words, "deadline exceeded", "timed out", "Client.Timeout"):
		return fmt.Sprintf(" (no answer within timeoutSeconds %d)", max(1, spec.ReadinessProbe.TimeoutSeconds))
	case plain.ContainsAny(words, "executable file not found", "OCI runtime exec failed"): // the command's own words may name a file too
		return " (the probe's command is not in the image)"
	}
	return ""
}

// portHint: a probe of a named port that the container does not have. A number may be open without being declared.
func portHint(spec *corev1.Container) string {
	for _, probe := range []*corev1.Probe{spec.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil {
			continue
		}
		port := probe.HTTPGet.Port
		declared := slices.ContainsFunc(spec.Ports, func(c corev1.ContainerPort) bool {
			return c.Name == port.StrVal && port.StrVal != "" || c.ContainerPort == port.IntVal && port.StrVal == ""
		})
		if !declared && (port.StrVal != "" || len(spec.Ports) > 0) {
			return fmt.Sprintf("the probe asks port %s, which the container does not declare", port.String())
		}
	}
	return ""
}

func describeProbe(p *corev1.Probe) string {
	var what string
	switch {
	case p.HTTPGet != nil:
		what = fmt.Sprintf("GET %s on port %s", p.HTTPGet.Path, p.HTTPGet.Port.String())
	case p.TCPSocket != nil:
		what = "TCP port " + p.TCPSocket.Port.String()
	case p.GRPC != nil:
		what = fmt.Sprintf("gRPC port %d", p.GRPC.Port)
	case p.Exec != nil:
		what = "command " + plain.OneLine(masking.CommandLine(p.Exec.Command))
	default:
		what = "probe"
	}
	return fmt.Sprintf("%s, every %ds, %d failures count", what, max(1, p.PeriodSeconds), max(1, p.FailureThreshold))
}

// readinessGate: all containers are ready, and somebody else's condition is not.
func (e *evaluator) readinessGate(w *workload, p *pod) *cause {
	for _, gate := range p.Spec.ReadinessGates {
		c := podCondition(p.Pod, gate.ConditionType)
		if c != nil && c.Status == corev1.ConditionTrue {
			continue
		}
		state, at := "absent: nobody has set it", plain.NoTime
		if c != nil {
			state, at = fmt.Sprintf("%s %s", c.Status, plain.OneLine(c.Message)), c.LastTransitionTime.Time
		}
		found := e.cause(p, stageReady, codes.ReadinessGate, report.Transient, "its containers are ready, and readiness gate %q is not true (%s): the controller that sets it decides", gate.ConditionType, state).
			withKey(string(gate.ConditionType)).since(p.CreationTimestamp.Time)
		return found.by(plain.Evidence("Pod "+p.Name, "status.conditions["+string(gate.ConditionType)+"]", state, at)).
			then(e.next(w, finding.Read, "the gates and conditions of the pod", "get", "pod", p.Name, "-o", "jsonpath={.spec.readinessGates}{.status.conditions}"))
	}
	return nil
}
