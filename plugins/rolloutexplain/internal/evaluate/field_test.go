package evaluate

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// wrote is the record of a write of spec.template.
func wrote(before time.Duration) []metav1.ManagedFieldsEntry {
	at := ago(before)
	return []metav1.ManagedFieldsEntry{{Manager: "kubectl-patch", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:template":{}}}`)}}
}

// mutatedSets is a Deployment of which no ReplicaSet has the template, though one is younger than its last write.
func mutatedSets() *builder {
	b := deploymentCase()
	b.d.ManagedFields = wrote(2 * time.Minute)
	b.d.Status.CollisionCount = plain.Ptr(int32(3))
	b.rs.Spec.Template.Annotations = map[string]string{"example.com/stamp": "x"}
	b.status(running(30 * time.Second))
	return b
}

// twoContainers is a Job whose pod has one container that has done its work and one that runs on.
func twoContainers() *builder {
	b := jobCase(func(*batchv1.Job) {})
	p := b.x()
	p.Status.Phase = corev1.PodRunning
	done, on := crashed(0, 0, "Completed"), running(time.Minute)
	done.Name, on.Name = "main", "proxy"
	p.Spec.Containers = []corev1.Container{{Name: "main"}, {Name: "proxy"}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{done, on}
	return b
}

// bareSet is a ReplicaSet without a Deployment whose pod is older than its template's last write.
func bareSet(change func(*appsv1.ReplicaSet, *corev1.Pod)) *builder {
	b := deploymentCase()
	b.in.Deployments, b.in.ReplicaSets, b.in.Pods = nil, b.in.ReplicaSets[1:], b.in.Pods[2:]
	rs, p := &b.in.ReplicaSets[0], &b.in.Pods[0]
	rs.OwnerReferences, rs.ManagedFields, rs.Generation, rs.Status.ObservedGeneration = nil, wrote(30*time.Second), 2, 2
	rs.Status.AvailableReplicas, rs.Status.ReadyReplicas = 1, 1
	s := running(time.Minute)
	s.Name = "api"
	p.Status.ContainerStatuses[0], p.Status.Conditions[2].Status = s, corev1.ConditionTrue
	p.Spec.Containers = template("api:1").Spec.Containers
	b.in.Targets = []finding.ObjectRef{{Kind: "ReplicaSet", Namespace: "shop", Name: rs.Name}}
	change(rs, p)
	return b
}

func spreadCase(change func(b *builder)) *builder {
	b := deploymentCase()
	b.unscheduled("0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match pod topology spread constraints.")
	b.node("cp").Spec.Taints = []corev1.Taint{{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}}
	for i := range b.in.Pods {
		b.in.Pods[i].Labels = map[string]string{"app": "api"}
		b.in.Pods[i].Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: "kubernetes.io/hostname", WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
		}}
	}
	change(b)
	return b
}

func roomCase(change func(np *model.NodePod)) *builder {
	b := deploymentCase()
	b.unscheduled("0/2 nodes are available: 2 Insufficient cpu.")
	b.c().Resources.Requests = corev1.ResourceList{"cpu": quantity("1")}
	ends := now.Add(time.Minute)
	for _, node := range []string{"w1", "w2"} {
		np := model.NodePod{Node: node, Namespace: "other", Name: "drained", Requests: corev1.ResourceList{"cpu": quantity("1500m")}, Terminating: true, Ends: &ends}
		change(&np)
		b.in.NodePods = append(b.in.NodePods, np)
	}
	return b
}

// fullNodes run as many pods as they may, one.
func fullNodes() *builder {
	b := roomCase(func(np *model.NodePod) { np.Terminating, np.Requests = false, nil })
	b.unscheduled("0/2 nodes are available: 2 Too many pods.")
	for i := range b.in.Nodes {
		b.in.Nodes[i].Status.Allocatable[corev1.ResourcePods] = quantity("1")
	}
	return b
}

// The writer of the number is named, an autoscaler as one.
func TestWhoSetsTheNumberIsNamed(t *testing.T) {
	for manager, want := range map[string]string{"kube-controller-manager": "last set by a HorizontalPodAutoscaler", "kubectl-edit": "last set by kubectl-edit"} {
		b := with(func(b *builder) {
			b.scaledBy(manager, map[bool]string{true: "scale"}[manager == "kube-controller-manager"])
			b.event("d", "ScalingReplicaSet", "Scaled up replica set api-2 from 1 to 2", 3)
			b.event("d", "ScalingReplicaSet", "Scaled down replica set api-2 from 2 to 1", 3)
		})()
		if got := words(Evaluate(b.in, now, model.Options{}).Items[0]); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", manager, want, got)
		}
	}
}

