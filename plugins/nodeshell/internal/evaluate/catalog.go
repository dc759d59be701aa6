package evaluate

import (
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// The codes of refusals and warnings before anything is created.
const (
	KubeletNotReporting       finding.Code = "KubeletNotReporting"
	VirtualNode               finding.Code = "VirtualNode"
	NodeNotReady              finding.Code = "NodeNotReady"
	NodePressure              finding.Code = "NodePressure"
	CriticalMayPreempt        finding.Code = "CriticalMayPreempt"
	ShellInContainer          finding.Code = "ShellInContainer"
	NoPullUnavailable         finding.Code = "NoPullUnavailable"
	PodSecurityViolated       finding.Code = "PodSecurityViolated"
	PodCreationForbidden      finding.Code = "PodCreationForbidden"
	QuotaOrLimitRangeViolated finding.Code = "QuotaOrLimitRangeViolated"
	AdmissionDenied           finding.Code = "AdmissionDenied"
	PodMutatedByAdmission     finding.Code = "PodMutatedByAdmission"
	MemoryLimitReached        finding.Code = "MemoryLimitReached"
	HostNetworkPod            finding.Code = "HostNetworkPod"
	CaptureTargetGone         finding.Code = "CaptureTargetGone"
	PacketsDropped            finding.Code = "PacketsDropped"
)

// The codes of a pod that does not start.
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
	PodRejected            finding.Code = "PodRejected"
	HelperPodEnded         finding.Code = "HelperPodEnded"
	HelperPodStartTimeout  finding.Code = "HelperPodStartTimeout"
)

// Catalog describes every code, sorted by code.
func Catalog() []finding.Entry { return book.Catalog() }

