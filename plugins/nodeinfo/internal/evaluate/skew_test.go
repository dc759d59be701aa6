package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// A scheduler is measured by the API server of its node; where the versions cannot be read off the images, nothing is said.
func TestControlPlaneVersionsAreComparedWhereTheyAreKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		apiServer, scheduler, answering string
		want                            string
	}{
		"equal":                                   {"kube-apiserver:v1.36.3", "kube-scheduler:v1.36.3", "v1.36.3", ""},
		"a node upgraded before the others":       {"kube-apiserver:v1.37.0", "kube-scheduler:v1.37.0", "v1.36.3", ""},
		"its API server upgraded first":           {"kube-apiserver:v1.37.0", "kube-scheduler:v1.36.3", "v1.36.3", ""},
		"the scheduler upgraded first":            {"kube-apiserver:v1.36.3", "kube-scheduler:v1.37.0", "v1.37.0", "kube-scheduler v1.37.0 is newer"},
		"a minor version left out":                {"kube-apiserver:v1.36.3", "kube-scheduler:v1.34.1", "v1.36.3", "2 minor versions older"},
		"API servers two minor versions apart":    {"kube-apiserver:v1.34.1", "kube-scheduler:v1.34.1", "v1.36.3", "kube-apiserver v1.34.1 is 2 minor versions older"},
		"an API server two newer than the other":  {"kube-apiserver:v1.38.0", "kube-scheduler:v1.38.0", "v1.36.3", "kube-apiserver v1.38.0 is 2 minor versions newer"},
		"a scheduler pinned by digest":            {"kube-apiserver:v1.36.3", "kube-scheduler@sha256:0123", "v1.36.3", ""},
		"an API server pinned by digest":          {"kube-apiserver@sha256:0123", "kube-scheduler:v1.37.0", "v1.36.3", ""},
		"an image with a version of its own":      {"kube-apiserver:v1.36.3", "our-scheduler:v1.2.0", "v1.36.3", ""},
		"tag and digest, behind a registry port":  {"reg:5000/kube-apiserver:v1.36.3@sha256:01", "reg:5000/kube-scheduler:v1.37.0@sha256:01", "v1.36.3", "is newer"},
		"an answering API server of no version":   {"kube-apiserver:v1.30.0", "kube-scheduler:v1.30.0", "", ""},
		"images of a distribution with one build": {"hardened-kubernetes:v1.36.1-rke2r1", "hardened-kubernetes:v1.36.1-rke2r1", "v1.36.1+rke2r1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, string(machine.ControlPlaneVersionSkew))
			in.ServerVersion = tt.answering
			for i := range in.Pods {
				switch in.Pods[i].Name {
				case "kube-apiserver-fires":
					in.Pods[i].Spec.Containers[0].Image = tt.apiServer
				case "kube-scheduler-fires":
					in.Pods[i].Spec.Containers[0].Image = tt.scheduler
				}
			}
			got := said(node(t, judge(in), "fires"), machine.ControlPlaneVersionSkew)
			if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// servers is a fleet whose nodes hold an API server each, of these images; an empty one has no pod that was read. The first answered.
func servers(t *testing.T, kubelet string, images ...string) Input {
	t.Helper()
	in := load(t, string(machine.ControlPlaneVersionSkew))
	of := slices.IndexFunc(in.Pods, func(p corev1.Pod) bool { return p.Name == "kube-apiserver-fires" })
	at := slices.IndexFunc(in.Nodes, func(n corev1.Node) bool { return n.Name == "fires" })
	n, p := in.Nodes[at], in.Pods[of]
	in.Nodes, in.Pods, in.SystemLeases, in.Leases = nil, nil, nil, nil
	in.Depth, in.ServerVersion = Pods, "v1.35.0"
	for i, image := range images {
		name := "cp" + string(rune('1'+i))
		node, pod := *n.DeepCopy(), *p.DeepCopy()
		node.Name, node.Status.NodeInfo.KubeletVersion = name, kubelet
		node.Labels = map[string]string{"node-role.kubernetes.io/control-plane": "", corev1.LabelHostname: name}
		for a := range node.Status.Addresses {
			if node.Status.Addresses[a].Type == corev1.NodeHostName {
				node.Status.Addresses[a].Address = name
			}
		}
		pod.Name, pod.Spec.NodeName, pod.UID = "kube-apiserver-"+name, name, "uid"
		if image != "" {
			pod.Spec.Containers[0].Image = "kube-apiserver:" + image
			in.Pods = append(in.Pods, pod)
		}
		renewed := metav1.NewMicroTime(in.Now.Add(-3 * time.Second))
		in.SystemLeases = append(in.SystemLeases, coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "apiserver-" + name, Labels: map[string]string{
				"apiserver.kubernetes.io/identity": "kube-apiserver", corev1.LabelHostname: name,
			}},
			Spec: coordinationv1.LeaseSpec{RenewTime: &renewed},
		})
		in.Nodes = append(in.Nodes, node)
	}
	return in
}

// Of several API servers the one that is farthest counts, and for kubelets the oldest, wherever a version is known.
func TestAPIServersAreComparedWithEachOther(t *testing.T) {
	const skew, newer = machine.ControlPlaneVersionSkew, workload.KubeletNewerThanAPIServer
	for name, tt := range map[string]struct {
		kubelet         string
		images          []string
		skew, newerThan string // of cp3
	}{
		"one apart from the middle, two from each other": {"v1.34.0", []string{"v1.35.0", "v1.34.0", "v1.36.0"}, "kube-apiserver v1.36.0 is 2 minor versions newer than kube-apiserver on cp2 (v1.34.0)", ""},
		"an upgrade under way":                           {"v1.35.0", []string{"v1.35.0", "v1.35.0", "v1.36.0"}, "", ""},
		"a kubelet newer than one of them":               {"v1.35.0", []string{"v1.35.0", "v1.34.0", "v1.35.0"}, "", "the kubelet (v1.35.0) is newer than kube-apiserver on cp2 (v1.34.0)"},
		"of one nothing is known":                        {"v1.35.0", []string{"v1.35.0", "", "v1.36.0"}, "", ""},
	} {
		n := node(t, judge(servers(t, tt.kubelet, tt.images...)), "cp3")
		for code, want := range map[string]string{string(skew): tt.skew, string(newer): tt.newerThan} {
			got := ""
			for _, f := range n.Findings {
				if string(f.Code) == code {
					got = f.Message
				}
			}
			if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
				t.Errorf("%s: %s: %q, want %q", name, code, got, want)
			}
		}
	}
}

// A lease names a host and no version: without a pod the version is unknown, and a lease that is not renewed is no API server.
func TestVersionsOfAPIServersAreKnownByTheirPods(t *testing.T) {
	in := servers(t, "v1.35.0", "v1.35.0", "", "v1.35.0", "v1.35.0")
	in.SystemLeases[3].Spec.RenewTime = &metav1.MicroTime{Time: in.Now.Add(-time.Hour)}
	in.Pods[1].Spec.Containers[0].Image = "kube-apiserver@sha256:0123"
	want := []report.APIServer{
		{Host: "cp1", OnThisNode: true, AgeSeconds: 3, Version: "v1.35.0"}, {Host: "cp2", AgeSeconds: 3}, {Host: "cp3", AgeSeconds: 3},
	}
	if d := cmp.Diff(want, node(t, judge(in), "cp1").ControlPlane.APIServers); d != "" {
		t.Error(d)
	}
}
