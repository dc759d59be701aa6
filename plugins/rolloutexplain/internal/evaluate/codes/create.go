package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// createEntries are the codes of pods that are refused or that no node takes.
var createEntries = []entry{
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodsNotCreated, Severity: finding.Critical, Title: "Pods are not created for an unknown reason",
		Meaning:  "The controller wants pods that do not exist, and no event of the last hour explains it.",
		Evidence: "spec.replicas against the pods that exist", Next: "is the controller-manager alive",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: QuotaExceeded, Severity: finding.Critical, Title: "ResourceQuota is exceeded",
		Meaning:  "A ResourceQuota refuses more pods. A rollout that surges needs room beside the old pods.",
		Evidence: "FailedCreate events", Next: "make room, or surge less",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: QuotaRequiresResources, Severity: finding.Critical, Title: "ResourceQuota requires requests or limits",
		Meaning:  "A quota on a resource refuses pods that do not say how much they want.",
		Evidence: "FailedCreate events", Next: "set them, or a default by LimitRange",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: LimitRangeViolated, Severity: finding.Critical, Title: "Pod resources violate a LimitRange",
		Meaning:  "The resources are outside what the namespace allows.",
		Evidence: "FailedCreate events", Next: "change the resources",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodSecurityViolated, Severity: finding.Critical, Title: "Pod violates the enforced Pod Security Standard",
		Meaning:  "The namespace enforces a level that the template does not meet.",
		Evidence: "FailedCreate events", Next: "change the securityContext",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: AdmissionPolicyDenied, Severity: finding.Critical, Title: "Admission policy denies the request",
		Meaning:  "A ValidatingAdmissionPolicy refuses the object.",
		Evidence: "FailedCreate events", Next: "read the policy's rule",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: AdmissionWebhookDenied, Severity: finding.Critical, Title: "Admission webhook denies the request",
		Meaning:  "A webhook refuses the object.",
		Evidence: "FailedCreate events", Next: "find the webhook and its rule",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: AdmissionWebhookCallFailed, Severity: finding.Critical, Title: "API server cannot call an admission webhook",
		Meaning:  "The API server must ask a webhook and cannot.",
		Evidence: "FailedCreate events", Next: "its Service and endpoints",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: ServiceAccountNotFound, Severity: finding.Critical, Title: "ServiceAccount does not exist",
		Meaning:  "Pods name a ServiceAccount that is not there.",
		Evidence: "FailedCreate events", Next: "create it, or correct the name",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PriorityClassNotFound, Severity: finding.Critical, Title: "PriorityClass does not exist",
		Meaning:  "Pods name a PriorityClass that is not there.",
		Evidence: "FailedCreate events", Next: "create it, or correct the name",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: RuntimeClassNotFound, Severity: finding.Critical, Title: "RuntimeClass does not exist",
		Meaning:  "Pods name a RuntimeClass that is not there.",
		Evidence: "FailedCreate events", Next: "create it, or correct the name",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodInvalid, Severity: finding.Critical, Title: "Pod spec is invalid",
		Meaning:  "The API server finds a field of the pod invalid.",
		Evidence: "FailedCreate events", Next: "correct the field",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PVCTerminating, Severity: finding.Critical, Title: "PersistentVolumeClaim is still being deleted",
		Meaning:  "A claim of that name is still going away.",
		Evidence: "FailedCreate events", Next: "what holds the claim",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: NameAlreadyExists, Severity: finding.Critical, Title: "Object with the required name already exists",
		Meaning:  "Another object has the name that the pod must have.",
		Evidence: "FailedCreate events", Next: "rename or delete the other",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodCreationRejected, Severity: finding.Critical, Title: "API server rejects the pod",
		Meaning:  "The API server refuses the pod, for a reason that is passed on as it stands.",
		Evidence: "FailedCreate events", Next: "read the refusal",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InsufficientResources, Severity: finding.Critical, Title: "No node has enough free resources",
		Meaning:  "Every node that fits otherwise has too little of a resource free.",
		Evidence: "PodScheduled condition; requests and allocatable of nodes", Next: "lower the request, or make room",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TooManyPods, Severity: finding.Critical, Title: "Nodes have reached their maximum number of pods",
		Meaning:  "The nodes' limit of pods is reached.",
		Evidence: "PodScheduled condition", Next: "more nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: UntoleratedTaint, Severity: finding.Critical, Title: "Pod does not tolerate the node taints",
		Meaning:  "Every node that is left has a taint that the pod does not tolerate.",
		Evidence: "PodScheduled condition; taints of nodes", Next: "a toleration, or cure the nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodeAffinityUnsatisfied, Severity: finding.Critical, Title: "No node matches the node selector or affinity",
		Meaning:  "The node selector or affinity matches no node.",
		Evidence: "PodScheduled condition; labels of nodes", Next: "correct the selector, or label a node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodAffinityUnsatisfied, Severity: finding.Critical, Title: "Pod affinity or anti-affinity excludes every node",
		Meaning:  "Rules about which pods may stand beside each other leave no node.",
		Evidence: "PodScheduled condition", Next: "let an old pod go first",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TopologySpreadUnsatisfied, Severity: finding.Critical, Title: "Topology spread constraints exclude every node",
		Meaning:  "Spread constraints leave no node.",
		Evidence: "PodScheduled condition", Next: "the labels and skew of the domains",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: HostPortConflict, Severity: finding.Critical, Title: "Host port is in use on every eligible node",
		Meaning:  "On every node that is left another pod has the host port.",
		Evidence: "PodScheduled condition", Next: "let an old pod go first",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodesCordoned, Severity: finding.Critical, Title: "Eligible nodes are cordoned",
		Meaning:  "The nodes that are left are marked unschedulable.",
		Evidence: "PodScheduled condition", Next: "uncordon",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PVCNotFound, Severity: finding.Critical, Title: "PersistentVolumeClaim does not exist",
		Meaning:  "The pod names a claim that is not there.",
		Evidence: "PodScheduled condition", Next: "create it",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PVCNotBound, Severity: finding.Critical, Title: "PersistentVolumeClaim is not bound",
		Meaning:  "The claim has no volume yet.",
		Evidence: "PodScheduled condition; the claim's events", Next: "the claim's events and storage class",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeNodeAffinityConflict, Severity: finding.Critical, Title: "No eligible node can reach the volume",
		Meaning:  "The volume belongs to a zone or node without room for the pod.",
		Evidence: "PodScheduled condition", Next: "zones of the volume and of the nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeLimitReached, Severity: finding.Critical, Title: "Volume limit is reached",
		Meaning:  "The nodes' limit of attached volumes is reached.",
		Evidence: "PodScheduled condition", Next: "more nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ResourceClaimUnsatisfied, Severity: finding.Critical, Title: "No node can satisfy the ResourceClaim",
		Meaning:  "No node can give the devices that the pod claims.",
		Evidence: "PodScheduled condition", Next: "the claims and the device plugin",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Unschedulable, Severity: finding.Critical, Title: "No node can run the pod",
		Meaning:  "Nodes refuse it for different reasons, or for one that has no name here.",
		Evidence: "PodScheduled condition", Next: "the reasons one by one",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SchedulingGated, Severity: finding.Warning, Title: "Pod has a scheduling gate",
		Meaning:  "Whoever set the gate has not taken it off.",
		Evidence: "spec.schedulingGates", Next: "the gate's owner",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NamedSchedulerNotActing, Severity: finding.Critical, Title: "Scheduler named by the pod has not acted",
		Meaning:  "spec.schedulerName names a scheduler that does not run.",
		Evidence: "no PodScheduled condition", Next: "correct the name, or start that scheduler",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SchedulerNotActing, Severity: finding.Warning, Title: "Default scheduler has not acted",
		Meaning:  "The default scheduler is down or late.",
		Evidence: "no PodScheduled condition; the scheduler's lease", Next: "the scheduler",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PreemptionInProgress, Severity: finding.Critical, Title: "Scheduler is preempting other pods",
		Meaning:  "The scheduler makes room on a node.",
		Evidence: "status.nominatedNodeName", Next: "wait",
	}},
}
