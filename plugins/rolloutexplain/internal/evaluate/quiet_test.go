package evaluate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// odd judges the only workload of a snapshot.
func odd(make func() *builder) func(testing.TB) (string, []finding.Finding) {
	return func(t testing.TB) (string, []finding.Finding) {
		got := Evaluate(make().in, now, model.Options{})
		if len(got.Items) != 1 {
			t.Fatalf("%d workloads", len(got.Items))
		}
		var list []finding.Finding
		for i := range got.Items[0].Findings {
			list = append(list, got.Items[0].Findings[i].Finding)
		}
		t.Log(got.Items[0].Summary)
		return string(got.Items[0].Verdict), list
	}
}

// complete is a finished rollout of two pods after a change.
func complete(change func(b *builder)) func(testing.TB) (string, []finding.Finding) {
	return odd(func() *builder {
		b := deploymentCase().done()
		b.d.Status.Conditions = append(b.d.Status.Conditions, appsv1.DeploymentCondition{
			Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", LastUpdateTime: ago(time.Hour), LastTransitionTime: ago(48 * time.Hour),
		})
		change(b)
		return b
	})
}

func TestQuiet(t *testing.T) {
	testkit.Quiet(t, "rollout-explain", slices.Concat(quietComplete(), quietMoving(), quietJobs(), quietKinds()))
}

// seen dates the last event that was added.
func (b *builder) seen(first, last time.Duration) *builder {
	e := &b.in.Events[len(b.in.Events)-1]
	e.CreationTimestamp, e.FirstTimestamp, e.LastTimestamp = ago(first), ago(first), ago(last)
	return b
}

// starting adds a new pod whose container is being created.
func (b *builder) starting(name string, age time.Duration) {
	p := b.addPod(name, "rs2", "api:2", "w2", age, waiting("ContainerCreating", ""))
	p.Status.Phase = corev1.PodPending
}

