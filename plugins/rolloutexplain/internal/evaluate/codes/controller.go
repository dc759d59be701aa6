package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// controllerEntries are the codes of the controller itself: gates, clocks, notes.
var controllerEntries = []entry{
	{layer: LayerController, Entry: finding.Entry{
		Code: SpecUpdateNotObserved, Severity: finding.Critical, Title: "Controller has not observed the latest change",
		Meaning:  "The change is written, and the controller has not taken it up: it is down, late, or fails on this object.",
		Evidence: "metadata.generation against status.observedGeneration; the component's lease in kube-system",
		Next:     "look at the component's lease and at the object's events",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ReplicaSetCreateError, Severity: finding.Critical, Title: "New ReplicaSet cannot be created",
		Meaning: "The API server refuses the ReplicaSet of the new template, so no new pod is even asked for. " +
			"The progress deadline never starts.",
		Evidence: "Deployment condition Progressing=False ReplicaSetCreateError, and the event of that name",
		Next:     "what the refusal names: a quota on ReplicaSets, an invalid template, a policy",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DeploymentPaused, Severity: finding.Warning, Title: "Deployment is paused",
		Meaning:  "A person has stopped it. Scaling still works, in proportion over all revisions; undo is refused.",
		Evidence: "spec.paused", Next: "kubectl rollout resume",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: PartitionedRollout, Severity: finding.Warning, Title: "Partition keeps pods on the old revision",
		Meaning:  "Pods below the partition keep the old template until it is lowered: a staged rollout.",
		Evidence: "spec.updateStrategy.rollingUpdate.partition", Next: "lower the partition",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: PartitionExcludesAllPods, Severity: finding.Warning, Title: "Partition excludes every pod from the update",
		Meaning:  "The partition is not below the number of replicas, so that no pod is ever updated.",
		Evidence: "partition against spec.replicas", Next: "lower the partition",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: OnDelete, Severity: finding.Warning, Title: "Update strategy is OnDelete",
		Meaning:  "The controller replaces a pod only when somebody deletes it.",
		Evidence: "spec.updateStrategy.type; the revision labels of the pods", Next: "delete the listed pods one at a time",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: RecreateWaitingForOldPods, Severity: finding.Warning, Title: "Recreate strategy waits for old pods to terminate",
		Meaning:  "With strategy Recreate no new pod is created before every old one is gone, and no deadline runs meanwhile.",
		Evidence: "old pods that still exist; no ReplicaSet for the template", Next: "see why the old pod does not go",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: MaxUnavailableExceeded, Severity: finding.Warning, Title: "Unavailable old pods exceed maxUnavailable",
		Meaning:  "Fewer pods are available than the strategy allows, because old ones are not: the controller may not remove any.",
		Evidence: "status.availableReplicas against the floor", Next: "cure the old pods, or raise maxUnavailable",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: StatefulSetPodNotReplaced, Severity: finding.Critical, Title: "StatefulSet controller does not replace a broken pod",
		Meaning:  "A StatefulSet does not replace a pod that is not ready, so after a correction or an undo the broken one stays.",
		Evidence: "the pod's controller-revision-hash against status.updateRevision", Next: "delete that pod; its claims stay",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: OrderedReadyWait, Severity: finding.Info, Title: "StatefulSet waits for one pod (OrderedReady)",
		Meaning:  "OrderedReady works on one pod at a time, the lowest that is not ready.",
		Evidence: "spec.podManagementPolicy; the lowest pod not available", Next: "see that pod's own cause",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: StatefulSetUpdateFailed, Severity: finding.Critical, Title: "StatefulSet controller cannot update a pod",
		Meaning:  "The controller's own writes to a pod are refused again and again.",
		Evidence: "FailedUpdate events", Next: "read the error; often the pod must be deleted, its claims kept",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DaemonSetMaxUnavailableReached, Severity: finding.Warning, Title: "DaemonSet has reached maxUnavailable",
		Meaning:  "A node whose daemon pod is ending or not available counts against maxUnavailable, although the status may read all ready.",
		Evidence: "the pods of each node against maxUnavailable", Next: "see why that node's pod does not go or start",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: DaemonSetNodesExcluded, Severity: finding.Info, Title: "DaemonSet does not run on some nodes",
		Meaning:  "The DaemonSet does not run on these nodes, and is complete without them.",
		Evidence: "taints and labels of nodes against the template", Next: "a toleration or label, if they should run it",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: SelectorMatchesAllPods, Severity: finding.Critical, Title: "Selector matches every pod",
		Meaning:  "The selector matches every pod, so the controller refuses to act.",
		Evidence: "SelectingAll events", Next: "make the selector specific",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: NamespaceTerminating, Severity: finding.Critical, Title: "Namespace is terminating",
		Meaning:  "Nothing new can be created in a namespace that is being deleted, and controllers say nothing about it.",
		Evidence: "Namespace status.phase", Next: "see what the deletion waits for",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ProgressDeadlineExceeded, Severity: finding.Critical, Title: "Deployment exceeded its progress deadline",
		Meaning:  "No progress within progressDeadlineSeconds, for this ReplicaSet. The controller goes on trying.",
		Evidence: "condition Progressing=False ProgressDeadlineExceeded that names the wanted ReplicaSet", Next: "see the root cause",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: StaleProgressDeadline, Severity: finding.Info, Title: "Expired deadline belongs to another ReplicaSet",
		Meaning:  "ProgressDeadlineExceeded names a ReplicaSet that is not the wanted one: left over from before.",
		Evidence: "the condition's message", Next: "nothing",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: ScaledToZero, Severity: finding.Info, Title: "Workload is scaled to zero",
		Meaning:  "Zero replicas are complete by definition, and prove nothing about the template.",
		Evidence: "spec.replicas", Next: "nothing",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: ReplicasFlapping, Severity: finding.Info, Title: "Replica count is scaled up and down repeatedly",
		Meaning:  "Two managers set the number of replicas in turn.",
		Evidence: "managedFields", Next: "leave replicas out of the manifest",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: OldPodsTerminating, Severity: finding.Info, Title: "Old pods are still terminating",
		Meaning:  "Complete by the counters, while ending pods still use room and quota.",
		Evidence: "pods with a deletionTimestamp", Next: "nothing",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: NoRevisionHistory, Severity: finding.Info, Title: "No older revision is kept",
		Meaning:  "revisionHistoryLimit is 0: nothing to roll back to.",
		Evidence: "spec.revisionHistoryLimit", Next: "apply an older manifest",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: StaleChangeCause, Severity: finding.Info, Title: "Change-cause repeats an earlier revision",
		Meaning:  "Two revisions carry the same reason: annotations are copied to each new revision.",
		Evidence: "kubernetes.io/change-cause", Next: "rewrite it with each change",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: DegradedAfterCompletion, Severity: finding.Info, Title: "Pods failed after the rollout completed",
		Meaning:  "The rollout had finished; what happens now no deadline watches.",
		Evidence: "Progressing=NewReplicaSetAvailable, and pods not available", Next: "see the root cause",
	}},
	{layer: LayerNote, Entry: finding.Entry{
		Code: JobManagedExternally, Severity: finding.Info, Title: "Job is managed by another controller",
		Meaning:  "Only the status that it writes is known.",
		Evidence: "spec.managedBy", Next: "ask that controller",
	}},
}
