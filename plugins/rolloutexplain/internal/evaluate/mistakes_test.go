package evaluate

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// mistake is a case that a tool in use gets wrong: what it does is the name. Here the snapshot must give the verdict and
// the root, and a wait with the default patience that looks at it for three minutes must end as said.
type mistake struct {
	name    string
	make    func() *builder
	verdict report.Verdict
	root    finding.Code // empty: none
	says    string       // in the summary
	wait    wait.Outcome
	later   func(b *builder, at time.Time) // what moves while the wait looks; nil: nothing
}

func unreadablePods(b *builder) {
	b.in.Pods = nil
	for i := range b.in.Sources {
		if b.in.Sources[i].Name == model.SourcePods {
			b.in.Sources[i].State = "forbidden"
		}
	}
}

func staleDeadline(b *builder) {
	b.status(running(5 * time.Second))
	c := &b.d.Status.Conditions[0]
	c.Status, c.Reason, c.Message = corev1.ConditionFalse, "ProgressDeadlineExceeded", `ReplicaSet "api-1" has timed out progressing.`
}

func setRefusal(b *builder) {
	b.in.ReplicaSets, b.in.Pods = b.in.ReplicaSets[:1], b.in.Pods[:2]
	b.d.Status.ObservedGeneration = 1
	c := &b.d.Status.Conditions[0]
	c.Status, c.Reason = corev1.ConditionFalse, "ReplicaSetCreateError"
	c.Message = `Failed to create new replica set "api-2": replicasets.apps "api-2" is forbidden: exceeded quota: sets, requested: count/replicasets.apps=1, used: count/replicasets.apps=1, limited: count/replicasets.apps=1`
}

func oldPodCrashes(b *builder) {
	b.status(notReadyYet(5 * time.Second))
	s := crashed(1, 9, "Error")
	s.Name = "api"
	b.in.Pods[0].Status.ContainerStatuses[0] = s
}

// tenPods have crashed once each, as when they all wait for one dependency.
func tenPods(b *builder) {
	b.d.Spec.Replicas, b.rs.Spec.Replicas = plain.Ptr(int32(10)), plain.Ptr(int32(10))
	b.in.Pods = b.in.Pods[:2]
	for i := range 10 {
		b.addPod("api-2-"+string(rune('a'+i)), "rs2", "api:2", "w1", time.Minute, crashed(1, 0, "Error"))
	}
}

func pull(text string, attempts int32) func() *builder {
	return with(func(b *builder) {
		b.status(waiting("ErrImagePull", `failed to pull image "api:2": `+text))
		b.podEvent("Failed", `Failed to pull image "api:2": `+text, attempts)
	})
}