func quietComplete() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "The pods have warnings that their image pull secret does not exist", Why: "The image is present or public, so the pods run without the secret.",
			Link: "https://github.com/kubernetes/kubernetes/issues/128544", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				for i := range b.in.Pods {
					b.in.Pods[i].Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "regcred"}}
					b.event(string(b.in.Pods[i].UID), "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.", 40)
				}
			}),
		},
		{
			Situation: "A quota refused a new ReplicaSet and new pods three minutes ago", Why: "The change was undone, and all pods of the template that holds again are available.",
			Link: "https://kubernetes.io/docs/concepts/policy/resource-quotas/", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				b.event(string(b.d.UID), "ReplicaSetCreateError", `Failed to create new replica set "api-5b5fff559d": replicasets.apps "api-5b5fff559d" is forbidden: exceeded quota: sets, requested: count/replicasets.apps=1, used: count/replicasets.apps=1, limited: count/replicasets.apps=1`, 3).seen(3*time.Minute, 3*time.Minute)
				b.event("rs2", "FailedCreate", `pods "api-2-" is forbidden: exceeded quota: two, requested: pods=1, used: pods=2, limited: pods=2`, 3).seen(3*time.Minute, 3*time.Minute)
			}),
		},
		{
			Situation: "A pod has the condition PodResizePending with reason Deferred", Why: "A resize waits for free capacity, and the pod runs on with the resources that it has.",
			Link: "https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				b.x().Status.Conditions = append(b.x().Status.Conditions, corev1.PodCondition{
					Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonDeferred, Message: "Node didn't have enough resource: cpu, requested: 4000, used: 900, capacity: 2000", LastTransitionTime: ago(5 * time.Minute),
				})
			}),
		},
		{
			Situation: "A Deployment is paused", Why: "Its rollout was complete before, and nothing waits for it.",
			Link: "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pausing-and-resuming-a-deployment", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				b.d.Spec.Paused = true
				b.d.Status.Conditions[0] = appsv1.DeploymentCondition{
					Type: appsv1.DeploymentProgressing, Status: corev1.ConditionUnknown, Reason: "DeploymentPaused", Message: "Deployment is paused", LastUpdateTime: ago(time.Minute), LastTransitionTime: ago(time.Minute),
				}
			}),
		},
		{
			Situation: "A Deployment has no pods", Why: "It is scaled to 0 replicas.", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				b.d.Spec.Replicas, b.in.ReplicaSets[1].Spec.Replicas, b.in.Pods = plain.Ptr(int32(0)), plain.Ptr(int32(0)), nil
				b.in.ReplicaSets[1].Status = appsv1.ReplicaSetStatus{}
				b.d.Status.Replicas, b.d.Status.UpdatedReplicas, b.d.Status.ReadyReplicas, b.d.Status.AvailableReplicas = 0, 0, 0, 0
			}),
		},
		{
			Situation: "Old pods are still terminating after the rollout", Why: "They are within their termination grace period, and no desired pod is missing.",
			Link: "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				due := metav1.NewTime(now.Add(20 * time.Second))
				p := b.addPod("api-1-a", "rs1", "api:1", "w1", time.Hour, running(time.Hour))
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &due, plain.Ptr(int64(30))
			}),
		},
		{
			Situation: "A pod has the Warning events FailedMount and Unhealthy", Why: "Both are older than its readiness.", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				b.x().Status.Conditions[2].LastTransitionTime = ago(57 * time.Minute)
				b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "config" : failed to sync configmap cache: timed out waiting for the condition`, 1).seen(time.Hour, time.Hour)
				b.podEvent("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 6).seen(59*time.Minute, 58*time.Minute)
			}),
		},
		{
			Situation: "A container has restarted three times", Why: "The last restart was two days ago, and the pod has been available since then.", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				s := b.s()
				s.RestartCount, s.State.Running.StartedAt = 3, ago(48*time.Hour)
				s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: ago(50 * time.Hour), FinishedAt: ago(48 * time.Hour)}
				b.x().CreationTimestamp = ago(96 * time.Hour)
			}),
		},
		{
			Situation: "Pods that were evicted yesterday are still listed as Failed", Why: "The ReplicaSet replaced them, and all desired pods are available.",
			Link: "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				p := b.addPod("api-2-e", "rs2", "api:2", "w1", 25*time.Hour, running(25*time.Hour))
				p.Status = corev1.PodStatus{
					Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory.", StartTime: plain.Ptr(ago(25 * time.Hour)),
					Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet", LastTransitionTime: ago(24 * time.Hour)}},
				}
			}),
		},
		{
			Situation: "The node of a pod is cordoned", Why: "A cordon keeps new pods away and leaves the running ones alone.",
			Link: "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/", Verdict: "Complete",
			Judge: complete(func(b *builder) {
				b.in.Nodes[0].Spec.Unschedulable = true
				b.in.Nodes[0].Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
			}),
		},
	}
}

func quietMoving() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A new pod has not been ready in the 15 seconds since its container started", Why: "The readiness probe may fail for 60 seconds, and the kubelet has reported no failure so far.",
			Link: "https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/", Verdict: "Progressing",
			Judge: odd(with(func(b *builder) {
				b.status(notReadyYet(15 * time.Second))
				b.c().ReadinessProbe = probe(10, 6)
			})),
		},
		{
			Situation: "The image of a new pod has been pulling for two minutes", Why: "A large image takes minutes, and the kubelet reports no failure.", Verdict: "Progressing",
			Judge: odd(with(func(b *builder) {
				b.x().CreationTimestamp, b.rs.CreationTimestamp = ago(125*time.Second), ago(126*time.Second)
				b.podEvent("Pulling", `Pulling image "api:2"`, 1).seen(2*time.Minute, 2*time.Minute)
			})),
		},
		{
			Situation: "An init container of a new pod has been running for 40 seconds", Why: "It migrates a database, and the other containers start after it exits.",
			Link: "https://kubernetes.io/docs/concepts/workloads/pods/init-containers/", Verdict: "Progressing",
			Judge: odd(with(func(b *builder) {
				s := notReadyYet(40 * time.Second)
				s.Started = plain.Ptr(false)
				initContainer(b, s, false)
				b.x().Status.Phase = corev1.PodPending
				b.x().Status.Conditions[1].Status = corev1.ConditionFalse
			})),
		},
		{
			Situation: "The startup probe of a new pod has failed for 40 seconds", Why: "The container loads its data, and the probe allows it 150 seconds.",
			Link: "https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/", Verdict: "Progressing",
			Judge: odd(with(func(b *builder) {
				s := notReadyYet(40 * time.Second)
				s.Started = plain.Ptr(false)
				b.status(s)
				b.c().StartupProbe, b.c().ReadinessProbe = probe(5, 30), probe(10, 3)
				b.podEvent("Unhealthy", `Startup probe failed: Get "http://10.1.0.9:8080/healthz": dial tcp 10.1.0.9:8080: connect: connection refused`, 8).seen(38*time.Second, 3*time.Second)
			})),
		},
		{
			Situation: "A new pod is ready and not available", Why: "20 of the 60 seconds of minReadySeconds have passed.",
			Link: "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#min-ready-seconds", Verdict: "Progressing",
			Judge: odd(with(func(b *builder) {
				b.d.Spec.MinReadySeconds, b.rs.Spec.MinReadySeconds, b.d.Status.ReadyReplicas, b.rs.Status.ReadyReplicas = 60, 60, 3, 1
				b.status(running(30 * time.Second))
				b.x().Status.Conditions[2] = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(20 * time.Second)}
			})),
		},
		{
			Situation: "Four of six pods are not available", Why: "A HorizontalPodAutoscaler raised the number of replicas four seconds ago, and the new pods are starting.",
			Link: "https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/", Verdict: "Progressing",
			Judge: complete(func(b *builder) {
				at := ago(4 * time.Second)
				b.d.Spec.Replicas, b.in.ReplicaSets[1].Spec.Replicas = plain.Ptr(int32(6)), plain.Ptr(int32(6))
				b.d.Generation, b.d.Status.ObservedGeneration = 3, 3
				b.d.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", Subresource: "scale", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`), Time: &at}}
				b.d.Status.Replicas, b.d.Status.UpdatedReplicas, b.in.ReplicaSets[1].Status.Replicas = 6, 6, 6
				b.event("d", "ScalingReplicaSet", "Scaled up replica set api-2 from 2 to 6", 1).seen(4*time.Second, 4*time.Second)
				b.in.Events[0].Type = corev1.EventTypeNormal
				for i := range 4 {
					b.starting(fmt.Sprintf("api-2-%d", i), 4*time.Second)
				}
			}),
		},
		{
			Situation: "The Deployment has condition ProgressDeadlineExceeded", Why: "The deadline expired for an earlier revision, and the pods of the current one have been starting for seconds.",
			Verdict: "Progressing",
			Judge: odd(with(func(b *builder) {
				b.rs.CreationTimestamp, b.x().CreationTimestamp = ago(6*time.Second), ago(5*time.Second)
				b.x().Status.StartTime, b.x().Status.Conditions[1].LastTransitionTime = plain.Ptr(ago(5*time.Second)), ago(5*time.Second)
				c := &b.d.Status.Conditions[0]
				c.Status, c.Reason, c.Message = corev1.ConditionFalse, "ProgressDeadlineExceeded", `ReplicaSet "api-1" has timed out progressing.`
				c.LastUpdateTime, c.LastTransitionTime = ago(10*time.Minute), ago(10*time.Minute)
			})),
		},
		{
			Situation: "No new pod runs while an old one is terminating", Why: "The strategy is Recreate, and the old pod is within its termination grace period.",
			Link: "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment", Verdict: "Progressing",
			Judge: odd(func() *builder { return deploymentCase().recreate() }),
		},
	}
}

