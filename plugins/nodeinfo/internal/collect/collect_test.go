package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

const (
	nodes       = "/api/v1/nodes"
	pods        = "/api/v1/pods"
	leases      = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	systemLease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
	metrics     = "/apis/metrics.k8s.io/v1beta1/nodes"
)

func testNode(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "secret"}},
		Status: corev1.NodeStatus{
			Images:    []corev1.ContainerImage{{Names: []string{"big"}}},
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0." + name[1:]}},
		},
	}
}

// fleet is a server with n nodes that answers everything.
func fleet(t *testing.T, n int) *testkit.Server {
	t.Helper()
	s := testkit.NewServer(t)
	list := corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}}
	all := coordinationv1.LeaseList{TypeMeta: metav1.TypeMeta{Kind: "LeaseList", APIVersion: "coordination.k8s.io/v1"}}
	for i := range n {
		name := "w" + string(rune('0'+i%10)) + strings.Repeat("0", i/10)
		node := testNode(name)
		list.Items = append(list.Items, node)
		node.TypeMeta = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}
		s.Answer(nodes+"/"+name, node)
		all.Items = append(all.Items, coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	s.Answer(nodes, list)
	s.Answer(leases, all)
	s.Answer(systemLease, coordinationv1.LeaseList{TypeMeta: metav1.TypeMeta{Kind: "LeaseList", APIVersion: "coordination.k8s.io/v1"}})
	s.Answer(metrics, map[string]any{"items": []map[string]any{{"metadata": map[string]any{"name": "w1"}, "timestamp": "2026-11-20T12:00:00Z", "window": "20s", "usage": map[string]any{"cpu": "100m", "memory": "1Gi"}}}})
	s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{secretive("p1", "w1"), secretive("p2", "elsewhere")}})
	s.Answer("/version", map[string]string{"gitVersion": "v1.36.3"})
	s.Answer("/api/v1/namespaces/kube-system/configmaps/kube-proxy", corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, Data: map[string]string{"config.conf": "mode: nftables\nclusterCIDR: 10.0.0.0/8\n"}})
	return s
}

func secretive(name, node string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Annotations: map[string]string{"token": "s3cret", corev1.MirrorPodAnnotationKey: "x"}},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: "app", Image: "i", Command: []string{"app", "--password=s3cret"}, Env: []corev1.EnvVar{{Name: "TOKEN", Value: "s3cret"}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "s3cret"}},
		}}},
	}
}

func gather(t *testing.T, s *testkit.Server, r Request) (Result, error) {
	t.Helper()
	flags := kube.NewFlags("test", time.Now)
	if err := flags.FlagSet().Set("kubeconfig", s.Kubeconfig(t)); err != nil {
		t.Fatal(err)
	}
	cluster, err := flags.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	result, err := Collect(ctx, cluster, r)
	result.Input.Unpack()
	return result, err
}

func TestTheFleetTakesThreeCallsWhateverItsSize(t *testing.T) {
	for _, n := range []int{1, 40} {
		s := fleet(t, n)
		result, err := gather(t, s, Request{Depth: evaluate.Fleet})
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Input.Nodes) != n || len(result.Input.Metrics) != 1 {
			t.Errorf("%d nodes, %d samples", len(result.Input.Nodes), len(result.Input.Metrics))
		}
		want := []string{"GET " + nodes + "?resourceVersion=0", "GET " + leases + "?resourceVersion=0", "GET " + metrics}
		slices.Sort(want)
		if got := s.Requests(); !slices.Equal(got, want) {
			t.Errorf("%d nodes: %d calls: %v", n, len(got), got)
		}
	}
}

func TestWideAddsAFixedNumberOfCalls(t *testing.T) {
	s := fleet(t, 40)
	result, err := gather(t, s, Request{Depth: evaluate.Pods})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(s.Requests()); got != 9 {
		t.Errorf("%d calls: %v", got, s.Requests())
	}
	if len(result.Input.Pods) != 1 || result.Input.Pods[0].Name != "p1" {
		t.Errorf("pods of nodes that were not selected are kept: %d", len(result.Input.Pods))
	}
	if result.Input.ProxyMode != "nftables" || result.Input.ServerVersion != "v1.36.3" {
		t.Errorf("proxy mode %q, version %q", result.Input.ProxyMode, result.Input.ServerVersion)
	}
}

