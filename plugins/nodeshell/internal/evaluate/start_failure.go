package evaluate

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

const (
	PodStatusNotReported   finding.Code = "PodStatusNotReported"
	ErrImagePull           finding.Code = "ErrImagePull"
	ImagePullTimeout       finding.Code = "ImagePullTimeout"
	ErrImageNeverPull      finding.Code = "ErrImageNeverPull"
	UnusableImage          finding.Code = "UnusableImage"
	ContainerStartError    finding.Code = "ContainerStartError"
	FailedCreatePodSandBox finding.Code = "FailedCreatePodSandBox"
	NodeOutOfResources     finding.Code = "NodeOutOfResources"
	PlacementRejected      finding.Code = "PlacementRejected"
	HelperPodEnded         finding.Code = "HelperPodEnded"
	HelperPodStartTimeout  finding.Code = "HelperPodStartTimeout"
)

var startRules = []finding.Rule[Input]{
	{Entry: finding.Entry{
		Code: PodStatusNotReported, Severity: finding.Critical, Title: "Kubelet has not reported a status for the pod",
		Meaning: "The pod is bound to the node, and the kubelet has reported no status for it. The kubelet hangs or " +
			"cannot reach the API server.",
		Evidence: "Pod without status.startTime for more than 5s.",
		Next:     "Run kubectl nodeinfo for the node, and reach the node by its console or the cloud's session manager.",
	}},
	{Entry: finding.Entry{
		Code: ErrImagePull, Severity: finding.Critical, Title: "Image cannot be pulled",
		Meaning:  "The registry denies the pull or cannot be reached: a wrong name, missing credentials, a rate limit, no route.",
		Evidence: "Container status " + podfact.ErrImagePull + " or " + podfact.ImagePullBackOff + ", and the message of the registry.",
		Next:     "Use --no-pull for an image that is on the node, --image for another image, or --pull-secret for credentials.",
	}},
	{Entry: finding.Entry{
		Code: ImagePullTimeout, Severity: finding.Critical, Title: "Image pull did not finish in time",
		Meaning:  "The image pull is still running without an error, and the timeout has passed.",
		Evidence: "Event Pulling without event Pulled.",
		Next:     "Use --no-pull or a smaller --image, or wait longer with --start-timeout.",
	}},
	{Entry: finding.Entry{
		Code: ErrImageNeverPull, Severity: finding.Critical, Title: "Image is not available on the node",
		Meaning:  "The pull policy forbids a pull, and the image is not on the node or was pulled there with a secret.",
		Evidence: "Container status ErrImageNeverPull.",
		Next:     "Use an image that is on the node.",
	}},
	{Entry: finding.Entry{
		Code: UnusableImage, Severity: finding.Critical, Title: "Image name is invalid or its platform does not match",
		Meaning:  "The image name is not valid, or the image is built for another CPU architecture.",
		Evidence: "InvalidImageName, \"no match for platform\" or \"exec format error\".",
		Next:     "Choose an image with a valid name that is built for several platforms.",
	}},
	{Entry: finding.Entry{
		Code: ContainerStartError, Severity: finding.Critical, Title: "Container cannot be started",
		Meaning:  "The image is on the node, but the container runtime cannot start the container; usually the image has no sh.",
		Evidence: "Container status CreateContainerError, RunContainerError or StartError with the text of the runtime, or event FailedMount.",
		Next:     "Choose an image with sh and nsenter, such as busybox.",
	}},
	{Entry: finding.Entry{
		Code: FailedCreatePodSandBox, Severity: finding.Critical, Title: "Pod sandbox cannot be created",
		Meaning: "The container runtime fails to create the pod sandbox. nodeshell uses no pod network, so the " +
			"network plugin (CNI) is not the cause.",
		Evidence: "Event FailedCreatePodSandBox.",
		Next:     "Check the container runtime on the node, by its console or SSH.",
	}},
	{Entry: finding.Entry{
		Code: NodeOutOfResources, Severity: finding.Critical, Title: "Node has no capacity for the pod",
		Meaning:  "The kubelet counts pods, CPU and memory. nodeshell requests no CPU and no memory, so the pod capacity is usually exhausted.",
		Evidence: "Pod status reason OutOfpods, OutOfcpu or OutOfmemory.",
		Next:     "Use --critical, which may stop a workload.",
	}},
	{Entry: finding.Entry{
		Code: PlacementRejected, Severity: finding.Critical, Title: "Kubelet rejected the pod for node affinity or a taint",
		Meaning: "The helper pod itself has neither a node selector nor an affinity and tolerates every taint: the namespace or " +
			"a webhook added one or removed the tolerations.",
		Evidence: "Pod status reason NodeAffinity, or one that names a taint.",
		Next:     "Use -n with a namespace that has no default node selector.",
		Source:   "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/lifecycle/predicate.go",
	}},
	{Entry: finding.Entry{
		Code: HelperPodEnded, Severity: finding.Critical, Title: "Helper pod ended unexpectedly",
		Meaning:  "The helper pod started and terminated at once, or was deleted by another client or a controller.",
		Evidence: "Exit code and message of the container, or the pod's deletion timestamp.",
		Next:     "Check whether a policy controller deletes privileged pods, and whether the image has sh.",
	}},
	{Entry: finding.Entry{
		Code: HelperPodStartTimeout, Severity: finding.Critical, Title: "Helper pod did not start in time",
		Meaning:  "The pod did not start within --start-timeout, and no error was seen.",
		Evidence: "Last status of the pod.",
		Next:     "Wait longer with --start-timeout, or run kubectl nodeinfo for the node.",
	}},
}

