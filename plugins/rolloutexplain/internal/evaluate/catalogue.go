package evaluate

import "github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"

// Codes of findings: stable, part of the JSON contract.
const (
	ControllerNotObserving = "ControllerNotObserving"
	ReplicaSetCreateError  = "ReplicaSetCreateError"
	Paused                 = "Paused"
	PartitionHold          = "PartitionHold"
	PartitionNever         = "PartitionNever"
	OnDelete               = "OnDelete"
	RecreateWaits          = "RecreateWaits"
	BudgetEaten            = "BudgetEaten"
	StatefulSetTrap        = "StatefulSetTrap"
	StatefulSetOrderedWait = "StatefulSetOrderedWait"
	StatefulSetUpdateError = "StatefulSetUpdateError"
	DaemonSetNodeHolds     = "DaemonSetNodeHolds"
	DaemonSetNodesLeftOut  = "DaemonSetNodesLeftOut"
	SelectorClash          = "SelectorClash"
	NamespaceTerminating   = "NamespaceTerminating"
	DeadlineExceeded       = "DeadlineExceeded"
	StaleDeadline          = "StaleDeadline"
	ScaledToZero           = "ScaledToZero"
	ForeignWriter          = "ForeignWriter"
	StillEnding            = "StillEnding"
	NoHistory              = "NoHistory"
	StaleChangeCause       = "StaleChangeCause"
	BrokeAfterCompletion   = "BrokeAfterCompletion"
	JobManagedElsewhere    = "JobManagedElsewhere"
	PodsMissing            = "PodsMissing"
	QuotaExceeded          = "QuotaExceeded"
	QuotaMustSpecify       = "QuotaMustSpecify"
	LimitRangeViolated     = "LimitRangeViolated"
	PodSecurityViolated    = "PodSecurityViolated"
	AdmissionPolicyDenied  = "AdmissionPolicyDenied"
	WebhookDenied          = "WebhookDenied"
	WebhookUnreachable     = "WebhookUnreachable"
	ServiceAccountMissing  = "ServiceAccountMissing"
	PriorityClassMissing   = "PriorityClassMissing"
	RuntimeClassMissing    = "RuntimeClassMissing"
	PodInvalid             = "PodInvalid"
	ClaimDeleting          = "ClaimDeleting"
	NameConflict           = "NameConflict"
	PodCreateRefused       = "PodCreateRefused"
	InsufficientResources  = "InsufficientResources"
	TooManyPods            = "TooManyPods"
	TaintNotTolerated      = "TaintNotTolerated"
	NodeSelectorUnmet      = "NodeSelectorUnmet"
	PodAffinityUnmet       = "PodAffinityUnmet"
	TopologySpread         = "TopologySpread"
	HostPortTaken          = "HostPortTaken"
	NodesCordoned          = "NodesCordoned"
	ClaimMissing           = "ClaimMissing"
	ClaimUnbound           = "ClaimUnbound"
	VolumeElsewhere        = "VolumeElsewhere"
	VolumeLimit            = "VolumeLimit"
	ResourceClaimUnmet     = "ResourceClaimUnmet"
	Unschedulable          = "Unschedulable"
	SchedulingGated        = "SchedulingGated"
	SchedulerUnknown       = "SchedulerUnknown"
	SchedulerSilent        = "SchedulerSilent"
	Preempting             = "Preempting"
	PodRejected            = "PodRejected"
	NodeNotReady           = "NodeNotReady"
	KubeletSilent          = "KubeletSilent"
	SandboxFailed          = "SandboxFailed"
	DynamicResources       = "DynamicResources"
	VolumeMountFailed      = "VolumeMountFailed"
	VolumeAttachFailed     = "VolumeAttachFailed"
	VolumeMultiAttach      = "VolumeMultiAttach"
	ConfigMapMissing       = "ConfigMapMissing"
	SecretMissing          = "SecretMissing"
	KeyMissing             = "KeyMissing"
	RunsAsRoot             = "RunsAsRoot"
	ContainerConfigError   = "ContainerConfigError"
	InvalidImageName       = "InvalidImageName"
	ImageNeverPull         = "ImageNeverPull"
	ImageNotFound          = "ImageNotFound"
	ImageUnauthorized      = "ImageUnauthorized"
	RegistryUnreachable    = "RegistryUnreachable"
	ImageDiskFull          = "ImageDiskFull"
	ImageRejected          = "ImageRejected"
	ImagePullFailed        = "ImagePullFailed"
	ImagePulling           = "ImagePulling"
	ContainerStartError    = "ContainerStartError"
	CrashLoop              = "CrashLoop"
	OOMKilled              = "OOMKilled"
	ExitsNormally          = "ExitsNormally"
	ExecFormatError        = "ExecFormatError"
	LivenessKilled         = "LivenessKilled"
	StartupKilled          = "StartupKilled"
	PostStartHookFailed    = "PostStartHookFailed"
	InitContainerFails     = "InitContainerFails"
	InitRunning            = "InitRunning"
	SidecarNotStarted      = "SidecarNotStarted"
	Evicted                = "Evicted"
	PodDisrupted           = "PodDisrupted"
	ReadinessFailing       = "ReadinessFailing"
	StartupPending         = "StartupPending"
	ReadinessGate          = "ReadinessGate"
	MinReadyWait           = "MinReadyWait"
	Flapping               = "Flapping"
	EndingInGrace          = "EndingInGrace"
	FinalizerHolds         = "FinalizerHolds"
	EndsOnDeadNode         = "EndsOnDeadNode"
	KillFails              = "KillFails"
	JobFailed              = "JobFailed"
	JobSuspended           = "JobSuspended"
	ArgoPaused             = "ArgoPaused"
	ArgoAborted            = "ArgoAborted"
	ArgoDegraded           = "ArgoDegraded"
	ArgoInvalidSpec        = "ArgoInvalidSpec"
	Unexplained            = "Unexplained"
)

