package evaluate

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/verdict"
)

func fixtures() []fixture {
	var list []fixture
	for _, part := range [][]fixture{controllerFixtures(), noteFixtures(), createFixtures(), schedulingFixtures(), nodeFixtures(), imageFixtures(), configFixtures(), crashFixtures(), readyFixtures(), endFixtures(), otherFixtures()} {
		list = append(list, part...)
	}
	return list
}

func controllerFixtures() []fixture {
	unobserved := with(func(b *builder) {
		b.d.Generation = 3
		b.d.CreationTimestamp = ago(time.Hour)
	})
	createError := with(func(b *builder) {
		b.in.ReplicaSets, b.in.Pods = b.in.ReplicaSets[:1], b.in.Pods[:2]
		b.d.Status.ObservedGeneration = 1
		b.d.Status.Conditions[0].Status, b.d.Status.Conditions[0].Reason = corev1.ConditionFalse, "ReplicaSetCreateError"
		b.d.Status.Conditions[0].Message = `Failed to create new replica set "api-2": replicasets.apps "api-2" is forbidden: exceeded quota: sets, requested: count/replicasets.apps=1, used: count/replicasets.apps=1, limited: count/replicasets.apps=1`
	})
	deadline := with(func(b *builder) {
		b.status(crashed(1, 5, "Error"))
		b.d.Status.Conditions[0].Status, b.d.Status.Conditions[0].Reason = corev1.ConditionFalse, "ProgressDeadlineExceeded"
		b.d.Status.Conditions[0].Message = `ReplicaSet "api-2" has timed out progressing.`
	})
	namespace := with(func(b *builder) {
		b.missing(`pods "api-2-" is forbidden: unable to create new content in namespace shop because it is being terminated`)
		b.in.Namespaces = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}}
	})
	onDelete := func() *builder {
		return daemonCase(func(ds *appsv1.DaemonSet) {
			ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
		})
	}
	partitioned := func(p int32) func() *builder {
		return func() *builder {
			b := statefulCase(func(s *appsv1.StatefulSet) {
				s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &p}
				s.Status.ReadyReplicas, s.Status.AvailableReplicas = 2, 2
			})
			b.status(running(time.Minute))
			b.x().Status.Conditions[2].Status = corev1.ConditionTrue
			if p > 1 {
				b.x().Labels[appsv1.StatefulSetRevisionLabel] = "db-r1"
			}
			return b
		}
	}
	trap := func() *builder {
		b := statefulCase(func(s *appsv1.StatefulSet) { s.Status.UpdateRevision = "db-r1" })
		b.in.ControllerRevisions[0].Revision, b.in.ControllerRevisions[1].Revision = 3, 2
		return b
	}
	return []fixture{
		{kinds.SpecUpdateNotObserved, unobserved, func(b *builder) { b.d.Generation = 2 }},
		{kinds.ReplicaSetCreateError, createError, func(b *builder) {
			b.d.Status.Conditions[0].Reason, b.d.Status.Conditions[0].Message = "ReplicaSetUpdated", ""
		}},
		{kinds.ReplicaSetMutated, mutatedSets, func(b *builder) { b.in.ReplicaSets[1].CreationTimestamp = ago(3 * time.Hour) }},
		{kinds.DeploymentPaused, with(func(b *builder) { b.d.Spec.Paused = true }), func(b *builder) { b.d.Spec.Paused = false }},
		{kinds.PartitionedRollout, partitioned(1), func(b *builder) { *b.in.StatefulSets[0].Spec.UpdateStrategy.RollingUpdate.Partition = 0 }},
		{kinds.PartitionExcludesAllPods, partitioned(5), func(b *builder) { *b.in.StatefulSets[0].Spec.UpdateStrategy.RollingUpdate.Partition = 1 }},
		{kinds.OnDelete, onDelete, func(b *builder) {
			b.in.DaemonSets[0].Spec.UpdateStrategy.Type = appsv1.RollingUpdateDaemonSetStrategyType
		}},
		{kinds.RecreateWaitingForOldPods, with(func(b *builder) { b.recreate() }), func(b *builder) { b.in.Pods[0].Status.Phase = corev1.PodSucceeded }},
		{kinds.MaxUnavailableExceeded, with(func(b *builder) {
			b.d.Status.AvailableReplicas, b.old.Status.AvailableReplicas = 1, 1
			b.in.Pods[0].Status.ContainerStatuses[0].Ready = false
			b.in.Pods[0].Status.Conditions[2].Status = corev1.ConditionFalse
		}), func(b *builder) { b.d.Status.AvailableReplicas, b.old.Status.AvailableReplicas = 2, 2 }},
		{kinds.StatefulSetPodNotReplaced, trap, func(b *builder) { b.status(notReadyYet(5 * time.Second)) }},
		{kinds.OrderedReadyWait, func() *builder { return statefulCase(keepSet) }, func(b *builder) { b.in.StatefulSets[0].Spec.PodManagementPolicy = appsv1.ParallelPodManagement }},
		{kinds.StatefulSetUpdateFailed, func() *builder {
			return statefulCase(keepSet).event("sts", "FailedUpdate", "update Pod db-1 in StatefulSet db failed error: pod updates may not change fields", 12)
		}, func(b *builder) { b.in.Events[0].Count = 1 }},
		{kinds.DaemonSetMaxUnavailableReached, func() *builder { return daemonCase(keepDaemon) }, func(b *builder) {
			two := intstr.FromInt32(2)
			b.in.DaemonSets[0].Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = &two
		}},
		{kinds.SelectorMatchesAllPods, with(func(b *builder) {
			b.event("d", "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.", 3)
		}), func(b *builder) { b.in.Events[0].InvolvedObject.UID = "another" }},
		{refusal.NamespaceTerminating, namespace, func(b *builder) {
			b.in.Namespaces[0].Status.Phase = corev1.NamespaceActive
			otherRefusal(b)
		}},
		{kinds.ProgressDeadlineExceeded, deadline, func(b *builder) { b.d.Status.Conditions[0].Message = `ReplicaSet "api-1" has timed out progressing.` }},
		{kinds.StaleProgressDeadline, func() *builder {
			b := deadline()
			b.d.Status.Conditions[0].Message = `ReplicaSet "api-1" has timed out progressing.`
			return b
		}, func(b *builder) { b.d.Status.Conditions[0].Message = `ReplicaSet "api-2" has timed out progressing.` }},
	}
}

