package collect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// connected adds to a fleet what paths are read from: a webhook and an aggregated API in namespaces of their own, kube-proxy on each
// node and a network plugin in another namespace.
func connected(t *testing.T, nodes int) *testkit.Server {
	t.Helper()
	s := fleet(t, nodes)
	list := func(kind, version string) metav1.TypeMeta { return metav1.TypeMeta{Kind: kind, APIVersion: version} }
	s.Answer("/readyz", "[+]etcd ok")
	set := func(namespace, name, label string) appsv1.DaemonSet {
		d := appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		d.Spec.Template.Labels = map[string]string{"k8s-app": label}
		return d
	}
	s.Answer("/apis/apps/v1/daemonsets", appsv1.DaemonSetList{TypeMeta: list("DaemonSetList", "apps/v1"), Items: []appsv1.DaemonSet{
		set("kube-system", "kube-proxy", "kube-proxy"), set("calico-system", "calico-node", "calico-node"), set("shop", "logs", "logs"),
	}})
	proxies := corev1.PodList{TypeMeta: list("PodList", "v1")}
	for i := range nodes {
		p := secretive(fmt.Sprintf("kube-proxy-%d", i), fmt.Sprintf("w%d", i))
		p.Spec.Containers[0].Command = nil // of kube-proxy they are kept
		p.Namespace, p.Labels, p.OwnerReferences = "kube-system", map[string]string{"k8s-app": "kube-proxy"}, []metav1.OwnerReference{{Kind: "DaemonSet", Name: "kube-proxy", Controller: new(true)}}
		proxies.Items = append(proxies.Items, p)
	}
	s.Answer("/api/v1/namespaces/kube-system/pods", proxies)
	s.Answer("/api/v1/namespaces/calico-system/pods", corev1.PodList{TypeMeta: list("PodList", "v1"), Items: []corev1.Pod{secretive("calico-node-x", "w0")}})
	s.Answer("/api/v1/namespaces/default/services/kubernetes", corev1.Service{TypeMeta: list("Service", "v1"), Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"}})
	s.Answer("/apis/apiregistration.k8s.io/v1/apiservices", json.RawMessage(`{"items":[{"metadata":{"name":"v1.apps"},"spec":{}},{"metadata":{"name":"v1.x"},"spec":{"service":{"namespace":"x","name":"x","port":8443},"caBundle":"c2VjcmV0"},"status":{"conditions":[{"type":"Other","status":"True"},{"type":"Available","status":"False","reason":"MissingEndpoints","message":"m"}]}}]}`))
	s.Answer("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", json.RawMessage(`{"items":[{"metadata":{"name":"m"},"webhooks":[{"name":"a","clientConfig":{"url":"https://s3cret@host"}},{"name":"b","failurePolicy":"Ignore","clientConfig":{"service":{"namespace":"hooks","name":"h"},"caBundle":"czNjcmV0"},"rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}],"matchConditions":[{"name":"x","expression":"s3cret"}]}]}]}`))
	s.Refuse("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", http.StatusForbidden)
	for _, namespace := range []string{"hooks", "x"} {
		service := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: namespace[:1], Annotations: map[string]string{"a": "s3cret"}}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.2", Ports: []corev1.ServicePort{{Port: 443}}}}
		s.Answer("/api/v1/namespaces/"+namespace+"/services", corev1.ServiceList{TypeMeta: list("ServiceList", "v1"), Items: []corev1.Service{service}})
		slice := discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "e", Annotations: map[string]string{"a": "s3cret"}, Labels: map[string]string{discoveryv1.LabelServiceName: "h", "token": "s3cret"}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}, NodeName: new("w0"), TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "p", UID: "u"}}},
		}
		s.Answer("/apis/discovery.k8s.io/v1/namespaces/"+namespace+"/endpointslices", discoveryv1.EndpointSliceList{TypeMeta: list("EndpointSliceList", "discovery.k8s.io/v1"), Items: []discoveryv1.EndpointSlice{slice}})
	}
	return s
}

