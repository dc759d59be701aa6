package dns

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

const (
	dnsPods       = "/api/v1/namespaces/kube-system/pods"
	kubeletConfig = "/api/v1/namespaces/kube-system/configmaps/kubelet-config"
)

// fleet is an API server of a cluster of this size, with two DNS servers. It carries no tunnel: that each replica is
// reached for once is counted all the same.
func fleet(t *testing.T, nodes, services int) *testkit.Server {
	server := testkit.NewServer(t)
	labels := map[string]string{"k8s-app": "kube-dns"}
	in := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "kube-system", Name: name, Labels: labels}
	}
	spec := corev1.PodSpec{
		ServiceAccountName: "coredns", NodeName: "n0",
		Containers: []corev1.Container{{Name: "coredns", Image: "coredns:1", Args: []string{"-conf", "/etc/coredns/Corefile"}, VolumeMounts: []corev1.VolumeMount{{Name: "c", MountPath: "/etc/coredns"}}}},
		Volumes:    []corev1.Volume{{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "coredns"}}}}},
	}
	running := corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "coredns", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
	list := corev1.ServiceList{Items: []corev1.Service{{ObjectMeta: in("kube-dns"), Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.10", Selector: labels, Ports: []corev1.ServicePort{{Port: 53, Protocol: "UDP"}, {Port: 53, Protocol: "TCP"}}}}}}
	for i := range services {
		list.Items = append(list.Items, corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("s%d", i)}, Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.97.%d.%d", i/250, i%250)}})
	}
	var fleet corev1.NodeList
	for i := range nodes {
		fleet.Items = append(fleet.Items, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i)}})
	}
	server.Answer("/api/v1/services", list)
	server.Answer("/api/v1/nodes", fleet)
	server.Answer("/apis/discovery.k8s.io/v1/endpointslices", discoveryv1.EndpointSliceList{})
	server.Answer("/api/v1/namespaces", corev1.NamespaceList{})
	server.Answer("/apis/networking.k8s.io/v1/networkpolicies", networkingv1.NetworkPolicyList{})
	server.Answer(dnsPods, corev1.PodList{Items: []corev1.Pod{{ObjectMeta: in("a"), Spec: spec, Status: running}, {ObjectMeta: in("b"), Spec: spec, Status: running}}})
	server.Answer("/apis/apps/v1/namespaces/kube-system/deployments", appsv1.DeploymentList{Items: []appsv1.Deployment{{ObjectMeta: in("coredns"), Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{ObjectMeta: in("x"), Spec: spec}}}}})
	server.Answer("/apis/apps/v1/namespaces/kube-system/daemonsets", appsv1.DaemonSetList{})
	server.Answer("/api/v1/namespaces/kube-system/configmaps/coredns", corev1.ConfigMap{ObjectMeta: in("coredns"), Data: map[string]string{"Corefile": ".:53 {\n kubernetes cluster.local\n}\n"}})
	server.Answer("/api/v1/namespaces/kube-system/configmaps/kubelet-config", corev1.ConfigMap{ObjectMeta: in("kubelet-config")})
	server.Answer("/apis/authorization.k8s.io/v1/subjectaccessreviews", authorizationv1.SubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}})
	return server
}