func noteFixtures() []fixture {
	writers := with(func(b *builder) {
		b.scaledBy("kube-controller-manager", "scale")
		b.event("d", "ScalingReplicaSet", "Scaled up replica set api-2 from 1 to 2", 3)
		b.event("d", "ScalingReplicaSet", "Scaled down replica set api-2 from 2 to 1", 3)
	})
	noHistory := with(func(b *builder) {
		b.d.Spec.RevisionHistoryLimit = plain.Ptr(int32(0))
		b.in.ReplicaSets, b.in.Pods, b.pod = b.in.ReplicaSets[1:], b.in.Pods[2:], 0
		b.status(crashed(1, 5, "Error"))
	})
	stale := with(func(b *builder) {
		for i := range b.in.ReplicaSets {
			b.in.ReplicaSets[i].Annotations[kinds.CauseAnnotation] = "release 1"
		}
	})
	return []fixture{
		{kinds.ScaledToZero, with(func(b *builder) {
			b.done()
			b.d.Spec.Replicas, b.in.ReplicaSets[1].Spec.Replicas, b.in.Pods = plain.Ptr(int32(0)), plain.Ptr(int32(0)), nil
			b.d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2}
		}), func(b *builder) { b.d.Spec.Replicas = plain.Ptr(int32(1)) }},
		{kinds.ReplicasFlapping, writers, func(b *builder) { b.in.Events[1].Message = "Scaled down replica set api-1 from 2 to 1" }},
		{verdict.OldPodsTerminating, with(func(b *builder) {
			b.done()
			b.addPod("api-1-a", "rs1", "api:1", "w1", time.Hour, running(time.Hour))
			at := metav1.NewTime(now.Add(20 * time.Second))
			b.in.Pods[2].DeletionTimestamp = &at
		}), func(b *builder) { b.in.Pods = b.in.Pods[:2] }},
		{verdict.NoRevisionHistory, noHistory, func(b *builder) { b.d.Spec.RevisionHistoryLimit = plain.Ptr(int32(10)) }},
		{verdict.StaleChangeCause, stale, func(b *builder) { b.rs.Annotations[kinds.CauseAnnotation] = "release 2" }},
		{verdict.DegradedAfterCompletion, with(func(b *builder) {
			b.done()
			b.d.Status.AvailableReplicas = 1
			b.status(crashed(9, 4, "Error"))
			b.x().Status.Conditions[2].Status = corev1.ConditionFalse
		}), func(b *builder) { b.d.Status.AvailableReplicas = 2; healthy(b) }},
		{kinds.JobManagedExternally, func() *builder {
			return jobCase(func(j *batchv1.Job) { j.Spec.ManagedBy = plain.Ptr("kueue.x-k8s.io/multikueue") })
		}, func(b *builder) { b.in.Jobs[0].Spec.ManagedBy = nil }},
	}
}

