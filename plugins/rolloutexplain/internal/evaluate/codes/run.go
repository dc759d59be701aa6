package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// runEntries are the codes of containers that run, pods that end, Jobs and Argo Rollouts.
var runEntries = []entry{
	{layer: LayerPod, Entry: finding.Entry{
		Code: ContainerStartError, Severity: finding.Critical, Title: "Container cannot be started",
		Meaning:  "The runtime cannot run the command.",
		Evidence: "container state, StartError", Next: "the command",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ContainerCrashing, Severity: finding.Critical, Title: "Container crashes",
		Meaning:  "The program ends by itself with an error, again and again.",
		Evidence: "restartCount, last end, log", Next: "its last log lines",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: OOMKilled, Severity: finding.Critical, Title: "Container was OOM killed",
		Meaning:  "The kernel ends it at its memory limit.",
		Evidence: "last end OOMKilled", Next: "the limit, and what changed",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ContainerCompleted, Severity: finding.Critical, Title: "Container exits with code 0",
		Meaning:  "The program does what it has to and ends, where one that keeps running is wanted.",
		Evidence: "last end exit 0", Next: "the command, or a Job instead",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ExecFormatError, Severity: finding.Critical, Title: "Image is built for another CPU architecture",
		Meaning:  "The image's architecture is not the node's.",
		Evidence: "log line", Next: "an image for the platform",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: LivenessProbeFailed, Severity: finding.Critical, Title: "Container was killed after a failed liveness probe",
		Meaning:  "The kubelet ends a program that runs but does not answer.",
		Evidence: "Killing and Unhealthy events", Next: "the probe's budget and target",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: StartupProbeFailed, Severity: finding.Critical, Title: "Container was killed after a failed startup probe",
		Meaning:  "The program does not come up in the time that the probe allows.",
		Evidence: "Killing and Unhealthy events", Next: "the probe's budget",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedPostStartHook, Severity: finding.Critical, Title: "Container postStart hook failed",
		Meaning:  "The kubelet ends the container because its hook failed.",
		Evidence: "FailedPostStartHook events", Next: "the hook's command",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PostStartHookRunning, Severity: finding.Warning, Title: "Container postStart hook has not finished",
		Meaning: "The container runs, and its postStart hook too: until the hook ends the " +
			"kubelet does not count the container as started, and asks no probe.",
		Evidence: "Started event of a container that is still shown as ContainerCreating", Next: "what the hook waits for",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InitContainerFailing, Severity: finding.Critical, Title: "Init container fails",
		Meaning:  "No other container starts before it succeeds.",
		Evidence: "its restarts, last end, log", Next: "its last log lines",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InitContainerRunning, Severity: finding.Warning, Title: "Init container is still running",
		Meaning:  "The others wait for it.",
		Evidence: "its running state", Next: "what it waits for",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SidecarNotStarted, Severity: finding.Warning, Title: "Sidecar container has not started",
		Meaning:  "All later containers wait for a sidecar's startup probe.",
		Evidence: "started=false", Next: "its startup probe",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Evicted, Severity: finding.Critical, Title: "Pod was evicted by the kubelet",
		Meaning:  "The node lacks a resource, or the pod used more than its limit.",
		Evidence: "pod status.reason Evicted", Next: "the limit, the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodDisrupted, Severity: finding.Warning, Title: "Pod was disrupted",
		Meaning:  "Preempted, drained or evicted by a taint.",
		Evidence: "condition DisruptionTarget", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ReadinessProbeFailing, Severity: finding.Warning, Title: "Readiness probe is failing",
		Meaning:  "The program runs and does not say that it is ready.",
		Evidence: "Unhealthy events, in the probe's words", Next: "what the application says",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: StartupProbePending, Severity: finding.Warning, Title: "Startup probe has not succeeded yet",
		Meaning:  "The program is still coming up, within what the probe allows.",
		Evidence: "started=false", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ReadinessGatesNotReady, Severity: finding.Warning, Title: "Pod readiness gate is not true",
		Meaning:  "Its containers are ready; another controller has not agreed.",
		Evidence: "the gate's condition", Next: "that controller",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: MinReadySecondsNotElapsed, Severity: finding.Info, Title: "Pod is ready but not yet available",
		Meaning:  "minReadySeconds have not passed.",
		Evidence: "Ready since", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodReadinessFlapping, Severity: finding.Critical, Title: "Pod readiness is flapping",
		Meaning:  "It is never ready for minReadySeconds, and each return restarts the deadline, which so never fires.",
		Evidence: "Unhealthy events, age of Ready", Next: "what the probe says",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodTerminating, Severity: finding.Warning, Title: "Pod is terminating within its grace period",
		Meaning:  "Within its termination grace.",
		Evidence: "deletionTimestamp", Next: "wait",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FinalizerBlocksDeletion, Severity: finding.Critical, Title: "Finalizer blocks deletion of the pod",
		Meaning:  "It has ended and its object stays until a controller takes its finalizer off.",
		Evidence: "metadata.finalizers", Next: "the finalizer's owner",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TerminatingOnNotReadyNode, Severity: finding.Critical, Title: "Pod cannot terminate because its node is not ready",
		Meaning:  "Only the node's kubelet can confirm that it has ended.",
		Evidence: "Node condition Ready", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodStuckTerminating, Severity: finding.Warning, Title: "Pod is stuck terminating",
		Meaning:  "Its grace is over and the kubelet has not ended it.",
		Evidence: "events, deletionTimestamp", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: JobFailed, Severity: finding.Critical, Title: "Job failed",
		Meaning:  "It is over; another attempt is another Job.",
		Evidence: "Job condition Failed", Next: "the last pod's end",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: JobSuspended, Severity: finding.Warning, Title: "Job is suspended",
		Meaning:  "No pod runs until it is resumed.",
		Evidence: "spec.suspend", Next: "resume it",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoPaused, Severity: finding.Warning, Title: "Argo Rollout is paused",
		Meaning:  "It waits at a step, or for a person.",
		Evidence: "status.pauseConditions", Next: "promote",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoAborted, Severity: finding.Critical, Title: "Argo Rollout was aborted",
		Meaning:  "It runs the stable version on purpose.",
		Evidence: "status.abort", Next: "retry or undo",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoDegraded, Severity: finding.Critical, Title: "Argo Rollout is degraded",
		Meaning:  "Its controller says so.",
		Evidence: "status.phase and message", Next: "its own view",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoInvalidSpec, Severity: finding.Critical, Title: "Argo Rollout spec is invalid",
		Meaning:  "Its controller refuses the specification.",
		Evidence: "status.message", Next: "correct the specification",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: NoCauseFound, Severity: finding.Warning, Title: "Rollout is not complete and no cause was found",
		Meaning:  "Nothing that was checked explains it.",
		Evidence: "the counters", Next: "read the object",
	}},
}