// The calls are those for the namespaces of webhooks, aggregated APIs and network plugins, however many nodes there are.
func TestPathsTakeTheSameCallsWhateverTheNumberOfNodes(t *testing.T) {
	for _, n := range []int{3, 40} {
		s := connected(t, n)
		result, err := gather(t, s, Request{Depth: evaluate.Paths})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Requests(); len(got) != 18 {
			t.Errorf("%d nodes: %d calls: %s", n, len(got), strings.Join(got, "\n"))
		}
		in := result.Input
		if len(in.Nodes) != n || len(in.Pods) != n+1 || len(in.DaemonSets) != 2 || in.APIAddress != "10.96.0.1" {
			t.Errorf("%d nodes, %d pods, %d DaemonSets, %q", len(in.Nodes), len(in.Pods), len(in.DaemonSets), in.APIAddress)
		}
		if len(in.APIs) != 1 || in.APIs[0].Service.Port != 8443 || in.APIs[0].Available != "False" || in.APIs[0].Reason != "MissingEndpoints" {
			t.Errorf("%+v", in.APIs)
		}
		if len(in.Webhooks) != 2 || in.Webhooks[0].Service != nil || in.Webhooks[1].Service.Port != 443 || !in.Webhooks[1].Ignored || in.Webhooks[1].Index != 1 || in.Webhooks[1].MatchConditions != 1 || len(in.Webhooks[1].Rules) != 1 {
			t.Errorf("%+v", in.Webhooks)
		}
		if len(in.Services) != 2 || len(in.Endpoints) != 2 || in.Endpoints[0].Endpoints[0].TargetRef.Name != "p" {
			t.Errorf("%+v, %+v", in.Services, in.Endpoints)
		}
		if s := in.Sources.Get(evaluate.SourceValidating); s.State != source.Forbidden || s.Resource != "validatingwebhookconfigurations.admissionregistration.k8s.io" {
			t.Errorf("%+v", s)
		}
		if data, err := json.Marshal(in); err != nil || strings.Contains(string(data), "s3cret") || strings.Contains(string(data), "czNjcmV0") {
			t.Error("a secret is kept", err)
		}
	}
}

// With --kubelet two requests more go to each node that is asked about, and none to the others.
func TestKubeletsOfPathsAreThoseThatAreAskedAbout(t *testing.T) {
	s := connected(t, 3)
	result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Paths, Kubelet: true})
	if err != nil || !slices.Equal(result.Input.Targets, []string{"w1"}) || len(result.Input.Nodes) != 3 {
		t.Fatalf("%v: %v of %d", err, result.Input.Targets, len(result.Input.Nodes))
	}
	for _, r := range s.Requests() {
		if strings.Contains(r, "proxy/") && !strings.Contains(r, "w1") && !strings.Contains(r, "kube-proxy-1") {
			t.Errorf("asked: %s", r)
		}
	}
	if len(result.Input.Kubelets) != 1 {
		t.Errorf("%+v", result.Input.Kubelets)
	}
}

func TestPathsOfANodeThatDoesNotExistTakeOneCall(t *testing.T) {
	s := connected(t, 3)
	result, err := gather(t, s, Request{Names: []string{"nope"}, Depth: evaluate.Paths})
	if err != nil || !slices.Equal(result.Input.NotFound, []string{"nope"}) || len(s.Requests()) != 1 {
		t.Errorf("%v: %v, %v", err, result.Input.NotFound, s.Requests())
	}
}

// A pod list that may not be read leaves the others, and says which namespace it was.
func TestPodsOfPathsThatMayNotBeRead(t *testing.T) {
	s := connected(t, 1)
	s.Refuse("/api/v1/namespaces/calico-system/pods", http.StatusForbidden)
	s.Refuse("/apis/discovery.k8s.io/v1/namespaces/hooks/endpointslices", http.StatusForbidden)
	result, err := gather(t, s, Request{Depth: evaluate.Paths})
	if err != nil {
		t.Fatal(err)
	}
	for name, resource := range map[string]string{evaluate.SourcePods + " in calico-system": "pods in calico-system", evaluate.SourceEndpoints + " in hooks": "endpointslices.discovery.k8s.io in hooks"} {
		if s := result.Input.Sources.Get(name); s.State != source.Forbidden || s.Resource != resource {
			t.Errorf("%+v", s)
		}
	}
	if len(result.Input.Pods) == 0 || result.Input.Sources.Get(evaluate.SourcePods).State != source.OK {
		t.Errorf("of kube-system %d pods are kept", len(result.Input.Pods))
	}
	if slices.ContainsFunc(result.Input.DaemonSets, func(d appsv1.DaemonSet) bool { return d.Namespace == "calico-system" }) {
		t.Error("the pods of a DaemonSet that were not read would be missing")
	}
}