// Situations of public reports, each with what is nearly the same and must not be told so.
func TestSituationsOfTheField(t *testing.T) {
	nothing := func(*builder) {}
	crashLoop := func(b *builder) { b.status(crashed(3, 5, "Error")) }
	for _, tt := range []struct {
		name    string
		b       *builder
		verdict report.Verdict
		says    string
	}{
		{"a bare ReplicaSet with another template", bareSet(func(*appsv1.ReplicaSet, *corev1.Pod) {}), report.OnHold, "replaces no pods"},
		{"the same before its pods", bareSet(func(rs *appsv1.ReplicaSet, _ *corev1.Pod) { rs.ManagedFields = wrote(2 * time.Minute) }), report.Complete, "all 1 replicas"},
		{"the same with pods of that template", bareSet(func(_ *appsv1.ReplicaSet, p *corev1.Pod) { p.Spec.Containers[0].Image = "api:2" }), report.Complete, "all 1 replicas"},
		{"a ReplicaSet never written again, of a dump", bareSet(func(rs *appsv1.ReplicaSet, _ *corev1.Pod) { rs.ManagedFields, rs.Generation = nil, 1 }), report.Complete, "all 1 replicas"},
		{"a Deployment being deleted", with(func(b *builder) {
			crashLoop(b)
			at := ago(time.Minute)
			b.d.DeletionTimestamp, b.d.Finalizers = &at, []string{"foregroundDeletion"}
		})(), report.Superseded, "it goes after the objects that it owns"},
		{"held by a finalizer", with(func(b *builder) {
			at := ago(time.Minute)
			b.d.DeletionTimestamp, b.d.Finalizers = &at, []string{"example.com/hold"}
		})(), report.Superseded, "finalizer example.com/hold remains"},
		{"a Job's container that runs on", twoContainers(), report.Progressing, "container main has ended (exit code 0), but proxy still runs"},
		{"a Job without parallelism", jobCase(func(j *batchv1.Job) { j.Spec.Parallelism = plain.Ptr(int32(0)) }), report.OnHold, "spec.parallelism is 0"},
		{"a failed index", jobCase(func(j *batchv1.Job) { j.Status.FailedIndexes = plain.Ptr("1") }), report.Failed, "index 1 has failed finally"},
		{"a failed index and a success policy", jobCase(func(j *batchv1.Job) {
			j.Status.FailedIndexes, j.Spec.SuccessPolicy = plain.Ptr("1"), &batchv1.SuccessPolicy{}
		}), report.Progressing, "attempts have failed"},
		{"a tainted node as an empty domain", spreadCase(nothing), report.Stuck, "counts node cp as an empty domain"},
		{"the same with nodeTaintsPolicy Honor", spreadCase(func(b *builder) {
			b.x().Spec.TopologySpreadConstraints[0].NodeTaintsPolicy = plain.Ptr(corev1.NodeInclusionPolicyHonor)
		}), report.Progressing, "topology spread"},
		{"the same while an old pod may go", spreadCase(func(b *builder) {
			b.in.ReplicaSets[0].Spec.Replicas = plain.Ptr(int32(3))
			b.in.ReplicaSets[0].Status.AvailableReplicas = 3
		}), report.Progressing, "topology spread"},
		{"room that ends soon", roomCase(func(*model.NodePod) {}), report.Progressing, "only after terminating pods are gone (other/drained)"},
		{"room that does not", roomCase(func(np *model.NodePod) { np.Terminating = false }), report.Progressing, "(500m of 2 free)"},
		{"a place that there is not", fullNodes(), report.Progressing, "the pod requires 1 pod slot (0 of 1 free)"},
		{"old pods crash while new ones start", with(func(b *builder) {
			s := crashed(7, 9, "Error")
			s.Name = "api"
			b.in.Pods[0].Status.ContainerStatuses[0], b.in.Pods[1].Status.ContainerStatuses[0] = s, s
			b.in.Pods[0].Status.Conditions[2].Status, b.in.Pods[1].Status.Conditions[2].Status = corev1.ConditionFalse, corev1.ConditionFalse
			b.in.ReplicaSets[0].Status.AvailableReplicas, b.d.Status.AvailableReplicas = 0, 0
			b.status(notReadyYet(5 * time.Second))
		})(), report.Progressing, "1 pod has been starting"},
		{"a probe of another host", with(func(b *builder) {
			b.status(notReadyYet(time.Minute))
			b.c().ReadinessProbe = probe(5, 3)
			b.c().ReadinessProbe.HTTPGet.Host = "127.0.0.1"
			b.podEvent("Unhealthy", `Readiness probe failed: dial tcp 127.0.0.1:8080: connect: connection refused`, 9)
		})(), report.Progressing, "the probe sets host 127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := Evaluate(tt.b.in, now, model.Options{LogLines: 5})
			if len(list.Items) != 1 {
				t.Fatalf("%d rollouts", len(list.Items))
			}
			r := list.Items[0]
			if r.Verdict != tt.verdict || !strings.Contains(r.Summary, tt.says) {
				t.Errorf("%s: %s\nwant %s: …%s…", r.Verdict, r.Summary, tt.verdict, tt.says)
			}
			if r.Verdict == report.Superseded {
				for _, f := range r.Findings {
					if f.Role == report.RootCause && f.Code != pods.FinalizerBlocksDeletion {
						t.Errorf("%s is told as the cause of a deletion", f.Code)
					}
				}
			}
		})
	}
}

