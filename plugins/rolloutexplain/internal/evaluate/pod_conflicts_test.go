package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

func antiAffinityTo(app string) *corev1.Affinity {
	return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		TopologyKey: "kubernetes.io/hostname", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
	}}}}
}

func affinityTo(app string) *corev1.Affinity {
	return &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		TopologyKey: "kubernetes.io/hostname", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
	}}}}
}

// That old pods are in the way of new ones is said only where it is so: the advice that follows takes a healthy pod away.
func TestOldPodsAreBlamedOnlyForWhatTheyHold(t *testing.T) {
	refused := func(reason string, change func(b *builder)) *builder {
		b := deploymentCase()
		b.unscheduled("0/2 nodes are available: 2 " + reason + ".")
		for i := range b.in.Pods {
			b.in.Pods[i].Labels = map[string]string{"app": "api"}
		}
		change(b)
		return b
	}
	const anti, with, port = "node(s) didn't match pod anti-affinity rules", "node(s) didn't match pod affinity rules", "node(s) didn't have free ports for the requested pod ports"
	wanted := []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
	for _, tt := range []struct {
		name     string
		b        *builder
		deadlock bool
		says     string
	}{
		{"anti-affinity to itself", refused(anti, func(b *builder) { b.x().Spec.Affinity = antiAffinityTo("api") }), true, "deadlock with old pod"},
		{"anti-affinity to somebody else", refused(anti, func(b *builder) { b.x().Spec.Affinity = antiAffinityTo("cache") }), false, "anti-affinity"},
		{"anti-affinity of an old pod to new ones", refused(anti, func(b *builder) { b.in.Pods[0].Spec.Affinity = antiAffinityTo("api") }), true, "deadlock with old pod"},
		{"affinity to pods that are nowhere", refused(with, func(b *builder) { b.x().Spec.Affinity = affinityTo("cache") }), false, "next to pods with app=cache"},
		{"a host port that the old pods have", refused(port, func(b *builder) { b.c().Ports, b.in.Pods[0].Spec.Containers[0].Ports = wanted, wanted }), true, "deadlock with old pod"},
		{"a host port that somebody else has", refused(port, func(b *builder) {
			b.c().Ports = wanted
			b.in.NodePods = []model.NodePod{{Node: "w2", Namespace: "edge", Name: "ingress", HostPorts: []int32{80}}}
		}), false, "host port 80 on node w2 is in use by pod edge/ingress"},
	} {
		got := Evaluate(tt.b.in, now, model.Options{}).Items[0]
		if has := strings.Contains(got.Summary, "deadlock"); has != tt.deadlock || !strings.Contains(got.Summary, tt.says) {
			t.Errorf("%s: %s", tt.name, got.Summary)
		}
		patch := false
		for _, n := range got.Findings[0].Next {
			patch = patch || strings.Contains(n.Command, "maxSurge")
		}
		if patch != tt.deadlock {
			t.Errorf("%s: advice to let an old pod go is %v: %+v", tt.name, patch, got.Findings[0].Next)
		}
	}
}

