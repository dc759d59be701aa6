package pods

import (
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// notStarted explains a scheduled pod of which no container has run yet.
func notStarted(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	if c := hookPending(e, w, p); c != nil {
		return c
	}
	for _, s := range podfact.Containers(p.Pod) {
		if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
			return nil
		}
	}
	events := e.PodEvents(p)
	if !sandboxReady(p) {
		if c := beforeSandbox(e, w, p, events); c != nil {
			return c
		}
	}
	if ev := eventfact.Newest(events, "Pulling"); ev != nil && eventfact.Newest(events, "Pulled") == nil {
		return e.Cause(p, model.StageImage, codes.ImagePullInProgress, report.Transient, "the kubelet has been pulling the image for %s",
			plain.Age(e.Now.Sub(ev.First))).ByEvent(ev).MarkSelfHealing().
			WithNext(e.NextCluster(finding.Read, "Check the disk and the other pods of the node", "nodeinfo", p.Spec.NodeName))
	}
	waited := e.Now.Sub(p.CreationTimestamp.Time)
	if len(p.Status.ContainerStatuses) == 0 && waited > 30*time.Second {
		return e.Cause(p, model.StageNode, codes.PodStatusNotReported, report.Transient,
			"the kubelet of node %s has reported no status for the pod for %s, and %s", p.Spec.NodeName,
			plain.Age(waited), e.MissingEventText("left no event")).
			Since(p.CreationTimestamp.Time).WithKey(p.Spec.NodeName).
			WithEvidence(plain.Evidence("Pod "+p.Name, "status.containerStatuses", "none", p.CreationTimestamp.Time)).
			WithNext(e.NextCluster(finding.Read, "Check whether the kubelet is running", "nodeinfo", p.Spec.NodeName))
	}
	return nil
}

// beforeSandbox finds what a pod lacks until its sandbox is there: devices, volumes, the sandbox itself. Events that are
// older than the sandbox are history.
func beforeSandbox(e *model.Evaluation, w *model.Workload, p *model.Pod, events []eventfact.Event) *model.Cause {
	if c := volumeCause(e, w, p, events); c != nil {
		return c
	}
	if ev := eventfact.Newest(events, "FailedCreatePodSandBox"); ev != nil {
		if m := handlerAbsent.FindStringSubmatch(ev.Message); m != nil {
			return e.Cause(p, model.StageSandbox, codes.FailedCreatePodSandBox, report.LikelyFatal,
				"node %s has no runtime handler %q, which RuntimeClass %q requires", p.Spec.NodeName, m[1], plain.Or(p.Spec.RuntimeClassName, "")).
				ByEvent(ev).WithKey(m[1]).
				WithNext(e.NextCluster(finding.Read, "Read the handler and the node selector of the RuntimeClass", "get", "runtimeclass",
					plain.Or(p.Spec.RuntimeClassName, ""), "-o", "yaml"))
		}
		return e.Cause(p, model.StageSandbox, codes.FailedCreatePodSandBox, report.Transient,
			"the pod sandbox cannot be created on node %s: %s", p.Spec.NodeName, plain.Innermost(ev.Message)).
			ByEvent(ev).WithKey(p.Spec.NodeName).
			WithNext(e.NextCluster(finding.Read, "Check the network plugin, the container runtime and the free pod addresses of the node",
				"nodeinfo", p.Spec.NodeName))
	}
	if ev := eventfact.Newest(events, "FailedPrepareDynamicResources"); ev != nil {
		return e.Cause(p, model.StageVolume, codes.FailedPrepareDynamicResources, report.Transient,
			"the dynamic resources of the pod cannot be prepared: %s", plain.OneLine(ev.Message)).ByEvent(ev).
			WithNext(e.Next(w, finding.Read, "List the ResourceClaims of the namespace", "get", "resourceclaims"))
	}
	return nil
}

var handlerAbsent = regexp.MustCompile(`no runtime for "([^"]+)" is configured`)

func sandboxReady(p *model.Pod) bool {
	c := podfact.Condition(p.Pod, corev1.PodReadyToStartContainers)
	return c != nil && c.Status == corev1.ConditionTrue
}