func createFixtures() []fixture {
	deleting := func() *builder {
		b := statefulCase(func(s *appsv1.StatefulSet) {}).event("sts", "FailedCreate", "create Pod db-1 in StatefulSet db failed error: pvc data-db-1 is being deleted", 4)
		b.in.Pods = b.in.Pods[:1]
		return b
	}
	conflict := func() *builder {
		b := deleting()
		b.in.Events[0].Message = `create Pod db-1 in StatefulSet db failed error: pods "db-1" already exists`
		return b
	}
	return []fixture{
		{refusal.PodsNotCreated, with(func(b *builder) { b.missing("") }), func(b *builder) { b.rs.CreationTimestamp = ago(3 * time.Second) }},
		{refusal.QuotaExceeded, refusedBy(`pods "api-2-" is forbidden: exceeded quota: two, requested: pods=1, used: pods=2, limited: pods=2`), otherRefusal},
		{refusal.QuotaRequiresResources, refusedBy(`pods "api-2-" is forbidden: failed quota: cpu: must specify requests.cpu for: api`), otherRefusal},
		{refusal.LimitRangeViolated, refusedBy(`pods "api-2-" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`), otherRefusal},
		{refusal.PodSecurityViolated, refusedBy(`pods "api-2-" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`), otherRefusal},
		{refusal.AdmissionPolicyDenied, refusedBy(`pods "api-2-" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`), otherRefusal},
		{refusal.AdmissionWebhookDenied, refusedBy(`admission webhook "v.example.com" denied the request: no`), otherRefusal},
		{refusal.AdmissionWebhookCallFailed, refusedBy(`Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: Post "https://v": connection refused`), otherRefusal},
		{refusal.ServiceAccountNotFound, refusedBy(`pods "api-2-" is forbidden: error looking up service account shop/nope: serviceaccount "nope" not found`), otherRefusal},
		{refusal.PriorityClassNotFound, refusedBy(`pods "api-2-" is forbidden: no PriorityClass with name nope was found`), otherRefusal},
		{refusal.RuntimeClassNotFound, refusedBy(`pods "api-2-" is forbidden: pod rejected: RuntimeClass "nope" not found`), otherRefusal},
		{refusal.PodInvalid, refusedBy(`Pod "api-2-x" is invalid: spec.containers[0].name: Invalid value: "A"`), otherRefusal},
		{refusal.PVCTerminating, deleting, otherRefusal},
		{refusal.NameAlreadyExists, conflict, otherRefusal},
		{refusal.PodCreationRejected, refusedBy("a reason of tomorrow"), func(b *builder) {
			b.in.Events[0].Message = `Error creating: pods "x" is forbidden: no PriorityClass with name nope was found`
		}},
	}
}