// A limit that the template does not set comes from elsewhere; one that it sets is its own.
func TestDefaultedLimitIsNamed(t *testing.T) {
	const invalid = `Pod "api-2-" is invalid: spec.containers[0].resources.requests: Invalid value: "128Mi": must be less than or equal to memory limit of 64Mi`
	for set, want := range map[bool]bool{false: true, true: false} {
		b := refusedBy(invalid)()
		if set {
			b.d.Spec.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"memory": quantity("64Mi")}
			b.rs.Spec.Template = *b.d.Spec.Template.DeepCopy()
		}
		f := findingOf(Evaluate(b.in, now, model.Options{}), refusal.PodInvalid)
		if f == nil || strings.Contains(f.Message, "LimitRange") != want {
			t.Errorf("limit in the template: %t: %+v", set, f)
		}
	}
}

// No rollback is advised to a revision whose pod ended in the same way, however ready it is now.
func TestNoRollbackToWhatCrashedAlike(t *testing.T) {
	for code, advised := range map[int32]bool{3: false, 4: true} {
		b := deploymentCase()
		b.status(crashed(3, 5, "Error"))
		end := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", StartedAt: ago(3 * time.Hour), FinishedAt: ago(2 * time.Hour)}}
		s := &b.in.Pods[0].Status.ContainerStatuses[0]
		s.LastTerminationState, s.RestartCount = end, 4
		r := Evaluate(b.in, now, model.Options{}).Items[0]
		if r.Rollback == nil || r.Rollback.Advised != advised {
			t.Errorf("old pod ended with %d: %+v", code, r.Rollback)
		}
	}
}

