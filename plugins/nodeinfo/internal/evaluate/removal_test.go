package evaluate

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/drain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// leaving is the cluster of shop, read for the removal of w2: its Lease is current, and all volumes were read.
func leaving(t testing.TB) Input {
	t.Helper()
	in := shop(t)
	in.Depth = Remove
	in.Leases = []coordinationv1.Lease{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-node-lease", Name: "w2", OwnerReferences: []metav1.OwnerReference{{Kind: "Node", Name: "w2"}}},
		Spec:       coordinationv1.LeaseSpec{RenewTime: new(metav1.NewMicroTime(in.Now.Add(-5 * time.Second)))},
	}}
	in.CSINodes = []storagev1.CSINode{{ObjectMeta: metav1.ObjectMeta{Name: "w2"}}}
	ok := func(names ...string) (list source.List) {
		for _, name := range names {
			list = append(list, source.Source{Name: name, State: source.OK})
		}
		return list
	}
	in.Sources = append(in.Sources, ok(SourceClaims, SourceVolumes, SourceAttachments)...)
	in.NodeSources = map[string]source.List{"w2": ok(SourceLeases, SourceCSINodes)}
	return in
}

// part is a static pod of the control plane.
func part(node, name string, ready bool, args ...string) corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: name + "-" + node, Labels: map[string]string{"component": name, "tier": "control-plane"},
			Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"},
		},
		Spec:   corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: name, Args: args}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
}

func member(node string, ready bool) corev1.Pod {
	return part(node, "etcd", ready, "--name="+node, "--cert-file=/pki/server.crt", "--key-file=/pki/server.key", "--trusted-ca-file=/pki/ca.crt",
		"--listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379")
}

// stacked makes control plane nodes of w2 and others, of which the last so many are not ready.
func stacked(others, unready int) func(in *Input) {
	return func(in *Input) {
		in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return p.Spec.NodeName == "cp1" })
		for i := range others + 1 {
			node := fmt.Sprintf("cp%d", i)
			if i == 0 {
				node = "w2"
			}
			ready := i <= others-unready
			in.Pods = append(in.Pods, member(node, ready))
			for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
				in.Pods = append(in.Pods, part(node, name, ready))
			}
		}
	}
}

func both(first, second func(in *Input)) func(in *Input) {
	return func(in *Input) { first(in); second(in) }
}

// disk is a volume of a node; claimed says whether a claim has it.
func disk(node string, claimed bool) func(in *Input) {
	return func(in *Input) {
		v := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "disk"}, Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/mnt"}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		}}
		if claimed {
			v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "shop", Name: "data"}
		}
		in.Volumes = append(in.Volumes, v)
	}
}

func attached(node string) func(in *Input) {
	return func(in *Input) {
		in.VolumeAttachments = append(in.VolumeAttachments, storagev1.VolumeAttachment{
			ObjectMeta: metav1.ObjectMeta{Name: "csi-1"},
			Spec:       storagev1.VolumeAttachmentSpec{Attacher: "disk.example.com", NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: new("pv-1")}},
			Status:     storagev1.VolumeAttachmentStatus{Attached: true},
		})
	}
}

func labeled(key, value string) func(in *Input) {
	return func(in *Input) {
		n := nodeOf(in, "w2")
		n.Labels = map[string]string{key: value, corev1.LabelHostname: "w2"}
	}
}

func silent(in *Input) {
	unreported(in)
	in.Leases[0].Spec.RenewTime = new(metav1.NewMicroTime(in.Now.Add(-10 * time.Minute)))
}

type removed struct {
	name    string
	codes   string // all that are found, apart by spaces; empty: a near miss
	verdict report.DrainVerdict
	says    string // in the messages and evidence
	change  func(in *Input)
}

