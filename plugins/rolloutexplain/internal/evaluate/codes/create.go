package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// createEntries are the codes of pods that are refused or that no node takes.
var createEntries = []entry{
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodsNotCreated, Severity: finding.Critical, Title: "Pods are not created for an unknown reason",
		Meaning: "The controller should have created pods that do not exist, and no FailedCreate event of the last " +
			"hour explains why.",
		Evidence: "Desired pods above existing pods for at least 10s, no FailedCreate event in the last hour, and no " +
			"ReplicaFailure condition.",
		Next: "Check whether kube-controller-manager is running and renews its Lease.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: QuotaExceeded, Severity: finding.Critical, Title: "ResourceQuota is exceeded",
		Meaning: "A ResourceQuota of the namespace rejects more pods. A rollout with maxSurge needs quota for new pods " +
			"in addition to the old ones.",
		Evidence: "\"exceeded quota\" in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Free quota, raise the quota, or lower maxSurge.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: QuotaRequiresResources, Severity: finding.Critical, Title: "ResourceQuota requires requests or limits",
		Meaning: "A ResourceQuota on a resource rejects pods that do not set the request or limit of that resource.",
		Evidence: "\"failed quota: … must specify\" in a FailedCreate event or in the ReplicaSet condition " +
			"ReplicaFailure.",
		Next: "Set the request or limit in the pod template, or a default in a LimitRange.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: LimitRangeViolated, Severity: finding.Critical, Title: "Pod resources violate a LimitRange",
		Meaning: "The resources of the pod are outside the range that a LimitRange of the namespace allows.",
		Evidence: "Minimum, maximum or ratio of the LimitRange in a FailedCreate event or in the ReplicaSet condition " +
			"ReplicaFailure.",
		Next: "Change the resources in the pod template.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodSecurityViolated, Severity: finding.Critical, Title: "Pod violates the enforced Pod Security Standard",
		Meaning:  "The namespace enforces a Pod Security Standard that the pod template does not meet.",
		Evidence: "\"violates PodSecurity\" in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Change the securityContext in the pod template.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: AdmissionPolicyDenied, Severity: finding.Critical, Title: "Admission policy denies the request",
		Meaning:  "A ValidatingAdmissionPolicy denies the object, or a MutatingAdmissionPolicy cannot be applied to it.",
		Evidence: "Policy name and message in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Read the rules of the policy, then change the pod template.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: AdmissionWebhookDenied, Severity: finding.Critical, Title: "Admission webhook denies the request",
		Meaning: "An admission webhook denies the object.",
		Evidence: "\"admission webhook … denied the request\" in a FailedCreate event or in the ReplicaSet condition " +
			"ReplicaFailure.",
		Next: "Find the webhook and read its rules.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: AdmissionWebhookCallFailed, Severity: finding.Critical, Title: "API server cannot call an admission webhook",
		Meaning: "The API server must call an admission webhook for each pod, and the call fails. The webhook is " +
			"unreachable, times out, or its TLS certificate is not valid.",
		Evidence: "\"failed calling webhook\" in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Check the Service of the webhook and its endpoints.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: ServiceAccountNotFound, Severity: finding.Critical, Title: "ServiceAccount does not exist",
		Meaning:  "The pod template names a ServiceAccount that does not exist.",
		Evidence: "ServiceAccount name in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Create the ServiceAccount, or correct its name in the pod template.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PriorityClassNotFound, Severity: finding.Critical, Title: "PriorityClass does not exist",
		Meaning:  "The pod template names a PriorityClass that does not exist.",
		Evidence: "PriorityClass name in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Create the PriorityClass, or correct its name in the pod template.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: RuntimeClassNotFound, Severity: finding.Critical, Title: "RuntimeClass does not exist",
		Meaning:  "The pod template names a RuntimeClass that does not exist.",
		Evidence: "RuntimeClass name in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Create the RuntimeClass, or correct its name in the pod template.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodInvalid, Severity: finding.Critical, Title: "Pod spec is invalid",
		Meaning:  "The API server rejects the pod because a field of its spec is invalid.",
		Evidence: "\"is invalid\" and the field in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Correct the field in the pod template.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PVCTerminating, Severity: finding.Critical, Title: "PersistentVolumeClaim is still being deleted",
		Meaning:  "A PersistentVolumeClaim with the required name is still being deleted, so the pod cannot be created.",
		Evidence: "\"is being deleted\" and the name of the claim in a FailedCreate event.",
		Next:     "Check which finalizer or pod blocks the deletion of the PersistentVolumeClaim.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: NameAlreadyExists, Severity: finding.Critical, Title: "Object with the required name already exists",
		Meaning:  "An object that does not belong to this workload has the name that the new object requires.",
		Evidence: "\"already exists\" in a FailedCreate event.",
		Next:     "Rename or delete the other object.",
	}},
	{layer: LayerCreate, Entry: finding.Entry{
		Code: PodCreationRejected, Severity: finding.Critical, Title: "API server rejects the pod",
		Meaning: "The API server rejects the pod for a reason without a code of its own. The message quotes the reason " +
			"unchanged.",
		Evidence: "FailedCreate event or ReplicaSet condition ReplicaFailure.",
		Next:     "Read the error in full.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InsufficientResources, Severity: finding.Critical, Title: "No node has enough free resources",
		Meaning: "Each node that is otherwise eligible has too little of a resource free.",
		Evidence: "\"Insufficient\" in the pod condition PodScheduled; requests on each node against its allocatable " +
			"resources.",
		Next: "Lower the request, or free or add node capacity.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TooManyPods, Severity: finding.Critical, Title: "Nodes have reached their maximum number of pods",
		Meaning:  "The nodes that are left have reached the number of pods that their kubelets allow.",
		Evidence: "\"Too many pods\" in the pod condition PodScheduled.",
		Next:     "Add nodes, or remove pods from the nodes.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: UntoleratedTaint, Severity: finding.Critical, Title: "Pod does not tolerate the node taints",
		Meaning:  "Each node that is left has a taint that the pod does not tolerate.",
		Evidence: "\"untolerated taint\" in the pod condition PodScheduled; taints of the nodes.",
		Next:     "Add a toleration, or repair the nodes that are not ready.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodeAffinityUnsatisfied, Severity: finding.Critical, Title: "No node matches the node selector or affinity",
		Meaning:  "The node selector or the required node affinity of the pod matches no node.",
		Evidence: "\"node affinity/selector\" in the pod condition PodScheduled; labels of the nodes.",
		Next:     "Correct the selector or affinity, or label a node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodAffinityUnsatisfied, Severity: finding.Critical, Title: "Pod affinity or anti-affinity excludes every node",
		Meaning:  "The required pod affinity or anti-affinity, of this pod or of running ones, excludes every node.",
		Evidence: "\"pod affinity\" or \"anti-affinity\" in the pod condition PodScheduled.",
		Next:     "Let an old pod terminate first (maxSurge 0), or change the affinity.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TopologySpreadUnsatisfied, Severity: finding.Critical, Title: "Topology spread constraints exclude every node",
		Meaning:  "The topology spread constraints with whenUnsatisfiable DoNotSchedule exclude every node.",
		Evidence: "\"topology spread\" in the pod condition PodScheduled.",
		Next:     "Check the node labels of the topology key and the skew of its domains.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: HostPortConflict, Severity: finding.Critical, Title: "Host port is in use on every eligible node",
		Meaning:  "On each node that is left, another pod uses the host port that the pod requests.",
		Evidence: "\"didn't have free ports\" in the pod condition PodScheduled.",
		Next:     "Let an old pod terminate first (maxSurge 0), or change the host port.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodesCordoned, Severity: finding.Critical, Title: "Eligible nodes are cordoned",
		Meaning:  "The nodes that could run the pod are cordoned (spec.unschedulable).",
		Evidence: "\"were unschedulable\" in the pod condition PodScheduled; spec.unschedulable of the nodes.",
		Next:     "Run kubectl uncordon for a node once its maintenance is done.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PVCNotFound, Severity: finding.Critical, Title: "PersistentVolumeClaim does not exist",
		Meaning:  "The pod references a PersistentVolumeClaim that does not exist.",
		Evidence: "\"persistentvolumeclaim … not found\" in the pod condition PodScheduled.",
		Next:     "Create the PersistentVolumeClaim, or correct its name in the pod template.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PVCNotBound, Severity: finding.Critical, Title: "PersistentVolumeClaim is not bound",
		Meaning: "A PersistentVolumeClaim of the pod is not bound to a PersistentVolume.",
		Evidence: "\"unbound immediate PersistentVolumeClaims\" in the pod condition PodScheduled; phase and events of " +
			"the claim.",
		Next: "Check the events and the StorageClass of the PersistentVolumeClaim.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NoPersistentVolumeAvailable, Severity: finding.Critical, Title: "No PersistentVolume is available to bind",
		Meaning: "A PersistentVolumeClaim of the pod is bound only when the pod is scheduled. On the nodes that are " +
			"left, no existing PersistentVolume matches the claim, and its StorageClass cannot provision one, " +
			"such as for local volumes.",
		Evidence: "\"didn't find available persistent volumes to bind\" in the pod condition PodScheduled.",
		Next: "Compare the PersistentVolumes (size, access mode, StorageClass, node affinity) with the " +
			"PersistentVolumeClaim, and create one that matches.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeNodeAffinityConflict, Severity: finding.Critical, Title: "No eligible node can reach the volume",
		Meaning:  "The bound volume is restricted to a zone or node, and no node there can run the pod.",
		Evidence: "\"volume node affinity conflict\" or \"volume zone\" in the pod condition PodScheduled.",
		Next:     "Compare the node affinity of the volume with the zones and names of the nodes.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeLimitReached, Severity: finding.Critical, Title: "Volume limit is reached",
		Meaning:  "The nodes that are left have reached the number of volumes that can be attached to them.",
		Evidence: "\"exceed max volume count\" in the pod condition PodScheduled.",
		Next:     "Add nodes, or remove pods with volumes from the nodes.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeInUse, Severity: finding.Critical, Title: "Volume is in use by another pod",
		Meaning:  "A PersistentVolumeClaim of the pod has access mode ReadWriteOncePod, and another pod uses it.",
		Evidence: "\"ReadWriteOncePod\" in the pod condition PodScheduled; pods with the same PersistentVolumeClaim.",
		Next:     "Let the old pod terminate first (strategy Recreate).",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ResourceClaimUnsatisfied, Severity: finding.Critical, Title: "No node can satisfy the ResourceClaim",
		Meaning:  "No node can allocate the devices that the ResourceClaims of the pod request.",
		Evidence: "\"resourceclaim\" or \"cannot allocate all claims\" in the pod condition PodScheduled.",
		Next:     "Check the ResourceClaims of the pod and the DRA driver that offers the devices.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Unschedulable, Severity: finding.Critical, Title: "No node can run the pod",
		Meaning:  "The nodes are excluded for different reasons, or for one reason without a code of its own.",
		Evidence: "Pod condition PodScheduled=False with reason Unschedulable.",
		Next:     "Read the reasons in the message one by one.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SchedulingGated, Severity: finding.Warning, Title: "Pod has a scheduling gate",
		Meaning:  "A scheduling gate keeps the pod from being scheduled until the controller that set the gate removes it.",
		Evidence: "spec.schedulingGates.",
		Next:     "Check the controller that owns the gate.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NamedSchedulerNotActing, Severity: finding.Critical, Title: "Scheduler named by the pod has not acted",
		Meaning: "The scheduler that spec.schedulerName names has not acted on the pod. The scheduler may not exist, " +
			"or may not be running.",
		Evidence: "No pod condition PodScheduled after 10s; spec.schedulerName other than default-scheduler.",
		Next:     "Correct spec.schedulerName, or start that scheduler.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SchedulerNotActing, Severity: finding.Warning, Title: "Default scheduler has not acted",
		Meaning:  "The default scheduler has not acted on the pod. The scheduler may be down or delayed.",
		Evidence: "No pod condition PodScheduled after 10s; the Lease kube-scheduler in kube-system.",
		Next:     "Check whether kube-scheduler is running and renews its Lease.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PreemptionInProgress, Severity: finding.Critical, Title: "Scheduler is preempting other pods",
		Meaning:  "The scheduler is preempting pods of lower priority to free capacity on a node.",
		Evidence: "status.nominatedNodeName.",
		Next:     "Wait until the preempted pods have terminated.",
	}},
}
