package pods

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	PodStatusNotReported          finding.Code = "PodStatusNotReported"
	FailedCreatePodSandBox        finding.Code = "FailedCreatePodSandBox"
	FailedPrepareDynamicResources finding.Code = "FailedPrepareDynamicResources"
	PostStartHookRunning          finding.Code = "PostStartHookRunning"
	ImagePullInProgress           finding.Code = "ImagePullInProgress"
)

var startRules = []rule.Rule{
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: PodStatusNotReported, Severity: finding.Warning, Title: "Kubelet has not reported a status for the pod",
		Meaning:  "The pod is assigned to a node, and the kubelet of that node has reported no status for it.",
		Evidence: "No status.containerStatuses for more than 30s after the pod was created.",
		Next:     "Run kubectl nodeinfo for the node.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"runtimeClassName"}, Entry: finding.Entry{
		Code: FailedCreatePodSandBox, Severity: finding.Warning, Title: "Pod sandbox cannot be created",
		Meaning: "The container runtime or the network plugin (CNI) of the node fails to create the pod sandbox, or " +
			"the node has no handler of the RuntimeClass.",
		Evidence: "FailedCreatePodSandBox events, and the pod condition PodReadyToStartContainers not True.",
		Next:     "Check the network plugin, the container runtime and the free pod IP addresses of the node.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: FailedPrepareDynamicResources, Severity: finding.Warning, Title: "Dynamic resources cannot be prepared",
		Meaning: "The kubelet cannot prepare the devices of the pod, because the DRA driver on the node fails or is " +
			"not registered.",
		Evidence: "FailedPrepareDynamicResources events.",
		Next:     "Check the DRA driver on the node and the ResourceClaims of the pod.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: ImagePullInProgress, Severity: finding.Info, Title: "Image is being pulled",
		Meaning:  "The kubelet is pulling the image. The image may be large or the registry slow.",
		Evidence: "Pulling event without a Pulled event.",
		Next:     "Wait until the pull has finished.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"lifecycle", ".image"}, Entry: finding.Entry{
		Code: PostStartHookRunning, Severity: finding.Warning, Title: "Container postStart hook has not finished",
		Meaning: "The container is running, and so is its postStart hook. Until the hook finishes, the kubelet does " +
			"not count the container as started and runs no probe.",
		Evidence: "Started event of a container that is still shown as ContainerCreating.",
		Next:     "Check what the hook waits for.",
	}},
}

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
		return e.Cause(p, model.StageImage, ImagePullInProgress, report.Transient, "the kubelet has been pulling the image for %s",
			plain.Age(e.Now.Sub(ev.First))).ByEvent(ev).MarkSelfHealing().
			WithNext(e.NextCluster(finding.Read, "Check the disk and the other pods of the node", "nodeinfo", p.Spec.NodeName))
	}
	waited := e.Now.Sub(p.CreationTimestamp.Time)
	if len(p.Status.ContainerStatuses) == 0 && waited > 30*time.Second {
		return e.Cause(p, model.StageNode, PodStatusNotReported, report.Transient,
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
			return e.Cause(p, model.StageSandbox, FailedCreatePodSandBox, report.LikelyFatal,
				"node %s has no runtime handler %q, which RuntimeClass %q requires", p.Spec.NodeName, m[1], plain.Or(p.Spec.RuntimeClassName, "")).
				ByEvent(ev).WithKey(m[1]).
				WithNext(e.NextCluster(finding.Read, "Read the handler and the node selector of the RuntimeClass", "get", "runtimeclass",
					plain.Or(p.Spec.RuntimeClassName, ""), "-o", "yaml"))
		}
		why := plain.Innermost(ev.Message)
		if agent := eventfact.WithoutAgent(ev.Message); agent != "" {
			why = fmt.Sprintf("network plugin %s has not set up the node: %s", agent, why)
		}
		return e.Cause(p, model.StageSandbox, FailedCreatePodSandBox, report.Transient,
			"the pod sandbox cannot be created on node %s: %s", p.Spec.NodeName, why).
			ByEvent(ev).WithKey(p.Spec.NodeName).
			WithNext(e.NextCluster(finding.Read, "Check the network plugin, the container runtime and the free pod addresses of the node",
				"nodeinfo", p.Spec.NodeName))
	}
	if ev := eventfact.Newest(events, "FailedPrepareDynamicResources"); ev != nil {
		return prepareCause(e, w, p, ev)
	}
	return nil
}

