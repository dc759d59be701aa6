package pods

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/masking"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const PostStartHookRunning finding.Code = "PostStartHookRunning"

var hookRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"lifecycle", ".image"}, Entry: finding.Entry{
		Code: PostStartHookRunning, Severity: finding.Warning, Title: "Container postStart hook has not finished",
		Meaning: "The container is running, and so is its postStart hook. Until the hook finishes, the kubelet does " +
			"not count the container as started and runs no probe.",
		Evidence: "Started event of a container that is still shown as ContainerCreating.",
		Next:     "Check what the hook waits for.",
	}},
}

// hookPending: a container whose postStart hook runs is shown as being created, though the runtime has started it.
// https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-execution
func hookPending(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	for i := range p.Spec.Containers {
		spec := &p.Spec.Containers[i]
		s := statusOf(p.Status.ContainerStatuses, spec.Name)
		if spec.Lifecycle == nil || spec.Lifecycle.PostStart == nil || s == nil || s.State.Waiting == nil ||
			s.State.Waiting.Reason != podfact.ContainerCreating {
			continue
		}
		if e.Now.Sub(p.CreationTimestamp.Time) >= hookTime {
			needNormal(e, p, "Started")
		}
		for _, ev := range e.PodEvents(p) {
			if ev.Reason != "Started" || ev.About.FieldPath != "" && !strings.Contains(ev.About.FieldPath, "{"+spec.Name+"}") ||
				e.Now.Sub(ev.Last) < hookTime {
				continue
			}
			return e.Cause(p, model.StageRun, PostStartHookRunning, report.Transient,
				"%s is running, but its postStart hook (%s) has not finished for %s: the kubelet does not report it as started before",
				p.Called(spec.Name), describeHook(spec.Lifecycle.PostStart), plain.Age(e.Now.Sub(ev.Last))).
				In(spec.Name).Since(ev.Last).WithEvidence(plain.Evidence("Event", ev.Reason, ev.Message, ev.Last)).
				WithEvidence(plain.Evidence("Pod "+p.Name, p.StatusPath(spec.Name)+".state.waiting", s.State.Waiting.Reason, plain.NoTime)).
				WithNext(e.Next(w, finding.Read, "Read the lifecycle hooks of the container",
					"get", "pod", p.Name, "-o", p.JSONPath(spec.Name, ".lifecycle")))
		}
	}
	return nil
}

// hookTime is how long a hook may run before it is worth a word.
const hookTime = 10 * time.Second

func describeHook(h *corev1.LifecycleHandler) string {
	switch {
	case h.Exec != nil:
		return "command " + plain.OneLine(masking.CommandLine(h.Exec.Command))
	case h.HTTPGet != nil:
		return fmt.Sprintf("GET %s on port %s", h.HTTPGet.Path, h.HTTPGet.Port.String())
	case h.Sleep != nil:
		return fmt.Sprintf("sleep %ds", h.Sleep.Seconds)
	}
	return "hook"
}