// start is the failed start of a helper pod.
type start struct {
	plan report.Plan
	o    Options
}

// failures give each reason for waiting its code, and the next steps.
var failures = map[string]struct {
	code  finding.Code
	steps func(start) []finding.Next
}{
	podspec.WaitSilent:      {PodStatusNotReported, start.reachNode},
	podspec.WaitPull:        {ImagePullTimeout, start.avoidSlowPull},
	podspec.WaitPullFailed:  {ErrImagePull, start.avoidPull},
	podspec.WaitNeverPull:   {ErrImageNeverPull, start.chooseNodeImage},
	podspec.WaitImageName:   {UnusableImage, anotherImage("Use an image with a valid name, such as this one")},
	podspec.WaitArch:        {UnusableImage, anotherImage("Use an image for several platforms, such as this one")},
	podspec.WaitRuntime:     {ContainerStartError, anotherImage("Use an image with sh and nsenter, such as this one")},
	podspec.WaitSandbox:     {FailedCreatePodSandBox, start.reachNode},
	podspec.WaitVolume:      {ContainerStartError, start.checkVolumes},
	podspec.WaitPressure:    {NodePressure, start.becomeCritical},
	podspec.WaitFull:        {NodeOutOfResources, start.becomeCritical},
	podspec.WaitAffinity:    {PlacementRejected, start.changeNamespace},
	podspec.WaitTaint:       {PlacementRejected, start.changeNamespace},
	podspec.WaitRejected:    {PodRejected, start.reachNode},
	podspec.WaitLapsed:      {HelperPodEnded, start.reachNode},
	podspec.WaitEnded:       {HelperPodEnded, anotherImage("Use an image with sh, such as this one")},
	podspec.WaitDeleted:     {HelperPodEnded, start.findDeletion},
	podspec.WaitOverdue:     {HelperPodEnded, start.withoutJob},
	podspec.WaitNew:         {HelperPodStartTimeout, start.waitLonger},
	podspec.WaitUnscheduled: {HelperPodStartTimeout, start.waitLonger},
}

