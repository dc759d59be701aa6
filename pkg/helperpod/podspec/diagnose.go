package podspec

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// Wait says why a helper does not run yet, or never will.
type Wait struct {
	Code    string // stable: one of the constants below
	Text    string // one line, with what the cluster said
	Final   bool   // waiting longer does not help
	Pulling bool   // an image is on its way: worth waiting longer
}

// The codes of a Wait. evaluate of each plugin knows the remedy.
const (
	WaitNew          = "Starting"
	WaitSilent       = "KubeletSilent"
	WaitPull         = "ImagePulling"
	WaitPullFailed   = "ImagePullFailed"
	WaitNeverPull    = "ImageNotOnNode"
	WaitImageName    = "ImageNameInvalid"
	WaitRuntime      = "ContainerStartFailed"
	WaitArch         = "ImageWrongPlatform"
	WaitSandbox      = "SandboxFailed"
	WaitVolume       = "VolumeFailed"
	WaitUnscheduled  = "Unscheduled"
	WaitPressure     = "NodeUnderPressure"
	WaitFull         = "NodeFull"
	WaitAffinity     = "NodeAffinityRefused"
	WaitTaint        = "TaintRefused"
	WaitRejected     = "KubeletRejected"
	WaitEnded        = "EndedAtOnce"
	WaitLapsed       = "LeaseLapsed"
	WaitDeleted      = "DeletedMeanwhile"
	WaitOverdue      = "GuardOverdue"
	WaitCreateDenied = "CreateDenied"
)

// silentAfter is how long a bound pod may go without any word from its kubelet; one reacts within a second.
const silentAfter = 5 * time.Second

// Diagnose reads a pod that does not run. Container is the one waited for; since is how long ago the pod was seen
// first; said are the pod's own events, in any order.
func Diagnose(pod *corev1.Pod, container string, said []corev1.Event, since time.Duration) Wait {
	events := eventfact.ReadAll(said)
	if pod.DeletionTimestamp != nil {
		by := lastEvent(events, "Killing", "Preempted", "TaintManagerEviction")
		return Wait{Code: WaitDeleted, Text: "the helper pod was deleted by another client or a controller" + by, Final: true}
	}
	if podfact.Finished(pod) {
		return finished(pod, container)
	}
	if status := statusOf(pod, container); status != nil && status.State.Waiting != nil {
		if w, ok := waiting(status, events); ok {
			return w
		}
	} else if status != nil && status.State.Terminated != nil {
		return died(pod, container, Wait{Final: true}) // no helper is started again, and the phase follows later
	}
	if text := eventText(events, "FailedCreatePodSandBox"); text != "" {
		return Wait{Code: WaitSandbox, Text: "the pod sandbox cannot be created: " + text}
	}
	if text := eventText(events, "FailedMount", "FailedAttachVolume"); text != "" {
		return Wait{Code: WaitVolume, Text: "a volume cannot be mounted: " + text}
	}
	if pod.Spec.NodeName == "" {
		return Wait{Code: WaitUnscheduled, Text: "no node is assigned to the pod" + colon(conditionMessage(pod, corev1.PodScheduled))}
	}
	if pod.Status.StartTime == nil && since > silentAfter {
		text := fmt.Sprintf("the kubelet of node %s has reported no status for the pod for %s", pod.Spec.NodeName, since.Round(time.Second))
		return Wait{Code: WaitSilent, Text: text}
	}
	if text := eventText(events, "Pulling"); text != "" && eventText(events, "Pulled") == "" {
		return Wait{Code: WaitPull, Text: text, Pulling: true}
	}
	return Wait{Code: WaitNew, Text: "the container is being created"}
}

// waiting reads what the container waits for: whatever failed to start it once fails again.
func waiting(status *corev1.ContainerStatus, events []eventfact.Event) (Wait, bool) {
	state := status.State.Waiting
	text := state.Message
	switch podfact.Waiting(status) {
	case podfact.Image:
		return Wait{Code: imageCode(state.Reason), Text: text, Final: true}.pull(status, events), true
	case podfact.Config, podfact.Start, podfact.PostStart:
		return Wait{Code: archOr(WaitRuntime, text), Text: text, Final: true}, true
	case podfact.BackOff:
		return Wait{Code: WaitEnded, Text: text, Final: true}, true
	}
	return Wait{}, false
}