func schedulingFixtures() []fixture {
	two := func(reason string) string {
		return "0/2 nodes are available: 2 " + reason + ". no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
	}
	preempting := with(func(b *builder) { b.unscheduled(two("Insufficient cpu")); b.x().Status.NominatedNodeName = "w1" })
	unknown := with(func(b *builder) {
		b.unscheduled("")
		b.x().Status.Conditions, b.x().Spec.SchedulerName = nil, "nobody"
	})
	return []fixture{
		{placement.InsufficientResources, unscheduledFor(two("Insufficient cpu")), otherWords},
		{placement.TooManyPods, unscheduledFor(two("Too many pods")), otherWords},
		{placement.UntoleratedTaint, unscheduledFor(two("node(s) had untolerated taint(s)")), otherWords},
		{placement.NodeAffinityUnsatisfied, unscheduledFor(two("node(s) didn't match Pod's node affinity/selector")), otherWords},
		{placement.PodAffinityUnsatisfied, unscheduledFor(two("node(s) didn't match pod anti-affinity rules")), otherWords},
		{placement.TopologySpreadUnsatisfied, unscheduledFor(two("node(s) didn't match pod topology spread constraints")), otherWords},
		{placement.HostPortConflict, unscheduledFor(two("node(s) didn't have free ports for the requested pod ports")), otherWords},
		{placement.NodesCordoned, unscheduledFor(two("node(s) were unschedulable")), otherWords},
		{placement.PVCNotFound, unscheduledFor(`0/2 nodes are available: persistentvolumeclaim "data" not found. not found`), otherWords},
		{placement.PVCNotBound, with(func(b *builder) { claimed(b, plain.Ptr("nope")) }), otherWords},
		{placement.NoPersistentVolumeAvailable, with(func(b *builder) {
			claimed(b, plain.Ptr("local"))
			b.in.StorageClasses = []storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: "local"}}}
			b.x().Status.Conditions[0].Message = two("node(s) didn't find available persistent volumes to bind")
		}), func(b *builder) {
			b.x().Status.Conditions[0].Message = two("node(s) had volume node affinity conflict")
		}},
		{placement.VolumeNodeAffinityConflict, unscheduledFor(two("node(s) had volume node affinity conflict")), otherWords},
		{placement.VolumeLimitReached, unscheduledFor(two("node(s) exceed max volume count")), otherWords},
		{placement.VolumeInUse, unscheduledFor(two("node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod")), otherWords},
		{placement.ResourceClaimUnsatisfied, unscheduledFor(two("cannot allocate all claims")), otherWords},
		{placement.ResourceClaimNotFound, unclaimed, func(b *builder) { b.x().Spec.ResourceClaims = nil }},
		{placement.Unschedulable, unscheduledFor("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) exceed max volume count."), func(b *builder) { b.x().Status.Conditions[0].Message = two("Insufficient cpu") }},
		{placement.SchedulingGated, with(gatedBy), func(b *builder) { b.x().Status.Conditions[0].Reason = "Unschedulable" }},
		{placement.NamedSchedulerNotActing, unknown, func(b *builder) { b.x().Spec.SchedulerName = "default-scheduler" }},
		{placement.SchedulerNotActing, with(func(b *builder) {
			b.unscheduled("")
			b.x().Status.Conditions = nil
			b.lease("kube-scheduler", time.Hour)
		}), func(b *builder) { b.x().CreationTimestamp = ago(2 * time.Second) }},
		{placement.PreemptionInProgress, preempting, func(b *builder) { b.x().Status.NominatedNodeName = "" }},
	}
}