// One list tells what became of the certificate requests of all kubelets: where the table is more than its three calls anyway.
func TestCertificateRequestsOfAFleetAreOneCall(t *testing.T) {
	for _, tt := range []struct {
		request Request
		calls   int
	}{
		{Request{Depth: evaluate.Fleet}, 0},
		{Request{Depth: evaluate.Fleet, Kubelet: true}, 1},
		{Request{Depth: evaluate.Pods}, 1},
	} {
		s := fleet(t, 40)
		result, err := gather(t, s, tt.request)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		for _, r := range s.Requests() {
			if strings.Contains(r, "certificatesigningrequests") {
				calls++
			}
		}
		if state := result.Input.Sources.Get(evaluate.SourceRequests).State; calls != tt.calls || (state == source.Skipped) != (calls == 0) {
			t.Errorf("%+v: %d calls, %s", tt.request, calls, state)
		}
	}
}

// A healthy worker takes ten calls. What concerns only some nodes is asked of those, and of whom nothing is known.
func TestANamedNodeIsAskedWhatConcernsIt(t *testing.T) {
	const (
		readyz      = "GET /readyz?verbose="
		attachments = "GET /apis/storage.k8s.io/v1/volumeattachments?resourceVersion=0"
		autoscaler  = "GET " + statusPath
		proxy       = "GET /api/v1/namespaces/kube-system/configmaps/kube-proxy"
		proxyHealth = "GET /api/v1/namespaces/kube-system/pods/http:proxy:10256/proxy/livez"
	)
	further := []string{readyz, attachments, autoscaler, proxy, proxyHealth}
	claim := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}
	tests := []struct {
		name   string
		change func(n *corev1.Node, p *corev1.Pod)
		want   []string
	}{
		{"a worker", func(*corev1.Node, *corev1.Pod) {}, nil},
		{"volumes that the kubelet makes by itself", func(_ *corev1.Node, p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{
				{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}},
			}
		}, nil},
		{"a claim", func(_ *corev1.Node, p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{VolumeSource: claim}} }, []string{attachments}},
		{"a volume that is attached", func(n *corev1.Node, _ *corev1.Pod) {
			n.Status.VolumesAttached = []corev1.AttachedVolume{{Name: "v"}}
		}, []string{attachments}},
		{"not Ready", func(n *corev1.Node, _ *corev1.Pod) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }, []string{readyz}},
		{"the role of a control plane", func(n *corev1.Node, _ *corev1.Pod) {
			n.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
		}, []string{readyz}},
		{"a static pod of the control plane", func(_ *corev1.Node, p *corev1.Pod) {
			p.Namespace, p.Labels = "kube-system", map[string]string{"component": "etcd"}
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "Node", Name: "w1", Controller: new(true)}}
		}, []string{readyz}},
		{"a machine of a cloud", func(n *corev1.Node, _ *corev1.Pod) { n.Spec.ProviderID = "aws:///a/i-1" }, []string{autoscaler}},
		{"one that the autoscaler is told to keep", func(n *corev1.Node, _ *corev1.Pod) {
			n.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}
		}, []string{autoscaler}},
		{"kube-proxy", func(_ *corev1.Node, p *corev1.Pod) {
			p.Namespace, p.Name, p.Labels = "kube-system", "proxy", map[string]string{"k8s-app": "kube-proxy"}
		}, []string{proxy, proxyHealth}},
	}
	for _, tt := range tests {
		s := fleet(t, 3)
		n, p := testNode("w1"), secretive("p1", "w1")
		n.TypeMeta = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		tt.change(&n, &p)
		s.Answer(nodes+"/w1", n)
		s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{p}})
		in := named(t, s)
		var got []string
		for _, r := range s.Requests() {
			if slices.Contains(further, r) {
				got = append(got, r)
			}
		}
		slices.Sort(tt.want)
		if asked := len(s.Requests()); !slices.Equal(got, tt.want) || asked != 10+len(tt.want) {
			t.Errorf("%s: %d calls, of these %v: %v", tt.name, asked, got, s.Requests())
		}
		if len(in.Nodes) != 1 || in.Nodes[0].Name != "w1" || (in.Sources.Get(evaluate.SourceAttachments).State == source.OK) == slices.Contains(got, attachments) {
			t.Errorf("%s: %d nodes, %+v", tt.name, len(in.Nodes), in.Sources) // where it is asked, this server has no such API
		}
	}
	s := fleet(t, 1)
	s.Refuse(pods, http.StatusForbidden)
	if result, err := gather(t, s, Request{Names: []string{"w0"}, Depth: evaluate.Full}); err != nil || !slices.Contains(s.Requests(), attachments) {
		t.Errorf("who may not list pods knows nothing of their volumes: %v, %+v", s.Requests(), result.Input.Sources)
	}
}