// NotStarted explains a pod that does not start.
func NotStarted(plan report.Plan, w podspec.Wait, o Options) finding.Finding {
	known, ok := failures[w.Code]
	if !ok {
		known.code, known.steps = HelperPodStartTimeout, start.reachNode
	}
	var message string
	switch known.code {
	case ErrImagePull, ImagePullTimeout, ErrImageNeverPull, UnusableImage:
		message = fmt.Sprintf("node %s cannot use image %q: %s", plan.Node, plan.Pod.Spec.Containers[0].Image, w.Text)
	case PodRejected, PlacementRejected, NodePressure, NodeOutOfResources:
		message = fmt.Sprintf("the kubelet of node %s rejected the pod: %s", plan.Node, w.Text)
	case PodStatusNotReported:
		message = "the pod does not start: " + w.Text // which names the node
	default:
		message = fmt.Sprintf("the pod does not start on node %s: %s", plan.Node, w.Text)
	}
	f := book.New(known.code, message)
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: plan.Namespace, Name: plan.Pod.Name}
	f.Evidence = []finding.Evidence{{Source: "Pod", Path: "status", Value: w.Text}}
	f.Next = known.steps(start{plan, o})
	return mask.Copy(f)
}

// rerun is the call itself once more, with one more flag.
func (s start) rerun(flag, why string, risk finding.Risk) finding.Next {
	return rerunStep(s.o, s.plan.Node, s.o.CallNamespace, why, risk, flag)
}

// show is a kubectl command that changes nothing.
func (s start) show(namespace, why string, args ...string) []finding.Next {
	return []finding.Next{{Command: s.o.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}}
}

func (s start) reachNode() []finding.Next {
	return s.show("", "Diagnose the node, then reach it by its console or the cloud's session manager", "nodeinfo", s.plan.Node)
}

func (s start) avoidPull() []finding.Next {
	why := "Run an image that is on the node, with the host's own tools; or set --image or --pull-secret"
	return []finding.Next{s.rerun("--no-pull", why, finding.Read)}
}

func (s start) avoidSlowPull() []finding.Next {
	return []finding.Next{
		s.rerun("--no-pull", "Run an image that is on the node, with the host's own tools", finding.Read),
		s.rerun("--start-timeout=20m", "Wait longer for the pull", finding.Read),
	}
}

func (s start) chooseNodeImage() []finding.Next {
	return s.show("", "List the images on the node, and choose one with --image",
		"get", "node", s.plan.Node, "-o", "jsonpath={.status.images[*].names}")
}

// anotherImage offers an image that is known to have what is needed.
func anotherImage(why string) func(start) []finding.Next {
	return func(s start) []finding.Next { return s.withImage(why) }
}

// withImage is the call with a known image. Where that one itself failed, the node is to be diagnosed.
func (s start) withImage(why string) []finding.Next {
	image := DefaultImage
	switch {
	case s.plan.Pod.Spec.OS != nil && s.plan.Pod.Spec.OS.Name == corev1.Windows:
		image = WindowsImage
	case s.o.Capture:
		image = DefaultCaptureImage
	}
	if strings.HasSuffix(s.plan.Pod.Spec.Containers[0].Image, image) {
		return s.reachNode()
	}
	return []finding.Next{s.rerun("--image="+image, why, finding.Read)}
}

func (s start) checkVolumes() []finding.Next {
	if s.o.MountPVC != "" {
		return s.show(s.plan.Namespace, "Check the claim of --mount-pvc", "get", "persistentvolumeclaim", s.o.MountPVC)
	}
	return s.withImage("Use an image in place of --no-pull, which mounts the host's /usr, /lib and /lib64")
}

func (s start) becomeCritical() []finding.Next {
	return []finding.Next{s.rerun("--critical", criticalWhy, finding.Destructive)}
}

func (s start) changeNamespace() []finding.Next {
	return append([]finding.Next{ownNamespace(s.plan.Node, s.o)},
		s.show("", "Read the default node selector and tolerations of the namespace", "get", "namespace", s.plan.Namespace, "-o", "yaml")...)
}

func (s start) findDeletion() []finding.Next {
	return s.show(s.plan.Namespace, "Find the controller that deleted the pod; a policy may delete privileged pods",
		"get", "events", "--field-selector", "involvedObject.name="+s.plan.Pod.Name)
}

func (s start) withoutJob() []finding.Next {
	return []finding.Next{s.rerun("--no-job", "Try without a Job; this machine or the API server is overloaded", finding.Read)}
}

func (s start) waitLonger() []finding.Next {
	return []finding.Next{s.rerun("--start-timeout=10m", "Wait longer for the pod to start", finding.Read)}
}