func removals() []removed {
	const (
		ends    = drain.RemoveEndsControlPlane
		etcd    = drain.RemoveEtcdMember
		risky   = report.Risky
		blocked = report.DrainBlocked
		good    = report.Removable
	)
	codes := func(list ...finding.Code) string { return strings.Trim(fmt.Sprint(list), "[]") }
	return []removed{
		{"the only control plane node", codes(ends, etcd), blocked, "no other ready kube-apiserver, kube-controller-manager, kube-scheduler", stacked(0, 0)},
		{"a scheduler that no other node has ready", codes(ends), blocked, "no other ready kube-scheduler", func(in *Input) {
			in.Pods = append(in.Pods, part("w2", "kube-scheduler", true), part("cp1", "kube-scheduler", false))
		}},
		{"the only node with the role, as k3s has it", codes(ends), blocked, "node with the role control-plane", func(in *Input) {
			delete(nodeOf(in, "cp1").Labels, "node-role.kubernetes.io/control-plane")
			labeled("node-role.kubernetes.io/control-plane", "true")(in)
		}},
		{"near: one of two nodes with the role", "", good, "", labeled("node-role.kubernetes.io/control-plane", "true")},
		{"near: the parts of the control plane are ready elsewhere", "", good, "", func(in *Input) {
			in.Pods = append(in.Pods, part("w2", "kube-scheduler", true), part("cp1", "kube-scheduler", true))
		}},
		{"near: a cloud's controllers alone", "", good, "", func(in *Input) { in.Pods = append(in.Pods, part("w2", "cloud-controller-manager", true)) }},

		{"the only etcd member", codes(etcd), blocked, "the only etcd member", func(in *Input) { in.Pods = append(in.Pods, member("w2", true)) }},
		{"a member, and one of the others has failed", codes(etcd), blocked, "1 of the 2 members that remain are ready, 2 required", stacked(2, 1)},
		{"one of three members", codes(etcd), risky, "etcd tolerates no failure of the 2 members that remain; now 1 of 3 may fail", stacked(2, 0)},
		{"one of four members", codes(etcd), good, "1 of the 3 members that remain may fail then", stacked(3, 0)},
		{"one of five members, and another has failed", codes(etcd), good, "1 of the 4 members that remain may fail then", stacked(4, 1)},
		{"near: members on other nodes", "", good, "", func(in *Input) { in.Pods = append(in.Pods, member("cp1", true), member("w1", false)) }},
		{"near: a pod that is called etcd", "", good, "", func(in *Input) {
			p := member("w2", true)
			p.Namespace = "shop"
			in.Pods = append(in.Pods, p)
		}},

		{"a kubelet that does not report", codes(drain.RemoveNodeNotReporting), risky, "renewed 10m ago, valid for 40s", silent},
		{"a kubelet that does not report, and a budget", codes(drain.RemoveNodeNotReporting), risky, "", both(silent, ofBudget(noDisruption))},
		{"near: Ready is Unknown, and the Lease is current again", "", good, "", func(in *Input) {
			unreported(in)
			in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return p.Spec.NodeName == "w2" && !strings.HasPrefix(p.Name, "kube-proxy") })
		}},

		{"a volume on the machine", codes(drain.RemoveLosesVolumes), risky, "1 volume can be used on no other node: disk; the data is on the machine", disk("w2", true)},
		{"near: a volume that nobody has claimed", "", good, "", disk("w2", false)},
		{"near: a volume of another machine", "", good, "", disk("w1", true)},
		{"near: a volume for every node", "", good, "", func(in *Input) { disk("w2", true)(in); in.Volumes[0].Spec.NodeAffinity = nil }},

		{"a node of a node group", codes(drain.RemoveManagedNode), risky, "Amazon EKS manages the node (node group ng-1)", labeled("eks.amazonaws.com/nodegroup", "ng-1")},
		{"a node of Karpenter", codes(drain.RemoveManagedNode), good, "ends its machine when the Node is deleted; it makes another one for pods that then fit nowhere", func(in *Input) {
			labeled("karpenter.sh/nodepool", "default")(in)
			nodeOf(in, "w2").Finalizers = []string{"karpenter.sh/termination"}
		}},
		{"near: a group's other node", "", good, "", func(in *Input) { nodeOf(in, "w1").Labels["eks.amazonaws.com/nodegroup"] = "ng-1" }},

		{"a volume that is attached", codes(drain.RemoveVolumesAttached), good, "pv-1 by disk.example.com", attached("w2")},
		{"near: a volume that is attached elsewhere", "", good, "", attached("w1")},
		{"what blocks a drain", codes(drain.DrainBlockedByPDB), blocked, "allows no disruption", ofBudget(noDisruption)},
	}
}