// More pods than nodes: those of the own revision hold every node, and no waiting gives the last one a place. A node that is ill, or
// has no such pod, may still take it.
func TestMorePodsThanNodesThatTakeOne(t *testing.T) {
	wanted := []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
	three := func(reason string, change func(b *builder)) *builder {
		b := deploymentCase()
		b.in.ReplicaSets = b.in.ReplicaSets[1:]
		b.rs = &b.in.ReplicaSets[0]
		b.rs.Spec.Replicas, b.rs.Status.Replicas, b.rs.Status.ReadyReplicas, b.rs.Status.AvailableReplicas = ptr32(3), 3, 2, 2
		b.d.Spec.Replicas, b.d.Status = ptr32(3), appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 2, AvailableReplicas: 2, UnavailableReplicas: 1, Conditions: b.d.Status.Conditions}
		for i := range b.in.Pods {
			b.in.Pods[i].Labels = map[string]string{"app": "api"}
			b.in.Pods[i].OwnerReferences = b.x().OwnerReferences
		}
		b.unscheduled("0/2 nodes are available: 2 node(s) " + reason + ".")
		change(b)
		return b
	}
	const anti, port = "didn't match pod anti-affinity rules", "didn't have free ports for the requested pod ports"
	apart := func(b *builder) {
		for i := range b.in.Pods {
			b.in.Pods[i].Spec.Affinity = antiAffinityTo("api")
		}
	}
	ports := func(b *builder) {
		for i := range b.in.Pods {
			b.in.Pods[i].Spec.Containers[0].Ports = wanted
		}
	}
	for _, tt := range []struct {
		name    string
		b       *builder
		verdict report.Verdict
		says    string
		scale   string
	}{
		{"anti-affinity", three(anti, apart), report.Stuck, "each of the 2 eligible nodes already runs a pod of this Deployment, and anti-affinity allows one on a node", "--replicas=2"},
		{"a host port", three(port, ports), report.Stuck, "and host port 80 allows one on a node", "--replicas=2"},
		{"one node is for others", three(port, func(b *builder) {
			ports(b)
			b.in.Nodes[1].Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
			b.in.Pods = slices.Delete(b.in.Pods, 1, 2)
			b.pod = 1
		}), report.Stuck, "the only eligible node already runs a pod of this Deployment", "--replicas=1"},
		{"one node is ill", three(port, func(b *builder) {
			ports(b)
			b.in.Nodes[1].Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule}}
		}), report.Progressing, "the only eligible node already runs a pod", ""},
		{"an autoscaler's number", three(port, func(b *builder) {
			ports(b)
			b.scaledBy("kube-controller-manager", "scale")
		}), report.Stuck, "and host port 80 allows one on a node", "get hpa"},
		{"an applied number", three(port, func(b *builder) {
			ports(b)
			b.scaledBy("kubectl", "")
		}), report.Stuck, "and host port 80 allows one on a node", "--replicas=2"},
		{"a pod that ends", three(port, func(b *builder) {
			ports(b)
			b.in.Pods[0].DeletionTimestamp = plain.Ptr(ago(time.Second))
			b.d.Spec.Replicas, b.rs.Spec.Replicas, b.rs.Status.Replicas = ptr32(2), ptr32(2), 2
		}), report.Progressing, "0 of 2 nodes can run the pod", ""},
		{"another port", three(port, func(b *builder) { b.c().Ports = wanted }), report.Progressing, "0 of 2 nodes can run the pod", ""},
	} {
		got := Evaluate(tt.b.in, now, model.Options{}).Items[0]
		if got.Verdict != tt.verdict || !strings.Contains(got.Summary, tt.says) {
			t.Errorf("%s: %s: %s", tt.name, got.Verdict, got.Summary)
			continue
		}
		scale := ""
		for _, n := range got.Findings[0].Next {
			if _, to, ok := strings.Cut(n.Command, "scale deployment/api "); ok {
				scale, _, _ = strings.Cut(to, " ")
			}
			if strings.Contains(n.Command, "get hpa") && strings.Contains(n.Why, "at most 2") {
				scale = "get hpa"
			}
		}
		if scale != tt.scale {
			t.Errorf("%s: scale to %q: %+v", tt.name, scale, got.Findings[0].Next)
		}
	}
}

