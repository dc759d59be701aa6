package collect

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// joiners is a cluster of so many old nodes that are Ready, and of one that waits for its cloud provider.
func joiners(t *testing.T, old int) *testkit.Server {
	t.Helper()
	s := fleet(t, old)
	list := corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}}
	for i := range old + 1 {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w" + string(rune('a'+i)), CreationTimestamp: metav1.NewTime(time.Now().Add(-48 * time.Hour))}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		if i == old {
			n.Name, n.CreationTimestamp = "new", metav1.Now()
			n.Spec.Taints = []corev1.Taint{{Key: evaluate.TaintUninitialized, Effect: corev1.TaintEffectNoSchedule}}
		}
		list.Items = append(list.Items, n)
	}
	s.Answer(nodes, list)
	s.Refuse(leases, http.StatusForbidden)
	pod := secretive("x", "new")
	ccm := secretive("cloud-controller-manager-x", "wa")
	s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{pod}})
	s.Answer("/api/v1/namespaces/kube-system/pods", corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{pod, ccm}})
	return s
}

// Nine calls whatever the number of nodes, two more for each that is told, and one where a node waits for its cloud provider.
func TestAJoinTakesAFewCallsWhateverTheFleet(t *testing.T) {
	for _, old := range []int{1, 20} {
		s := joiners(t, old)
		result, err := gather(t, s, Request{Depth: evaluate.JoinDepth})
		if err != nil {
			t.Fatal(err)
		}
		in := result.Input
		if got := s.Requests(); len(got) != joinLists+2+1 {
			t.Errorf("%d nodes: %d calls: %v", old, len(got), got)
		}
		if len(in.Nodes) != old+1 || len(in.NodeSources) != 1 || len(in.CloudControllers) != 1 || in.Sources.Get(evaluate.SourceLeases).State != source.Forbidden {
			t.Errorf("%d nodes, %v, %d controllers, %v", len(in.Nodes), in.NodeSources, len(in.CloudControllers), in.Sources)
		}
		if data, err := json.Marshal(in); err != nil || strings.Contains(string(data), "s3cret") {
			t.Error("a secret is kept", err)
		}
	}
	s := joiners(t, 1)
	result, err := gather(t, s, Request{Names: []string{"wa", "nope"}, Depth: evaluate.JoinDepth})
	if in := result.Input; err != nil || !slices.Equal(in.Targets, []string{"wa"}) || !slices.Equal(in.NotFound, []string{"nope"}) || len(in.CloudControllers) > 0 {
		t.Errorf("%v: %v, %v", err, in.Targets, in.NotFound)
	}
	if got := s.Requests(); len(got) != joinLists+2*2 {
		t.Errorf("%d calls: %v", len(got), got)
	}
	for _, r := range s.Requests() {
		if !strings.HasPrefix(r, "GET ") {
			t.Errorf("it changes something: %s", r)
		}
	}
}

// joinLists are nodes, Leases, requests, /version, Leases of the control plane, DaemonSets, kube-proxy's ConfigMap, metrics, CSINodes.
const joinLists = 9