func TestRemovalsAreJudged(t *testing.T) {
	seen := map[finding.Code]bool{}
	near := 0
	for _, tt := range removals() {
		t.Run(tt.name, func(t *testing.T) {
			in := leaving(t)
			tt.change(&in)
			d := preview(in)
			var want []finding.Code
			for _, code := range strings.Fields(tt.codes) {
				want = append(want, finding.Code(code))
				seen[finding.Code(code)] = true
			}
			if tt.codes == "" {
				near++
			}
			if got := drainCodes(d); d.Verdict != tt.verdict || !slices.Equal(got, want) {
				t.Errorf("%s %v: %s\nwant %s %v", d.Verdict, got, d.Summary, tt.verdict, want)
			}
			if text := fmt.Sprint(d.Findings); !strings.Contains(text, tt.says) {
				t.Errorf("%q is not said: %s", tt.says, text)
			}
		})
	}
	for _, e := range drain.RemovalCatalog() {
		if !seen[e.Code] {
			t.Errorf("%s has no case", e.Code)
		}
	}
	if near < len(drain.RemovalCatalog()) {
		t.Errorf("%d near misses", near)
	}
}

func TestFindingsOfRemovalsHaveOneForm(t *testing.T) {
	var reports []testkit.Report
	for _, tt := range removals() {
		in := leaving(t)
		tt.change(&in)
		d := preview(in)
		reports = append(reports, testkit.Report{Fixture: tt.name, Command: "kubectl nodeinfo --remove w2", Findings: d.Findings})
		if len(d.Removal.Steps) > 0 { // the steps have the form of those of a finding
			reports = append(reports, testkit.Report{Fixture: tt.name + ", steps", Command: "kubectl nodeinfo --remove w2", Findings: []finding.Finding{{
				Code: drain.RemoveManagedNode, Title: "Node belongs to a group that keeps its size", Message: "steps", Next: d.Removal.Steps,
			}}})
		}
	}
	testkit.CheckWords(t, Catalog(), nil, reports)
	testkit.CheckSteps(t, reports)
	testkit.CheckCarried(t, reports)
}