func kubedogMistakes() []mistake {
	return []mistake{
		{"kubedog adds up the failures of all pods: ten that crashed once count as a loop", with(tenPods), report.Progressing, pods.ContainerCrashing, "all 10 new pods", wait.Waiting, nil},
		{"kubedog counts the crash loop of an old revision's pod", with(oldPodCrashes), report.Progressing, "", "", wait.Waiting, nil},
		{"kubedog does not read the ReplicaSet's events: a quota stays silent", refusedBy(`pods "api-2-" is forbidden: exceeded quota: two, requested: pods=1, used: pods=2, limited: pods=2`), report.Stuck, refusal.QuotaExceeded, `ResourceQuota "two"`, wait.Failed, nil},
		{"kubedog does not know volumes: a missing Secret in a mount gives a generic timeout", with(func(b *builder) {
			b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "v" : secret "tls" not found`, 6)
		}), report.Stuck, config.SecretNotFound, `"tls"`, wait.Failed, nil},
		{"kubedog never reads the progress deadline", with(func(b *builder) {
			b.status(notReadyYet(10 * time.Minute))
			c := &b.d.Status.Conditions[0]
			c.Status, c.Reason, c.Message = corev1.ConditionFalse, "ProgressDeadlineExceeded", `ReplicaSet "api-2" has timed out progressing.`
			b.x().Spec.Containers[0].ReadinessProbe = probe(5, 3)
		}), report.Failed, pods.ReadinessProbeFailing, "", wait.Failed, nil},
		{"kubedog fails on any event whose reason holds Failed", with(func(b *builder) {
			b.status(notReadyYet(5 * time.Second))
			b.event("d", "FailedToUpdateEndpointSlices", "Error updating Endpoint Slices for Service shop/api", 9)
			b.podEvent("FailedPodTopologyUpdate", "something of tomorrow", 9)
		}), report.Progressing, "", "", wait.Waiting, nil},
		{"kubedog calls a DaemonSet with OnDelete ready at once", func() *builder {
			return daemonCase(func(ds *appsv1.DaemonSet) {
				ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
			})
		}, report.OnHold, kinds.OnDelete, "agent-a", wait.OnHold, nil},
	}
}

func kstatusMistakes() []mistake {
	return []mistake{
		{"kstatus takes the deadline of another ReplicaSet, left after an undo, for this one's", with(staleDeadline), report.Progressing, "", "", wait.Waiting, nil},
		{"kstatus fails a pod that is unschedulable for 15 s while an autoscaler adds a node", with(func(b *builder) {
			b.unscheduled("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
			b.podEvent("TriggeredScaleUp", "pod triggered scale-up", 1)
		}), report.Progressing, placement.NodeAffinityUnsatisfied, "the autoscaler is adding a node", wait.Waiting, nil},
		{"a node that Karpenter made once is not taken for one that it makes now", with(func(b *builder) {
			b.unscheduled("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
			b.podEvent("Nominated", "Pod should schedule on: nodeclaim/default-x7k2p", 1)
			b.in.Events[len(b.in.Events)-1].LastTimestamp = ago(20 * time.Second)
			b.podEvent("FailedScheduling", "Failed to schedule pod, all available instance types exceed limits for nodepool (NodePool=default)", 1)
		}), report.Stuck, placement.NodeAffinityUnsatisfied, "Karpenter adds no node: all available instance types exceed limits", wait.Failed, nil},
		{"what the scheduler says is not taken for a refusal of Karpenter", with(func(b *builder) {
			b.unscheduled("0/2 nodes are available: 2 Insufficient cpu.")
			b.podEvent("Nominated", "Pod should schedule on: nodeclaim/default-x7k2p", 1)
			b.podEvent("FailedScheduling", "0/2 nodes are available: 2 Insufficient cpu.", 1)
		}), report.Progressing, placement.InsufficientResources, "Karpenter is adding a node", wait.Waiting, nil},
		{"kstatus fails a pod that is unschedulable for 15 s on a cluster that is full for a moment", with(func(b *builder) {
			b.unscheduled("0/2 nodes are available: 2 Insufficient cpu.")
			b.in.NodePods = []model.NodePod{{Node: "w1", Requests: corev1.ResourceList{"cpu": quantity("2")}}}
			b.x().Status.Conditions[0].LastTransitionTime = ago(20 * time.Second)
		}), report.Progressing, placement.InsufficientResources, "", wait.Waiting, nil},
		{"kstatus does not see an init container's crash loop", with(func(b *builder) { initContainer(b, crashed(4, 5, "Error"), false) }), report.Stuck, pods.InitContainerFailing, "exit code 4", wait.Failed, nil},
		{"kstatus can never fail a StatefulSet", func() *builder { return statefulCase(keepSet) }, report.Stuck, pods.ContainerCrashing, "db-1", wait.Failed, nil},
		{"kstatus calls a StatefulSet with OnDelete current", func() *builder {
			return statefulCase(func(s *appsv1.StatefulSet) {
				s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
				s.Status.ReadyReplicas, s.Status.AvailableReplicas, s.Status.UpdatedReplicas = 2, 2, 0
			}).allOld()
		}, report.OnHold, kinds.OnDelete, "db-0", wait.OnHold, nil},
	}
}

// allOld makes the pod of a StatefulSet's update a healthy one of the old revision.
func (b *builder) allOld() *builder {
	b.status(running(time.Hour))
	b.x().Labels[appsv1.StatefulSetRevisionLabel] = "db-r1"
	b.x().Status.Conditions[2].Status = corev1.ConditionTrue
	return b
}

func deployerMistakes() []mistake {
	return []mistake{
		{"helm skips a paused Deployment: its release is a success", with(func(b *builder) { b.d.Spec.Paused = true }), report.OnHold, kinds.DeploymentPaused, "paused", wait.OnHold, nil},
		{"helm 3 is content with n minus maxUnavailable: one replica that may be away and has a broken image", with(func(b *builder) {
			one := intstr.FromInt32(1)
			b.d.Spec.Replicas, b.d.Spec.Strategy.RollingUpdate.MaxUnavailable = plain.Ptr(int32(1)), &one
			b.status(waiting("InvalidImageName", "couldn't parse image name"))
		}), report.Failed, pods.InvalidImageName, "", wait.Failed, nil},
		{"helm retries a Job that has failed for good", func() *builder {
			return jobCase(func(j *batchv1.Job) {
				j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"}}
			})
		}, report.Failed, kinds.JobFailed, "BackoffLimitExceeded", wait.Failed, nil},
		{"krane fails at one look at ErrImagePull", pull("api:2: not found", 1), report.Stuck, pods.ImageNotFound, "does not exist", wait.Waiting, nil},
		{"krane fails on a Secret that is created a moment later", with(func(b *builder) {
			b.status(waiting("CreateContainerConfigError", `secret "creds" not found`))
			b.fetch(model.Need{Kind: model.NeedNames, Namespace: "shop", Name: "secrets"})
			b.in.Held = append(b.in.Held, model.Held{ObjectRef: finding.ObjectRef{Kind: "Secret", Namespace: "shop", Name: "creds"}})
		}), report.Progressing, config.SecretNotFound, "which exists now", wait.Waiting, nil},
		{"krane takes the kubelet's late cache for a missing ConfigMap", waits("CreateContainerConfigError", "failed to sync configmap cache: timed out waiting for the condition"), report.Progressing, pods.CreateContainerConfigError, "", wait.Waiting, nil},
		{"skaffold fails when a container ends once while what it needs comes up", with(func(b *builder) { b.status(crashed(1, 0, "Error")) }), report.Progressing, pods.ContainerCrashing, "(1 time)", wait.Waiting, nil},
		{"skaffold fails on a registry that is away", pull(`failed to do request: Head "https://r.test/v2/api/manifests/2": dial tcp 10.0.0.1:443: i/o timeout`, 9), report.Progressing, pods.RegistryUnavailable, "i/o timeout", wait.Waiting, nil},
		{"rollout-status knows pull failures by one word: 429 is not a missing image", pull("unexpected status from HEAD request to https://r.test/v2/api/manifests/2: 429 Too Many Requests", 9), report.Progressing, pods.RegistryUnavailable, "429", wait.Waiting, nil},
	}
}

func watcherMistakes() []mistake {
	return []mistake{
		{"safe-rollout hangs on a ReplicaSet that cannot be created", with(setRefusal), report.Stuck, kinds.ReplicaSetCreateError, `ResourceQuota "sets"`, wait.Failed, nil},
		{"kubectl-why calls it healthy when the new ReplicaSet cannot be created", with(setRefusal), report.Stuck, kinds.ReplicaSetCreateError, "rejects the new ReplicaSet", wait.Failed, nil},
		{"kubectl rollout status says that it waits for the change to be observed, for ever", with(setRefusal), report.Stuck, kinds.ReplicaSetCreateError, "the progress deadline never starts", wait.Failed, nil},
		{"watch-rollout takes the highest revision for the new one where none exists", with(setRefusal), report.Stuck, kinds.ReplicaSetCreateError, "", wait.Failed, nil},
		{"safe-rollout hangs on a paused Deployment", with(func(b *builder) { b.d.Spec.Paused = true }), report.OnHold, kinds.DeploymentPaused, "", wait.OnHold, nil},
		{"safe-rollout hangs on a scheduling gate", with(gatedBy), report.OnHold, placement.SchedulingGated, "example.com/wait", wait.OnHold, nil},
		{"safe-rollout hangs on a scheduler that does not exist", with(func(b *builder) {
			b.unscheduled("")
			b.x().Status.Conditions, b.x().Spec.SchedulerName = nil, "nobody"
		}), report.Stuck, placement.NamedSchedulerNotActing, "nobody", wait.Failed, nil},
		{"safe-rollout has no verdict for a PriorityClass that does not exist", refusedBy(`pods "api-2-" is forbidden: no PriorityClass with name nope was found`), report.Stuck, refusal.PriorityClassNotFound, "nope", wait.Failed, nil},
		{"safe-rollout lumps LimitRange and quota together", refusedBy(`pods "api-2-" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`), report.Failed, refusal.LimitRangeViolated, "1Gi", wait.Failed, nil},
		{"safe-rollout ends its watch at an old pod's fault", with(oldPodCrashes), report.Progressing, "", "", wait.Waiting, nil},
		{"kubectl-why says nothing of Pod Security", refusedBy(`pods "api-2-" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`), report.Failed, refusal.PodSecurityViolated, "restricted", wait.Failed, nil},
		{"waiting for CrashLoopBackOff as the reason misses a container that ends at once", with(func(b *builder) { b.status(crashed(1, 3, "Error")) }), report.Stuck, pods.ContainerCrashing, "exit code 1", wait.Failed, nil},
		{"a liveness kill is reported as a crash", with(func(b *builder) {
			b.status(crashed(137, 4, "Error"))
			b.podEvent("Killing", "Container api failed liveness probe, will be restarted", 4)
		}), report.Stuck, pods.LivenessProbeFailed, "the container does not exit on its own", wait.Failed, nil},
		{"a pod's trouble is told in place of its node's", with(func(b *builder) {
			b.status(notReadyYet(10 * time.Minute))
			b.in.Nodes[0].Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.", LastTransitionTime: ago(time.Minute)}
		}), report.Progressing, pods.NodeNotReady, "w1", wait.Waiting, nil},
		{"Ready is believed of a node whose controllers died before it", with(func(b *builder) {
			b.status(notReadyYet(10 * time.Minute))
			b.nodeLease("w1", 90*time.Second)
		}), report.Progressing, pods.NodeNotReady, "has not reported for 90s, but its Ready condition is still True", wait.Waiting, nil},
	}
}

func controllerMistakes() []mistake {
	partition := func(n int32) func() *builder {
		return func() *builder {
			return statefulCase(func(s *appsv1.StatefulSet) {
				s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &n}
				s.Status.ReadyReplicas, s.Status.AvailableReplicas = 2, 2
			}).allOld()
		}
	}
	return []mistake{
		{"kubectl rollout status ends with 0 for a partition that no pod will ever pass", partition(5), report.OnHold, kinds.PartitionExcludesAllPods, "no pod is ever updated", wait.OnHold, nil},
		{"kubectl rollout status waits for ever for a StatefulSet's abandoned broken pod", func() *builder {
			b := statefulCase(func(s *appsv1.StatefulSet) { s.Status.UpdateRevision = "db-r1" })
			b.in.ControllerRevisions[0].Revision, b.in.ControllerRevisions[1].Revision = 3, 2
			b.c().ReadinessProbe = &corev1.Probe{}
			return b
		}, report.Failed, kinds.StatefulSetPodNotReplaced, "db-1", wait.Failed, nil},
		{"all call it a success when the pods crash after the counters were complete", with(func(b *builder) { b.done(); b.status(crashed(1, 4, "Error")) }), report.Degraded, pods.ContainerCrashing, "crashes", wait.Failed, nil},
		{"all wait for ever when readiness comes and goes within minReadySeconds", with(func(b *builder) {
			b.d.Spec.MinReadySeconds = 12
			s := running(10 * time.Minute)
			b.status(s)
			b.x().CreationTimestamp = ago(10 * time.Minute)
			b.x().Status.Conditions[2] = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(4 * time.Second)}
			b.podEvent("Unhealthy", "Readiness probe failed: ", 40)
		}), report.Stuck, pods.PodReadinessFlapping, "readiness is flapping", wait.Failed, func(b *builder, at time.Time) {
			b.x().Status.Conditions[2].LastTransitionTime = metav1.NewTime(at.Add(-4 * time.Second))
			b.in.Events[0].LastTimestamp = metav1.NewTime(at.Add(-5 * time.Second))
		}},
		{"all quote the ReplicaFailure condition, which keeps its first text for ever", with(func(b *builder) {
			b.missing(`Error creating: pods "api-2-" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`)
			b.rs.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: "ReplicaFailure", Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: `pods "api-2-" is forbidden: exceeded quota: two, requested: pods=1, used: pods=2, limited: pods=2`}}
		}), report.Failed, refusal.PodSecurityViolated, "restricted", wait.Failed, nil},
		{"kubectl rollout status keeps silent on old pods that still run", with(func(b *builder) {
			b.done()
			b.addPod("api-1-a", "rs1", "api:1", "w1", time.Hour, running(time.Hour))
			at := metav1.NewTime(now.Add(10 * time.Minute))
			b.in.Pods[2].DeletionTimestamp = &at
		}), report.Complete, "", "", wait.Complete, nil},
		{"restarts of months ago spoil a complete rollout", with(func(b *builder) {
			b.done()
			s := running(24 * time.Hour)
			s.RestartCount, s.LastTerminationState.Terminated = 9, &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: ago(25 * time.Hour)}
			b.status(s)
		}), report.Complete, "", "", wait.Complete, nil},
		{"pods that may not be read are taken for none", with(unreadablePods), report.Unknown, "", "cannot be read", wait.Waiting, nil},
	}
}

func TestMistakesOfOtherTools(t *testing.T) {
	var all []mistake
	for _, part := range [][]mistake{kubedogMistakes(), kstatusMistakes(), deployerMistakes(), watcherMistakes(), controllerMistakes()} {
		all = append(all, part...)
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			b := m.make()
			got := Evaluate(b.in, now, model.Options{}).Items[0]
			root := finding.Code("")
			if r := wait.RootOf(&got); r != nil {
				root = r.Code
			}
			if got.Verdict != m.verdict || root != m.root {
				t.Errorf("got %s, root %q: %s\nwant %s, root %q", got.Verdict, root, codesOf(Evaluate(b.in, now, model.Options{})), m.verdict, m.root)
			}
			if !strings.Contains(got.Summary, m.says) {
				t.Errorf("it does not say %q: %s", m.says, got.Summary)
			}
			if outcome, at, why := watchFor(b, m.later, 3*time.Minute); outcome != m.wait {
				t.Errorf("--wait ends %q after %s (%s), want %q", outcome, at, why, m.wait)
			}
		})
	}
}

// watchFor looks at a snapshot every second, as --wait does with its default patience.
func watchFor(b *builder, later func(*builder, time.Time), limit time.Duration) (wait.Outcome, time.Duration, string) {
	w := wait.New(Rules, wait.Patience{FailFast: wait.FailAuto, FailAfter: 2 * time.Minute, Stable: 10 * time.Second})
	for passed := time.Duration(0); passed <= limit; passed += time.Second {
		at := now.Add(passed)
		if later != nil {
			later(b, at)
		}
		r := Evaluate(b.in, at, model.Options{}).Items[0]
		if outcome, why := w.Observe(&r, at); outcome != wait.Waiting {
			return outcome, passed, why
		}
	}
	return wait.Waiting, limit, ""
}
