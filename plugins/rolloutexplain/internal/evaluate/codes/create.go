package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// createEntries are the codes of pods that are refused or that no node takes.
var createEntries = []entry{
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodsMissing, Severity: finding.Critical, Title: "Pods are not created and nothing says why",
		Meaning:  "The controller wants pods that do not exist, and no event of the last hour explains it.",
		Evidence: "spec.replicas against the pods that exist", Next: "is the controller-manager alive",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: QuotaExceeded, Severity: finding.Critical, Title: "A quota is used up",
		Meaning:  "A ResourceQuota refuses more pods. A rollout that surges needs room beside the old pods.",
		Evidence: "FailedCreate events", Next: "make room, or surge less",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: QuotaMustSpecify, Severity: finding.Critical, Title: "A quota demands requests or limits",
		Meaning:  "A quota on a resource refuses pods that do not say how much they want.",
		Evidence: "FailedCreate events", Next: "set them, or a default by LimitRange",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: LimitRangeViolated, Severity: finding.Critical, Title: "A LimitRange forbids it",
		Meaning:  "The resources are outside what the namespace allows.",
		Evidence: "FailedCreate events", Next: "change the resources",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodSecurityViolated, Severity: finding.Critical, Title: "Pod Security forbids it",
		Meaning:  "The namespace enforces a level that the template does not meet.",
		Evidence: "FailedCreate events", Next: "change the securityContext",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: AdmissionPolicyDenied, Severity: finding.Critical, Title: "An admission policy denies it",
		Meaning:  "A ValidatingAdmissionPolicy refuses the object.",
		Evidence: "FailedCreate events", Next: "read the policy's rule",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: WebhookDenied, Severity: finding.Critical, Title: "An admission webhook denies it",
		Meaning:  "A webhook refuses the object.",
		Evidence: "FailedCreate events", Next: "find the webhook and its rule",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: WebhookUnreachable, Severity: finding.Critical, Title: "An admission webhook cannot be called",
		Meaning:  "The API server must ask a webhook and cannot.",
		Evidence: "FailedCreate events", Next: "its Service and endpoints",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: ServiceAccountMissing, Severity: finding.Critical, Title: "The ServiceAccount does not exist",
		Meaning:  "Pods name a ServiceAccount that is not there.",
		Evidence: "FailedCreate events", Next: "create it, or correct the name",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PriorityClassMissing, Severity: finding.Critical, Title: "The PriorityClass does not exist",
		Meaning:  "Pods name a PriorityClass that is not there.",
		Evidence: "FailedCreate events", Next: "create it, or correct the name",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: RuntimeClassMissing, Severity: finding.Critical, Title: "The RuntimeClass does not exist",
		Meaning:  "Pods name a RuntimeClass that is not there.",
		Evidence: "FailedCreate events", Next: "create it, or correct the name",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodInvalid, Severity: finding.Critical, Title: "The pod is invalid",
		Meaning:  "The API server finds a field of the pod invalid.",
		Evidence: "FailedCreate events", Next: "correct the field",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: ClaimDeleting, Severity: finding.Critical, Title: "Its volume claim is being deleted",
		Meaning:  "A claim of that name is still going away.",
		Evidence: "FailedCreate events", Next: "what holds the claim",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: NameConflict, Severity: finding.Critical, Title: "The name is taken",
		Meaning:  "Another object has the name that the pod must have.",
		Evidence: "FailedCreate events", Next: "rename or delete the other",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodCreateRefused, Severity: finding.Critical, Title: "The pod is refused",
		Meaning:  "The API server refuses the pod, for a reason that is passed on as it stands.",
		Evidence: "FailedCreate events", Next: "read the refusal",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InsufficientResources, Severity: finding.Critical, Title: "No node has room",
		Meaning:  "Every node that fits otherwise has too little of a resource free.",
		Evidence: "PodScheduled condition; requests and allocatable of nodes", Next: "lower the request, or make room",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TooManyPods, Severity: finding.Critical, Title: "Nodes hold as many pods as they may",
		Meaning:  "The nodes' limit of pods is reached.",
		Evidence: "PodScheduled condition", Next: "more nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TaintNotTolerated, Severity: finding.Critical, Title: "Taints keep it off every node",
		Meaning:  "Every node that is left has a taint that the pod does not tolerate.",
		Evidence: "PodScheduled condition; taints of nodes", Next: "a toleration, or cure the nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodeSelectorUnmet, Severity: finding.Critical, Title: "No node has the wanted labels",
		Meaning:  "The node selector or affinity matches no node.",
		Evidence: "PodScheduled condition; labels of nodes", Next: "correct the selector, or label a node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodAffinityUnmet, Severity: finding.Critical, Title: "Affinity to other pods keeps it off",
		Meaning:  "Rules about which pods may stand beside each other leave no node.",
		Evidence: "PodScheduled condition", Next: "let an old pod go first",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TopologySpread, Severity: finding.Critical, Title: "Spread constraints keep it off",
		Meaning:  "Spread constraints leave no node.",
		Evidence: "PodScheduled condition", Next: "the labels and skew of the domains",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: HostPortTaken, Severity: finding.Critical, Title: "Its host port is taken",
		Meaning:  "On every node that is left another pod has the host port.",
		Evidence: "PodScheduled condition", Next: "let an old pod go first",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodesCordoned, Severity: finding.Critical, Title: "Nodes are cordoned",
		Meaning:  "The nodes that are left are marked unschedulable.",
		Evidence: "PodScheduled condition", Next: "uncordon",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ClaimMissing, Severity: finding.Critical, Title: "Its volume claim does not exist",
		Meaning:  "The pod names a claim that is not there.",
		Evidence: "PodScheduled condition", Next: "create it",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ClaimUnbound, Severity: finding.Critical, Title: "Its volume claim is not bound",
		Meaning:  "The claim has no volume yet.",
		Evidence: "PodScheduled condition; the claim's events", Next: "the claim's events and storage class",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeElsewhere, Severity: finding.Critical, Title: "Its volume is reachable from no fitting node",
		Meaning:  "The volume belongs to a zone or node without room for the pod.",
		Evidence: "PodScheduled condition", Next: "zones of the volume and of the nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeLimit, Severity: finding.Critical, Title: "Nodes hold as many volumes as they may",
		Meaning:  "The nodes' limit of attached volumes is reached.",
		Evidence: "PodScheduled condition", Next: "more nodes",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ResourceClaimUnmet, Severity: finding.Critical, Title: "Its device claim cannot be met",
		Meaning:  "No node can give the devices that the pod claims.",
		Evidence: "PodScheduled condition", Next: "the claims and the device plugin",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Unschedulable, Severity: finding.Critical, Title: "No node takes it",
		Meaning:  "Nodes refuse it for different reasons, or for one that has no name here.",
		Evidence: "PodScheduled condition", Next: "the reasons one by one",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SchedulingGated, Severity: finding.Warning, Title: "A scheduling gate holds it",
		Meaning:  "Whoever set the gate has not taken it off.",
		Evidence: "spec.schedulingGates", Next: "the gate's owner",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SchedulerUnknown, Severity: finding.Critical, Title: "No scheduler of that name looks at it",
		Meaning:  "spec.schedulerName names a scheduler that does not run.",
		Evidence: "no PodScheduled condition", Next: "correct the name, or start that scheduler",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SchedulerSilent, Severity: finding.Warning, Title: "No scheduler has looked at it",
		Meaning:  "The default scheduler is down or late.",
		Evidence: "no PodScheduled condition; the scheduler's lease", Next: "the scheduler",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Preempting, Severity: finding.Critical, Title: "Other pods are preempted for it",
		Meaning:  "The scheduler makes room on a node.",
		Evidence: "status.nominatedNodeName", Next: "wait",
	}},
}