// A login page, or half an answer, is not the API server's word that it is ready.
func TestOnlyAWholeAnswerOfReadyzIsOne(t *testing.T) {
	for text, want := range map[string]source.State{
		"[+]ping ok\n[+]etcd ok\nreadyz check passed\n": source.OK, "[+]ping ok\n[+]et": source.Unreachable, "": source.Unreachable,
		"<html><body>Please log in</body></html>": source.Unreachable,
	} {
		s := fleet(t, 1)
		s.Answer("/readyz", testkit.Text(text))
		result, err := gather(t, s, Request{Names: []string{"w0"}, Depth: evaluate.Full})
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Input.Sources.Get(evaluate.SourceReadyz); got.State != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestWhatCannotBeReadIsStatedAndNotFatal(t *testing.T) {
	tests := []struct {
		path, name string
		code       int
		state      source.State
		text       string
	}{
		{leases, evaluate.SourceLeases, http.StatusForbidden, source.Forbidden, "needs list leases.coordination.k8s.io in kube-node-lease"},
		{metrics, evaluate.SourceMetrics, http.StatusForbidden, source.Forbidden, "needs list nodes.metrics.k8s.io"},
		{metrics, evaluate.SourceMetrics, http.StatusNotFound, source.Absent, "metrics-server is not installed"},
		{metrics, evaluate.SourceMetrics, http.StatusInternalServerError, source.Unreachable, ""},
		{pods, evaluate.SourcePods, http.StatusForbidden, source.Forbidden, "needs list pods"},
		{"/version", evaluate.SourceServerVersion, http.StatusForbidden, source.Forbidden, "needs get /version"},
		{"/api/v1/namespaces/kube-system/configmaps/kube-proxy", evaluate.SourceProxyConfig, http.StatusForbidden, source.Forbidden, "configmaps/kube-proxy"},
	}
	for _, tt := range tests {
		s := fleet(t, 2)
		s.Refuse(tt.path, tt.code)
		result, err := gather(t, s, Request{Depth: evaluate.Pods})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := result.Input.Sources.Get(tt.name)
		if got.State != tt.state || !strings.Contains(got.Gap(), tt.text) {
			t.Errorf("%s %d: %+v", tt.path, tt.code, got)
		}
	}
}

// A node that metrics-server has no sample of is not a cluster without metrics-server.
func TestANodeWithoutASampleIsNotAnAbsentAPI(t *testing.T) {
	s := fleet(t, 2)
	s.Fail(metrics+"/w1", metav1.Status{
		Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `nodemetrics.metrics.k8s.io "w1" not found`,
		Details: &metav1.StatusDetails{Name: "w1", Group: "metrics.k8s.io", Kind: "nodemetrics"},
	})
	result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full})
	if err != nil {
		t.Fatal(err)
	}
	if got := result.Input.NodeSources["w1"].Get(evaluate.SourceMetrics); got.State != source.OK || len(result.Input.Metrics) != 0 {
		t.Errorf("%+v, %d samples", got, len(result.Input.Metrics))
	}
	s.Refuse(metrics+"/w0", http.StatusNotFound)
	if result, err = gather(t, s, Request{Names: []string{"w0"}, Depth: evaluate.Full}); err != nil {
		t.Fatal(err)
	}
	if got := result.Input.NodeSources["w0"].Get(evaluate.SourceMetrics); got.State != source.Absent {
		t.Errorf("%+v", got)
	}
}

func TestNodesThatCannotBeReadAreFatal(t *testing.T) {
	s := fleet(t, 1)
	s.Refuse(nodes, http.StatusForbidden)
	if _, err := gather(t, s, Request{Depth: evaluate.Fleet}); err == nil {
		t.Error("a report without nodes")
	}
}

