package evaluate

import (
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// The codes of refusals and warnings before anything is created.
const (
	NodeSilent       finding.Code = "NodeSilent"
	NodeVirtual      finding.Code = "NodeVirtual"
	NodeNotReady     finding.Code = "NodeNotReady"
	NodePressure     finding.Code = "NodePressure"
	CriticalMayEvict finding.Code = "CriticalMayEvict"
	StaysInImage     finding.Code = "StaysInImage"
	NoPullImpossible finding.Code = "NoPullImpossible"
	NamespaceRefused finding.Code = "NamespaceRefused"
	CreateForbidden  finding.Code = "CreateForbidden"
	QuotaRefused     finding.Code = "QuotaRefused"
	WebhookRefused   finding.Code = "WebhookRefused"
	AdmissionChanged finding.Code = "AdmissionChanged"
	PodOnHostNetwork finding.Code = "PodOnHostNetwork"
	PacketsDropped   finding.Code = "PacketsDropped"
)

// The codes of a pod that does not start.
const (
	KubeletSilent    finding.Code = "KubeletSilent"
	ImagePullFailed  finding.Code = "ImagePullFailed"
	ImagePullSlow    finding.Code = "ImagePullSlow"
	ImageNotOnNode   finding.Code = "ImageNotOnNode"
	ImageWrong       finding.Code = "ImageWrong"
	ContainerFailed  finding.Code = "ContainerFailed"
	SandboxFailed    finding.Code = "SandboxFailed"
	NodeFull         finding.Code = "NodeFull"
	AffinityRefused  finding.Code = "AffinityRefused"
	KubeletRejected  finding.Code = "KubeletRejected"
	HelperEnded      finding.Code = "HelperEnded"
	HelperNotStarted finding.Code = "HelperNotStarted"
)

// Catalogue describes every code, sorted by code.
func Catalogue() []finding.Entry { return book.Catalogue() }

// book is the catalogue. No rule has a check: a session finds these things one by one on its way, and none explains another.
var book = finding.NewBook(
	finding.Rule[Input]{Entry: finding.Entry{
		Code: AdmissionChanged, Severity: finding.Critical, Title: "Admission changed the pod",
		Meaning: "A mutating webhook or admission plugin made another pod of the one asked for. What would show the image or another " +
			"node as the node is refused before anything runs; a lost hostIPC or a pull that was not asked for is a warning.",
		Evidence: "The created pod's hostPID, hostNetwork, hostIPC, nodeName, container, image, pull policy or privileged is not what was sent.",
		Next:     "Use a namespace that the webhook leaves alone, or the image that it puts there.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: AffinityRefused, Severity: finding.Critical, Title: "The kubelet refuses the pod for its node selector, affinity or a taint",
		Meaning:  "nodeshell sets neither selector nor affinity and tolerates every taint: the namespace or a webhook added one.",
		Evidence: "Pod status reason NodeAffinity or a taint's name.",
		Next:     "Use a namespace without a default node selector.",
		Source:   "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/lifecycle/predicate.go",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ContainerFailed, Severity: finding.Critical, Title: "The container cannot start",
		Meaning:  "The image is on the node, but the runtime cannot start it: mostly an image without sh.",
		Evidence: "Container status CreateContainerError, RunContainerError or StartError with the runtime's text.",
		Next:     "Choose an image with sh and nsenter, such as busybox.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: CreateForbidden, Severity: finding.Critical, Title: "Not allowed to create the pod",
		Meaning:  "RBAC does not let this user create pods there.",
		Evidence: "403 of a dry-run create, with the API server's text.",
		Next:     "Ask for the permission in docs/nodeshell.md, which equals root on every node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: CriticalMayEvict, Severity: finding.Warning, Title: "--critical may stop a workload",
		Meaning:  "A pod of priority system-node-critical lets the kubelet preempt others where the node is full.",
		Evidence: "--critical was given.",
		Next:     "Give --critical only where the node refuses normal pods.",
		Source:   "https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HelperEnded, Severity: finding.Critical, Title: "The helper pod ended",
		Meaning:  "The pod started and ended at once, or was deleted from outside.",
		Evidence: "Its container's exit code and message.",
		Next:     "Look whether a policy controller deletes privileged pods, and whether the image has sh.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: HelperNotStarted, Severity: finding.Critical, Title: "The pod did not start in time",
		Meaning:  "Nothing final was seen, and the time of --start-timeout is over.",
		Evidence: "The pod's last status.",
		Next:     "Wait longer with --start-timeout, or look at the node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ImageNotOnNode, Severity: finding.Critical, Title: "The image is not on the node",
		Meaning:  "The pull policy forbids pulling, and the node does not have the image, or had it pulled with a secret.",
		Evidence: "Container status ErrImageNeverPull.",
		Next:     "Name an image that is on the node.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ImagePullFailed, Severity: finding.Critical, Title: "The image cannot be pulled",
		Meaning:  "The registry or the way to it refuses: a wrong name, missing credentials, a rate limit, no route.",
		Evidence: "Container status " + podfact.ErrImagePull + " or " + podfact.ImagePullBackOff + ", and the registry's words.",
		Next:     "--no-pull uses what the node has; --image and --pull-secret choose another image or credentials.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ImagePullSlow, Severity: finding.Critical, Title: "The image is still being pulled",
		Meaning:  "The pull goes on without an error, and the patience is over.",
		Evidence: "Event Pulling without Pulled.",
		Next:     "--no-pull, a smaller --image, or more patience with --start-timeout.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: ImageWrong, Severity: finding.Critical, Title: "The image does not fit",
		Meaning:  "Its name is not valid, or it is made for another processor.",
		Evidence: "InvalidImageName, 'no match for platform' or 'exec format error'.",
		Next:     "Choose a multi-platform image.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: KubeletRejected, Severity: finding.Critical, Title: "The kubelet refuses the pod",
		Meaning:  "Its admission found a reason of its own.",
		Evidence: "Pod status reason and message.",
		Next:     "Read the reason; --critical helps against limits only.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: KubeletSilent, Severity: finding.Critical, Title: "The kubelet does not react",
		Meaning:  "The pod is bound to the node and its kubelet has said nothing: it hangs, or is cut off from the API server.",
		Evidence: "A pod without start time for more than five seconds.",
		Next:     "Reach the node by other means: its console, or the cloud's.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NamespaceRefused, Severity: finding.Critical, Title: "Pod Security refuses the pod in this namespace",
		Meaning:  "The namespace enforces a level that forbids privileged pods. nodeshell never relabels a namespace.",
		Evidence: "403 of a dry-run create that names PodSecurity.",
		Next:     "-n with a namespace that allows it, or --create-namespace.",
		Source:   "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NoPullImpossible, Severity: finding.Critical, Title: "--no-pull cannot work here",
		Meaning:  "It needs an image of a running pod without pull secrets and the tools of a usual host.",
		Evidence: "No such pod on the node, or an operating system without /usr/bin/sh.",
		Next:     "Name an image with --image.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeFull, Severity: finding.Critical, Title: "The node has no room for another pod",
		Meaning:  "The kubelet counts pods, processor and memory; nodeshell asks for none, so it is mostly the number of pods.",
		Evidence: "Pod status OutOfpods, OutOfcpu or OutOfmemory.",
		Next:     "--critical makes room by stopping a workload.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "The node is not ready",
		Meaning:  "The kubelet lives and reports a fault. A shell needs no pod network and mostly starts all the same.",
		Evidence: "Node condition Ready is False.",
		Next:     "Go on; kubectl nodeinfo tells the cause.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodePressure, Severity: finding.Critical, Title: "The node refuses normal pods for lack of disk or process IDs",
		Meaning:  "Under DiskPressure and PIDPressure the kubelet admits critical pods only. Under MemoryPressure this pod is admitted.",
		Evidence: "Node condition DiskPressure or PIDPressure, or pod status Evicted.",
		Next:     "--critical, which may stop a workload.",
		Source:   "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeSilent, Severity: finding.Critical, Title: "The node's kubelet is silent",
		Meaning:  "No pod can start on a node whose kubelet does not report.",
		Evidence: "The node's lease is older than its duration; without the lease, condition Ready is Unknown.",
		Next:     "Reach the node by other means; --force tries all the same.",
		Source:   "https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: NodeVirtual, Severity: finding.Critical, Title: "The node is not a machine",
		Meaning:  "A virtual kubelet, Fargate or kwok has no host to enter.",
		Evidence: "The node's labels, taints or kubelet version.",
		Next:     "Use kubectl exec in the pod itself.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PacketsDropped, Severity: finding.Warning, Title: "The kernel dropped packets",
		Meaning:  "tcpdump was slower than the traffic: packets are missing from the capture.",
		Evidence: "tcpdump's counter of packets dropped by the kernel.",
		Next:     "A narrower filter, or a smaller --snaplen.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: PodOnHostNetwork, Severity: finding.Warning, Title: "The pod uses the node's own network",
		Meaning:  "What is seen there is the traffic of the node and of every pod on its network, not of this pod alone.",
		Evidence: "Pod spec hostNetwork.",
		Next:     "Filter by the pod's ports.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: QuotaRefused, Severity: finding.Critical, Title: "A quota or limit range refuses the pod",
		Meaning:  "The namespace has no room for another pod, or demands requests and limits.",
		Evidence: "403 of a dry-run create that names the quota.",
		Next:     "Another namespace with -n.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: SandboxFailed, Severity: finding.Critical, Title: "The runtime cannot make the pod's sandbox",
		Meaning:  "The container runtime itself fails; nodeshell needs no pod network, so it is not the CNI.",
		Evidence: "Event FailedCreatePodSandBox.",
		Next:     "Look at the runtime on the node by other means.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: StaysInImage, Severity: finding.Info, Title: "The shell stays in the image",
		Meaning:  "The host has no usable shell (Talos, Bottlerocket), or -x was given; its files are at /host.",
		Evidence: "The node's osImage.",
		Next:     "Use the image's tools; /host is the node's root.",
	}},
	finding.Rule[Input]{Entry: finding.Entry{
		Code: WebhookRefused, Severity: finding.Critical, Title: "An admission webhook refuses the pod",
		Meaning:  "A policy engine forbids it.",
		Evidence: "The webhook's name and message.",
		Next:     "Ask for an exception for one namespace.",
	}},
)