// asked runs a command and gives what it asked of the API server, without queries and methods; a tunnel that was tried
// over WebSocket and then SPDY counts once.
func asked(t *testing.T, server *testkit.Server, args ...string) []string {
	t.Helper()
	env := testkit.NewEnv("kubectl dns", noon)
	if code := env.Run(t, New, append(args, "--kubeconfig", server.Kubeconfig(t), "-o", "json")...); code != 0 {
		t.Fatalf("%v: exit %d\n%s", args, code, env.Stderr)
	}
	var list []string
	for _, request := range server.Requests() {
		_, uri, _ := strings.Cut(request, " ")
		path, _, _ := strings.Cut(uri, "?")
		if !strings.HasSuffix(path, "/portforward") || !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// The cost of a report does not grow with the cluster: one list for each kind, and one tunnel for each DNS server.
func TestReportsAskLittleOfTheAPIServer(t *testing.T) {
	objects := []string{
		"/api/v1/namespaces/kube-system/configmaps/coredns", dnsPods, dnsPods + "/a/portforward", dnsPods + "/b/portforward",
		"/api/v1/nodes", "/api/v1/services", "/apis/apps/v1/namespaces/kube-system/daemonsets", "/apis/apps/v1/namespaces/kube-system/deployments",
		"/apis/discovery.k8s.io/v1/endpointslices",
		"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n0", // of the node of the servers that did not answer
	}
	reviews := slices.Repeat([]string{"/apis/authorization.k8s.io/v1/subjectaccessreviews"}, 6) // list and watch of three kinds
	check := slices.Concat(objects, reviews, []string{
		kubeletConfig, "/api/v1/namespaces", "/api/v1/namespaces/kube-system/events", dnsPods + "/a/log", dnsPods + "/b/log", "/apis/networking.k8s.io/v1/networkpolicies",
	})
	slices.Sort(check)
	for name, tt := range map[string]struct{ args, want []string }{
		"status":      {[]string{"status"}, slices.Sorted(slices.Values(append(slices.Clone(objects), kubeletConfig)))},
		"check quick": {[]string{"check", "--profile", "quick"}, check},
		"verify":      {[]string{"verify", "-A"}, slices.Sorted(slices.Values(slices.Concat(objects, []string{"/api/v1/namespaces", "/apis/apps/v1/statefulsets"})))},
	} {
		for _, size := range [][2]int{{3, 10}, {400, 2000}} {
			t.Run(fmt.Sprintf("%s of %d nodes and %d Services", name, size[0], size[1]), func(t *testing.T) {
				if d := cmp.Diff(tt.want, asked(t, fleet(t, size[0], size[1]), tt.args...)); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			})
		}
	}
}

// A kubelet that may not be asked is forbidden, with the right that is missing and the API server's own words.
func TestAKubeletThatMayNotBeAskedIsForbidden(t *testing.T) {
	const configz = "/api/v1/nodes/n0/proxy/configz"
	const denied = `nodes "n0" is forbidden: User "jane" cannot get resource "nodes/proxy" in API group "" at the cluster scope`
	for name, tt := range map[string]struct {
		prepare func(*testkit.Server)
		want    source.Source
	}{
		"a role": {func(s *testkit.Server) {
			s.Fail(configz, metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: denied})
		}, source.Source{Name: "kubelets", State: source.Forbidden, Verb: "get", Resource: "nodes/proxy", Message: denied}},
		"a kubelet that is away": {func(s *testkit.Server) {
			s.Fail(configz, metav1.Status{Code: 503, Reason: metav1.StatusReasonServiceUnavailable, Message: "error trying to reach service: EOF"})
		}, source.Source{Name: "kubelets", State: source.Unreachable, Message: "error trying to reach service: EOF"}},
		"an answer": {func(s *testkit.Server) {
			s.Answer(configz, map[string]any{"kubeletconfig": map[string]any{"clusterDNS": []string{"10.96.0.10"}}})
		}, source.Source{Name: "kubelets", State: source.OK}},
	} {
		t.Run(name, func(t *testing.T) {
			server := fleet(t, 1, 1)
			server.Answer("/api/v1/nodes", corev1.NodeList{Items: []corev1.Node{{
				ObjectMeta: metav1.ObjectMeta{Name: "n0"},
				Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
			}}})
			tt.prepare(server)
			env := testkit.NewEnv("kubectl dns", noon)
			env.Run(t, New, "check", "--profile", "full", "-o", "json", "--kubeconfig", server.Kubeconfig(t))
			var got struct{ Sources source.List }
			if err := json.Unmarshal(env.Stdout.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, env.Stderr)
			}
			if d := cmp.Diff(tt.want, got.Sources.Get("kubelets")); d != "" {
				t.Error(d)
			}
		})
	}
}