func TestAnUnknownNameIsMissingAndOthersAreRead(t *testing.T) {
	s := fleet(t, 3)
	result, err := gather(t, s, Request{Names: []string{"nope", "w1"}, Depth: evaluate.Full})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(result.Input.NotFound, []string{"nope"}) || len(result.Input.Nodes) != 1 {
		t.Errorf("missing %v, %d nodes", result.Input.NotFound, len(result.Input.Nodes))
	}
}

func TestAnAddressNamesItsNodeAndSaysSo(t *testing.T) {
	s := fleet(t, 3)
	result, err := gather(t, s, Request{Names: []string{"10.0.0.2"}, Depth: evaluate.Full})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Input.Nodes) != 1 || result.Input.Nodes[0].Name != "w2" || len(result.Notes) != 1 || !strings.Contains(result.Notes[0], "InternalIP") {
		t.Errorf("%d nodes, notes %v", len(result.Input.Nodes), result.Notes)
	}
}

// What is saved may be sent to somebody.
func TestNothingSecretIsKept(t *testing.T) {
	s := fleet(t, 2)
	result, err := gather(t, s, Request{Depth: evaluate.Pods})
	if err != nil {
		t.Fatal(err)
	}
	p := result.Input.Pods[0]
	c := p.Spec.Containers[0]
	if c.Env != nil || c.Command != nil || p.Annotations["token"] != "" || p.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message != "" {
		t.Errorf("kept: %+v", p)
	}
	if p.Annotations[corev1.MirrorPodAnnotationKey] == "" {
		t.Error("the mark of a static pod is lost")
	}
	if n := result.Input.Nodes[0]; n.Status.Images != nil || n.Annotations[corev1.LastAppliedConfigAnnotation] != "" {
		t.Error("images or the last applied configuration are kept")
	}
}

func TestTheKubeletIsAskedOnlyOnDemand(t *testing.T) {
	s := fleet(t, 2)
	s.Answer(nodes+"/w1/proxy/healthz", "ok")
	s.Answer(nodes+"/w1/proxy/stats/summary", map[string]any{"node": map[string]any{"fs": map[string]any{"capacityBytes": 100, "usedBytes": 40}}})
	s.Refuse(nodes+"/w2/proxy/healthz", http.StatusForbidden)
	s.Refuse(nodes+"/w0/proxy/healthz", http.StatusServiceUnavailable)
	result, err := gather(t, s, Request{Names: []string{"w0", "w1"}, Depth: evaluate.Full, Kubelet: true})
	if err != nil {
		t.Fatal(err)
	}
	if k := result.Input.Kubelets["w1"]; !k.Healthy || len(k.Filesystems) != 1 || *k.Filesystems[0].Used != 40 {
		t.Errorf("w1: %+v", k)
	}
	if k := result.Input.Kubelets["w0"]; k.Healthy || k.Message == "" {
		t.Errorf("w0: %+v", k)
	}
}