var handlerAbsent = regexp.MustCompile(`no runtime for "([^"]+)" is configured`)

func sandboxReady(p *model.Pod) bool {
	c := podfact.Condition(p.Pod, corev1.PodReadyToStartContainers)
	return c != nil && c.Status == corev1.ConditionTrue
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
		return "command " + plain.OneLine(mask.CommandLine(h.Exec.Command))
	case h.HTTPGet != nil:
		return fmt.Sprintf("GET %s on port %s", h.HTTPGet.Path, h.HTTPGet.Port.String())
	case h.Sleep != nil:
		return fmt.Sprintf("sleep %ds", h.Sleep.Seconds)
	}
	return "hook"
}

// What the kubelet says where it cannot prepare the devices of a pod.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/cm/dra/manager.go (prepareResources),
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/cm/dra/plugin/dra_plugin_manager.go (GetPlugin)
var (
	draUnregistered = regexp.MustCompile(`DRA driver (\S+) is not registered`)
	claimRefused    = regexp.MustCompile(`NodePrepareResources failed for ResourceClaim ([a-z0-9][-a-z0-9.]*): (.*)`)
	prepareFrames   = []string{"Failed to prepare dynamic resources: ", "prepare dynamic resources: "}
)

// prepareCause: the devices that a pod has by its claims cannot be prepared on its node.
func prepareCause(e *model.Evaluation, w *model.Workload, p *model.Pod, ev *eventfact.Event) *model.Cause {
	message := plain.OneLine(ev.Message)
	for _, frame := range prepareFrames {
		message = strings.TrimPrefix(message, frame)
	}
	why, key := fmt.Sprintf("the devices of the pod cannot be prepared on node %s: %s", p.Spec.NodeName, message), p.Spec.NodeName
	var next []finding.Next
	if m := draUnregistered.FindStringSubmatch(message); m != nil {
		why = fmt.Sprintf("the devices of the pod cannot be prepared: DRA driver %s is not registered on node %s", m[1], p.Spec.NodeName)
		key += m[1]
	} else if m := claimRefused.FindStringSubmatch(message); m != nil {
		why = fmt.Sprintf("the DRA driver on node %s cannot prepare ResourceClaim %s: %s", p.Spec.NodeName, m[1], m[2])
		key += m[2]
		next = append(next, e.Next(w, finding.Read, "Read which driver and device the ResourceClaim has", "describe", "resourceclaim", m[1]))
	}
	return e.Cause(p, model.StageVolume, FailedPrepareDynamicResources, report.Transient, "%s", why).ByEvent(ev).WithKey(key).
		WithNext(next...).WithNext(driverSteps(e, p.Spec.NodeName)...)
}

// driverSteps lead to the driver of devices on a node: nothing in the API says which pod it is.
func driverSteps(e *model.Evaluation, node string) []finding.Next {
	return []finding.Next{
		e.NextCluster(finding.Read, "Check what the drivers publish for the node, and the pods that use their devices", "nodeinfo", node),
		e.NextCluster(finding.Read, "Find the pod of the driver on the node, and read its log", "get", "pods", "-A", "-o", "wide",
			"--field-selector", "spec.nodeName="+node),
	}
}

// deviceDrivers are those of the devices that a pod has by its claims, by name.
func deviceDrivers(e *model.Evaluation, p *model.Pod) []string {
	var list []string
	for _, n := range device.Required(p.Pod) {
		if n.Claim == "" {
			continue
		}
		if claim, _ := e.DeviceClaim(p.Namespace, n.Claim); claim != nil {
			list = append(list, claim.Drivers()...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
