package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// controllerEntries are the codes of the controller itself: gates, clocks, notes.
var controllerEntries = []entry{
	{layer: LayerController, Entry: finding.Entry{
		Code: ControllerNotObserving, Severity: finding.Critical, Title: "The controller has not acted on the newest change",
		Meaning:  "The change is written, and the controller has not taken it up: it is down, late, or fails on this object.",
		Evidence: "metadata.generation against status.observedGeneration; the component's lease in kube-system",
		Next:     "look at the component's lease and at the object's events",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ReplicaSetCreateError, Severity: finding.Critical, Title: "The new ReplicaSet is refused",
		Meaning: "The API server refuses the ReplicaSet of the new template, so no new pod is even asked for. " +
			"The progress deadline never starts.",
		Evidence: "Deployment condition Progressing=False ReplicaSetCreateError, and the event of that name",
		Next:     "what the refusal names: a quota on ReplicaSets, an invalid template, a policy",
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
}
