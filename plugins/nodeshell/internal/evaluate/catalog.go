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
	HostNetworkPod            finding.Code = "HostNetworkPod"
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

// book is the catalog. No rule has a check: a session finds these things one by one on its way, and none explains another.
var book = finding.NewBook(
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodMutatedByAdmission, Severity: finding.Critical, Title: "Admission removed required pod settings",
		Meaning: "A mutating webhook or admission plugin made another pod of the one asked for. What would show the image or another " +
			"node as the node is refused before anything runs; a lost hostIPC or a pull that was not asked for is a warning.",
		Evidence: "The created pod's hostPID, hostNetwork, hostIPC, nodeName, container, image, pull policy or privileged is not what was sent.",
		Next:     "Use a namespace that the webhook leaves alone, or the image that it puts there.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PlacementRejected, Severity: finding.Critical, Title: "Kubelet rejected the pod for node affinity or a taint",
		Meaning:  "nodeshell sets neither selector nor affinity and tolerates every taint: the namespace or a webhook added one.",
		Evidence: "Pod status reason NodeAffinity or a taint's name.",
		Next:     "Use a namespace without a default node selector.",
		Source:   "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/lifecycle/predicate.go",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ContainerStartError, Severity: finding.Critical, Title: "Container cannot be started",
		Meaning:  "The image is on the node, but the runtime cannot start it: mostly an image without sh.",
		Evidence: "Container status CreateContainerError, RunContainerError or StartError with the runtime's text.",
		Next:     "Choose an image with sh and nsenter, such as busybox.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodCreationForbidden, Severity: finding.Critical, Title: "User is not allowed to create the pod",
		Meaning:  "RBAC does not let this user create pods there.",
		Evidence: "403 of a dry-run create, with the API server's text.",
		Next:     "Ask for the permission in docs/nodeshell.md, which equals root on every node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: CriticalMayPreempt, Severity: finding.Warning, Title: "Critical helper pod may preempt a workload",
		Meaning:  "A pod of priority system-node-critical lets the kubelet preempt others where the node is full.",
		Evidence: "--critical was given.",
		Next:     "Give --critical only where the node refuses normal pods.",
		Source:   "https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HelperPodEnded, Severity: finding.Critical, Title: "Helper pod ended unexpectedly",
		Meaning:  "The pod started and ended at once, or was deleted from outside.",
		Evidence: "Its container's exit code and message.",
		Next:     "Look whether a policy controller deletes privileged pods, and whether the image has sh.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HelperPodStartTimeout, Severity: finding.Critical, Title: "Helper pod did not start in time",
		Meaning:  "Nothing final was seen, and the time of --start-timeout is over.",
		Evidence: "The pod's last status.",
		Next:     "Wait longer with --start-timeout, or look at the node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ErrImageNeverPull, Severity: finding.Critical, Title: "Image is not available on the node",
		Meaning:  "The pull policy forbids pulling, and the node does not have the image, or had it pulled with a secret.",
		Evidence: "Container status ErrImageNeverPull.",
		Next:     "Name an image that is on the node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ErrImagePull, Severity: finding.Critical, Title: "Image cannot be pulled",
		Meaning:  "The registry or the way to it refuses: a wrong name, missing credentials, a rate limit, no route.",
		Evidence: "Container status " + podfact.ErrImagePull + " or " + podfact.ImagePullBackOff + ", and the registry's words.",
		Next:     "--no-pull uses what the node has; --image and --pull-secret choose another image or credentials.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ImagePullTimeout, Severity: finding.Critical, Title: "Image pull did not finish in time",
		Meaning:  "The pull goes on without an error, and the patience is over.",
		Evidence: "Event Pulling without Pulled.",
		Next:     "--no-pull, a smaller --image, or more patience with --start-timeout.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: UnusableImage, Severity: finding.Critical, Title: "Image name is invalid or its platform does not match",
		Meaning:  "Its name is not valid, or it is made for another processor.",
		Evidence: "InvalidImageName, 'no match for platform' or 'exec format error'.",
		Next:     "Choose a multi-platform image.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodRejected, Severity: finding.Critical, Title: "Pod was rejected",
		Meaning:  "Its admission found a reason of its own.",
		Evidence: "Pod status reason and message.",
		Next:     "Read the reason; --critical helps against limits only.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodStatusNotReported, Severity: finding.Critical, Title: "Kubelet has not reported a status for the pod",
		Meaning:  "The pod is bound to the node and its kubelet has said nothing: it hangs, or is cut off from the API server.",
		Evidence: "A pod without start time for more than five seconds.",
		Next:     "Reach the node by other means: its console, or the cloud's.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodSecurityViolated, Severity: finding.Critical, Title: "Pod violates the enforced Pod Security Standard",
		Meaning:  "The namespace enforces a level that forbids privileged pods. nodeshell never relabels a namespace.",
		Evidence: "403 of a dry-run create that names PodSecurity.",
		Next:     "-n with a namespace that allows it, or --create-namespace.",
		Source:   "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NoPullUnavailable, Severity: finding.Critical, Title: "Option --no-pull is not possible on the node",
		Meaning:  "It needs an image of a running pod without pull secrets and the tools of a usual host.",
		Evidence: "No such pod on the node, or an operating system without /usr/bin/sh.",
		Next:     "Name an image with --image.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeOutOfResources, Severity: finding.Critical, Title: "Node has no capacity for the pod",
		Meaning:  "The kubelet counts pods, processor and memory; nodeshell asks for none, so it is mostly the number of pods.",
		Evidence: "Pod status OutOfpods, OutOfcpu or OutOfmemory.",
		Next:     "--critical makes room by stopping a workload.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "Node is not ready",
		Meaning:  "The kubelet lives and reports a fault. A shell needs no pod network and mostly starts all the same.",
		Evidence: "Node condition Ready is False.",
		Next:     "Go on; kubectl nodeinfo tells the cause.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodePressure, Severity: finding.Critical, Title: "Node under pressure admits only critical pods",
		Meaning:  "Under DiskPressure and PIDPressure the kubelet admits critical pods only. Under MemoryPressure this pod is admitted.",
		Evidence: "Node condition DiskPressure or PIDPressure, or pod status Evicted.",
		Next:     "--critical, which may stop a workload.",
		Source:   "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: KubeletNotReporting, Severity: finding.Critical, Title: "Kubelet is not reporting",
		Meaning:  "No pod can start on a node whose kubelet does not report.",
		Evidence: "The node's lease is older than its duration; without the lease, condition Ready is Unknown.",
		Next:     "Reach the node by other means; --force tries all the same.",
		Source:   "https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: VirtualNode, Severity: finding.Critical, Title: "Node is virtual and has no host",
		Meaning:  "A virtual kubelet, Fargate or kwok has no host to enter.",
		Evidence: "The node's labels, taints or kubelet version.",
		Next:     "Use kubectl exec in the pod itself.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PacketsDropped, Severity: finding.Warning, Title: "Kernel dropped packets",
		Meaning:  "tcpdump was slower than the traffic: packets are missing from the capture.",
		Evidence: "tcpdump's counter of packets dropped by the kernel.",
		Next:     "A narrower filter, or a smaller --snaplen.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HostNetworkPod, Severity: finding.Warning, Title: "Pod uses the host network",
		Meaning:  "What is seen there is the traffic of the node and of every pod on its network, not of this pod alone.",
		Evidence: "Pod spec hostNetwork.",
		Next:     "Filter by the pod's ports.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: QuotaOrLimitRangeViolated, Severity: finding.Critical, Title: "ResourceQuota or LimitRange rejects the pod",
		Meaning:  "The namespace has no room for another pod, or demands requests and limits.",
		Evidence: "403 of a dry-run create that names the quota.",
		Next:     "Another namespace with -n.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: FailedCreatePodSandBox, Severity: finding.Critical, Title: "Pod sandbox cannot be created",
		Meaning:  "The container runtime itself fails; nodeshell needs no pod network, so it is not the CNI.",
		Evidence: "Event FailedCreatePodSandBox.",
		Next:     "Look at the runtime on the node by other means.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ShellInContainer, Severity: finding.Info, Title: "Shell runs in the container image",
		Meaning:  "The host has no usable shell (Talos, Bottlerocket), or -x was given; its files are at /host.",
		Evidence: "The node's osImage.",
		Next:     "Use the image's tools; /host is the node's root.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: AdmissionDenied, Severity: finding.Critical, Title: "Admission webhook or policy denies the pod",
		Meaning:  "A policy engine forbids it.",
		Evidence: "The webhook's name and message.",
		Next:     "Ask for an exception for one namespace.",
	}},
)
