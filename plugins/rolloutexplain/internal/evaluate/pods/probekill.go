package pods

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	LivenessProbeFailed finding.Code = "LivenessProbeFailed"
	StartupProbeFailed  finding.Code = "StartupProbeFailed"
)

var probeKillRules = []rule.Rule{
	{
		Layer: rule.LayerPod, Crashes: true, Bears: []string{"livenessProbe", ".ports", ".image", ".env", ".command", ".args", ".resources"},
		Entry: finding.Entry{
			Code: LivenessProbeFailed, Severity: finding.Critical, Title: "Container was killed after a failed liveness probe",
			Meaning: "The kubelet kills the container because its liveness probe fails. The program is running but does " +
				"not pass the probe.",
			Evidence: "Killing and Unhealthy events of the container.",
			Next:     "Check the target and the timing of the liveness probe.",
		},
	},
	{
		Layer: rule.LayerPod, Crashes: true, Bears: []string{"startupProbe", ".ports", ".image", ".env", ".command", ".args", ".resources"},
		Entry: finding.Entry{
			Code: StartupProbeFailed, Severity: finding.Critical, Title: "Container was killed after a failed startup probe",
			Meaning:  "The kubelet kills the container because its startup probe does not succeed within the allowed time.",
			Evidence: "Killing and Unhealthy events of the container.",
			Next:     "Raise failureThreshold or periodSeconds of the startup probe, or check why the start is slow.",
		},
	},
}

func near(a, b time.Time) bool {
	d := a.Sub(b)
	return d < 90*time.Second && d > -90*time.Second
}

// probeKill finds the kubelet's own word that it ended the container because of a probe: "Container api failed liveness
// probe, will be restarted", or "Init container proxy failed …" of a sidecar.
func probeKill(e *model.Evaluation, p *model.Pod, container string, end *corev1.ContainerStateTerminated) *eventfact.Event {
	bySignal := end.ExitCode == 137 || end.ExitCode == 143
	if bySignal {
		needNormal(e, p, "Killing")
	}
	events := e.PodEvents(p)
	for i := range events {
		ev := &events[i]
		if ev.Reason != "Killing" || !strings.Contains(ev.Message, "ontainer "+container+" failed") || !strings.Contains(ev.Message, "probe") ||
			ev.First.After(end.FinishedAt.Add(time.Second)) {
			continue
		}
		// A busy pod's events are thinned out by the recorder (25, then one in 5 minutes), so the newest may be of a run before.
		if !ev.Last.Before(end.StartedAt.Add(-time.Second)) || bySignal && end.StartedAt.Sub(ev.Last) < podfact.BackOffMemory {
			return ev
		}
	}
	return nil
}

// probeKilled: the application did not crash, the kubelet ended it.
func probeKilled(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, kill *eventfact.Event,
	end *corev1.ContainerStateTerminated, events []eventfact.Event,
) *model.Cause {
	word, code, probe := "liveness", LivenessProbeFailed, spec.LivenessProbe
	if strings.Contains(kill.Message, "startup probe") {
		word, code, probe = "startup", StartupProbeFailed, spec.StartupProbe
	}
	c := e.Cause(p, model.StageRun, code, report.LikelyFatal,
		"the kubelet kills %s because its %s probe fails; the container does not exit on its own", p.Called(spec.Name), word)
	if probe != nil {
		c.Message += fmt.Sprintf(" (the probe allows %s from the start; the container ran for %s)",
			plain.Age(budgetOf(probe)), plain.Age(podfact.Ran(end)))
		c.WithEvidence(plain.Evidence("Pod "+p.Name, p.SpecPath(spec.Name)+"."+word+"Probe", describeProbe(probe), plain.NoTime))
	}
	titled := strings.ToUpper(word[:1]) + word[1:]
	if ev := unhealthy(events, spec.Name, titled+" probe failed"); ev != nil {
		words := probeWords(ev.Message)
		c.WithEvidence(plain.Evidence("Event", "Unhealthy", ev.Message, ev.Last))
		c.Message += ": " + words
		c.WithNext(nameLookup(e, w, p, probe, words)...)
	}
	return c.WithEvidence(plain.Evidence("Event", kill.Reason, kill.Message, kill.Last))
}