func TestForbiddenKubeletIsNotADeadOne(t *testing.T) {
	s := fleet(t, 3)
	s.Refuse(nodes+"/w2/proxy/healthz", http.StatusForbidden)
	result, err := gather(t, s, Request{Names: []string{"w2"}, Depth: evaluate.Full, Kubelet: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, asked := result.Input.Kubelets["w2"]; asked {
		t.Error("a refusal counts as an answer of the kubelet")
	}
	if got := result.Input.NodeSources["w2"].Get(evaluate.SourceKubelet); got.State != source.Forbidden || got.Resource != "nodes/proxy" {
		t.Errorf("%+v", got)
	}
}

// Why a DaemonSet lacks a pod is read of those that lack one, and nothing of the others; of a pod without a node, what tells
// for which it is and why it has none is kept, and no more.
func TestDetailsAreReadOfDaemonSetsThatLackPods(t *testing.T) {
	s := fleet(t, 2)
	daemons := func(name string, current, ready int32) appsv1.DaemonSet {
		return appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: name + "-ns", Name: name, UID: types.UID(name)},
			Status:     appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, CurrentNumberScheduled: current, NumberReady: ready},
		}
	}
	s.Answer("/apis/apps/v1/daemonsets", appsv1.DaemonSetList{Items: []appsv1.DaemonSet{daemons("whole", 2, 2), daemons("pending", 2, 1), daemons("refused", 1, 1)}})
	for _, ns := range []string{"pending-ns", "refused-ns"} {
		free, owned := secretive("free", ""), secretive("owned", "")
		controller := true
		owned.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Controller: &controller}}
		s.Answer("/api/v1/namespaces/"+ns+"/pods", corev1.PodList{Items: []corev1.Pod{free, owned}})
	}
	s.Answer("/api/v1/namespaces/refused-ns/events", corev1.EventList{Items: []corev1.Event{{Reason: "FailedCreate"}}})
	result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full})
	if err != nil {
		t.Fatal(err)
	}
	var details []string
	for _, r := range s.Requests() {
		if strings.Contains(r, "-ns/") {
			path, _, _ := strings.Cut(r, "&")
			details = append(details, path)
		}
	}
	slices.Sort(details)
	want := []string{
		"GET /api/v1/namespaces/pending-ns/pods?fieldSelector=spec.nodeName%3D", "GET /api/v1/namespaces/refused-ns/events?fieldSelector=involvedObject.uid%3Drefused",
		"GET /api/v1/namespaces/refused-ns/pods?fieldSelector=spec.nodeName%3D",
	}
	if d := cmp.Diff(want, details); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if in := result.Input; len(in.Unscheduled) != 2 || in.Unscheduled[0].Name != "owned" || len(in.Unscheduled[0].Spec.Containers) > 0 || len(in.Unscheduled[0].Annotations) > 0 {
		t.Errorf("kept %+v", in.Unscheduled)
	}
	if !slices.ContainsFunc(result.Input.Events, func(e corev1.Event) bool { return e.Reason == "FailedCreate" }) {
		t.Error("the event is lost")
	}
}

// drained adds to the fleet what a drain asks for.
func drained(t *testing.T, volumes bool) *testkit.Server {
	t.Helper()
	s := fleet(t, 3)
	on, off := secretive("on", "w1"), secretive("off", "w2")
	on.Annotations = map[string]string{"token": "s3cret", "karpenter.sh/do-not-disrupt": "true"}
	on.Labels, on.Spec.Tolerations = map[string]string{"app": "x"}, []corev1.Toleration{{Key: "a"}}
	on.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "r", Controller: new(true)}}
	if volumes {
		on.Spec.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	}
	off.Labels = on.Labels
	off.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}, {ContainerPort: 81}}
	s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{on, off}})
	s.Answer("/apis/apps/v1/daemonsets", appsv1.DaemonSetList{TypeMeta: metav1.TypeMeta{Kind: "DaemonSetList", APIVersion: "apps/v1"}})
	s.Answer("/apis/policy/v1/poddisruptionbudgets", policyv1.PodDisruptionBudgetList{Items: []policyv1.PodDisruptionBudget{{ObjectMeta: metav1.ObjectMeta{Name: "b", Annotations: map[string]string{"a": "s3cret"}}}}})
	s.Answer("/api/v1/persistentvolumeclaims", corev1.PersistentVolumeClaimList{TypeMeta: metav1.TypeMeta{Kind: "PersistentVolumeClaimList", APIVersion: "v1"}, Items: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}}}})
	s.Refuse("/api/v1/persistentvolumes", http.StatusForbidden)
	return s
}

func TestADrainTakesFourCallsAndTwoForVolumes(t *testing.T) {
	for volumes, want := range map[bool]int{false: 4, true: 6} {
		s := drained(t, volumes)
		result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Drain})
		if err != nil {
			t.Fatal(err)
		}
		in := result.Input
		if got := s.Requests(); len(got) != want {
			t.Errorf("%d calls: %v", len(got), got)
		}
		if len(in.Nodes) != 3 || !slices.Equal(in.Targets, []string{"w1"}) || len(in.Budgets) != 1 || in.Sources.Get(evaluate.SourceVolumes).State == source.Forbidden != volumes {
			t.Errorf("%d nodes, %v, %v", len(in.Nodes), in.Targets, in.Sources)
		}
		if p := in.Pods[0]; len(p.Labels) != 1 || len(p.Spec.Tolerations) != 1 || p.Annotations["token"] != "" || len(p.Annotations) != 1 || p.Spec.Containers[0].Env != nil {
			t.Errorf("%+v", p)
		}
		if p := in.Pods[1]; p.Labels != nil || p.Annotations != nil || p.Spec.NodeName != "w2" || len(p.Spec.Containers[0].Ports) != 1 {
			t.Errorf("%+v", p)
		}
		if data, err := json.Marshal(in); err != nil || strings.Contains(string(data), "s3cret") {
			t.Error("a secret is kept", err)
		}
	}
	s := drained(t, false)
	result, err := gather(t, s, Request{Names: []string{"nope", "10.0.0.1"}, Depth: evaluate.Drain})
	if err != nil || !slices.Equal(result.Input.NotFound, []string{"nope"}) || !slices.Equal(result.Input.Targets, []string{"w1"}) || len(s.Requests()) != 1 || len(result.Notes) != 1 {
		t.Errorf("%v: %v, %v, %v", err, result.Input.NotFound, result.Input.Targets, s.Requests())
	}
}