func quietJobs() []testkit.Odd {
	ended := func(b *builder, name string, code int32, age time.Duration) {
		p := b.jobPod(name, age, crashed(code, 0, "Error"))
		p.Status.Phase = corev1.PodFailed
		if code == 0 {
			p.Status.Phase = corev1.PodSucceeded
		}
		end := p.Status.ContainerStatuses[0].State.Terminated
		end.StartedAt, end.FinishedAt = ago(age-2*time.Second), ago(age-30*time.Second)
		p.Status.ContainerStatuses[0].LastTerminationState = corev1.ContainerState{}
	}
	return []testkit.Odd{
		{
			Situation: "The first two pods of a Job failed", Why: "The third one has been running for four minutes, and backoffLimit allows six failures.",
			Link: "https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy", Verdict: "Progressing",
			Judge: odd(func() *builder {
				b := jobCase(func(j *batchv1.Job) { j.Status.Failed, j.Status.Active = 2, 1 })
				b.in.Pods = nil
				ended(b, "once-1", 1, 9*time.Minute)
				ended(b, "once-2", 1, 7*time.Minute)
				b.jobPod("once-3", 4*time.Minute, running(4*time.Minute))
				return b
			}),
		},
		{
			Situation: "A Job of a CronJob has no running pod, and one of its pods failed", Why: "Its second pod succeeded two hours ago, which completed the Job.", Verdict: "Complete",
			Judge: odd(func() *builder {
				b := jobCase(func(j *batchv1.Job) {
					j.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: "cron", Controller: plain.Ptr(true)}}
					j.Status = batchv1.JobStatus{
						Succeeded: 1, Failed: 1, StartTime: plain.Ptr(ago(3 * time.Hour)), CompletionTime: plain.Ptr(ago(2 * time.Hour)),
						Conditions: []batchv1.JobCondition{
							{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonCompletionsReached, LastTransitionTime: ago(2 * time.Hour)},
							{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonCompletionsReached, LastTransitionTime: ago(2 * time.Hour)},
						},
					}
				})
				b.in.Pods = nil
				ended(b, "nightly-1", 1, 3*time.Hour)
				ended(b, "nightly-2", 0, 150*time.Minute)
				b.in.Jobs[0].CreationTimestamp = ago(3 * time.Hour)
				return b
			}),
		},
		{
			Situation: "A Job has been running for nine minutes with two of five completions", Why: "Its pod is ready, and a Job has no deadline unless one is set.", Verdict: "Progressing",
			Judge: odd(func() *builder {
				b := jobCase(func(j *batchv1.Job) {
					j.Spec.Completions, j.Status.Succeeded, j.Status.Active = plain.Ptr(int32(5)), 2, 1
				})
				b.in.Pods = nil
				ended(b, "once-1", 0, 30*time.Minute)
				ended(b, "once-2", 0, 20*time.Minute)
				b.jobPod("once-3", 9*time.Minute, running(9*time.Minute))
				b.in.Jobs[0].CreationTimestamp = ago(31 * time.Minute)
				return b
			}),
		},
	}
}