func nodeFixtures() []fixture {
	nodeDown := with(func(b *builder) {
		b.in.Nodes[0].Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.", LastTransitionTime: ago(time.Minute)}
	})
	creating := func(reason, message string) func() *builder {
		return with(func(b *builder) { b.podEvent(reason, message, 6) })
	}
	drop := func(b *builder) { b.in.Events = nil }
	return []fixture{
		{pods.PodRejected, with(func(b *builder) {
			stopped(b, corev1.PodFailed, "OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu")
		}), func(b *builder) { b.x().Status.Phase = corev1.PodSucceeded }},
		{pods.NodeNotReady, nodeDown, func(b *builder) { b.in.Nodes[0].Status.Conditions[0].Status = corev1.ConditionTrue }},
		{pods.NodeNotFound, with(func(b *builder) {
			b.x().Spec.NodeName, b.x().Status.ContainerStatuses = "w9", nil
			b.fetch(model.Need{Kind: model.NeedNode, Name: "w9"})
		}), func(b *builder) { b.x().Spec.NodeName = "w1" }},
		{pods.PodStatusNotReported, with(func(b *builder) { b.x().Status.ContainerStatuses = nil }), func(b *builder) { b.x().CreationTimestamp = ago(10 * time.Second) }},
		{pods.FailedCreatePodSandBox, creating("FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: no IP addresses available`), drop},
		{pods.FailedPrepareDynamicResources, creating("FailedPrepareDynamicResources", "Failed to prepare dynamic resources: driver gpu.example.com is not registered"), drop},
		{pods.FailedMount, creating("FailedMount", `MountVolume.SetUp failed for volume "v": mount failed: exit status 32`), drop},
		{pods.FailedAttachVolume, creating("FailedAttachVolume", `AttachVolume.Attach failed for volume "pv1": rpc error: code = Internal desc = disk is on fire`), drop},
		{pods.MultiAttachError, creating("FailedAttachVolume", `Multi-Attach error for volume "pv1" Volume is already used by pod(s) api-1-a`), drop},
		{pods.Evicted, with(func(b *builder) {
			stopped(b, corev1.PodFailed, "Evicted", "The node was low on resource: ephemeral-storage.")
		}), func(b *builder) { b.x().Status.Reason = "NodeShutdown" }},
		{pods.PodDisrupted, with(disruption), func(b *builder) { b.x().Status.Conditions = nil }},
	}
}

func imageFixtures() []fixture {
	pull := func(text string) func() *builder {
		return with(func(b *builder) {
			b.status(waiting("ImagePullBackOff", `Back-off pulling image "api:2"`))
			b.podEvent("Failed", `Failed to pull image "api:2": `+text, 4)
		})
	}
	other := func(b *builder) { b.in.Events[0].Message = `Failed to pull image "api:2": a reason of tomorrow` }
	return []fixture{
		{pods.InvalidImageName, waits("InvalidImageName", "couldn't parse image name"), healthy},
		{pods.ErrImageNeverPull, waits("ErrImageNeverPull", "Container image is not present with pull policy of Never"), healthy},
		{pods.ImageNotFound, pull(`rpc error: code = NotFound desc = failed to resolve reference "api:2": api:2: not found`), other},
		{pods.ImagePullUnauthorized, pull(`failed to resolve reference "api:2": unexpected status from HEAD request: 401 Unauthorized`), other},
		{pods.RegistryUnavailable, pull(`failed to do request: Head "https://r/v2": dial tcp 10.0.0.1:443: i/o timeout`), other},
		{pods.NoDiskSpaceForImage, pull("write /var/lib/containerd: no space left on device"), other},
		{pods.ImageRejected, waits("SignatureValidationFailed", "signature is not valid"), healthy},
		{pods.ErrImagePull, pull("a reason of tomorrow"), func(b *builder) { b.in.Events[0].Message = `Failed to pull image "api:2": api:2: not found` }},
		{pods.ImagePullInProgress, with(func(b *builder) { b.podEvent("Pulling", `Pulling image "api:2"`, 1) }), func(b *builder) { b.podEvent("Pulled", "Successfully pulled image", 1) }},
	}
}

func configFixtures() []fixture {
	configError := func(message string) func() *builder { return waits("CreateContainerConfigError", message) }
	other := func(b *builder) { b.s().State.Waiting.Message = "a reason of tomorrow" }
	return []fixture{
		{config.ConfigMapNotFound, configError(`configmap "settings" not found`), other},
		{config.SecretNotFound, configError(`secret "creds" not found`), other},
		{config.ConfigKeyNotFound, configError(`couldn't find key nope in ConfigMap shop/settings`), other},
		{pods.RunAsNonRootCheckFailed, configError("container has runAsNonRoot and image will run as root"), other},
		{pods.CreateContainerConfigError, configError("a reason of tomorrow"), func(b *builder) { b.s().State.Waiting.Message = `secret "creds" not found` }},
	}
}

func crashFixtures() []fixture {
	loop := func(code int32, reason string, more ...func(b *builder)) func() *builder {
		return with(func(b *builder) {
			b.status(crashed(code, 4, reason))
			for _, m := range more {
				m(b)
			}
		})
	}
	// An end that is months past is none of this rollout's.
	longAgo := func(b *builder) {
		s := running(24 * time.Hour)
		s.RestartCount = 4
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: ago(24 * time.Hour)}
		b.status(s)
		b.x().Status.Conditions[2].Status = corev1.ConditionTrue
		b.in.Events = nil
	}
	killed := func(word string) func(b *builder) {
		return func(b *builder) {
			b.podEvent("Killing", "Container api failed "+word+" probe, will be restarted", 4).podEvent("Unhealthy", "Liveness probe failed: Get \"http://10.0.0.1:8080/healthz\": context deadline exceeded", 9)
			b.c().LivenessProbe, b.c().StartupProbe = probe(1, 2), probe(1, 2)
		}
	}
	firstFails := with(func(b *builder) { initContainer(b, crashed(4, 4, "Error"), false) })
	return []fixture{
		{pods.ContainerStartError, waits("RunContainerError", `failed to create containerd task: OCI runtime create failed: unable to start container process: exec: "/nope": no such file`), healthy},
		{pods.ContainerCrashing, loop(1, "Error"), longAgo},
		{pods.OOMKilled, loop(137, "OOMKilled"), longAgo},
		{pods.ContainerCompleted, loop(0, "Completed"), longAgo},
		{pods.ExecFormatError, loop(255, "Error", func(b *builder) {
			b.in.Logs = []model.PodLog{{UID: string(b.x().UID), Container: "api", Lines: []string{"exec /app: exec format error"}}}
		}), func(b *builder) { b.in.Logs[0].Lines = []string{"bye"} }},
		{pods.LivenessProbeFailed, loop(137, "Error", killed("liveness")), func(b *builder) { b.in.Events = nil }},
		{pods.StartupProbeFailed, loop(137, "Error", killed("startup")), func(b *builder) { b.in.Events = nil }},
		{pods.PostStartHookRunning, with(func(b *builder) {
			b.c().Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sleep", "3600"}}}}
			b.podEvent("Started", "Container started", 1)
			b.in.Events[0].LastTimestamp = ago(40 * time.Second)
		}), func(b *builder) { b.in.Events[0].LastTimestamp = ago(3 * time.Second) }},
		{pods.FailedPostStartHook, waits("PostStartHookError", "PostStartHook failed"), healthy},
		{pods.InitContainerFailing, firstFails, func(b *builder) {
			b.x().Status.InitContainerStatuses[0].State.Terminated.ExitCode = 0
			b.x().Status.InitContainerStatuses[0].LastTerminationState.Terminated = nil
		}},
		{pods.InitContainerRunning, with(func(b *builder) { initContainer(b, running(40*time.Second), false) }), func(b *builder) {
			b.x().Status.InitContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		}},
		{pods.SidecarNotStarted, with(func(b *builder) {
			initContainer(b, notReadyYet(20*time.Second), true)
			b.x().Status.InitContainerStatuses[0].Started = plain.Ptr(false)
		}), func(b *builder) { b.x().Status.InitContainerStatuses[0].Started = plain.Ptr(true) }},
	}
}

func readyFixtures() []fixture {
	minReady := func(events int32) func() *builder {
		return with(func(b *builder) {
			b.d.Spec.MinReadySeconds = 20
			healthy(b)
			b.x().Status.Conditions[2].LastTransitionTime = ago(5 * time.Second)
			if events > 0 {
				b.podEvent("Unhealthy", "Readiness probe failed: no", events)
			}
		})
	}
	return []fixture{
		{pods.ReadinessProbeFailing, with(func(b *builder) {
			b.status(notReadyYet(50 * time.Second))
			b.c().ReadinessProbe = probe(2, 3)
			b.podEvent("Unhealthy", `Readiness probe failed: Get "http://10.0.0.1:8080/healthz": dial tcp 10.0.0.1:8080: connect: connection refused`, 20)
		}), healthy},
		{pods.StartupProbePending, with(func(b *builder) {
			s := notReadyYet(10 * time.Second)
			s.Started = plain.Ptr(false)
			b.status(s)
			b.c().StartupProbe = probe(5, 30)
		}), healthy},
		{pods.ReadinessGatesNotReady, with(func(b *builder) {
			b.status(running(time.Minute))
			b.x().Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/traffic"}}
		}), func(b *builder) {
			b.x().Status.Conditions = append(b.x().Status.Conditions, corev1.PodCondition{Type: "example.com/traffic", Status: corev1.ConditionTrue})
		}},
		{pods.MinReadySecondsNotElapsed, minReady(0), func(b *builder) { b.x().Status.Conditions[2].LastTransitionTime = ago(30 * time.Second) }},
		{pods.PodReadinessFlapping, minReady(9), func(b *builder) { b.in.Events[0].Count = 1 }},
	}
}

func endFixtures() []fixture {
	stateful := func(due time.Duration, change func(b *builder, p *corev1.Pod)) func() *builder {
		return func() *builder {
			b := statefulCase(keepSet)
			at := metav1.NewTime(now.Add(due))
			b.x().DeletionTimestamp = &at
			change(b, b.x())
			return b
		}
	}
	past := func(b *builder) {
		at := metav1.NewTime(now.Add(time.Minute))
		b.x().DeletionTimestamp = &at
		b.status(running(time.Hour))
	}
	return []fixture{
		{pods.PodTerminating, stateful(20*time.Second, func(*builder, *corev1.Pod) {}), func(b *builder) { at := ago(time.Hour); b.x().DeletionTimestamp = &at }},
		{pods.FinalizerBlocksDeletion, stateful(-time.Minute, func(b *builder, p *corev1.Pod) {
			b.status(crashed(137, 0, "Error"))
			p.Finalizers = []string{"example.com/hold"}
		}), past},
		{pods.TerminatingOnNotReadyNode, stateful(-time.Minute, func(b *builder, _ *corev1.Pod) {
			b.in.Nodes[0].Status.Conditions[0].Status = corev1.ConditionUnknown
		}), func(b *builder) { b.in.Nodes[0].Status.Conditions[0].Status = corev1.ConditionTrue }},
		{pods.TerminatingOnNotReadyNode, stateful(-time.Minute, func(b *builder, _ *corev1.Pod) { b.nodeLease("w1", 3*time.Minute) }), func(b *builder) {
			b.in.Leases = nil
			b.nodeLease("w1", 3*time.Second)
		}},
		{pods.PodStuckTerminating, stateful(-time.Minute, func(b *builder, _ *corev1.Pod) { b.podEvent("FailedKillPod", "error killing pod", 3) }), past},
	}
}

func otherFixtures() []fixture {
	failedJob := func() *builder {
		return jobCase(func(j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"}}
		})
	}
	leftOut := func() *builder {
		b := daemonCase(func(ds *appsv1.DaemonSet) { ds.Status.NumberMisscheduled = 1 })
		b.in.Nodes[1].Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoSchedule}}
		return b
	}
	unexplained := func() *builder {
		b := deploymentCase().done()
		b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "d" : configmap "later" not found`, 3)
		return b
	}
	return []fixture{
		{finding.UnexplainedEvidence, unexplained, func(b *builder) { b.in.Events[0].Reason = "Unhealthy" }},
		{kinds.JobFailed, failedJob, func(b *builder) { b.in.Jobs[0].Status.Conditions = nil }},
		{kinds.JobPodNotEnding, twoContainers, func(b *builder) { b.x().Status.ContainerStatuses[0] = running(time.Minute) }},
		{kinds.JobSuspended, func() *builder { return jobCase(func(j *batchv1.Job) { j.Spec.Suspend = plain.Ptr(true) }) }, func(b *builder) { b.in.Jobs[0].Spec.Suspend = nil }},
		{kinds.DaemonSetNodesExcluded, leftOut, func(b *builder) { b.in.Nodes[1].Spec.Taints[0].Effect = corev1.TaintEffectPreferNoSchedule }},
		{kinds.ArgoPaused, argoCase(map[string]any{"phase": "Paused", "pauseConditions": []any{map[string]any{"reason": "CanaryPauseStep", "startTime": "2026-03-01T11:00:00Z"}}}), argoHealthy},
		{kinds.ArgoAborted, argoCase(map[string]any{"phase": "Degraded", "message": "RolloutAborted: metric failed", "abort": true}), argoHealthy},
		{kinds.ArgoDegraded, argoCase(map[string]any{"phase": "Degraded", "message": "ProgressDeadlineExceeded"}), argoHealthy},
		{kinds.ArgoInvalidSpec, argoCase(map[string]any{"phase": "Degraded", "message": "InvalidSpec: no strategy"}), argoHealthy},
		{verdict.NoCauseFound, with(func(b *builder) {
			b.status(notReadyYet(10 * time.Minute))
			b.rs.CreationTimestamp, b.x().CreationTimestamp = ago(10*time.Minute), ago(10*time.Minute)
		}), func(b *builder) {
			b.rs.CreationTimestamp, b.x().CreationTimestamp = ago(20*time.Second), ago(20*time.Second)
		}},
	}
}
