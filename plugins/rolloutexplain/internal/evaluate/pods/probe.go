package pods

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/lookup"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// budgetOf is how long a probe may fail from the container's start before it counts: what the kubelet allows.
func budgetOf(p *corev1.Probe) time.Duration {
	if p == nil {
		return 0
	}
	period, failures := p.PeriodSeconds, p.FailureThreshold
	if period <= 0 {
		period = 10
	}
	if failures <= 0 {
		failures = 3
	}
	return time.Duration(p.InitialDelaySeconds+period*failures) * time.Second
}

// unhealthy is the newest failure of a container's probe: the event's path names the container.
func unhealthy(events []eventfact.Event, container string, words ...string) *eventfact.Event {
	for i := range events {
		ev := &events[i]
		if ev.Reason == "Unhealthy" && plain.ContainsAny(ev.Message, words...) &&
			(ev.About.FieldPath == "" || strings.Contains(ev.About.FieldPath, "{"+container+"}")) {
			return ev
		}
	}
	return nil
}

// noOutput stands for the words of a probe that has none.
const noOutput = "the probe returns no output"

// probeWords keeps the probe's own words.
func probeWords(message string) string {
	for _, prefix := range []string{"probe failed: ", "probe errored: ", "probe errored and resulted in unknown state: "} {
		if _, after, ok := strings.Cut(message, prefix); ok {
			message = after
		}
	}
	if message = plain.OneLine(message); message == "" || strings.HasSuffix(message, "probe failed:") {
		return noOutput
	}
	return message
}

func probeKind(words string) string {
	for _, k := range []string{
		"connection refused", "statuscode", "deadline exceeded", "no such host", "no such file", "not found",
		"no route to host", "connection reset",
	} {
		if plain.ContainsAny(words, k) {
			return k
		}
	}
	return ""
}

// probeHint says what the usual probe errors mean.
func probeHint(words string, spec *corev1.Container) string {
	switch {
	case elsewhere(spec.ReadinessProbe) != "":
		return fmt.Sprintf(" (the probe sets host %s, which the kubelet reads as the node's)", elsewhere(spec.ReadinessProbe))
	case plain.ContainsAny(words, "connection refused") && strings.Contains(words, "dial tcp ["):
		// The kubelet probes the address that the pod has first. https://man7.org/linux/man-pages/man7/ipv6.7.html
		return " (no process listens on that port over IPv6; one that listens on 0.0.0.0 accepts IPv4 only)"
	case plain.ContainsAny(words, "connection refused"):
		return " (no process listens on that port)"
	case plain.ContainsAny(words, "statuscode: 404"):
		return " (the server responds, but does not know that path)"
	case plain.ContainsAny(words, "statuscode: 503", "statuscode: 500", "statuscode: 502"):
		return " (the server responds that it is not ready, possibly because of a dependency)"
	case plain.ContainsAny(words, "deadline exceeded", "timed out", "Client.Timeout"):
		return fmt.Sprintf(" (no response within timeoutSeconds %d)", max(1, spec.ReadinessProbe.TimeoutSeconds))
	case plain.ContainsAny(words, "executable file not found", "OCI runtime exec failed"): // the command's own words may name a file too
		return " (the probe command is not in the image)"
	}
	return ""
}

// nameLookup is the step to cluster DNS, where a command that runs in the container fails at a name. The kubelet's own probes (HTTP, TCP,
// gRPC) resolve names on the node.
func nameLookup(e *model.Evaluation, w *model.Workload, p *model.Pod, probe *corev1.Probe, words string) []finding.Next {
	if probe == nil || probe.Exec == nil {
		return nil
	}
	failure := lookup.In(words)
	silent := words == noOutput || plain.ContainsAny(words, "timed out", "deadline exceeded")
	switch {
	case failure.NotFound && len(failure.Names) == 1:
		return []finding.Next{e.Next(w, finding.Read, "Show how the pod resolves the name", "dns", "explain", failure.Names[0],
			"--from", p.Name)}
	case failure.Failed(), silent && lookup.Begins(probe.Exec.Command):
		return []finding.Next{e.Next(w, finding.Read, "The probe looks up a name: check DNS as the pod sees it", "dns", "check",
			"--from", p.Name)}
	}
	return nil
}

// elsewhere is the host of a probe that does not ask the pod's own address.
func elsewhere(p *corev1.Probe) string {
	switch {
	case p == nil:
		return ""
	case p.HTTPGet != nil:
		return p.HTTPGet.Host
	case p.TCPSocket != nil:
		return p.TCPSocket.Host
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
			return fmt.Sprintf("the probe uses port %s, which the container does not declare", port.String())
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
		what = "command " + plain.OneLine(mask.CommandLine(p.Exec.Command))
	default:
		what = "probe"
	}
	return fmt.Sprintf("%s, every %ds, failureThreshold %d", what, max(1, p.PeriodSeconds), max(1, p.FailureThreshold))
}
