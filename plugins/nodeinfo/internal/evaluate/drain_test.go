package evaluate

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/drain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// shop is a cluster of cp1, w1 and w2, read for the drain of w2: Deployment shop/web has both its pods there, and its budget
// (minAvailable 2 of 2) is given room for one here. metrics-server (emptyDir), a CoreDNS pod and kube-proxy run there, too.
func shop(t testing.TB) Input {
	t.Helper()
	in := loadFile(t, "drain/cluster.json")
	in.Budgets[0].Spec.MinAvailable.IntVal, in.Budgets[0].Status.DesiredHealthy, in.Budgets[0].Status.DisruptionsAllowed = 1, 1, 1
	for i := range in.Pods {
		if strings.HasPrefix(in.Pods[i].Name, "metrics-server") {
			in.Pods[i].Spec.Volumes = nil
		}
	}
	return in
}

func web(in *Input) []*corev1.Pod {
	var list []*corev1.Pod
	for i := range in.Pods {
		if p := &in.Pods[i]; p.Namespace == "shop" && p.Labels["app"] == "web" {
			list = append(list, p)
		}
	}
	return list
}

func nodeOf(in *Input, name string) *corev1.Node {
	return &in.Nodes[slices.IndexFunc(in.Nodes, func(n corev1.Node) bool { return n.Name == name })]
}

func preview(in Input) report.Drain { return PreviewDrain(in, in.Now, testkit.AsUser()) }

func drainCodes(d report.Drain) []finding.Code {
	var list []finding.Code
	for _, f := range d.Findings {
		list = append(list, f.Code)
	}
	return list
}

func ofBudget(change func(b *policyv1.PodDisruptionBudget)) func(in *Input) {
	return func(in *Input) { change(&in.Budgets[0]) }
}

func noDisruption(b *policyv1.PodDisruptionBudget) {
	b.Spec.MinAvailable.IntVal, b.Status.DesiredHealthy, b.Status.DisruptionsAllowed = 2, 2, 0
}

func emptyDir(medium corev1.StorageMedium) []corev1.Volume {
	return []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: medium}}}}
}

func setReady(p *corev1.Pod, status corev1.ConditionStatus) {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == corev1.PodReady {
			p.Status.Conditions[i].Status = status
		}
	}
}

func request(p *corev1.Pod, cpu string) {
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
}

// local gives the first web pod a volume that only a node of this name can use.
func local(node string) func(in *Input) {
	return func(in *Input) {
		p := web(in)[0]
		p.Spec.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
		in.Claims = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "disk"}}}
		in.Volumes = []corev1.PersistentVolume{{ObjectMeta: metav1.ObjectMeta{Name: "disk"}, Spec: corev1.PersistentVolumeSpec{NodeAffinity: &corev1.VolumeNodeAffinity{
			Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
			}}}},
		}}}}
		in.Sources = append(in.Sources, source.Source{Name: SourceClaims, State: source.OK}, source.Source{Name: SourceVolumes, State: source.OK})
	}
}