// What a removal reads beside a drain: of parts of the control plane on every node, what they are and how etcd is asked.
func TestARemovalTakesNineCalls(t *testing.T) {
	s := drained(t, false)
	s.Answer("/apis/storage.k8s.io/v1/volumeattachments", map[string]any{"kind": "VolumeAttachmentList", "apiVersion": "storage.k8s.io/v1"})
	etcd := secretive("etcd-w2", "w2")
	etcd.Namespace, etcd.Labels = "kube-system", map[string]string{"component": "etcd", "tier": "control-plane", "more": "x"}
	etcd.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x", "token": "s3cret"}
	etcd.Spec.Containers[0].Command = []string{"etcd", "--name=w2", "--initial-cluster-token=s3cret", "--cert-file=/pki/server.crt"}
	etcd.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{etcd}})
	for _, depth := range []evaluate.Depth{evaluate.Remove, evaluate.Drain} {
		before := len(s.Requests())
		result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: depth})
		if err != nil {
			t.Fatal(err)
		}
		p, got := result.Input.Pods[0], len(s.Requests())-before
		if depth == evaluate.Drain {
			if got != 4 || p.Labels != nil || p.Spec.Containers[0].Args != nil {
				t.Errorf("a drain: %d calls, %+v", got, p)
			}
			continue
		}
		if got != 9 {
			t.Errorf("%d calls: %v", got, s.Requests())
		}
		if len(p.Labels) != 2 || len(p.Annotations) != 1 || len(p.Status.Conditions) != 1 || !slices.Equal(p.Spec.Containers[0].Args, []string{"--name=w2", "--cert-file=/pki/server.crt"}) {
			t.Errorf("%+v", p)
		}
		if data, err := json.Marshal(result.Input); err != nil || strings.Contains(string(data), "s3cret") {
			t.Error("a secret is kept", err)
		}
	}
}

func TestWhatTheKubeletMeasuresIsRead(t *testing.T) {
	pod := func(name string, used uint64) string {
		return fmt.Sprintf(`{"podRef":{"name":%q,"namespace":"shop"},"ephemeral-storage":{"usedBytes":%d},"memory":{"workingSetBytes":%d}}`, name, used, 10-used)
	}
	var k evaluate.Kubelet
	k.ReadSummary([]byte(`{"node":{"fs":{"availableBytes":5},"runtime":{"imageFs":{"capacityBytes":9}},"memory":{"availableBytes":7},"rlimit":{"maxpid":30,"curproc":4}},"pods":[` +
		strings.Join([]string{pod("b", 3), pod("empty", 0), pod("big", 9), pod("a", 3), pod("c", 2), pod("d", 1), pod("e", 1), `{"podRef":{"name":"untold"}}`}, ",") + `]}`))
	k.ReadThresholds([]byte(`{"kubeletconfig":{"evictionHard":{"memory.available":"100Mi"},"evictionSoft":{"nodefs.available":"15%"}}}`))
	var users []string
	for _, u := range k.DiskUsers {
		users = append(users, u.Name)
	}
	if !slices.Equal(users, []string{"big", "a", "b", "c", "d"}) || k.DiskUsers[0].Used != 9 || k.DiskUsers[0].Namespace != "shop" {
		t.Errorf("%+v", k.DiskUsers)
	}
	if len(k.MemoryUsers) != 5 || k.MemoryUsers[0].Name != "empty" || k.MemoryUsers[0].Used != 10 {
		t.Errorf("%+v", k.MemoryUsers)
	}
	if len(k.Filesystems) != 2 || k.Filesystems[0].Name != "root" || *k.Filesystems[0].Available != 5 || k.Filesystems[1].Name != "image" {
		t.Errorf("%+v", k.Filesystems)
	}
	if *k.Memory != 7 || *k.MaxPIDs != 30 || *k.PIDs != 4 || k.EvictionHard["memory.available"] != "100Mi" || k.EvictionSoft["nodefs.available"] != "15%" {
		t.Errorf("%+v", k)
	}
	before := k
	k.ReadSummary([]byte("no JSON"))
	k.ReadThresholds([]byte("no JSON"))
	if !reflect.DeepEqual(before, k) {
		t.Errorf("what is no JSON changed it: %+v", k)
	}
}

