package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// runEntries are the codes of containers that run, pods that end, Jobs and Argo Rollouts.
var runEntries = []entry{
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: ContainerStartError, Severity: finding.Critical, Title: "Container cannot be started",
		Meaning: "The container runtime cannot start the process of the container, such as because the command does " +
			"not exist in the image.",
		Evidence: "Container state RunContainerError, StartError or CreateContainerError.",
		Next:     "Check the command, arguments and mounts of the container.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: ContainerCrashing, Severity: finding.Critical, Title: "Container crashes",
		Meaning:  "The program of the container exits with an error each time the kubelet starts it.",
		Evidence: "Exit code in state.terminated or lastState.terminated, restartCount, and the log of the last run.",
		Next:     "Read the log of the previous run.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: OOMKilled, Severity: finding.Critical, Title: "Container was OOM killed",
		Meaning: "The kernel killed the container because its memory limit was reached, or because the node ran out of " +
			"memory.",
		Evidence: "Reason OOMKilled in state.terminated or lastState.terminated.",
		Next:     "Raise the memory limit, or check what changed the memory use.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: ContainerCompleted, Severity: finding.Critical, Title: "Container exits with code 0",
		Meaning: "The program of the container exits with code 0, but the workload requires a container that keeps " +
			"running.",
		Evidence: "Exit code 0 in state.terminated or lastState.terminated.",
		Next:     "Check the command of the container, or use a Job instead.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: ExecFormatError, Severity: finding.Critical, Title: "Program cannot be executed (exec format error)",
		Meaning: "The kernel cannot execute the program: it is a script without an interpreter line (#!), or a program " +
			"for another CPU architecture than that of the node.",
		Evidence: "\"exec format error\" in the log or the status of the container.",
		Next:     "Check the first line of a script; else use an image for the CPU architecture of the node.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: LivenessProbeFailed, Severity: finding.Critical, Title: "Container was killed after a failed liveness probe",
		Meaning: "The kubelet kills the container because its liveness probe fails. The program is running but does " +
			"not pass the probe.",
		Evidence: "Killing and Unhealthy events of the container.",
		Next:     "Check the target and the timing of the liveness probe.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: StartupProbeFailed, Severity: finding.Critical, Title: "Container was killed after a failed startup probe",
		Meaning:  "The kubelet kills the container because its startup probe does not succeed within the allowed time.",
		Evidence: "Killing and Unhealthy events of the container.",
		Next:     "Raise failureThreshold or periodSeconds of the startup probe, or check why the start is slow.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: FailedPostStartHook, Severity: finding.Critical, Title: "Container postStart hook failed",
		Meaning:  "The postStart hook of the container fails, so the kubelet kills the container.",
		Evidence: "FailedPostStartHook events, or container state PostStartHookError.",
		Next:     "Check the command of the hook.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PostStartHookRunning, Severity: finding.Warning, Title: "Container postStart hook has not finished",
		Meaning: "The container is running, and so is its postStart hook. Until the hook finishes, the kubelet does " +
			"not count the container as started and runs no probe.",
		Evidence: "Started event of a container that is still shown as ContainerCreating.",
		Next:     "Check what the hook waits for.",
	}},
	{layer: LayerPod, crashes: true, Entry: finding.Entry{
		Code: InitContainerFailing, Severity: finding.Critical, Title: "Init container fails",
		Meaning:  "An init container exits with an error. The containers after it do not start until it succeeds.",
		Evidence: "Exit code and restartCount of the init container, and the log of its last run.",
		Next:     "Read the log of the previous run.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InitContainerRunning, Severity: finding.Warning, Title: "Init container is still running",
		Meaning:  "An init container is running. The containers after it wait until it exits.",
		Evidence: "State running of the init container.",
		Next:     "Check what the init container waits for.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SidecarNotStarted, Severity: finding.Warning, Title: "Sidecar container has not started",
		Meaning:  "The startup probe of a sidecar container has not succeeded. The containers after it wait for this.",
		Evidence: "status.initContainerStatuses[].started false.",
		Next:     "Check the startup probe of the sidecar container.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: Evicted, Severity: finding.Critical, Title: "Pod was evicted by the kubelet",
		Meaning: "The kubelet evicted the pod: the node is short of a resource, or the pod exceeded its ephemeral " +
			"storage limit.",
		Evidence: "Pod status.reason Evicted.",
		Next:     "Check the limits of the pod and the pressure conditions of the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodDisrupted, Severity: finding.Warning, Title: "Pod was disrupted",
		Meaning:  "The pod was preempted, drained, or evicted because of a taint.",
		Evidence: "Pod condition DisruptionTarget=True.",
		Next:     "Wait for the replacement pod.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ReadinessProbeFailing, Severity: finding.Warning, Title: "Readiness probe is failing",
		Meaning:  "The container is running, but its readiness probe fails or has not succeeded.",
		Evidence: "Unhealthy events of the readiness probe; ready false in the container status.",
		Next:     "Read the log of the container, and check the target of the probe.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: StartupProbePending, Severity: finding.Warning, Title: "Startup probe has not succeeded yet",
		Meaning: "The container is running, and its startup probe has not succeeded yet. The time that the probe " +
			"allows is not over.",
		Evidence: "The field started is false in the container status.",
		Next:     "Wait, and read the log of the container if the start takes unusually long.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ReadinessGatesNotReady, Severity: finding.Warning, Title: "Pod readiness gate is not true",
		Meaning: "The containers of the pod are ready, but another controller has not set the condition of a readiness " +
			"gate to True.",
		Evidence: "Condition of a readiness gate in spec.readinessGates absent or not True.",
		Next:     "Check the controller that sets the condition.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: MinReadySecondsNotElapsed, Severity: finding.Info, Title: "Pod is ready but not yet available",
		Meaning:  "The pod is ready, and counts as available after minReadySeconds of readiness.",
		Evidence: "Time of the last transition of the pod condition Ready, less than minReadySeconds ago.",
		Next:     "Wait until minReadySeconds have passed.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodReadinessFlapping, Severity: finding.Critical, Title: "Pod readiness is flapping",
		Meaning: "The pod becomes ready and not ready in turn and never stays ready for minReadySeconds. Each return " +
			"to ready restarts the progress deadline, so the deadline never expires.",
		Evidence: "At least 3 Unhealthy events of the readiness probe, and the last transition of the pod condition " +
			"Ready.",
		Next: "Read the log of the pod from the time when the probe fails.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodTerminating, Severity: finding.Info, Title: "Pod is terminating within its grace period",
		Meaning:  "The pod is being deleted, and its termination grace period is not over.",
		Evidence: "metadata.deletionTimestamp in the future, or at most 10s ago.",
		Next:     "Wait until the pod has terminated.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FinalizerBlocksDeletion, Severity: finding.Critical, Title: "Finalizer blocks deletion",
		Meaning: "The object is being deleted, and for a pod the containers have terminated, but it stays until a controller removes " +
			"its finalizer.",
		Evidence: "metadata.finalizers after metadata.deletionTimestamp; of a pod, more than 10s after it.",
		Next:     "Check the controller that owns the finalizer.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: TerminatingOnNotReadyNode, Severity: finding.Critical, Title: "Pod cannot terminate because its node is not ready",
		Meaning: "The pod is being deleted, but its node is not ready. Only the kubelet of that node can confirm " +
			"termination.",
		Evidence: "Node condition Ready not True, or the node Lease in kube-node-lease not renewed.",
		Next:     "Run kubectl nodeinfo for the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodStuckTerminating, Severity: finding.Warning, Title: "Pod is stuck terminating",
		Meaning: "The termination grace period of the pod is over, and the kubelet has not terminated the pod.",
		Evidence: "metadata.deletionTimestamp more than 10s ago, or a FailedKillPod, FailedPreStopHook or " +
			"ExceededGracePeriod event.",
		Next: "Run kubectl nodeinfo for the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: JobFailed, Severity: finding.Critical, Title: "Job failed",
		Meaning: "The Job has failed, or one of its indexes has failed finally, so that the Job cannot succeed. Another attempt " +
			"requires a new Job.",
		Evidence: "Job condition Failed=True or FailureTarget=True; status.failedIndexes.",
		Next:     "Check how the last pod terminated.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: JobPodNotEnding, Severity: finding.Warning, Title: "Container keeps the pod of a Job from ending",
		Meaning: "One container of the pod has ended with exit code 0, and another one runs on. The pod ends only when all of its " +
			"containers have ended; only sidecars (init containers with restartPolicy Always) are ended by the kubelet.",
		Evidence: "Container states of the pod of a Job: one terminated with exit code 0, another one running.",
		Next:     "End the other container by itself, or make it a sidecar.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: JobSuspended, Severity: finding.Warning, Title: "Job is suspended",
		Meaning:  "spec.suspend is set or spec.parallelism is 0, so the Job controller runs no pod until that is changed.",
		Evidence: "spec.suspend true, or spec.parallelism 0.",
		Next:     "Resume the Job, or raise spec.parallelism.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoPaused, Severity: finding.Warning, Title: "Argo Rollout is paused",
		Meaning:  "The Argo Rollout waits at a pause step, or is paused by a user.",
		Evidence: "status.pauseConditions, or spec.paused true.",
		Next:     "Promote the rollout.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoAborted, Severity: finding.Critical, Title: "Argo Rollout was aborted",
		Meaning:  "The Argo Rollout was aborted, so its controller runs the stable version.",
		Evidence: "status.abort true.",
		Next:     "Retry or undo the rollout.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoDegraded, Severity: finding.Critical, Title: "Argo Rollout is degraded",
		Meaning:  "The Argo Rollouts controller reports the phase Degraded.",
		Evidence: "status.phase Degraded; status.message.",
		Next:     "Run kubectl argo rollouts get rollout.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: ArgoInvalidSpec, Severity: finding.Critical, Title: "Argo Rollout spec is invalid",
		Meaning:  "The Argo Rollouts controller rejects the spec of the Rollout.",
		Evidence: "status.phase Degraded, and \"InvalidSpec\" or \"invalid\" in status.message.",
		Next:     "Correct the spec.",
	}},
	{layer: LayerController, Entry: finding.Entry{
		Code: NoCauseFound, Severity: finding.Warning, Title: "Rollout is not complete and no cause was found",
		Meaning:  "The rollout is not complete and has made no progress, and no check of this command explains why.",
		Evidence: "Updated and available replicas below the desired number, without progress for more than 60s.",
		Next:     "Run kubectl describe for the object.",
	}},
}