// drains are changes of the cluster: those that are the fault (code), and those that are near it and none.
func drains() []struct {
	name    string
	code    finding.Code // all that is found, apart by spaces; empty: a near miss
	verdict report.DrainVerdict
	says    string // in the messages and evidence
	change  func(in *Input)
} {
	type drained = struct {
		name    string
		code    finding.Code
		verdict report.DrainVerdict
		says    string
		change  func(in *Input)
	}
	const (
		blocked = drain.DrainBlockedByPDB
		risky   = report.Risky
	)
	return []drained{
		{"a budget that wants every pod", blocked, report.DrainBlocked, "minAvailable 2 requires 2 of 2 healthy", ofBudget(noDisruption)},
		{"a budget that allows none", blocked, report.DrainBlocked, "maxUnavailable 0 requires 2 of 2 healthy", ofBudget(func(b *policyv1.PodDisruptionBudget) {
			noDisruption(b)
			b.Spec.MaxUnavailable, b.Spec.MinAvailable = new(*b.Spec.MinAvailable), nil
			b.Spec.MaxUnavailable.IntVal = 0
		})},
		{"a budget that an unready pod has used up", blocked, report.DrainBlocked, "1 of 2 pods are healthy, 1 required", func(in *Input) {
			in.Budgets[0].Status.CurrentHealthy, in.Budgets[0].Status.DisruptionsAllowed = 1, 0
			setReady(web(in)[0], corev1.ConditionFalse)
		}},
		{"two unready pods that a budget guards", blocked, report.DrainBlocked, "IfHealthyBudget (default)", func(in *Input) {
			in.Budgets[0].Status.CurrentHealthy, in.Budgets[0].Status.DisruptionsAllowed = 0, 0
			for _, p := range web(in) {
				setReady(p, corev1.ConditionFalse)
			}
		}},
		{"two budgets for one pod", blocked, report.DrainBlocked, "matches 2 PodDisruptionBudgets (web, web-too)", func(in *Input) {
			noDisruption(&in.Budgets[0]) // whatever they allow
			more := in.Budgets[0].DeepCopy()
			more.Name = "web-too"
			in.Budgets = append(in.Budgets, *more)
			web(in)[0].Spec.NodeName = "w1"
		}},
		{"more pods without a replacement than the budget allows", blocked + " " + drain.DrainDeletesPods, report.DrainBlocked, "allows 1 disruption, but 2 of its pods", func(in *Input) {
			for _, p := range web(in) {
				p.OwnerReferences = nil
			}
		}},
		{"near: a budget with room", "", report.Drainable, "", func(*Input) {}},
		{"near: a budget whose pods are on other nodes", "", report.Drainable, "", func(in *Input) {
			noDisruption(&in.Budgets[0])
			for _, p := range web(in) {
				p.Spec.NodeName = "w1"
			}
		}},
		{"near: an unready pod that its budget always lets go", "", report.Drainable, "", func(in *Input) {
			in.Budgets[0].Status.CurrentHealthy, in.Budgets[0].Status.DisruptionsAllowed = 0, 0
			in.Budgets[0].Spec.UnhealthyPodEvictionPolicy = new(policyv1.AlwaysAllow)
			for _, p := range web(in) {
				setReady(p, corev1.ConditionFalse)
			}
		}},
		{"near: a budget of finished pods", "", report.Drainable, "", func(in *Input) {
			noDisruption(&in.Budgets[0])
			for _, p := range web(in) {
				p.Status.Phase, p.OwnerReferences, p.Spec.Volumes = corev1.PodSucceeded, nil, emptyDir("")
			}
		}},
		{"near: a budget whose controller is behind", "", report.Drainable, "", ofBudget(func(b *policyv1.PodDisruptionBudget) {
			noDisruption(b)
			b.Generation = b.Status.ObservedGeneration + 1
		})},
		{"near: a guarded pod that is being deleted already", "", report.Drainable, "", func(in *Input) {
			noDisruption(&in.Budgets[0])
			for _, p := range web(in) {
				p.DeletionTimestamp = new(before(in, -20*time.Second))
			}
		}},

		{"a pod larger than what is free", drain.DrainPodsUnplaced, risky, "requires 1950m cpu, 1", func(in *Input) { request(web(in)[0], "1950m") }},
		{"a pod larger than any node", drain.DrainPodsUnplaced, risky, "requires 64 cpu, 2 allocatable", func(in *Input) { request(web(in)[0], "64") }},
		{"two pods where one has room", drain.DrainPodsUnplaced, risky, "1 pod fits on no other node", func(in *Input) {
			for _, p := range web(in) {
				request(p, "1")
			}
		}},
		{"the other node is cordoned", drain.DrainPodsUnplaced, risky, "cordoned", func(in *Input) {
			nodeOf(in, "w1").Spec.Unschedulable = true
			in.Budgets = nil
		}},
		{"a volume of the node", drain.DrainPodsUnplaced, risky, "volume disk cannot be used there", local("w2")},
		{"a port of the node that is taken", drain.DrainPodsUnplaced, risky, "host port 8080/TCP is taken", func(in *Input) {
			for _, p := range web(in) {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080}}
			}
		}},
		{"a node selector that only this node matches", drain.DrainPodsUnplaced, risky, "labels do not match", func(in *Input) {
			web(in)[0].Spec.NodeSelector = map[string]string{corev1.LabelHostname: "w2"}
		}},
		{"the other node is cordoned, and a budget lets one of two pods go", blocked + " " + drain.DrainPodsUnplaced, report.DrainBlocked, "but 2 of its pods go without a replacement", func(in *Input) {
			nodeOf(in, "w1").Spec.Unschedulable = true
		}},
		{"no other node", drain.DrainPodsUnplaced, risky, "there is none", func(in *Input) {
			in.Nodes = []corev1.Node{*nodeOf(in, "w2")}
			in.Budgets = nil
		}},
		{"near: a volume of the other node", "", report.Drainable, "", local("w1")},
		{"near: a pod that just fits", "", report.Drainable, "", func(in *Input) { request(web(in)[0], "1") }},
		{"near: a finished pod of any size", "", report.Drainable, "", func(in *Input) {
			request(web(in)[0], "64")
			web(in)[0].Status.Phase = corev1.PodFailed
		}},
		{"near: the large pod is a mirror", "", report.Drainable, "", func(in *Input) {
			p := web(in)[0]
			request(p, "64")
			p.Annotations, p.Labels, p.Spec.Volumes = map[string]string{corev1.MirrorPodAnnotationKey: "x"}, nil, emptyDir("")
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "w2", Controller: yes()}}
		}},

		{"a pod without a controller", drain.DrainDeletesPods, risky, "no controller", func(in *Input) { web(in)[0].OwnerReferences = nil }},
		{"a pod of a DaemonSet that is gone", drain.DrainDeletesPods, risky, "DaemonSet kube-proxy does not exist", func(in *Input) { in.DaemonSets = nil }},
		{"near: a pod of a Job", "", report.Drainable, "", func(in *Input) {
			p := web(in)[0]
			p.OwnerReferences[0].APIVersion, p.OwnerReferences[0].Kind, p.Finalizers = "batch/v1", "Job", []string{"batch.kubernetes.io/job-tracking"}
		}},

		{"an emptyDir", drain.DrainLosesData, report.Drainable, "emptyDir cache", func(in *Input) { web(in)[0].Spec.Volumes = emptyDir("") }},
		{"an emptyDir in memory", drain.DrainLosesData, report.Drainable, "emptyDir cache", func(in *Input) { web(in)[0].Spec.Volumes = emptyDir(corev1.StorageMediumMemory) }},
		{"near: an emptyDir of a pod that stays", "", report.Drainable, "", func(in *Input) {
			for i := range in.Pods {
				if strings.HasPrefix(in.Pods[i].Name, "kube-proxy") {
					in.Pods[i].Spec.Volumes = emptyDir("")
				}
			}
		}},

		{"a pod that does not end", drain.DrainWaitsForPod, risky, "its grace period ended 5m ago", func(in *Input) { web(in)[0].DeletionTimestamp = new(before(in, 5*time.Minute)) }},
		{"a pod with a finalizer", drain.DrainWaitsForPod, report.Drainable, "example.com/hold", func(in *Input) { web(in)[0].Finalizers = []string{"example.com/hold"} }},

		{"a pod that is not to be evicted", drain.DrainUnwanted, report.Drainable, "safe-to-evict=false", func(in *Input) {
			web(in)[0].Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
		}},
		{"near: a pod that may be evicted", "", report.Drainable, "", func(in *Input) {
			web(in)[0].Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/safe-to-evict": "true", "karpenter.sh/do-not-disrupt": "false"}
		}},

		{"a kubelet that does not report", drain.DrainNodeNotReporting, report.DrainBlocked, "does not report", unreported},
		{"near: a kubelet that says it is not ready", "", report.Drainable, "", func(in *Input) { setNodeReady(in, corev1.ConditionFalse) }},
		{"near: nothing to evict where no kubelet reports", "", report.Drainable, "", func(in *Input) {
			unreported(in)
			in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return p.Spec.NodeName == "w2" && !strings.HasPrefix(p.Name, "kube-proxy") })
		}},
	}
}