// What speaks against a complete rollout is explained or told; what is harmless, over, of old pods or already a finding is not.
func TestCompleteIsNotSaidOverUnexplainedEvidence(t *testing.T) {
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus) func(*builder) {
		return func(b *builder) {
			b.x().Status.Conditions = append(b.x().Status.Conditions, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: ago(time.Second)})
		}
	}
	deployed := func(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus) func(*builder) {
		return func(b *builder) {
			b.d.Status.Conditions = []appsv1.DeploymentCondition{{Type: kind, Status: status, LastTransitionTime: ago(time.Second)}}
		}
	}
	for _, tt := range []struct {
		name  string
		event func(b *builder)
		want  report.Verdict
	}{
		{"nothing", func(*builder) {}, report.Complete},
		{"a volume that cannot be mounted again", func(b *builder) { b.podEvent("FailedMount", "configmap not found", 3) }, report.Degraded},
		{"of the ReplicaSet", func(b *builder) { b.event("rs2", "FailedDelete", "cannot delete", 3) }, report.Degraded},
		{"of the Deployment", func(b *builder) { b.event("d", "Odd", "odd", 1) }, report.Degraded},
		{"a pull secret that does not exist", func(b *builder) { b.podEvent("FailedToRetrieveImagePullSecret", "missing", 9) }, report.Complete},
		{"one failed probe", func(b *builder) { b.podEvent("Unhealthy", "Readiness probe failed: x", 1) }, report.Complete},
		{"an audit of a policy", func(b *builder) { b.event("d", "PolicyViolation", "no limits", 9) }, report.Complete},
		{"before the pod was ready", func(b *builder) {
			b.podEvent("FailedMount", "configmap not found", 3)
			b.x().Status.Conditions[2].LastTransitionTime = ago(time.Second)
		}, report.Complete},
		{"a refusal before the last pod was ready", func(b *builder) {
			b.event("rs2", "FailedCreate", "webhook not reachable", 3)
			b.in.Pods[1].Status.Conditions[2].LastTransitionTime = ago(time.Second)
		}, report.Complete},
		{"older than what is said again", func(b *builder) {
			b.podEvent("FailedMount", "configmap not found", 3)
			b.in.Events[0].FirstTimestamp, b.in.Events[0].LastTimestamp = ago(20*time.Minute), ago(11*time.Minute)
		}, report.Complete},
		{"of a Normal event", func(b *builder) { b.podEvent("Pulling", "pulling", 1) }, report.Complete},
		{"a resize that waits", func(b *builder) {
			b.x().Status.Conditions = append(b.x().Status.Conditions, corev1.PodCondition{Type: "PodResizePending", Status: corev1.ConditionTrue, Reason: "Deferred"})
			b.podEvent("ResizeDeferred", "node has too little", 2)
		}, report.Complete},
		{"a ready pod that is to be evicted", condition(corev1.DisruptionTarget, corev1.ConditionTrue), report.Degraded},
		{"a ready pod that is no more to be evicted", condition(corev1.DisruptionTarget, corev1.ConditionFalse), report.Complete},
		{"a ready pod without a sandbox", condition(corev1.PodReadyToStartContainers, corev1.ConditionFalse), report.Degraded},
		{"a condition of somebody else's", condition("example.com/Drained", corev1.ConditionFalse), report.Complete},
		{"a readiness gate that went while the kubelet has not looked", func(b *builder) {
			b.x().Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/Drained"}}
			condition("example.com/Drained", corev1.ConditionFalse)(b)
		}, report.Degraded},
		{"a Deployment that is said to be unavailable", deployed(appsv1.DeploymentAvailable, corev1.ConditionFalse), report.Degraded},
		{"a Deployment that is available", deployed(appsv1.DeploymentAvailable, corev1.ConditionTrue), report.Complete},
		{"a Deployment that was resumed", deployed(appsv1.DeploymentProgressing, corev1.ConditionUnknown), report.Complete},
		{"a failure to make a pod, that is over", deployed(appsv1.DeploymentReplicaFailure, corev1.ConditionTrue), report.Complete},
		{"of a pod that is being deleted", func(b *builder) {
			b.podEvent("FailedKillPod", "cannot kill", 3)
			at := ago(time.Second)
			b.x().DeletionTimestamp = &at
		}, report.Complete},
		{"a failed pod that has been replaced, and is a finding", func(b *builder) {
			p := b.addPod("api-2-z", "rs2", "api:2", "w2", time.Hour, crashed(1, 0, "Error"))
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
		}, report.Complete},
		{"a failed pod that no check knows", func(b *builder) {
			b.addPod("api-2-z", "rs2", "api:2", "w2", time.Hour, crashed(1, 0, "Error")).Status.Phase = corev1.PodFailed
		}, report.Degraded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := deploymentCase().done()
			tt.event(b)
			r := Evaluate(b.in, now, model.Options{}).Items[0]
			if r.Verdict != tt.want || (r.Verdict == report.Degraded) != (len(r.Findings) > 0 && r.Findings[0].Code == finding.UnexplainedEvidence) {
				t.Errorf("%s: %s %+v", r.Verdict, r.Summary, r.Findings)
			}
		})
	}
}

// One call reads the warnings of all pods; a table of many has them.
func TestWarningsAreAskedForOnce(t *testing.T) {
	needs := func(wide bool) (n int) {
		b := deploymentCase().done()
		for _, need := range Needs(b.in, now, model.Options{Wide: wide}) {
			if need.Kind == model.NeedWarnings {
				n++
			}
		}
		return n
	}
	if named, table := needs(false), needs(true); named != 1 || table != 0 {
		t.Errorf("asked for warnings %d times for one rollout, %d times for many", named, table)
	}
}

// A quota that is used up by ReplicaSets which differ by what admission writes into them is the end of that loop, not its cause.
func TestAQuotaThatAMutationUsedUpIsNotTheRoot(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(b *builder)
		root   finding.Code
	}{
		"admission changes each ReplicaSet": {func(*builder) {}, kinds.ReplicaSetMutated},
		"the ReplicaSets are those of other templates": {func(b *builder) {
			b.in.ReplicaSets[1].CreationTimestamp, b.d.Status.CollisionCount = ago(3*time.Hour), nil
		}, kinds.ReplicaSetCreateError},
	} {
		b := mutatedSets()
		b.d.Status.Conditions[0].Status, b.d.Status.Conditions[0].Reason = corev1.ConditionFalse, "ReplicaSetCreateError"
		b.d.Status.Conditions[0].Message = `Failed to create new replica set "api-5": replicasets.apps "api-5" is forbidden: exceeded quota: sets, requested: count/replicasets.apps=1, used: count/replicasets.apps=2, limited: count/replicasets.apps=2`
		tt.change(b)
		got := Evaluate(b.in, now, model.Options{}).Items[0]
		if r := wait.RootOf(&got); r == nil || r.Code != tt.root || got.Verdict == report.Complete {
			t.Errorf("%s: %s", name, words(got))
		}
	}
}
