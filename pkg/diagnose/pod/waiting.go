package pod

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

// Stage is what a waiting container waits for, or what stopped it.
type Stage string

// The stages.
const (
	NotWaiting Stage = ""
	Coming     Stage = "coming"     // on its way: nothing has failed so far
	Image      Stage = "image"      // its image does not come
	Config     Stage = "config"     // what its spec refers to is missing, or contradicts the image
	Start      Stage = "start"      // the runtime cannot make or start it
	PostStart  Stage = "post-start" // it ran, and was killed since its postStart hook failed
	BackOff    Stage = "back-off"   // it ended, and waits until it is started again
	Unknown    Stage = "unknown"    // a reason that is not known here
)

// The waiting reasons, as the kubelet writes them.
const (
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses)
	ContainerCreating       = "ContainerCreating"
	PodInitializing         = "PodInitializing"
	RestartingAllContainers = "RestartingAllContainers"

	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/images/types.go and of the runtimes
	// https://github.com/kubernetes/cri-api/blob/v0.36.3/pkg/errors/errors.go
	ErrImagePull              = "ErrImagePull"
	ImagePullBackOff          = "ImagePullBackOff"
	InvalidImageName          = "InvalidImageName"
	ErrImageNeverPull         = "ErrImageNeverPull"
	ImageInspectError         = "ImageInspectError"
	RegistryUnavailable       = "RegistryUnavailable"
	SignatureValidationFailed = "SignatureValidationFailed"

	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kuberuntime/kuberuntime_container.go (startContainer)
	CreateContainerConfigError = "CreateContainerConfigError"
	PreCreateHookError         = "PreCreateHookError"
	CreateContainerError       = "CreateContainerError"
	PreStartHookError          = "PreStartHookError"
	PostStartHookError         = "PostStartHookError"

	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/container/sync_result.go
	RunContainerError = "RunContainerError"
	CrashLoopBackOff  = "CrashLoopBackOff"
)

var stages = map[string]Stage{
	"": Coming, ContainerCreating: Coming, PodInitializing: Coming, RestartingAllContainers: Coming,
	ErrImagePull: Image, ImagePullBackOff: Image, InvalidImageName: Image, ErrImageNeverPull: Image, ImageInspectError: Image,
	RegistryUnavailable: Image, SignatureValidationFailed: Image,
	CreateContainerConfigError: Config,
	PreCreateHookError:         Start, CreateContainerError: Start, PreStartHookError: Start, RunContainerError: Start,
	PostStartHookError: PostStart,
	CrashLoopBackOff:   BackOff,
}

// Waiting classes what a container waits for.
func Waiting(s *corev1.ContainerStatus) Stage {
	if s.State.Waiting == nil {
		return NotWaiting
	}
	if stage, ok := stages[s.State.Waiting.Reason]; ok {
		return stage
	}
	return Unknown
}

// Failed says that the last try to start the container failed: it is not on its way, however young its pod is.
func (s Stage) Failed() bool { return s == Image || s == Config || s == Start || s == PostStart }

// The reasons of a container that counts as terminated though its process never ran: containerd's and CRI-O's for a start
// that fails, and Docker's.
const (
	StartError         = "StartError"
	ContainerCannotRun = "ContainerCannotRun"
)

// NeverRan says that a container ended before its process began.
func NeverRan(end *corev1.ContainerStateTerminated) bool {
	return end.Reason == StartError || end.Reason == ContainerCannotRun
}

// HasLog says whether the kubelet has a log of a container to show: it runs or has run. An end without the ID of a container is
// one of a container that was never made; one before the process began has an empty log.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kubelet_pods.go (validateContainerLogStatus)
func HasLog(s *corev1.ContainerStatus) bool {
	ran := func(end *corev1.ContainerStateTerminated) bool {
		return end != nil && end.ContainerID != "" && !NeverRan(end)
	}
	return s.State.Running != nil || ran(s.State.Terminated) || ran(s.LastTerminationState.Terminated)
}

// Logged gives the containers of a pod that have a log, those of its template last and in the order in which they start, and
// whether these are all that it has: "kubectl logs --all-containers" fails at the first that has none.
func Logged(p *corev1.Pod) (names []string, all bool) {
	all = len(Containers(p)) == len(p.Spec.InitContainers)+len(p.Spec.Containers)
	for _, s := range slices.Concat(p.Status.EphemeralContainerStatuses, Containers(p)) {
		if HasLog(&s) {
			names = append(names, s.Name)
		} else {
			all = false
		}
	}
	return names, all
}

// PullError gives the message of a container that waits for its image, and whether it says why the pull failed. A
// back-off names the image alone, unless the kubelet still knows what the pull ended with: then that stands behind.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/images/image_manager.go (pullImage)
func PullError(w *corev1.ContainerStateWaiting) (text string, says bool) {
	if w.Reason != ImagePullBackOff {
		return w.Message, w.Message != ""
	}
	return w.Message, slices.ContainsFunc([]string{ErrImagePull, RegistryUnavailable, SignatureValidationFailed}, func(reason string) bool {
		return strings.Contains(w.Message, reason+": ")
	})
}

// PullFailure gives the newest event that says why the pull of a container's image failed; nil: there is none. The kubelet
// writes the same reason for "Error: ImagePullBackOff", which explains nothing. Events are ordered, newest first; an empty
// image is any.
func PullFailure(events []event.Event, container, image string) *event.Event {
	for i := range events {
		e := &events[i]
		if e.Reason == "Failed" && strings.HasPrefix(e.Message, "Failed to pull image") && strings.Contains(e.Message, image) &&
			(e.About.FieldPath == "" || strings.Contains(e.About.FieldPath, "{"+container+"}")) {
			return e
		}
	}
	return nil
}