// A node that is not wanted does not matter, whatever ails it; one that is wanted does.
func TestOnlyNodesThatAreWantedAreBlamed(t *testing.T) {
	message := "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s)."
	ill := func(node int) *builder {
		b := deploymentCase()
		b.unscheduled(message)
		b.x().Spec.NodeSelector = map[string]string{"kubernetes.io/hostname": "w2"}
		b.in.Nodes[node].Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/unreachable", Effect: corev1.TaintEffectNoSchedule}}
		return b
	}
	got := Evaluate(ill(1).in, now, model.Options{}).Items[0]
	if r := wait.RootOf(&got); r == nil || r.Code != placement.UntoleratedTaint || r.Class != report.Transient || !strings.Contains(got.Summary, "w2 (taint node.kubernetes.io/unreachable:NoSchedule)") {
		t.Errorf("the wanted node is ill: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
	got = Evaluate(ill(0).in, now, model.Options{}).Items[0]
	if strings.Contains(got.Summary, "w1 (taint") {
		t.Errorf("another node is ill: %s", got.Summary)
	}
}

// What the kubelet says of a log that is gone is not what the application said.
func TestARemovedLogIsNotQuoted(t *testing.T) {
	for line, want := range map[string]bool{
		`failed to try resolving symlinks in path "/var/log/pods/shop_api/api/2.log": lstat: no such file or directory`: false,
		"unable to retrieve container logs for containerd://abc":                                                        false,
		"failed to open the database": true,
	} {
		b := with(func(b *builder) { b.status(crashed(1, 4, "Error")) })()
		b.in.Logs = []model.PodLog{{UID: string(b.x().UID), Container: "api", Lines: []string{line}}}
		got := Evaluate(b.in, now, model.Options{LogLines: 5}).Items[0]
		if has := wait.RootOf(&got).Log != nil; has != want {
			t.Errorf("%s: quoted is %v", line, has)
		}
	}
}

func TestAChangeIsSaidInWords(t *testing.T) {
	for want, c := range map[string]report.Change{
		"api image api:1 → api:2":                                    {Path: "containers[api].image", Kind: "changed", From: "api:1", To: "api:2"},
		"container proxy added (image proxy:1)":                      {Path: "initContainers[proxy]", Kind: "added", To: "(image proxy:1)"},
		"env DB_HOST removed":                                        {Path: "containers[api].env[DB_HOST]", Kind: "removed", From: "db"},
		"api volumeMounts[data] added (mountPath /data)":             {Path: "containers[api].volumeMounts[data]", Kind: "added", To: "(mountPath /data)"},
		"volumes[data] added (persistentVolumeClaim.claimName data)": {Path: "volumes[data]", Kind: "added", To: "(persistentVolumeClaim.claimName data)"},
	} {
		if got := diff.Say(c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Two crashes while a dependency comes up leave a healthy rollout; a loop with longer runs does not look healthy between them.
func TestAContainerThatRunsAgainHasRecovered(t *testing.T) {
	for _, tt := range []struct {
		ran, up time.Duration
		want    report.Verdict
	}{
		{0, 10 * time.Second, report.Degraded},
		{0, 40 * time.Second, report.Complete},
		{time.Minute, 2 * time.Minute, report.Degraded},
		{time.Minute, 4 * time.Minute, report.Complete},
	} {
		b := deploymentCase().done()
		s := running(tt.up)
		s.RestartCount, s.LastTerminationState.Terminated = 2, &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: ago(tt.up + tt.ran + time.Second), FinishedAt: ago(tt.up + time.Second)}
		b.status(s)
		if got := Evaluate(b.in, now, model.Options{}).Items[0]; got.Verdict != tt.want {
			t.Errorf("ran %s, up for %s: %s, want %s", tt.ran, tt.up, codesOf(report.List{Items: []report.Rollout{got}}), tt.want)
		}
	}
}

// A fault of an old pod is no reason to go back to that pod's revision.
func TestUndoIsNotAdvisedForOldPods(t *testing.T) {
	b := statefulCase(func(s *appsv1.StatefulSet) { s.Status.UpdatedReplicas = 0 }).allOld()
	b.in.Pods[0].Status.ContainerStatuses[0].Ready = false
	b.in.Pods[0].Status.Conditions[2].Status, b.in.Pods[0].CreationTimestamp = corev1.ConditionFalse, ago(time.Minute)
	b.in.Pods[0].Spec.Containers[0].ReadinessProbe = probe(1, 3)
	b.event(string(b.in.Pods[0].UID), "Unhealthy", "Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory", 9)
	got := Evaluate(b.in, now, model.Options{}).Items[0]
	if r := wait.RootOf(&got); r == nil || r.Code != pods.ReadinessProbeFailing || !strings.Contains(got.Summary, "old pod db-0") || strings.Contains(got.Summary, "not in the image") {
		t.Fatalf("%s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
	if got.Rollback == nil || got.Rollback.Advised || !strings.Contains(got.Rollback.Why, "old revision") {
		t.Errorf("undo: %+v", got.Rollback)
	}
}

// Pods that are evicted one after another for what they use themselves: the counters are complete between two evictions.
func TestPodsThatKeepBeingEvictedAreNotComplete(t *testing.T) {
	evicted := func(message string, times int) report.Rollout {
		b := deploymentCase().done()
		for i := range times {
			p := b.addPod("api-2-e"+string(rune('a'+i)), "rs2", "api:2", "w1", time.Minute, crashed(137, 0, "Error"))
			p.Status.Phase, p.Status.Reason, p.Status.Message, p.Status.ContainerStatuses = corev1.PodFailed, "Evicted", message, nil
		}
		return Evaluate(b.in, now, model.Options{}).Items[0]
	}
	const own = `Usage of EmptyDir volume "s" exceeds the limit "2Mi". `
	if got := evicted(own, 2); got.Verdict != report.Degraded || wait.RootOf(&got) == nil || wait.RootOf(&got).Code != pods.Evicted {
		t.Errorf("twice: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
	if got := evicted(own, 1); got.Verdict != report.Complete {
		t.Errorf("once: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
	if got := evicted("The node was low on resource: memory.", 2); got.Verdict != report.Complete {
		t.Errorf("by the node's pressure: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
}

// Faults that were tried by hand and misled: the cause must be on the first line, and nothing claimed that is not so.
func TestTriedByHand(t *testing.T) {
	for _, tt := range []struct {
		name      string
		root      finding.Code
		says, not string
		class     report.Class
		make      func() *builder
	}{
		{"a hostPath that is not on the node", pods.FailedMount, "hostPath /data on node w1 does not exist or is not a directory", "may heal", report.LikelyFatal, with(func(b *builder) {
			b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "v" : hostPath type check failed: /data is not a directory`, 5)
		})},
		{"a hostPath that is not on the node, as a kubelet of v1.37 tells it", pods.FailedMount, "hostPath /no/such/dir on node w1 does not exist; the pod requires a directory", "may heal", report.LikelyFatal, with(func(b *builder) {
			b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "v" : hostPath type check failed, /no/such/dir is not a directory, unable to determine its type: path "/no/such/dir" does not exist`, 5)
		})},
		{"a hostPath of another type, as a kubelet of v1.37 tells it", pods.FailedMount, "hostPath /data on node w1 has type File and is not a directory", "may heal", report.LikelyFatal, with(func(b *builder) {
			b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "v" : hostPath type check failed: /data is not a directory, it's a File`, 5)
		})},
		{"a runtime handler that the node lacks", pods.FailedCreatePodSandBox, `no runtime handler "gvisor"`, "", report.LikelyFatal, with(func(b *builder) {
			b.x().Spec.RuntimeClassName = plain.Ptr("sandboxed")
			b.podEvent("FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = unable to get OCI runtime for sandbox "b9": no runtime for "gvisor" is configured`, 5)
		})},
		{"an agent of the network that has not set up the node", pods.FailedCreatePodSandBox, "on node w1: network plugin flannel has not set up the node: open /run/flannel/subnet.env: no such file or directory", "", report.Transient, with(func(b *builder) {
			b.podEvent("FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "1e": plugin type="flannel" failed (add): loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory`, 5)
		})},
		{"a range of the network that is full", pods.FailedCreatePodSandBox, "on node w1: no IP addresses available", "has not set up", report.Transient, with(func(b *builder) {
			b.podEvent("FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "1e": plugin type="flannel" failed (add): failed to delegate add: no IP addresses available in range set: 10.1.1.1-10.1.1.254`, 5)
		})},
		{"a probe over IPv6", pods.ReadinessProbeFailing, "(no process listens on that port over IPv6; one that listens on 0.0.0.0 accepts IPv4 only)", "", report.Transient, with(func(b *builder) {
			probedOver(b, "[fd00::7]:8080")
		})},
		{"a probe over IPv4", pods.ReadinessProbeFailing, "(no process listens on that port)", "IPv6", report.Transient, with(func(b *builder) {
			probedOver(b, "10.0.0.7:8080")
		})},
		{"a sysctl that the kubelet forbids", pods.PodRejected, "SysctlForbidden", "nothing that changed", report.LikelyFatal, with(func(b *builder) {
			stopped(b, corev1.PodFailed, "SysctlForbidden", `Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted`)
		})},
		{"a seccomp profile that is not there", pods.ContainerStartError, "cannot load seccomp profile", "failed to create containerd container", report.LikelyFatal, with(func(b *builder) {
			b.status(waiting("CreateContainerError", `failed to create containerd container: cannot load seccomp profile "/x.json": open /x.json: no such file or directory`))
			b.s().RestartCount = 3
		})},
		{"a nodeName that no node has", pods.NodeNotFound, "node w9, which does not exist; the pod template sets nodeName", "", report.LikelyFatal, with(func(b *builder) {
			b.d.Spec.Template.Spec.NodeName, b.rs.Spec.Template.Spec.NodeName, b.x().Spec.NodeName = "w9", "w9", "w9"
			b.x().CreationTimestamp, b.x().Status.ContainerStatuses = ago(5*time.Second), nil
			b.fetch(model.Need{Kind: model.NeedNode, Name: "w9"})
		})},
		{"a postStart hook that does not end", pods.PostStartHookRunning, "postStart hook", "", report.Transient, with(func(b *builder) {
			b.c().Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sleep", "3600"}}}}
			b.podEvent("Started", "Container started", 1)
			b.in.Events[0].LastTimestamp = ago(40 * time.Second)
		})},
	} {
		got := Evaluate(tt.make().in, now, model.Options{}).Items[0]
		r := wait.RootOf(&got)
		if r == nil || r.Code != tt.root || r.Class != tt.class || !strings.Contains(got.Summary, tt.says) {
			t.Errorf("%s: %s", tt.name, codesOf(report.List{Items: []report.Rollout{got}}))
			continue
		}
		why := got.Summary
		if got.Rollback != nil {
			why += got.Rollback.Why
		}
		if tt.not != "" && strings.Contains(why, tt.not) {
			t.Errorf("%s: it says %q: %s", tt.name, tt.not, why)
		}
	}
}

// probedOver makes a pod whose readiness probe is refused at an address.
func probedOver(b *builder, address string) {
	s := running(2 * time.Minute)
	s.Ready = false
	b.status(s)
	for i := range b.x().Status.Conditions {
		if c := &b.x().Status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Status = corev1.ConditionFalse
		}
	}
	b.c().ReadinessProbe = &corev1.Probe{PeriodSeconds: 2, FailureThreshold: 3, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8080)}}}
	b.podEvent("Unhealthy", `Readiness probe failed: Get "http://`+address+`/": dial tcp `+address+`: connect: connection refused`, 20)
}

// One reason on many nodes is one cause that names them all; what holds for one node is not said of another.
func TestDaemonPodsThatNoNodeTakesNameAllTheirNodes(t *testing.T) {
	pinned := func(b *builder, node, why, cpu string) {
		p := b.ownedPod("agent-"+node, "DaemonSet", "ds", "r2", waiting("", ""), time.Minute)
		p.Spec.NodeName = ""
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": quantity(cpu)}
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}},
		}}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available: 1 " + why + ", 2 node(s) didn't satisfy plugin(s) [NodeAffinity].", LastTransitionTime: ago(time.Minute)}}
	}
	for _, tt := range []struct {
		second, cpu string
		want        []string
	}{
		{"Insufficient cpu", "900", []string{"all 2 pods cannot run on nodes w1, w2: Insufficient cpu; on node w1 the pod requires 900 cpu"}},
		{"Insufficient memory", "900", []string{"pod agent-w1 cannot run on node w1: Insufficient cpu", "pod agent-w2 cannot run on node w2: Insufficient memory"}},
		{"Insufficient cpu", "1", []string{"pod agent-w1 cannot run on node w1: Insufficient cpu", "pod agent-w2 cannot run on node w2: Insufficient cpu; the pod is not as its template: api resources.requests.cpu added 1"}},
	} {
		b := daemonCase(func(ds *appsv1.DaemonSet) { ds.Status.NumberAvailable, ds.Status.NumberReady = 0, 0 })
		b.in.Pods = nil
		pinned(b, "w1", "Insufficient cpu", "900")
		pinned(b, "w2", tt.second, tt.cpu)
		text := words(Evaluate(b.in, now, model.Options{}).Items[0])
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("does not say %q:\n%s", want, text)
			}
		}
	}
}

// Of many daemon pods each has a node of its own, and none stands for another.
func TestEveryDaemonPodIsJudgedByItsOwnNode(t *testing.T) {
	b := daemonCase(func(ds *appsv1.DaemonSet) { ds.Status.NumberAvailable, ds.Status.NumberReady = 0, 0 })
	b.in.Pods = nil
	for i := range 5 {
		node := fmt.Sprintf("w%d", i+1)
		if i > 1 {
			b.in.Nodes = append(b.in.Nodes, *b.node("w1").DeepCopy())
			b.in.Nodes[len(b.in.Nodes)-1].Name = node
		}
		p := b.ownedPod("agent-"+node, "DaemonSet", "ds", "r2", waiting("", ""), time.Minute)
		p.Spec.NodeName = ""
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": quantity(map[bool]string{true: "900", false: "1"}[i == 2])}
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}},
		}}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/5 nodes are available: 1 Insufficient cpu, 4 node(s) didn't satisfy plugin(s) [NodeAffinity].", LastTransitionTime: ago(time.Minute)}}
	}
	text := words(Evaluate(b.in, now, model.Options{}).Items[0])
	for _, want := range []string{"pod agent-w3 cannot run on node w3", "4 of 5 pods cannot run on nodes w1, w2, w4, w5"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
}

// A label to spread over that no node has is a slip, not a shortage.
func TestSpreadingOverALabelThatNoNodeHasDoesNotHeal(t *testing.T) {
	spread := func(key string) *report.Finding {
		b := unscheduledFor("0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints (missing required label).")()
		b.x().Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule}}
		return findingOf(Evaluate(b.in, now, model.Options{}), placement.TopologySpreadUnsatisfied)
	}
	if f := spread("rack"); f.SelfHealing != "no" || f.Class != report.LikelyFatal || !strings.Contains(f.Message, "no node has label rack") {
		t.Errorf("%+v", f)
	}
	if f := spread("kubernetes.io/hostname"); f.SelfHealing != "maybe" {
		t.Errorf("nodes have that label: %+v", f)
	}
}