func unreported(in *Input) { setNodeReady(in, corev1.ConditionUnknown) }

func setNodeReady(in *Input, status corev1.ConditionStatus) {
	n := nodeOf(in, "w2")
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == corev1.NodeReady {
			n.Status.Conditions[i].Status, n.Status.Conditions[i].Reason = status, "NodeStatusUnknown"
		}
	}
}

func TestDrainsAreJudged(t *testing.T) {
	seen := map[finding.Code]bool{}
	near := 0
	for _, tt := range drains() {
		t.Run(tt.name, func(t *testing.T) {
			in := shop(t)
			tt.change(&in)
			d := preview(in)
			var want []finding.Code
			for _, code := range strings.Fields(string(tt.code)) {
				want = append(want, finding.Code(code))
				seen[finding.Code(code)] = true
			}
			if tt.code == "" {
				near++
			}
			got := drainCodes(d)
			if d.Verdict != tt.verdict || !slices.Equal(got, want) {
				t.Errorf("%s %v: %s\nwant %s %v", d.Verdict, got, d.Summary, tt.verdict, want)
			}
			if text := fmt.Sprint(d.Findings); !strings.Contains(text, tt.says) {
				t.Errorf("%q is not said: %s", tt.says, text)
			}
		})
	}
	for _, e := range drain.Catalog() {
		if !seen[e.Code] {
			t.Errorf("%s has no case", e.Code)
		}
	}
	if near < len(drain.Catalog()) {
		t.Errorf("%d near misses", near)
	}
}

