package evaluate

import (
	"slices"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// The finding codes: stable names.
const (
	KubeletNotReporting   finding.Code = "KubeletNotReporting"
	ReadyStale            finding.Code = "ReadyStale"
	HeartbeatLate         finding.Code = "HeartbeatLate"
	NeverReported         finding.Code = "NeverReported"
	StatusStale           finding.Code = "StatusStale"
	ClockSkew             finding.Code = "ClockSkew"
	ContainerRuntimeDown  finding.Code = "ContainerRuntimeDown"
	NetworkPluginNotReady finding.Code = "NetworkPluginNotReady"
	NodeShuttingDown      finding.Code = "NodeShuttingDown"
	NodeNotReady          finding.Code = "NodeNotReady"
	NodeJoining           finding.Code = "NodeJoining"
	DiskPressure          finding.Code = "DiskPressure"
	MemoryPressure        finding.Code = "MemoryPressure"
	PIDPressure           finding.Code = "PIDPressure"
	NetworkUnavailable    finding.Code = "NetworkUnavailable"
	ConditionProblem      finding.Code = "ConditionProblem"

	KubeletNewerThanServer finding.Code = "KubeletNewerThanServer"
	KubeletTooOld          finding.Code = "KubeletTooOld"
	ProxyVersionSkew       finding.Code = "ProxyVersionSkew"
	RuntimeDeprecated      finding.Code = "RuntimeDeprecated"
	CgroupV1               finding.Code = "CgroupV1"
	IPVSDeprecated         finding.Code = "IPVSDeprecated"
	NetworkPodNotReady     finding.Code = "NetworkPodNotReady"
	KubeProxyNotReady      finding.Code = "KubeProxyNotReady"
	StorageDriverNotReady  finding.Code = "StorageDriverNotReady"

	DevicePluginLost  finding.Code = "DevicePluginLost"
	Overcommitted     finding.Code = "Overcommitted"
	MemoryAlmostFull  finding.Code = "MemoryAlmostFull"
	PodSlotsFull      finding.Code = "PodSlotsFull"
	PodIPsExhausted   finding.Code = "PodIPsExhausted"
	VolumeLimit       finding.Code = "VolumeLimitReached"
	VolumeAttachError finding.Code = "VolumeAttachFailed"

	Cordoned                finding.Code = "Cordoned"
	CloudNotInitialized     finding.Code = "CloudNotInitialized"
	AutoscalerDeleting      finding.Code = "AutoscalerDeleting"
	AutoscalerDeletionStuck finding.Code = "AutoscalerDeletionStuck"
	OutOfService            finding.Code = "OutOfService"

	PodCrashLooping     finding.Code = "PodCrashLooping"
	PodNotStarting      finding.Code = "PodNotStarting"
	PodStuckTerminating finding.Code = "PodStuckTerminating"
	PodsEvicted         finding.Code = "PodsEvicted"
	DaemonSetPodMissing finding.Code = "DaemonSetPodMissing"

	SystemOOM          finding.Code = "SystemOOM"
	KubeletTrouble     finding.Code = "KubeletTrouble"
	KubeletUnreachable finding.Code = "KubeletUnreachable"
	WarningEvents      finding.Code = "WarningEvents"
	Rebooted           finding.Code = "Rebooted"
	ReadyFlapping      finding.Code = "ReadyFlapping"
	ControlPlaneDown   finding.Code = "ControlPlaneComponentDown"
	LeaderLeaseExpired finding.Code = "LeaderLeaseExpired"
	APIServerNotReady  finding.Code = "APIServerNotReady"
)

func healthRules() []rule {
	return []rule{
		{Entry: finding.Entry{
			Code:     KubeletNotReporting,
			Severity: finding.Critical,
			Title:    "the node does not report",
			Meaning:  "The API server has heard nothing from the kubelet for longer than the node controller waits, and Ready is Unknown. The node may be dead, its kubelet stopped or hung, the network to the API server cut, or its credentials refused (expired certificate): from the API alone these look alike.",
			Evidence: "Node condition Ready=Unknown and the age of the Lease in kube-node-lease.",
			Next:     "Ask the kubelet itself through the API server: an answer means the node lives and cannot reach the API server or is refused by it.",
		}},
		{Entry: finding.Entry{
			Code:     ReadyStale,
			Severity: finding.Critical,
			Title:    "Ready=True is not true any more",
			Meaning:  "The node's heartbeat stopped longer ago than the node controller waits, yet Ready is still True: nobody has marked the node. Either that is about to happen or the controller-manager is not working.",
			Evidence: "Age of the Lease, with Node condition Ready=True; the lease of kube-controller-manager when readable.",
			Next:     "Look at the controller-manager's lease, and ask the kubelet itself.",
		}},
		{Entry: finding.Entry{
			Code:     HeartbeatLate,
			Severity: finding.Warning,
			Title:    "the heartbeat is late",
			Meaning:  "The kubelet renews its lease every 10 s; this one is older than its duration. It may be the first seconds of a dead kubelet, or an overloaded node or API server.",
			Evidence: "Age of the Lease against spec.leaseDurationSeconds.",
			Next:     "Look again in 20 s.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     NeverReported,
			Severity: finding.Critical,
			Title:    "the kubelet has never reported",
			Meaning:  "The Node object exists and no kubelet has ever posted its status.",
			Evidence: "Ready=Unknown with reason NodeStatusNeverUpdated, or no Ready condition and no lease.",
			Next:     "Look at the kubelet's own log on the machine; delete the Node object if the machine is gone.",
		}},
		{Entry: finding.Entry{
			Code:     StatusStale,
			Severity: finding.Warning,
			Title:    "the kubelet is alive and its status is old",
			Meaning:  "The lease is fresh, and the conditions have not been posted for longer than twice the kubelet's report interval of 5 min. The node controller calls such a node healthy; its conditions cannot be believed.",
			Evidence: "Fresh Lease; lastHeartbeatTime of Ready older than 11 min.",
			Next:     "Read the kubelet's log for failed node status updates.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     ClockSkew,
			Severity: finding.Warning,
			Title:    "the node's clock is wrong",
			Meaning:  "The time that the node writes into its lease differs from the API server's clock at the moment of writing. Certificates, tokens, logs and leader elections on that node suffer.",
			Evidence: "Lease renewTime (node's clock) against managedFields time (server's clock).",
			Next:     "Look at time synchronisation (chrony, timesyncd) on the node.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     ContainerRuntimeDown,
			Severity: finding.Critical,
			Title:    "the container runtime is down",
			Meaning:  "The kubelet runs and the container runtime does not answer it. Running containers may go on; nothing is started, stopped or probed.",
			Evidence: "Ready=False with a message of RuntimeReady=false, PLEG or a runtime that is down.",
			Next:     "Restart the runtime on the node and read its log.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     NetworkPluginNotReady,
			Severity: finding.Critical,
			Title:    "the pod network (CNI) is not ready",
			Meaning:  "The runtime found no usable CNI configuration. New pods stay in ContainerCreating; running ones keep their network.",
			Evidence: "Ready=False with NetworkReady=false / NetworkPluginNotReady, and the CNI's pod on this node.",
			Next:     "Look at the CNI's pod on this node: it writes the configuration in /etc/cni/net.d.",
		}, consequenceOf: append([]finding.Code{ContainerRuntimeDown}, silent...)},
		{Entry: finding.Entry{
			Code:     NodeShuttingDown,
			Severity: finding.Critical,
			Title:    "the node is shutting down",
			Meaning:  "The machine was told to shut down, and the kubelet is ending its pods in order.",
			Evidence: "Ready=False with \"node is shutting down\".",
			Next:     "Nothing, if it was meant; otherwise find who shut it down.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     NodeNotReady,
			Severity: finding.Critical,
			Title:    "the kubelet says that it is not ready",
			Meaning:  "The kubelet reports, and says that the node cannot run pods, for a reason of another kind than runtime or network.",
			Evidence: "The message of Ready=False.",
			Next:     "Read the message, then the kubelet's log.",
		}},
		{Entry: finding.Entry{
			Code:     NodeJoining,
			Severity: finding.Warning,
			Title:    "the node is joining",
			Meaning:  "The node is younger than five minutes and has not been Ready yet.",
			Evidence: "Creation time and Ready=False since then.",
			Next:     "Wait for Ready; look again after five minutes.",
		}},
		{Entry: finding.Entry{
			Code:     DiskPressure,
			Severity: finding.Critical,
			Title:    "the node runs out of disk",
			Meaning:  "Free space or inodes of the node's or the images' filesystem are below an eviction threshold: the kubelet deletes images, evicts pods and takes no new ones. It stays set five minutes after the space is back.",
			Evidence: "Node condition DiskPressure=True; eviction events.",
			Next:     "Find who fills the disk.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     PIDPressure,
			Severity: finding.Critical,
			Title:    "the node runs out of process IDs",
			Meaning:  "Too many processes: the kubelet evicts pods.",
			Evidence: "Node condition PIDPressure=True.",
			Next:     "Find the pod that forks without end.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     MemoryPressure,
			Severity: finding.Warning,
			Title:    "the node runs out of memory",
			Meaning:  "Available memory is below an eviction threshold: the kubelet evicts pods and takes no best-effort ones.",
			Evidence: "Node condition MemoryPressure=True.",
			Next:     "Find the biggest users.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     NetworkUnavailable,
			Severity: finding.Critical,
			Title:    "the node's network is not set up",
			Meaning:  "The network plugin or the cloud's route controller says that this node has no pod network.",
			Evidence: "Node condition NetworkUnavailable=True.",
			Next:     "Look at the CNI's pod on this node, or the cloud controller's routes.",
		}},
		{Entry: finding.Entry{
			Code:     ConditionProblem,
			Severity: finding.Warning,
			Title:    "a condition reports trouble",
			Meaning:  "A condition set by another program (node-problem-detector, a cloud's agent) has its bad status.",
			Evidence: "The condition, its reason and message.",
			Next:     "Follow its message.",
		}, consequenceOf: silent},
	}
}

func componentRules() []rule {
	return []rule{
		{Entry: finding.Entry{
			Code:     KubeletNewerThanServer,
			Severity: finding.Warning,
			Title:    "the kubelet is newer than the API server",
			Meaning:  "Kubelets must not be newer than any API server.",
			Evidence: "Node kubeletVersion and /version.",
			Next:     "Upgrade the control plane first.",
		}},
		{Entry: finding.Entry{
			Code:     KubeletTooOld,
			Severity: finding.Warning,
			Title:    "the kubelet is too old for the API server",
			Meaning:  "A kubelet may be at most three minors older than the API server (two before 1.25).",
			Evidence: "Node kubeletVersion and /version.",
			Next:     "Upgrade or replace the node.",
		}},
		{Entry: finding.Entry{
			Code:     ProxyVersionSkew,
			Severity: finding.Warning,
			Title:    "kube-proxy's version does not fit",
			Meaning:  "kube-proxy must not be newer than the API server, nor more than three minors older.",
			Evidence: "The image tag of kube-proxy's pod on this node.",
			Next:     "Update the kube-proxy DaemonSet.",
		}},
		{Entry: finding.Entry{
			Code:     RuntimeDeprecated,
			Severity: finding.Info,
			Title:    "the container runtime's version is at its end",
			Meaning:  "containerd 1.x and dockershim-style runtimes lose support in coming kubelets.",
			Evidence: "Node containerRuntimeVersion.",
			Next:     "Plan the runtime's upgrade with the next node image.",
		}},
		{Entry: finding.Entry{
			Code:     CgroupV1,
			Severity: finding.Info,
			Title:    "the node uses cgroup v1",
			Meaning:  "cgroup v1 is deprecated: kubelets from 1.35 on refuse it unless told otherwise.",
			Evidence: "The kubelet's CgroupV1 event.",
			Next:     "Plan a node image with cgroup v2.",
		}},
		{Entry: finding.Entry{
			Code:     IPVSDeprecated,
			Severity: finding.Info,
			Title:    "kube-proxy runs in ipvs mode",
			Meaning:  "The ipvs mode is deprecated since 1.35.",
			Evidence: "kube-proxy's mode.",
			Next:     "Plan the change to nftables.",
		}},
		{Entry: finding.Entry{
			Code:     NetworkPodNotReady,
			Severity: finding.Warning,
			Title:    "the CNI's pod on this node is not ready",
			Meaning:  "The network plugin's agent on this node does not run well: new pods may get no network, routes and policies may be old.",
			Evidence: "The pod's containers.",
			Next:     "Read its log.",
		}, consequenceOf: starved},
		{Entry: finding.Entry{
			Code:     KubeProxyNotReady,
			Severity: finding.Warning,
			Title:    "kube-proxy on this node is not ready",
			Meaning:  "Service addresses on this node are not kept up to date.",
			Evidence: "The pod's containers.",
			Next:     "Read its log.",
		}, consequenceOf: starved},
		{Entry: finding.Entry{
			Code:     StorageDriverNotReady,
			Severity: finding.Warning,
			Title:    "a CSI driver's pod on this node is not ready",
			Meaning:  "Volumes of that driver cannot be mounted or unmounted here.",
			Evidence: "The pod's containers.",
			Next:     "Read its log.",
		}, consequenceOf: starved},
	}
}

func resourceRules() []rule {
	return []rule{
		{Entry: finding.Entry{
			Code:     DevicePluginLost,
			Severity: finding.Warning,
			Title:    "devices are gone",
			Meaning:  "The node has devices (GPUs) of which none, or fewer than requested, can be allocated: the device plugin died or devices are unhealthy.",
			Evidence: "Node capacity, allocatable, and what pods requested.",
			Next:     "Look at the device plugin's pod on this node.",
		}, consequenceOf: stopped},
		{Entry: finding.Entry{
			Code:     Overcommitted,
			Severity: finding.Warning,
			Title:    "requests exceed what the node can give",
			Meaning:  "More is requested than allocatable: static pods, a shrunk node, or pods bound by hand. The scheduler places nothing more here.",
			Evidence: "Sum of the pods' requests, as the scheduler counts.",
			Next:     "Find the biggest requests.",
		}},
		{Entry: finding.Entry{
			Code:     MemoryAlmostFull,
			Severity: finding.Warning,
			Title:    "memory is almost full",
			Meaning:  "The working set is above 95 % of capacity: eviction or the OOM killer is near.",
			Evidence: "metrics.k8s.io.",
			Next:     "Find the biggest users.",
		}, consequenceOf: append([]finding.Code{MemoryPressure}, silent...)},
		{Entry: finding.Entry{
			Code:     PodSlotsFull,
			Severity: finding.Info,
			Title:    "no pod slot is left",
			Meaning:  "As many pods as the node's maximum are bound to it; no further pod is placed here whatever its size.",
			Evidence: "Pods that are not finished, against allocatable pods.",
			Next:     "Nothing, if others have room; otherwise raise maxPods or add nodes.",
		}},
		{Entry: finding.Entry{
			Code:     PodIPsExhausted,
			Severity: finding.Warning,
			Title:    "no pod address is left",
			Meaning:  "Every address of the node's pod CIDR is in use although pod slots are left: further pods stay in ContainerCreating.",
			Evidence: "Pod IPs within spec.podCIDR.",
			Next:     "Lower maxPods to what the CIDR holds, or give nodes larger CIDRs.",
		}},
		{Entry: finding.Entry{
			Code:     VolumeLimit,
			Severity: finding.Warning,
			Title:    "no further volume can be attached",
			Meaning:  "A CSI driver has as many volumes attached as it allows on this node.",
			Evidence: "CSINode limits and VolumeAttachments.",
			Next:     "Move pods with volumes elsewhere.",
		}},
		{Entry: finding.Entry{
			Code:     VolumeAttachError,
			Severity: finding.Warning,
			Title:    "a volume cannot be attached or detached",
			Meaning:  "The CSI driver's controller failed at attaching a volume to this node or detaching it.",
			Evidence: "VolumeAttachment status.",
			Next:     "Follow the error's text; look at the CSI controller.",
		}},
	}
}

func schedulingRules() []rule {
	return []rule{
		{Entry: finding.Entry{
			Code:     Cordoned,
			Severity: finding.Info,
			Title:    "the node is cordoned",
			Meaning:  "Somebody or something closed the node to new pods. That is no illness.",
			Evidence: "spec.unschedulable, its taint's time, and the field manager that set it.",
			Next:     "kubectl uncordon, when it is done.",
		}},
		{Entry: finding.Entry{
			Code:     CloudNotInitialized,
			Severity: finding.Warning,
			Title:    "the cloud controller has not initialised the node",
			Meaning:  "The taint node.cloudprovider.kubernetes.io/uninitialized is older than ten minutes: the cloud-controller-manager does not see this node or does not run.",
			Evidence: "The taint and the node's age.",
			Next:     "Look at the cloud-controller-manager.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     AutoscalerDeleting,
			Severity: finding.Info,
			Title:    "an autoscaler is removing the node",
			Meaning:  "Cluster Autoscaler, Karpenter or Cluster API has marked the node for removal; pods are moved away.",
			Evidence: "Its taint.",
			Next:     "Nothing.",
		}},
		{Entry: finding.Entry{
			Code:     AutoscalerDeletionStuck,
			Severity: finding.Warning,
			Title:    "the node's removal does not end",
			Meaning:  "An autoscaler marked the node for removal more than half an hour ago and it is still here, taking no pods.",
			Evidence: "The taint's age.",
			Next:     "Look at the autoscaler's log; remove the taint if it gave up.",
		}},
		{Entry: finding.Entry{
			Code:     OutOfService,
			Severity: finding.Info,
			Title:    "the node is declared out of service",
			Meaning:  "An administrator set node.kubernetes.io/out-of-service: its pods are deleted by force and its volumes detached.",
			Evidence: "The taint.",
			Next:     "Remove the taint when the node is back.",
		}},
	}
}

func podRules() []rule {
	return []rule{
		{Entry: finding.Entry{
			Code:     PodCrashLooping,
			Severity: finding.Warning,
			Title:    "a pod on the node keeps crashing",
			Meaning:  "A container ended and was restarted repeatedly, the last time within the last ten minutes.",
			Evidence: "restartCount, lastState and state of the container together: the waiting reason " + podfact.CrashLoopBackOff + " can be absent.",
			Next:     "Read the log of the previous run.",
		}, consequenceOf: starved},
		{Entry: finding.Entry{
			Code:     PodNotStarting,
			Severity: finding.Warning,
			Title:    "a pod on the node does not start",
			Meaning:  "The pod was bound to this node more than two minutes ago and a container does not start.",
			Evidence: "The waiting reason and the pod's events.",
			Next:     "Describe the pod.",
		}, consequenceOf: slices.Concat(noSandbox, noVolume, starved)},
		{Entry: finding.Entry{
			Code:     PodStuckTerminating,
			Severity: finding.Warning,
			Title:    "a pod on the node does not go away",
			Meaning:  "Its deletion passed its grace period more than a minute ago.",
			Evidence: "deletionTimestamp and finalizers.",
			Next:     "See what holds it: finalizers, a volume, or the runtime.",
		}, consequenceOf: append([]finding.Code{StorageDriverNotReady, VolumeAttachError}, starved...)},
		{Entry: finding.Entry{
			Code:     PodsEvicted,
			Severity: finding.Info,
			Title:    "pods were evicted",
			Meaning:  "The kubelet evicted pods of this node; their remains are still listed.",
			Evidence: "Failed pods with reason Evicted.",
			Next:     "Read why in one of them.",
		}, consequenceOf: starved},
		{Entry: finding.Entry{
			Code:     DaemonSetPodMissing,
			Severity: finding.Warning,
			Title:    "a DaemonSet has no pod here",
			Meaning:  "The DaemonSet's node selector, affinity and tolerations fit this node, and it has no pod on it.",
			Evidence: "DaemonSet, node labels and taints, pods on the node.",
			Next:     "Describe the DaemonSet: quota, admission or its controller stop it.",
		}, consequenceOf: append([]finding.Code{LeaderLeaseExpired}, starved...)},
	}
}
