package pods

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const InitContainerRunning finding.Code = "InitContainerRunning"

var containersRules = []rule.Rule{
	{Layer: rule.LayerPod, Slow: true, Bears: []string{"initContainers"}, Entry: finding.Entry{
		Code: InitContainerRunning, Severity: finding.Warning, Title: "Init container is still running",
		Meaning:  "An init container is running. The containers after it wait until it exits.",
		Evidence: "State running of the init container.",
		Next:     "Check what the init container waits for.",
	}},
}

// containerCause looks at the containers in the order in which they start.
func containerCause(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	for i := range p.Spec.InitContainers {
		spec := &p.Spec.InitContainers[i]
		status := statusOf(p.Status.InitContainerStatuses, spec.Name)
		sidecar := podfact.Sidecar(spec)
		if status == nil {
			continue
		}
		if c := oneContainer(e, w, p, spec, status, true, sidecar); c != nil {
			return c
		}
		if sidecar && status.State.Running != nil && !plain.Or(status.Started, false) && spec.StartupProbe != nil {
			return startupPending(e, w, p, spec, status, true)
		}
		if !sidecar && status.State.Terminated == nil {
			return initRunning(e, w, p, spec, status)
		}
	}
	var worst *model.Cause
	for i := range p.Spec.Containers {
		spec := &p.Spec.Containers[i]
		status := statusOf(p.Status.ContainerStatuses, spec.Name)
		if status == nil {
			continue
		}
		if c := oneContainer(e, w, p, spec, status, false, false); c != nil && (worst == nil || classRank(c.Class) < classRank(worst.Class)) {
			worst = c
		}
	}
	return worst
}

func classRank(c report.Class) int {
	return slices.Index([]report.Class{report.Fatal, report.LikelyFatal, report.PausedClass, report.Transient, report.Info}, c)
}

func statusOf(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// initRunning: a plain init container that runs without an end in sight holds all others.
func initRunning(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container,
	status *corev1.ContainerStatus,
) *model.Cause {
	r := status.State.Running
	if r == nil {
		return nil
	}
	c := e.Cause(p, model.StageInit, InitContainerRunning, report.Transient,
		"%s has been running for %s; the next containers start after it exits",
		p.Called(spec.Name), plain.Age(e.Now.Sub(r.StartedAt.Time)))
	c.In(spec.Name).Since(r.StartedAt.Time)
	c.WithEvidence(plain.Evidence("Pod "+p.Name, p.StatusPath(spec.Name)+".state.running.startedAt", r.StartedAt.UTC().Format(time.RFC3339),
		r.StartedAt.Time))
	if e.Now.Sub(r.StartedAt.Time) > 30*time.Second {
		attachLog(e, p, spec.Name, false, c)
	}
	return c.WithNext(e.Next(w, finding.Read, "Read the log of the init container", "logs", p.Name, "-c", spec.Name))
}

// oneContainer gives the cause that a container's state shows.
func oneContainer(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, status *corev1.ContainerStatus, init,
	sidecar bool,
) *model.Cause {
	wait := status.State.Waiting
	switch podfact.Waiting(status) {
	case podfact.Image:
		return imageCause(e, w, p, spec, wait)
	case podfact.Config:
		return configError(e, w, p, spec, wait)
	case podfact.Start:
		return startError(e, w, p, spec, wait.Reason, wait.Message, status)
	case podfact.PostStart:
		return postStart(e, w, p, spec, wait.Message, status)
	}
	return crash(e, w, p, spec, status, init, sidecar)
}