// Layer is where in a rollout a cause sits.
type Layer string

// The layers.
const (
	LayerController Layer = "controller" // the controller itself does not act
	LayerCreate     Layer = "create"     // pods do not come into being
	LayerPod        Layer = "pod"        // a pod does not become available, or does not go
	LayerNote       Layer = "note"       // explains, blocks nothing
)

// entry is a code of the catalogue and its layer.
type entry struct {
	finding.Entry
	layer Layer
}

// Catalogue lists every code that a finding can have, in the order in which a rollout lives.
func Catalogue() []finding.Entry {
	list := make([]finding.Entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e.Entry)
	}
	return list
}

var entries = []entry{
	{layer: LayerController, Entry: finding.Entry{
		Code: ControllerNotObserving, Severity: finding.Critical, Title: "The controller has not acted on the newest change",
		Meaning:  "The change is written, and the controller has not taken it up: it is down, late, or fails on this object.",
		Evidence: "metadata.generation against status.observedGeneration; the component's lease in kube-system", Next: "look at the component's lease and at the object's events",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ReplicaSetCreateError, Severity: finding.Critical, Title: "The new ReplicaSet is refused",
		Meaning:  "The API server refuses the ReplicaSet of the new template, so no new pod is even asked for. The progress deadline never starts.",
		Evidence: "Deployment condition Progressing=False ReplicaSetCreateError, and the event of that name", Next: "what the refusal names: a quota on ReplicaSets, an invalid template, a policy",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: Paused, Severity: finding.Warning, Title: "The Deployment is paused",
		Meaning:  "A person has stopped it. Scaling still works, in proportion over all revisions; undo is refused.",
		Evidence: "spec.paused", Next: "kubectl rollout resume",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: PartitionHold, Severity: finding.Warning, Title: "The partition holds the update",
		Meaning:  "Pods below the partition keep the old template until it is lowered: a staged rollout.",
		Evidence: "spec.updateStrategy.rollingUpdate.partition", Next: "lower the partition",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: PartitionNever, Severity: finding.Warning, Title: "The partition leaves nothing to update",
		Meaning:  "The partition is not below the number of replicas, so that no pod is ever updated.",
		Evidence: "partition against spec.replicas", Next: "lower the partition",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: OnDelete, Severity: finding.Warning, Title: "Update strategy OnDelete",
		Meaning:  "The controller replaces a pod only when somebody deletes it.",
		Evidence: "spec.updateStrategy.type; the revision labels of the pods", Next: "delete the listed pods one at a time",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: RecreateWaits, Severity: finding.Warning, Title: "Recreate waits for old pods",
		Meaning:  "With strategy Recreate no new pod is created before every old one is gone, and no deadline runs meanwhile.",
		Evidence: "old pods that still exist; no ReplicaSet for the template", Next: "see why the old pod does not go",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: BudgetEaten, Severity: finding.Warning, Title: "Unavailable old pods use up the budget",
		Meaning:  "Fewer pods are available than the strategy allows, because old ones are not: the controller may not remove any.",
		Evidence: "status.availableReplicas against the floor", Next: "cure the old pods, or raise maxUnavailable",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: StatefulSetTrap, Severity: finding.Critical, Title: "A broken pod that the controller does not replace",
		Meaning:  "A StatefulSet does not replace a pod that is not ready, so after a correction or an undo the broken one stays.",
		Evidence: "the pod's controller-revision-hash against status.updateRevision", Next: "delete that pod; its claims stay",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: StatefulSetOrderedWait, Severity: finding.Info, Title: "Everything waits for one pod",
		Meaning:  "OrderedReady works on one pod at a time, the lowest that is not ready.",
		Evidence: "spec.podManagementPolicy; the lowest pod not available", Next: "see that pod's own cause",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: StatefulSetUpdateError, Severity: finding.Critical, Title: "The StatefulSet controller fails to update a pod",
		Meaning:  "The controller's own writes to a pod are refused again and again.",
		Evidence: "FailedUpdate events", Next: "read the error; often the pod must be deleted, its claims kept",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DaemonSetNodeHolds, Severity: finding.Warning, Title: "One node uses up maxUnavailable",
		Meaning:  "A node whose daemon pod is ending or not available counts against maxUnavailable, although the status may read all ready.",
		Evidence: "the pods of each node against maxUnavailable", Next: "see why that node's pod does not go or start",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DaemonSetNodesLeftOut, Severity: finding.Info, Title: "Nodes are left out",
		Meaning:  "The DaemonSet does not run on these nodes, and is complete without them.",
		Evidence: "taints and labels of nodes against the template", Next: "a toleration or label, if they should run it",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: SelectorClash, Severity: finding.Critical, Title: "The selector matches too much",
		Meaning:  "The selector matches every pod, so the controller refuses to act.",
		Evidence: "SelectingAll events", Next: "make the selector specific",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: NamespaceTerminating, Severity: finding.Critical, Title: "The namespace is being deleted",
		Meaning:  "Nothing new can be created in a namespace that is being deleted, and controllers say nothing about it.",
		Evidence: "Namespace status.phase", Next: "see what the deletion waits for",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DeadlineExceeded, Severity: finding.Critical, Title: "The progress deadline has passed",
		Meaning:  "No progress within progressDeadlineSeconds, for this ReplicaSet. The controller goes on trying.",
		Evidence: "condition Progressing=False ProgressDeadlineExceeded that names the wanted ReplicaSet", Next: "see the root cause",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: StaleDeadline, Severity: finding.Info, Title: "A deadline of another ReplicaSet",
		Meaning:  "ProgressDeadlineExceeded names a ReplicaSet that is not the wanted one: left over from before.",
		Evidence: "the condition's message", Next: "nothing",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: ScaledToZero, Severity: finding.Info, Title: "No pods are wanted",
		Meaning:  "Zero replicas are complete by definition, and prove nothing about the template.",
		Evidence: "spec.replicas", Next: "nothing",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: ForeignWriter, Severity: finding.Info, Title: "spec.replicas has two writers",
		Meaning:  "Two managers set the number of replicas in turn.",
		Evidence: "managedFields", Next: "leave replicas out of the manifest",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: StillEnding, Severity: finding.Info, Title: "Old pods are still ending",
		Meaning:  "Complete by the counters, while ending pods still use room and quota.",
		Evidence: "pods with a deletionTimestamp", Next: "nothing",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: NoHistory, Severity: finding.Info, Title: "No older revision is kept",
		Meaning:  "revisionHistoryLimit is 0: nothing to roll back to.",
		Evidence: "spec.revisionHistoryLimit", Next: "apply an older manifest",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: StaleChangeCause, Severity: finding.Info, Title: "The change-cause was not rewritten",
		Meaning:  "Two revisions carry the same reason: annotations are copied to each new revision.",
		Evidence: "kubernetes.io/change-cause", Next: "rewrite it with each change",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: BrokeAfterCompletion, Severity: finding.Info, Title: "Broke after it was complete",
		Meaning:  "The rollout had finished; what happens now no deadline watches.",
		Evidence: "Progressing=NewReplicaSetAvailable, and pods not available", Next: "see the root cause",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: JobManagedElsewhere, Severity: finding.Info, Title: "Another controller runs this Job",
		Meaning:  "Only the status that it writes is known.",
		Evidence: "spec.managedBy", Next: "ask that controller",
	}},
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
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodRejected, Severity: finding.Critical, Title: "The kubelet rejects it",
		Meaning:  "The pod reached a node that cannot take it.",
		Evidence: "pod status.reason", Next: "why it was sent there",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "Its node is not ready",
		Meaning:  "The node does not report; that says nothing about the application.",
		Evidence: "Node condition Ready", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: KubeletSilent, Severity: finding.Warning, Title: "Its node has not taken it up",
		Meaning:  "The pod is bound, and its kubelet has done nothing.",
		Evidence: "no containerStatuses", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SandboxFailed, Severity: finding.Warning, Title: "Its sandbox cannot be made",
		Meaning:  "The network plugin or the runtime fails.",
		Evidence: "FailedCreatePodSandBox events", Next: "the node's network",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: DynamicResources, Severity: finding.Warning, Title: "Its devices cannot be prepared",
		Meaning:  "A device plugin on the node fails.",
		Evidence: "FailedPrepareDynamicResources events", Next: "the plugin",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeMountFailed, Severity: finding.Warning, Title: "A volume cannot be mounted",
		Meaning:  "The kubelet fails to mount a volume.",
		Evidence: "FailedMount events", Next: "the mount's error",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeAttachFailed, Severity: finding.Warning, Title: "A volume cannot be attached",
		Meaning:  "The volume does not come to the node.",
		Evidence: "FailedAttachVolume events", Next: "the attachment",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: VolumeMultiAttach, Severity: finding.Critical, Title: "A volume is attached elsewhere",
		Meaning:  "A volume for one node is still held by another.",
		Evidence: "FailedAttachVolume events", Next: "let the old pod go first",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ConfigMapMissing, Severity: finding.Critical, Title: "A ConfigMap does not exist",
		Meaning:  "The template names a ConfigMap that is not there. Pods start by themselves once it is.",
		Evidence: "container state or FailedMount events", Next: "create it, or correct the name",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SecretMissing, Severity: finding.Critical, Title: "A Secret does not exist",
		Meaning:  "The template names a Secret that is not there. Pods start by themselves once it is.",
		Evidence: "container state or FailedMount events", Next: "create it, or correct the name",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: KeyMissing, Severity: finding.Critical, Title: "A key is missing",
		Meaning:  "The ConfigMap or Secret is there without the wanted key.",
		Evidence: "container state or FailedMount events", Next: "add the key",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: RunsAsRoot, Severity: finding.Critical, Title: "The image would run as root",
		Meaning:  "runAsNonRoot is set, and the image's user is root or not a number.",
		Evidence: "container state CreateContainerConfigError", Next: "set runAsUser",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ContainerConfigError, Severity: finding.Critical, Title: "A container cannot be configured",
		Meaning:  "The kubelet cannot build the container's configuration.",
		Evidence: "container state CreateContainerConfigError", Next: "read the error",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InvalidImageName, Severity: finding.Critical, Title: "The image name is not valid",
		Meaning:  "No registry can be asked for such a name.",
		Evidence: "container state InvalidImageName", Next: "correct the name",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageNeverPull, Severity: finding.Critical, Title: "The image is not on the node",
		Meaning:  "imagePullPolicy is Never and the node has no such image.",
		Evidence: "container state ErrImageNeverPull", Next: "another policy, or load the image",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageNotFound, Severity: finding.Critical, Title: "The image does not exist",
		Meaning:  "The registry answers and does not know the image or tag.",
		Evidence: "container state, pull events", Next: "correct the name, push it, or go back",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageUnauthorized, Severity: finding.Critical, Title: "The registry refuses to give the image",
		Meaning:  "The registry wants other credentials.",
		Evidence: "container state, pull events", Next: "the pull secrets",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: RegistryUnreachable, Severity: finding.Warning, Title: "The registry does not serve",
		Meaning:  "The registry cannot be reached, is broken or limits the rate.",
		Evidence: "container state, pull events", Next: "the way from the node to the registry",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageDiskFull, Severity: finding.Warning, Title: "The node has no room for the image",
		Meaning:  "The disk for images is full.",
		Evidence: "container state, pull events", Next: "the node's disk",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageRejected, Severity: finding.Critical, Title: "The node refuses the image",
		Meaning:  "The image fails a check on the node.",
		Evidence: "container state", Next: "the node's policy",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImagePullFailed, Severity: finding.Critical, Title: "The image cannot be pulled",
		Meaning:  "The pull fails for a reason that has no name here.",
		Evidence: "container state, pull events", Next: "read the error",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImagePulling, Severity: finding.Warning, Title: "The image is being pulled",
		Meaning:  "A large image or a slow registry.",
		Evidence: "Pulling event without Pulled", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ContainerStartError, Severity: finding.Critical, Title: "A container cannot be started",
		Meaning:  "The runtime cannot run the command.",
		Evidence: "container state, StartError", Next: "the command",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: CrashLoop, Severity: finding.Critical, Title: "A container crashes",
		Meaning:  "The program ends by itself with an error, again and again.",
		Evidence: "restartCount, last end, log", Next: "its last log lines",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: OOMKilled, Severity: finding.Critical, Title: "A container uses too much memory",
		Meaning:  "The kernel ends it at its memory limit.",
		Evidence: "last end OOMKilled", Next: "the limit, and what changed",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ExitsNormally, Severity: finding.Critical, Title: "A container ends normally",
		Meaning:  "The program does what it has to and ends, where one that keeps running is wanted.",
		Evidence: "last end exit 0", Next: "the command, or a Job instead",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ExecFormatError, Severity: finding.Critical, Title: "The program is for another processor",
		Meaning:  "The image's architecture is not the node's.",
		Evidence: "log line", Next: "an image for the platform",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: LivenessKilled, Severity: finding.Critical, Title: "The liveness probe has it killed",
		Meaning:  "The kubelet ends a program that runs but does not answer.",
		Evidence: "Killing and Unhealthy events", Next: "the probe's budget and target",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: StartupKilled, Severity: finding.Critical, Title: "The startup probe has it killed",
		Meaning:  "The program does not come up in the time that the probe allows.",
		Evidence: "Killing and Unhealthy events", Next: "the probe's budget",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PostStartHookFailed, Severity: finding.Critical, Title: "The postStart hook fails",
		Meaning:  "The kubelet ends the container because its hook failed.",
		Evidence: "FailedPostStartHook events", Next: "the hook's command",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InitContainerFails, Severity: finding.Critical, Title: "An init container fails",
		Meaning:  "No other container starts before it succeeds.",
		Evidence: "its restarts, last end, log", Next: "its last log lines",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InitRunning, Severity: finding.Warning, Title: "An init container has not ended",
		Meaning:  "The others wait for it.",
		Evidence: "its running state", Next: "what it waits for",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SidecarNotStarted, Severity: finding.Warning, Title: "A sidecar has not started",
		Meaning:  "All later containers wait for a sidecar's startup probe.",
		Evidence: "started=false", Next: "its startup probe",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Evicted, Severity: finding.Critical, Title: "The kubelet evicts it",
		Meaning:  "The node lacks a resource, or the pod used more than its limit.",
		Evidence: "pod status.reason Evicted", Next: "the limit, the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodDisrupted, Severity: finding.Warning, Title: "It was removed from outside",
		Meaning:  "Preempted, drained or evicted by a taint.",
		Evidence: "condition DisruptionTarget", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ReadinessFailing, Severity: finding.Warning, Title: "The readiness probe fails",
		Meaning:  "The program runs and does not say that it is ready.",
		Evidence: "Unhealthy events, in the probe's words", Next: "what the application says",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: StartupPending, Severity: finding.Warning, Title: "The startup probe has not passed",
		Meaning:  "The program is still coming up, within what the probe allows.",
		Evidence: "started=false", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ReadinessGate, Severity: finding.Warning, Title: "A readiness gate is not true",
		Meaning:  "Its containers are ready; another controller has not agreed.",
		Evidence: "the gate's condition", Next: "that controller",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: MinReadyWait, Severity: finding.Info, Title: "Ready, not yet available",
		Meaning:  "minReadySeconds have not passed.",
		Evidence: "Ready since", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Flapping, Severity: finding.Critical, Title: "Readiness comes and goes",
		Meaning:  "It is never ready for minReadySeconds, and each return restarts the deadline, which so never fires.",
		Evidence: "Unhealthy events, age of Ready", Next: "what the probe says",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: EndingInGrace, Severity: finding.Warning, Title: "It is ending",
		Meaning:  "Within its termination grace.",
		Evidence: "deletionTimestamp", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FinalizerHolds, Severity: finding.Critical, Title: "A finalizer keeps it",
		Meaning:  "It has ended and its object stays until a controller takes its finalizer off.",
		Evidence: "metadata.finalizers", Next: "the finalizer's owner",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: EndsOnDeadNode, Severity: finding.Critical, Title: "It cannot end: its node is gone",
		Meaning:  "Only the node's kubelet can confirm that it has ended.",
		Evidence: "Node condition Ready", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: KillFails, Severity: finding.Warning, Title: "It does not end",
		Meaning:  "Its grace is over and the kubelet has not ended it.",
		Evidence: "events, deletionTimestamp", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: JobFailed, Severity: finding.Critical, Title: "The Job has failed",
		Meaning:  "It is over; another attempt is another Job.",
		Evidence: "Job condition Failed", Next: "the last pod's end",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: JobSuspended, Severity: finding.Warning, Title: "The Job is suspended",
		Meaning:  "No pod runs until it is resumed.",
		Evidence: "spec.suspend", Next: "resume it",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoPaused, Severity: finding.Warning, Title: "The Argo Rollout is paused",
		Meaning:  "It waits at a step, or for a person.",
		Evidence: "status.pauseConditions", Next: "promote",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoAborted, Severity: finding.Critical, Title: "The Argo Rollout was aborted",
		Meaning:  "It runs the stable version on purpose.",
		Evidence: "status.abort", Next: "retry or undo",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoDegraded, Severity: finding.Critical, Title: "The Argo Rollout is degraded",
		Meaning:  "Its controller says so.",
		Evidence: "status.phase and message", Next: "its own view",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoInvalidSpec, Severity: finding.Critical, Title: "The Argo Rollout is invalid",
		Meaning:  "Its controller refuses the specification.",
		Evidence: "status.message", Next: "correct the specification",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: Unexplained, Severity: finding.Warning, Title: "Not complete, and unexplained",
		Meaning:  "Nothing that was checked explains it.",
		Evidence: "the counters", Next: "read the object",
	}},
}

var catalogue = byCode(entries)

func byCode(list []entry) map[string]entry {
	m := make(map[string]entry, len(list))
	for _, c := range list {
		m[c.Code] = c
	}
	return m
}

func titleOf(code string) string { return catalogue[code].Title }