// readyPod makes a pod of a builder ready.
func readyPod(p *corev1.Pod, since time.Duration) {
	s := running(since)
	s.Name = p.Status.ContainerStatuses[0].Name
	p.Status.ContainerStatuses[0] = s
	p.Status.Conditions[2] = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(since)}
}

// Left out: what a user holds back, such as by a partition. It is no fault, and a warning all the same, since the update
// waits for the user.
func quietKinds() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A DaemonSet has two pods, and the cluster has three nodes", Why: "The third node is a control plane node, whose taint the DaemonSet does not tolerate.",
			Link: "https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations", Verdict: "Complete",
			Judge: odd(func() *builder {
				b := daemonCase(func(ds *appsv1.DaemonSet) {
					ds.Status.NumberReady, ds.Status.NumberAvailable, ds.Status.UpdatedNumberScheduled = 2, 2, 2
				})
				for i := range b.in.Pods {
					readyPod(&b.in.Pods[i], 30*time.Minute)
					b.in.Pods[i].Labels[appsv1.ControllerRevisionHashLabelKey] = "r2"
				}
				b.node("cp1").Spec.Taints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
				return b
			}),
		},
		{
			Situation: "A StatefulSet of three has one pod", Why: "It is ten seconds old and creates its pods one after the other, the next when the first is ready.",
			Link: "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#orderedready-pod-management", Verdict: "Progressing",
			Judge: odd(func() *builder {
				b := firstRollout(appsv1.OrderedReadyPodManagement, waiting("ContainerCreating", ""))
				b.in.StatefulSets[0].CreationTimestamp = ago(10 * time.Second)
				b.in.ControllerRevisions = b.in.ControllerRevisions[1:]
				b.in.ControllerRevisions[0].CreationTimestamp = ago(10 * time.Second)
				b.x().CreationTimestamp, b.x().Status.StartTime = ago(9*time.Second), plain.Ptr(ago(9*time.Second))
				b.x().Status.Phase = corev1.PodPending
				return b
			}),
		},
		{
			Situation: "A StatefulSet has a partition", Why: "The partition is 0, so the update reached every pod.", Verdict: "Complete",
			Judge: odd(func() *builder {
				b := statefulCase(func(s *appsv1.StatefulSet) {
					s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: plain.Ptr(int32(0))}
					s.Status.CurrentRevision, s.Status.UpdatedReplicas, s.Status.CurrentReplicas = "db-r2", 2, 2
					s.Status.ReadyReplicas, s.Status.AvailableReplicas = 2, 2
				})
				for i := range b.in.Pods {
					readyPod(&b.in.Pods[i], 10*time.Minute)
					b.in.Pods[i].Labels[appsv1.StatefulSetRevisionLabel] = "db-r2"
				}
				return b
			}),
		},
	}
}