// drainReports are the previews of all cases.
func drainReports(t testing.TB) []testkit.Report {
	t.Helper()
	in := loadFile(t, "drain/everything.json")
	list := []testkit.Report{{Fixture: "everything", Command: "kubectl nodeinfo --drain w2", Findings: preview(in).Findings}}
	for _, tt := range drains() {
		in := shop(t)
		tt.change(&in)
		list = append(list, testkit.Report{Fixture: tt.name, Command: "kubectl nodeinfo --drain w2", Findings: preview(in).Findings})
	}
	return list
}

func TestFindingsOfDrainsHaveOneForm(t *testing.T) {
	reports := drainReports(t)
	testkit.CheckWords(t, drain.Catalog(), nil, reports)
	testkit.CheckSteps(t, reports)
	testkit.CheckCarried(t, reports)
	testkit.CheckChanges(t, "../../../../test/e2e/nodeinfo", testkit.Changes{
		Executed: map[finding.Code]string{drain.DrainBlockedByPDB: "TestDrainPreview"},
	}, reports)
}

// What a real cluster was read as, with a pod of every kind on the node.
func TestAPreviewIsAsRecorded(t *testing.T) {
	golden(t, "drain/report.yaml", preview(loadFile(t, "drain/everything.json")))
}

func TestTheCommandHasTheFlagsThatItNeeds(t *testing.T) {
	for _, tt := range []struct {
		want   string
		risk   finding.Risk
		change func(in *Input)
	}{
		{"kubectl drain w2 --ignore-daemonsets", finding.Change, func(*Input) {}},
		{"kubectl drain w2 --ignore-daemonsets --delete-emptydir-data", finding.Destructive, func(in *Input) { web(in)[0].Spec.Volumes = emptyDir("") }},
		{"kubectl drain w2 --ignore-daemonsets --force", finding.Destructive, func(in *Input) { web(in)[0].OwnerReferences = nil }},
		{"kubectl drain w1 w2 --ignore-daemonsets", finding.Change, func(in *Input) {
			without(in, "w1")
			in.Targets = []string{"w2", "w1", "w2"}
		}},
		{"kubectl drain w2", finding.Change, func(in *Input) {
			in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return strings.HasPrefix(p.Name, "kube-proxy") })
		}},
	} {
		in := shop(t)
		tt.change(&in)
		d := PreviewDrain(in, in.Now, finding.Kubectl{})
		if d.Command == nil || d.Command.Command != tt.want || d.Command.Risk != tt.risk {
			t.Errorf("%+v, want %s", d.Command, tt.want)
		}
	}
}

// without empties a node, of whose pods the saved input has only what they request.
func without(in *Input, node string) {
	in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
}

