package evaluate

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// initContainer gives the init container of a name: no name is used twice in a pod.
func (p *pod) initContainer(name string) *corev1.Container {
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Name == name {
			return &p.Spec.InitContainers[i]
		}
	}
	return nil
}

// isSidecar says whether an init container runs beside the others as long as the pod lives.
func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// called is a container in a sentence: `container "api"`.
func (p *pod) called(name string) string {
	word := "container"
	if c := p.initContainer(name); c != nil {
		word = "init container"
		if isSidecar(c) {
			word = "sidecar"
		}
	}
	return fmt.Sprintf("%s %q", word, name)
}

func (p *pod) specPath(name string) string { return "spec." + p.listOf(name) + "s[" + name + "]" }

func (p *pod) statusPath(name string) string {
	return "status." + p.listOf(name) + "Statuses[" + name + "]"
}

// jsonPath is kubectl's output argument for a part of a container's spec.
func (p *pod) jsonPath(name, part string) string {
	return fmt.Sprintf(`jsonpath={.spec.%ss[?(@.name=="%s")]%s}`, p.listOf(name), name, part)
}

func (p *pod) listOf(name string) string {
	if p.initContainer(name) != nil {
		return "initContainer"
	}
	return "container"
}

// containerCause looks at the containers in the order in which they start.
func (e *evaluator) containerCause(w *workload, p *pod) *cause {
	for i := range p.Spec.InitContainers {
		spec := &p.Spec.InitContainers[i]
		status := statusOf(p.Status.InitContainerStatuses, spec.Name)
		sidecar := isSidecar(spec)
		if status == nil {
			continue
		}
		if c := e.oneContainer(w, p, spec, status, true, sidecar); c != nil {
			return c
		}
		if sidecar && status.State.Running != nil && !plain.Or(status.Started, false) && spec.StartupProbe != nil {
			return e.startupPending(w, p, spec, status, true)
		}
		if !sidecar && status.State.Terminated == nil {
			return e.initRunning(w, p, spec, status)
		}
	}
	var worst *cause
	for i := range p.Spec.Containers {
		spec := &p.Spec.Containers[i]
		status := statusOf(p.Status.ContainerStatuses, spec.Name)
		if status == nil {
			continue
		}
		if c := e.oneContainer(w, p, spec, status, false, false); c != nil && (worst == nil || classRank(c.Class) < classRank(worst.Class)) {
			worst = c
		}
	}
	return worst
}

func classRank(c report.Class) int {
	return slices.Index([]report.Class{report.Fatal, report.Likely, report.HeldClass, report.Transient, report.Note}, c)
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
func (e *evaluator) initRunning(w *workload, p *pod, spec *corev1.Container, status *corev1.ContainerStatus) *cause {
	r := status.State.Running
	if r == nil {
		return nil
	}
	c := e.cause(p, stageInit, codes.InitRunning, report.Transient, "%s has been running for %s; the others start when it ends", p.called(spec.Name), plain.Age(e.now.Sub(r.StartedAt.Time)))
	c.container(spec.Name).since(r.StartedAt.Time)
	c.by(plain.Evidence("Pod "+p.Name, p.statusPath(spec.Name)+".state.running.startedAt", r.StartedAt.UTC().Format(time.RFC3339), r.StartedAt.Time))
	if e.now.Sub(r.StartedAt.Time) > 30*time.Second {
		e.attachLog(p, spec.Name, false, c)
	}
	return c.then(e.next(w, finding.Read, "what it is doing", "logs", p.Name, "-c", spec.Name))
}

// oneContainer gives the cause that a container's state shows.
func (e *evaluator) oneContainer(w *workload, p *pod, spec *corev1.Container, status *corev1.ContainerStatus, init, sidecar bool) *cause {
	if wait := status.State.Waiting; wait != nil {
		switch wait.Reason {
		case "InvalidImageName", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed", "ImageInspectError":
			return e.imageCause(w, p, spec, wait)
		case "CreateContainerConfigError":
			return e.configError(w, p, spec, wait)
		case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError":
			return e.startError(w, p, spec, wait.Reason, wait.Message, status)
		case "PostStartHookError":
			return e.postStart(w, p, spec, wait.Message, status)
		}
	}
	return e.crash(w, p, spec, status, init, sidecar)
}