// book is the catalog. No rule has a check: a session finds these one by one.
var book = finding.NewBook(
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodMutatedByAdmission, Severity: finding.Critical, Title: "Admission removed required pod settings",
		Meaning: "A mutating webhook or admission plugin changed the pod that was sent. nodeshell runs nothing in a pod that would show the " +
			"image or another node as the node; a removed hostIPC or an additional image pull is only a warning.",
		Evidence: "A difference between the sent and the created pod in hostPID, hostNetwork, hostIPC, nodeName, " +
			"container, image, pull policy or privileged.",
		Next: "Use a namespace that the webhook does not change, or the image that admission sets.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PlacementRejected, Severity: finding.Critical, Title: "Kubelet rejected the pod for node affinity or a taint",
		Meaning: "The helper pod itself has neither a node selector nor an affinity and tolerates every taint: the namespace or " +
			"a webhook added one or removed the tolerations.",
		Evidence: "Pod status reason NodeAffinity, or one that names a taint.",
		Next:     "Use -n with a namespace that has no default node selector.",
		Source:   "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/lifecycle/predicate.go",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ContainerStartError, Severity: finding.Critical, Title: "Container cannot be started",
		Meaning:  "The image is on the node, but the container runtime cannot start the container; usually the image has no sh.",
		Evidence: "Container status CreateContainerError, RunContainerError or StartError with the text of the runtime, or event FailedMount.",
		Next:     "Choose an image with sh and nsenter, such as busybox.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodCreationForbidden, Severity: finding.Critical, Title: "User is not allowed to create the pod",
		Meaning:  "RBAC does not allow this user to create pods in the namespace.",
		Evidence: "Response 403 to a dry-run create, with the text of the API server.",
		Next:     "Request the permissions in docs/nodeshell.md, which equal root on every node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: CriticalMayPreempt, Severity: finding.Warning, Title: "Critical helper pod may preempt a workload",
		Meaning:  "If the node is full, the kubelet preempts other pods for a pod of priority system-node-critical.",
		Evidence: "Flag --critical.",
		Next:     "Use --critical only where the node rejects normal pods.",
		Source:   "https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HelperPodEnded, Severity: finding.Critical, Title: "Helper pod ended unexpectedly",
		Meaning:  "The helper pod started and terminated at once, or was deleted by another client or a controller.",
		Evidence: "Exit code and message of the container, or the pod's deletion timestamp.",
		Next:     "Check whether a policy controller deletes privileged pods, and whether the image has sh.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HelperPodStartTimeout, Severity: finding.Critical, Title: "Helper pod did not start in time",
		Meaning:  "The pod did not start within --start-timeout, and no error was seen.",
		Evidence: "Last status of the pod.",
		Next:     "Wait longer with --start-timeout, or run kubectl nodeinfo for the node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ErrImageNeverPull, Severity: finding.Critical, Title: "Image is not available on the node",
		Meaning:  "The pull policy forbids a pull, and the image is not on the node or was pulled there with a secret.",
		Evidence: "Container status ErrImageNeverPull.",
		Next:     "Use an image that is on the node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ErrImagePull, Severity: finding.Critical, Title: "Image cannot be pulled",
		Meaning:  "The registry denies the pull or cannot be reached: a wrong name, missing credentials, a rate limit, no route.",
		Evidence: "Container status " + podfact.ErrImagePull + " or " + podfact.ImagePullBackOff + ", and the message of the registry.",
		Next:     "Use --no-pull for an image that is on the node, --image for another image, or --pull-secret for credentials.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ImagePullTimeout, Severity: finding.Critical, Title: "Image pull did not finish in time",
		Meaning:  "The image pull is still running without an error, and the timeout has passed.",
		Evidence: "Event Pulling without event Pulled.",
		Next:     "Use --no-pull or a smaller --image, or wait longer with --start-timeout.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: UnusableImage, Severity: finding.Critical, Title: "Image name is invalid or its platform does not match",
		Meaning:  "The image name is not valid, or the image is built for another CPU architecture.",
		Evidence: "InvalidImageName, \"no match for platform\" or \"exec format error\".",
		Next:     "Choose an image with a valid name that is built for several platforms.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodRejected, Severity: finding.Critical, Title: "Pod was rejected",
		Meaning: "The API server rejected the pod for a reason other than Pod Security, an admission webhook or policy, a quota " +
			"or a missing permission, " +
			"or the kubelet rejected it for a reason other than resources, pressure, affinity or a taint.",
		Evidence: "Text of the response to a dry-run create, or pod status reason and message.",
		Next:     "Read the reason; --critical helps only against limits on pods, CPU and memory.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodStatusNotReported, Severity: finding.Critical, Title: "Kubelet has not reported a status for the pod",
		Meaning: "The pod is bound to the node, and the kubelet has reported no status for it. The kubelet hangs or " +
			"cannot reach the API server.",
		Evidence: "Pod without status.startTime for more than 5s.",
		Next:     "Run kubectl nodeinfo for the node, and reach the node by its console or the cloud's session manager.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodSecurityViolated, Severity: finding.Critical, Title: "Pod violates the enforced Pod Security Standard",
		Meaning: "The namespace enforces a Pod Security Standard that forbids privileged pods. nodeshell never " +
			"changes the labels of a namespace.",
		Evidence: "Response 403 to a dry-run create that names PodSecurity.",
		Next:     "Use -n with a namespace that allows privileged pods, or --create-namespace.",
		Source:   "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NoPullUnavailable, Severity: finding.Critical, Title: "Option --no-pull is not possible on the node",
		Meaning:  "Option --no-pull needs the image of a running pod without pull secrets, and a host with /usr/bin/sh.",
		Evidence: "No such pod on the node, or a node operating system without /usr/bin/sh.",
		Next:     "Name an image with --image.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeOutOfResources, Severity: finding.Critical, Title: "Node has no capacity for the pod",
		Meaning:  "The kubelet counts pods, CPU and memory. nodeshell requests no CPU and no memory, so the pod capacity is usually exhausted.",
		Evidence: "Pod status reason OutOfpods, OutOfcpu or OutOfmemory.",
		Next:     "Use --critical, which may stop a workload.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "Node is not ready",
		Meaning:  "The kubelet is running and reports a problem. A shell needs no pod network and usually still starts.",
		Evidence: "Node condition Ready with status False.",
		Next:     "Continue, or run kubectl nodeinfo to find the cause.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodePressure, Severity: finding.Critical, Title: "Node under pressure admits only critical pods",
		Meaning:  "Under DiskPressure and PIDPressure the kubelet admits only critical pods. Under MemoryPressure the helper pod is admitted.",
		Evidence: "Node condition DiskPressure or PIDPressure with status True, or pod status reason Evicted.",
		Next:     "Use --critical, which may stop a workload.",
		Source:   "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: KubeletNotReporting, Severity: finding.Critical, Title: "Kubelet is not reporting",
		Meaning:  "No pod can start on a node whose kubelet does not report.",
		Evidence: "Lease of the node older than its duration, or without a Lease, node condition Ready with status Unknown.",
		Next:     "Reach the node by its console, SSH or the cloud's session manager; --force tries to start the pod anyway.",
		Source:   "https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats",
	}, Explains: []finding.Code{NodeNotReady, NodePressure}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: VirtualNode, Severity: finding.Critical, Title: "Node is virtual and has no host",
		Meaning:  "A virtual kubelet, Fargate or kwok node has no host to enter.",
		Evidence: "Labels, annotations or taints of the node.",
		Next:     "Use kubectl exec in the pod itself.",
	}, Explains: []finding.Code{
		KubeletNotReporting, NodeNotReady, NodePressure, NoPullUnavailable, PodSecurityViolated,
		QuotaOrLimitRangeViolated,
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PacketsDropped, Severity: finding.Warning, Title: "Kernel dropped packets",
		Meaning:  "The traffic was faster than tcpdump, so packets are missing from the capture.",
		Evidence: "Counter of tcpdump for packets dropped by the kernel, above 0.",
		Next:     "Use a narrower filter or a smaller --snaplen.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HostNetworkPod, Severity: finding.Warning, Title: "Pod uses the host network",
		Meaning: "The pod shares the network of the node: the traffic is that of the node and of every pod on the " +
			"host network, not only of this pod.",
		Evidence: "Pod field spec.hostNetwork.",
		Next:     "Filter by the ports of the pod.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: QuotaOrLimitRangeViolated, Severity: finding.Critical, Title: "ResourceQuota or LimitRange rejects the pod",
		Meaning:  "A ResourceQuota of the namespace is exhausted or requires requests and limits, or a LimitRange does not allow the pod.",
		Evidence: "Response 403 to a dry-run create that names the quota or the limit.",
		Next:     "Use another namespace with -n.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: MemoryLimitReached, Severity: finding.Critical, Title: "Memory limit of the helper pod was reached",
		Meaning: "nodeshell sets no memory limit. A LimitRange or a webhook of the namespace added one, and what runs in the session counts " +
			"against the limit: the kernel kills the command with exit code 137, or the whole helper pod.",
		Evidence: "Exit code 137, the memory limit in the created pod, and the kernel's count of killed processes.",
		Next:     "Use a namespace without a default memory limit, or --create-namespace.",
		Source:   "https://kubernetes.io/docs/concepts/policy/limit-range/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: CaptureTargetGone, Severity: finding.Critical, Title: "Captured pod is gone",
		Meaning: "The pod was deleted, replaced or terminated during the capture. Its network went with it, and its packets end there; " +
			"a new pod has another network. The restart of a container keeps the network.",
		Evidence: "Watch on the pod: deleted, another UID, or a terminated phase.",
		Next:     "Start another capture of the new pod.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: FailedCreatePodSandBox, Severity: finding.Critical, Title: "Pod sandbox cannot be created",
		Meaning: "The container runtime fails to create the pod sandbox. nodeshell uses no pod network, so the " +
			"network plugin (CNI) is not the cause.",
		Evidence: "Event FailedCreatePodSandBox.",
		Next:     "Check the container runtime on the node, by its console or SSH.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ShellInContainer, Severity: finding.Info, Title: "Shell runs in the container image",
		Meaning:  "The host has no usable shell (Talos, Bottlerocket), or -x was given. The files of the node are at /host.",
		Evidence: "Node field status.nodeInfo.osImage.",
		Next:     "Use the tools of the image; /host is the root directory of the node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: AdmissionDenied, Severity: finding.Critical, Title: "Admission webhook or policy denies the pod",
		Meaning:  "An admission webhook or an admission policy denies the pod, or the webhook cannot be called.",
		Evidence: "Name of the webhook or policy and its message, from the response to a dry-run create.",
		Next:     "Request an exception for one namespace.",
	}},
)