// What is to be done stands in the order in which it works.
func TestTheStepsOfARemoval(t *testing.T) {
	const ctl = "kubectl exec etcd-cp1 -n kube-system -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/pki/ca.crt --cert=/pki/server.crt --key=/pki/server.key "
	for _, tt := range []struct {
		name   string
		change func(in *Input)
		want   []string
	}{
		{"a worker", func(*Input) {}, []string{"kubectl drain w2 --ignore-daemonsets", "systemctl disable --now kubelet", "kubectl delete node w2", "kubectl get pods -A -o wide --field-selector spec.nodeName=w2"}},
		{"volumes", attached("w2"), []string{
			"kubectl drain w2 --ignore-daemonsets",
			`kubectl get volumeattachments -o 'jsonpath={range .items[?(@.spec.nodeName=="w2")]}{.spec.source.persistentVolumeName}{"\n"}{end}'`,
			"systemctl disable --now kubelet", "kubectl delete node w2", "kubectl get pods -A -o wide --field-selector spec.nodeName=w2",
		}},
		{"a member", stacked(2, 0), []string{
			"kubectl drain w2 --ignore-daemonsets", ctl + "endpoint health --cluster",
			ctl + `member remove "$(` + ctl + `member list | awk -F', ' -v name=w2 '$3 == name {print $1}')"`,
			"systemctl disable --now kubelet", "kubectl delete node w2", "kubectl get pods -A -o wide --field-selector spec.nodeName=w2",
		}},
		{"a member whose pods do not tell how they are asked", func(in *Input) {
			stacked(2, 0)(in)
			for i := range in.Pods {
				in.Pods[i].Spec.Containers[0].Args = nil
			}
		}, []string{
			"kubectl drain w2 --ignore-daemonsets", "etcdctl member list; etcdctl member remove ID", "systemctl disable --now kubelet",
			"kubectl delete node w2", "kubectl get pods -A -o wide --field-selector spec.nodeName=w2",
		}},
		{"a machine that is gone, with volumes", both(silent, attached("w2")), []string{
			"systemctl poweroff", "kubectl taint nodes w2 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
			`kubectl get volumeattachments -o 'jsonpath={range .items[?(@.spec.nodeName=="w2")]}{.spec.source.persistentVolumeName}{"\n"}{end}'`,
			"kubectl delete node w2", "kubectl get pods -A -o wide --field-selector spec.nodeName=w2",
		}},
		{"Karpenter", func(in *Input) {
			labeled("karpenter.sh/nodepool", "default")(in)
			nodeOf(in, "w2").Finalizers = []string{"karpenter.sh/termination"}
		}, []string{"kubectl drain w2 --ignore-daemonsets", "kubectl delete node w2", "kubectl get pods -A -o wide --field-selector spec.nodeName=w2"}},
		{"an agent of k3s", func(in *Input) { nodeOf(in, "w2").Status.NodeInfo.KubeletVersion = "v1.36.1+k3s1" }, []string{
			"kubectl drain w2 --ignore-daemonsets", "systemctl disable --now k3s-agent", "kubectl delete node w2", "kubectl get pods -A -o wide --field-selector spec.nodeName=w2",
		}},
		{"the end of the cluster", stacked(0, 0), nil},
		{"the end of etcd", stacked(2, 1), nil},
	} {
		in := leaving(t)
		tt.change(&in)
		var got []string
		d := PreviewDrain(in, in.Now, finding.Kubectl{})
		for _, s := range d.Removal.Steps {
			got = append(got, s.Command)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// An etcd that is no pod is said not to be seen, and what was not read leads to no verdict.
func TestWhatIsNotKnownOfARemoval(t *testing.T) {
	for name, change := range map[string]func(in *Input){
		"k3s": func(in *Input) { nodeOf(in, "w2").Labels["node-role.kubernetes.io/etcd"] = "true" },
		"an etcd beside the pods": func(in *Input) {
			in.Pods = append(in.Pods, part("w2", "kube-apiserver", true, "--etcd-servers=https://127.0.0.1:2379"), part("cp1", "kube-apiserver", true))
		},
	} {
		in := leaving(t)
		change(&in)
		if d := preview(in); d.Sources.Get("etcd member").State != source.Skipped || d.Sources.Get("etcd member").Message == "etcd member was not read" || d.Removal.Etcd != nil {
			t.Errorf("%s: %v", name, d.Sources)
		}
	}
	in := leaving(t)
	in.Pods = append(in.Pods, part("w2", "kube-apiserver", true, "--etcd-servers=https://10.0.0.9:2379"), part("cp1", "kube-apiserver", true))
	if d := preview(in); slices.ContainsFunc(d.Sources, func(s source.Source) bool { return s.Name == "etcd member" }) {
		t.Errorf("an etcd elsewhere is no gap: %v", d.Sources)
	}
	for _, name := range []string{SourcePods, SourceVolumes, SourceBudgets} {
		in := leaving(t)
		for i := range in.Sources {
			if in.Sources[i].Name == name {
				in.Sources[i].State = source.Forbidden
			}
		}
		if d := preview(in); d.Verdict != report.Undecided || !strings.Contains(d.Summary, name) || (len(d.Removal.Steps) == 0) != (name == SourcePods) {
			t.Errorf("%s: %s: %s, %v", name, d.Verdict, d.Summary, d.Removal.Steps)
		}
	}
}

func TestARemovalIsAsRecorded(t *testing.T) {
	in := leaving(t)
	for _, change := range []func(in *Input){stacked(2, 0), attached("w2"), disk("w2", true), labeled("kops.k8s.io/instancegroup", "masters")} {
		change(&in)
	}
	want := preview(in)
	golden(t, "remove/report.yaml", want)
	disorder(rand.New(rand.NewSource(1)), &in)
	if diff := cmp.Diff(want, preview(in)); diff != "" {
		t.Error(diff)
	}
}

func TestASavedRemovalIsForItsNode(t *testing.T) {
	in := leaving(t)
	if err := in.AimRemove([]string{"w1"}); err == nil || !strings.Contains(err.Error(), "saved for the removal of w2") {
		t.Error(err)
	}
	if err := in.Aim([]string{"w2"}); err == nil || !strings.Contains(err.Error(), "not saved with --drain") {
		t.Error(err)
	}
	if err := in.AimRemove([]string{"w2"}); err != nil || preview(in).Removal == nil {
		t.Error(err)
	}
}