// Nodes that are drained together are no room for each other.
func TestNodesAreDrainedTogether(t *testing.T) {
	in := shop(t)
	without(&in, "w1")
	in.Budgets, in.Targets = nil, []string{"w1", "w2"}
	d := preview(in)
	if d.Verdict != report.Risky || len(d.Rooms) != 1 || d.Rooms[0].Node != "cp1" || d.Counts.Unplaced == 0 || d.Counts.Unplaced == d.Counts.Moves {
		t.Errorf("%s: %s, %+v, rooms %+v", d.Verdict, d.Summary, d.Counts, d.Rooms)
	}
}

// What was not read is said, and no verdict stands on it.
func TestAPreviewWithoutAPermissionIsNoVerdict(t *testing.T) {
	for _, name := range []string{SourcePods, SourceBudgets, SourceVolumes} {
		in := shop(t)
		local("w1")(&in)
		for i := range in.Sources {
			if s := &in.Sources[i]; s.Name == name {
				s.State, s.Verb, s.Resource = source.Forbidden, "list", name
			}
		}
		switch name {
		case SourcePods:
			in.Pods = nil
		case SourceBudgets:
			in.Budgets = nil
		default:
			in.Volumes = nil
		}
		if d := preview(in); d.Verdict != report.Undecided || len(d.Findings) > 0 || !strings.Contains(d.Summary, name) || (d.Command == nil) != (name == SourcePods) {
			t.Errorf("%s: %s %v: %s", name, d.Verdict, drainCodes(d), d.Summary)
		}
	}
	in := shop(t) // what is read and blocks stands, whatever else is not read
	noDisruption(&in.Budgets[0])
	in.Sources = slices.DeleteFunc(in.Sources, func(s source.Source) bool { return s.Name == SourceDaemonSets })
	if d := preview(in); d.Verdict != report.DrainBlocked || d.Counts.Lost != 0 {
		t.Errorf("%s: %+v", d.Verdict, d.Counts)
	}
}

// Pods that fit one way and not the other are said to fit, tightly.
func TestPodsAreTriedInASecondOrder(t *testing.T) {
	in := shop(t)
	in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return p.Namespace != "shop" && p.Spec.NodeName != "cp1" })
	request(web(&in)[0], "900m")
	request(web(&in)[1], "1700m")
	small := nodeOf(&in, "w1").DeepCopy()
	small.Name = "w3"
	small.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("950m")
	in.Nodes = append(in.Nodes, *small)
	if d := preview(in); d.Verdict != report.Drainable || d.Counts.Unplaced != 0 || !d.Tight || !strings.Contains(d.Summary, "just fit") {
		t.Errorf("%s: %s; tight %t, %v", d.Verdict, d.Summary, d.Tight, d.Findings)
	}
}

func TestWhatIsNotModeledIsSaid(t *testing.T) {
	in := shop(t)
	p := web(&in)[0]
	p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: corev1.DoNotSchedule}}
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "zone"}}}}
	p.Spec.SchedulerName = "own"
	waiting := p.DeepCopy()
	waiting.Name, waiting.Spec.NodeName = "waits", ""
	in.Pods = append(in.Pods, *waiting)
	got := strings.Join(preview(in).NotModeled, "\n")
	for _, want := range []string{"topology spread constraints (1 pod)", "affinity and anti-affinity between pods (1 pod)", "the rules of scheduler own (1 pod)", "1 pod that already waits"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}

func TestTheOrderOfAnInputMeansNothingToADrain(t *testing.T) {
	want := preview(loadFile(t, "drain/everything.json"))
	in := loadFile(t, "drain/everything.json")
	disorder(rand.New(rand.NewSource(1)), &in)
	if diff := cmp.Diff(want, preview(in)); diff != "" {
		t.Error(diff)
	}
}

func TestASavedDrainIsForItsNodes(t *testing.T) {
	in := shop(t)
	if err := in.Aim([]string{"w1"}); err == nil || !strings.Contains(err.Error(), "saved for the drain of w2") {
		t.Error(err)
	}
	if err := in.Aim([]string{"nope"}); err != nil || len(preview(in).NotFound) != 1 {
		t.Error(err, preview(in).NotFound)
	}
	in = load(t, "healthy")
	if err := in.Aim([]string{"w1"}); err == nil || !strings.Contains(err.Error(), "not saved with --drain") {
		t.Error(err)
	}
}