func TestWhatAnAPIServerLacksIsReadOfItsError(t *testing.T) {
	s := fleet(t, 1)
	s.NotReady("/readyz", "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n")
	result, err := gather(t, s, Request{Depth: evaluate.Full, Names: []string{"w0"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := result.Input.Sources.Get(evaluate.SourceReadyz); got.State != source.OK || !strings.Contains(result.Input.Readyz, "[-]etcd failed") {
		t.Errorf("%+v: %q", got, result.Input.Readyz)
	}
}

func TestAnAPIServerIsAskedOnlyWhenItIsLate(t *testing.T) {
	const ask = "/api/v1/namespaces/kube-system/pods/https:kube-apiserver-w0:8443/proxy/readyz"
	for name, tt := range map[string]struct {
		own, other time.Duration // since the API servers renewed
		answer     any
		want       *evaluate.APIAnswer
		state      source.State // of its source; empty: none
	}{
		"it renews":                {5 * time.Second, 5 * time.Second, nil, nil, ""},
		"all are late":             {time.Minute, time.Minute, nil, nil, ""},
		"it is late, and says why": {time.Minute, 5 * time.Second, "[-]etcd failed: reason withheld\n", &evaluate.APIAnswer{Readyz: "[-]etcd failed: reason withheld"}, source.OK},
		"it may not be asked":      {time.Minute, 5 * time.Second, http.StatusForbidden, nil, source.Skipped},
		"nobody answers":           {time.Minute, 5 * time.Second, http.StatusServiceUnavailable, nil, source.Skipped},
	} {
		s := fleet(t, 2)
		identity := func(host string, age time.Duration) coordinationv1.Lease {
			renewed := metav1.NewMicroTime(time.Now().Add(-age))
			return coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{
					Name: "apiserver-" + host, Namespace: metav1.NamespaceSystem,
					Labels: map[string]string{"apiserver.kubernetes.io/identity": "kube-apiserver", corev1.LabelHostname: host},
				},
				Spec: coordinationv1.LeaseSpec{RenewTime: &renewed},
			}
		}
		s.Answer(systemLease, coordinationv1.LeaseList{
			TypeMeta: metav1.TypeMeta{Kind: "LeaseList", APIVersion: "coordination.k8s.io/v1"},
			Items:    []coordinationv1.Lease{identity("w0", tt.own), identity("w1", tt.other)},
		})
		own := secretive("kube-apiserver-w0", "w0")
		own.Namespace, own.Labels = metav1.NamespaceSystem, map[string]string{"component": "kube-apiserver", "tier": "control-plane"}
		own.Spec.Containers[0].Command = []string{"kube-apiserver", "--secure-port=8443"}
		s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{own}})
		switch answer := tt.answer.(type) {
		case int:
			s.Refuse(ask, answer)
		case string:
			s.NotReady(ask, answer)
		}
		result, err := gather(t, s, Request{Depth: evaluate.Full, Names: []string{"w0"}})
		if err != nil {
			t.Fatal(err)
		}
		asked := slices.ContainsFunc(s.Requests(), func(r string) bool { return strings.Contains(r, ask) })
		if asked != (tt.state != "") {
			t.Errorf("%s: asked %t", name, asked)
		}
		got, answered := result.Input.APIServers["w0"]
		if answered != (tt.want != nil) || answered && got != *tt.want {
			t.Errorf("%s: %+v", name, result.Input.APIServers)
		}
		if s := result.Input.NodeSources["w0"].Get(evaluate.SourceAPIServer); tt.state != "" && s.State != tt.state {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
