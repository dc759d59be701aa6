package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// controllerEntries are the codes of the controller itself: gates, clocks, notes.
var controllerEntries = []entry{
	{layer: LayerController, Entry: finding.Entry{
		Code: SpecUpdateNotObserved, Severity: finding.Critical, Title: "Controller has not observed the latest change",
		Meaning: "The latest change is stored in the API, but the controller has not processed it. The controller is " +
			"down, delayed, or fails on this object.",
		Evidence: "metadata.generation above status.observedGeneration, or no ReplicaSet for the current pod template, " +
			"5s after the change; the controller's Lease in kube-system.",
		Next: "Check the controller's Lease and the events of the object.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ReplicaSetCreateError, Severity: finding.Critical, Title: "New ReplicaSet cannot be created",
		Meaning: "The API server rejects the ReplicaSet of the current pod template, so no new pod is requested. The " +
			"progress deadline never starts.",
		Evidence: "Deployment condition Progressing=False with reason ReplicaSetCreateError, or the event of that name.",
		Next:     "Correct what the error names, such as a quota on ReplicaSets, an invalid template or a policy.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ReplicaSetMutated, Severity: finding.Critical, Title: "Admission changes each new ReplicaSet",
		Meaning: "A mutating webhook or policy changes the template of each new ReplicaSet. The Deployment controller recognizes none " +
			"as its own and creates another one.",
		Evidence: "status.collisionCount of the Deployment; ReplicaSets younger than the template that differ from it.",
		Next:     "Exclude ReplicaSets from the webhook or policy, or make it change the Deployment, too.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DeploymentPaused, Severity: finding.Warning, Title: "Deployment is paused",
		Meaning: "spec.paused is set, so the Deployment controller does not roll out template changes. Scaling still " +
			"works, in proportion over all revisions; kubectl rollout undo is rejected.",
		Evidence: "spec.paused.",
		Next:     "Run kubectl rollout resume.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: PartitionedRollout, Severity: finding.Warning, Title: "Partition keeps pods on the old revision",
		Meaning: "Pods with an ordinal below the partition keep the old pod template until the partition is lowered. " +
			"This is a staged rollout.",
		Evidence: "spec.updateStrategy.rollingUpdate.partition.",
		Next:     "Lower the partition.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: PartitionExcludesAllPods, Severity: finding.Warning, Title: "Partition excludes every pod from the update",
		Meaning:  "The partition is not lower than the number of replicas, so the controller never updates a pod.",
		Evidence: "spec.updateStrategy.rollingUpdate.partition equal to or above spec.replicas.",
		Next:     "Lower the partition.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: OnDelete, Severity: finding.Warning, Title: "Update strategy is OnDelete",
		Meaning: "The controller replaces a pod only after the pod is deleted by hand. A ReplicaSet without a Deployment never does otherwise.",
		Evidence: "spec.updateStrategy.type OnDelete and the revision labels of the pods; pods that differ from the " +
			"template of their ReplicaSet.",
		Next: "Delete the listed pods one at a time.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: RecreateWaitingForOldPods, Severity: finding.Warning, Title: "Recreate strategy waits for old pods to terminate",
		Meaning: "With strategy Recreate, the controller creates no new pod until every old pod is deleted. The " +
			"progress deadline does not run meanwhile.",
		Evidence: "Old pods that still exist, and no ReplicaSet for the current pod template.",
		Next:     "Check why the old pods do not terminate.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: MaxUnavailableExceeded, Severity: finding.Warning, Title: "Unavailable old pods exceed maxUnavailable",
		Meaning: "Fewer pods are available than the strategy requires, because old pods are not available. The " +
			"controller cannot remove any old pod.",
		Evidence: "status.availableReplicas below spec.replicas minus maxUnavailable.",
		Next:     "Repair the old pods, or raise maxUnavailable.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: StatefulSetPodNotReplaced, Severity: finding.Critical, Title: "StatefulSet controller does not replace a broken pod",
		Meaning: "The StatefulSet controller does not replace a pod that is not ready. After a correction or a " +
			"rollback, the broken pod therefore stays.",
		Evidence: "Pod label controller-revision-hash different from status.updateRevision, and the pod not Ready.",
		Next:     "Delete that pod; its PersistentVolumeClaims stay.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: OrderedReadyWait, Severity: finding.Info, Title: "StatefulSet waits for one pod (OrderedReady)",
		Meaning: "With podManagementPolicy OrderedReady, the controller works on one pod at a time: the lowest ordinal " +
			"that is not available.",
		Evidence: "spec.podManagementPolicy OrderedReady; the lowest ordinal that is not available.",
		Next:     "Check the cause that is reported for that pod.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: StatefulSetUpdateFailed, Severity: finding.Critical, Title: "StatefulSet controller cannot update a pod",
		Meaning:  "The API server repeatedly rejects the updates that the StatefulSet controller sends for a pod.",
		Evidence: "At least 3 FailedUpdate events, the last one within 5m.",
		Next:     "Read the error; often the pod must be deleted, and its PersistentVolumeClaims kept.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DaemonSetMaxUnavailableReached, Severity: finding.Warning, Title: "DaemonSet has reached maxUnavailable",
		Meaning: "A node whose daemon pod is terminating or not available counts against maxUnavailable, even when the " +
			"status shows all pods ready. The controller does not update other nodes meanwhile.",
		Evidence: "Nodes without an available daemon pod, at least as many as maxUnavailable.",
		Next:     "Check why the pod on that node does not terminate or start.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DaemonSetNodesExcluded, Severity: finding.Info, Title: "DaemonSet does not run on some nodes",
		Meaning: "Taints, labels or nodeName exclude these nodes. The DaemonSet does not run on them, and its rollout " +
			"is complete without them.",
		Evidence: "Taints and labels of the nodes against the pod template.",
		Next:     "Add a toleration or a label if these nodes should run the DaemonSet.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: SelectorMatchesAllPods, Severity: finding.Critical, Title: "Selector matches every pod",
		Meaning:  "The label selector matches every pod, so the controller does not act.",
		Evidence: "SelectingAll events.",
		Next:     "Correct the selector so that it matches only the pods of this workload.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: NamespaceTerminating, Severity: finding.Critical, Title: "Namespace is terminating",
		Meaning: "The namespace is being deleted, so no new object can be created in it. Controllers do not report the " +
			"rejections that follow.",
		Evidence: "Namespace status.phase Terminating.",
		Next:     "Check what the deletion of the namespace waits for.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ProgressDeadlineExceeded, Severity: finding.Critical, Title: "Deployment exceeded its progress deadline",
		Meaning: "The current ReplicaSet has made no progress within progressDeadlineSeconds. The controller still " +
			"continues to try.",
		Evidence: "Deployment condition Progressing=False with reason ProgressDeadlineExceeded that names the current " +
			"ReplicaSet.",
		Next: "Correct the root cause of the report.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: StaleProgressDeadline, Severity: finding.Info, Title: "Expired deadline belongs to another ReplicaSet",
		Meaning: "ProgressDeadlineExceeded names a ReplicaSet other than the current one. The condition is left over " +
			"from an earlier rollout.",
		Evidence: "ReplicaSet name in the message of the Deployment condition Progressing.",
		Next:     "Ignore the condition; it does not concern this rollout.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: ScaledToZero, Severity: finding.Info, Title: "Workload is scaled to zero",
		Meaning:  "A workload with 0 replicas is complete by definition. This does not prove that the pod template works.",
		Evidence: "spec.replicas 0.",
		Next:     "Scale the workload up if it should run.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: ReplicasFlapping, Severity: finding.Info, Title: "Replica count is scaled up and down repeatedly",
		Meaning: "One ReplicaSet is scaled up and down in turn without a new pod template. Probably two clients set " +
			"spec.replicas, such as an applied manifest and an autoscaler.",
		Evidence: "At least 2 ScalingReplicaSet events up and 2 down for one ReplicaSet within 10m; the last manager of " +
			"spec.replicas in metadata.managedFields.",
		Next: "Remove spec.replicas from the manifest if an autoscaler sets the field.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: OldPodsTerminating, Severity: finding.Info, Title: "Old pods are still terminating",
		Meaning:  "The rollout is complete by its counters, but terminating pods still use node capacity and quota.",
		Evidence: "Old pods with metadata.deletionTimestamp.",
		Next:     "Wait until the pods are deleted.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: NoRevisionHistory, Severity: finding.Info, Title: "No older revision is kept",
		Meaning:  "spec.revisionHistoryLimit is 0, so there is no revision to roll back to.",
		Evidence: "spec.revisionHistoryLimit 0.",
		Next:     "Apply an earlier manifest.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: StaleChangeCause, Severity: finding.Info, Title: "Change-cause repeats an earlier revision",
		Meaning: "Two revisions have the same change-cause. Annotations are copied to each new revision, so the text " +
			"probably describes the earlier one.",
		Evidence: "Annotation kubernetes.io/change-cause, equal in the current and the previous revision.",
		Next:     "Set the annotation with each change.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: DegradedAfterCompletion, Severity: finding.Info, Title: "Pods failed after the rollout completed",
		Meaning: "The rollout had completed before its pods failed. No progress deadline runs for failures after " +
			"completion.",
		Evidence: "Deployment condition Progressing with reason NewReplicaSetAvailable, or pods that have been ready " +
			"before; pods that are not available or keep crashing.",
		Next: "Correct the root cause of the report.",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: JobManagedExternally, Severity: finding.Info, Title: "Job is managed by another controller",
		Meaning:  "A controller other than the Job controller runs this Job. Only the status that it writes is reported.",
		Evidence: "spec.managedBy other than kubernetes.io/job-controller.",
		Next:     "Check the controller that spec.managedBy names.",
	}},
}