func imageCode(reason string) string {
	switch reason {
	case podfact.ErrImageNeverPull:
		return WaitNeverPull
	case podfact.InvalidImageName:
		return WaitImageName
	}
	return WaitPullFailed
}

// pull adds what the pull failed with, where only an event says so.
func (w Wait) pull(status *corev1.ContainerStatus, events []eventfact.Event) Wait {
	if w.Code != WaitPullFailed {
		return w
	}
	if _, says := podfact.PullError(status.State.Waiting); !says {
		if failed := podfact.PullFailure(events, status.Name, ""); failed != nil {
			w.Text = oneLine(failed.Message)
		}
	}
	if podfact.WhyPull(w.Text, "") == podfact.PullNoPlatform {
		w.Code = WaitArch
	}
	w.Text = eventfact.Innermost(w.Text)
	return w
}

// finished reads a pod that has ended before it ran: refused by the kubelet's admission, or its container died at once.
// The reasons: https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/lifecycle/predicate.go
func finished(pod *corev1.Pod, container string) Wait {
	text := strings.TrimSpace(pod.Status.Message)
	reason := pod.Status.Reason
	w := Wait{Final: true, Text: reason + colon(text)}
	switch {
	case reason == "Evicted":
		w.Code = WaitPressure
	case strings.HasPrefix(reason, "OutOf"):
		w.Code = WaitFull
	case reason == "NodeAffinity", reason == "NodeSelectorMismatching":
		w.Code = WaitAffinity
	case strings.Contains(reason, "Taint"):
		w.Code = WaitTaint
	case reason != "" && statusOf(pod, container) == nil, reason == "UnexpectedAdmissionError", strings.HasSuffix(reason, "NotSupported"):
		w.Code = WaitRejected
	default:
		return died(pod, container, w)
	}
	return w
}

func died(pod *corev1.Pod, container string, w Wait) Wait {
	w.Code = WaitEnded
	status := statusOf(pod, container)
	if status == nil || status.State.Terminated == nil {
		if w.Text == "" {
			w.Text = "the pod terminated in phase " + string(pod.Status.Phase)
		}
		return w
	}
	end := status.State.Terminated
	if end.ExitCode == lapsed {
		w.Code, w.Text = WaitLapsed, fmt.Sprintf("it ended after %s without a sign of life from this client", Lease)
		return w
	}
	w.Text = fmt.Sprintf("the container terminated with exit code %d (%s)%s", end.ExitCode, end.Reason, colon(strings.TrimSpace(end.Message)))
	if podfact.NeverRan(end) {
		w.Code = archOr(WaitRuntime, end.Message)
	}
	return w
}

func archOr(code, text string) string {
	if strings.Contains(text, "exec format error") {
		return WaitArch
	}
	return code
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == container {
				return &list[i]
			}
		}
	}
	return nil
}

// Running says that the container runs and nobody has deleted its pod.
func Running(pod *corev1.Pod, container string) bool {
	status := statusOf(pod, container)
	return status != nil && status.State.Running != nil && pod.DeletionTimestamp == nil
}

// Ended says that the container has run, or could not, and will not be started again.
func Ended(pod *corev1.Pod, container string) bool {
	status := statusOf(pod, container)
	return status != nil && status.State.Terminated != nil
}

// NeverStarted says that no process of the container has ever been.
func NeverStarted(pod *corev1.Pod, container string) bool {
	if pod.Status.Phase != corev1.PodPending {
		return false
	}
	status := statusOf(pod, container)
	return status == nil || status.State.Waiting != nil && status.RestartCount == 0 && status.LastTerminationState.Terminated == nil
}

func conditionMessage(pod *corev1.Pod, kind corev1.PodConditionType) string {
	if c := podfact.Condition(pod, kind); c != nil {
		return c.Message
	}
	return ""
}

// eventText gives the newest message among the reasons.
func eventText(events []eventfact.Event, reasons ...string) string {
	if e := eventfact.Newest(events, reasons...); e != nil {
		return oneLine(e.Message)
	}
	return ""
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func lastEvent(events []eventfact.Event, reasons ...string) string {
	return colon(eventText(events, reasons...))
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
