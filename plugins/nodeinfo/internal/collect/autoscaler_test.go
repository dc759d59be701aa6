package collect

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

const (
	statusPath  = "/api/v1/namespaces/kube-system/configmaps/" + statusMap
	budgetPath  = "/apis/policy/v1/poddisruptionbudgets"
	claimsPath  = karpenterPath + "nodeclaims"
	eventsPath  = "/api/v1/events"
	statusTexts = "time: 2026-11-20 11:59:52.6 +0000 UTC\nautoscalerStatus: Running\nclusterWide: {health: {status: Healthy}}\n"
)

// scaled are the requests that autoscalers are the reason of.
func scaled(s *testkit.Server) []string {
	return slices.DeleteFunc(s.Requests(), func(r string) bool {
		return !strings.Contains(r, statusMap) && !strings.Contains(r, "karpenter") && !strings.Contains(r, budgetPath) && !strings.Contains(r, eventsPath+"?")
	})
}

// ofKarpenter serves the first node as one of Karpenter's, of the NodeClaim default-a.
func ofKarpenter(s *testkit.Server) {
	n := testNode("w1")
	n.Labels = map[string]string{"karpenter.sh/nodepool": "default"}
	n.OwnerReferences = []metav1.OwnerReference{{APIVersion: "karpenter.sh/v1", Kind: "NodeClaim", Name: "default-a"}}
	n.TypeMeta = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}
	s.Answer(nodes+"/w1", n)
	s.Answer(nodes, corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}, Items: []corev1.Node{n}})
	claim := map[string]any{
		"metadata": map[string]any{"name": "default-a", "annotations": map[string]any{"token": "s3cret"}, "labels": map[string]any{"karpenter.sh/nodepool": "default", "team": "s3cret"}},
		"spec":     map[string]any{"nodeClassRef": map[string]any{"name": "s3cret"}, "expireAfter": "720h"},
		"status":   map[string]any{"nodeName": "w1", "imageID": "s3cret", "conditions": []any{map[string]any{"type": "Launched", "status": "True", "reason": "Launched"}}},
	}
	s.Answer(claimsPath+"/default-a", claim)
	s.Answer(claimsPath, map[string]any{"items": []any{claim}})
	s.Answer(karpenterPath+"nodepools/default", map[string]any{
		"metadata": map[string]any{"name": "default"},
		"spec":     map[string]any{"template": map[string]any{"spec": map[string]any{"userData": "s3cret"}}, "disruption": map[string]any{"consolidateAfter": "Never"}, "limits": map[string]any{"cpu": 4, "memory": "8Gi"}},
		"status":   map[string]any{"resources": map[string]any{"cpu": "2"}},
	})
	s.Answer(eventsPath, corev1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"}, Items: []corev1.Event{
		{Reason: "FailedScheduling", Message: "Failed to schedule pod, ", InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "train-0", UID: "uid-train-0"}},
		{Reason: "FailedScheduling", Message: "Failed to schedule pod, ", InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "train-1", UID: "uid-has-a-node"}},
	}})
	waitingPod(s)
	s.Answer(budgetPath, map[string]any{"items": []any{map[string]any{"metadata": map[string]any{"name": "db", "namespace": "shop", "annotations": map[string]any{"token": "s3cret"}}}}})
}

// waitingPod serves the one pod that has no node.
func waitingPod(s *testkit.Server) {
	p := corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "train-0", Namespace: "shop", UID: "uid-train-0"}}
	s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{p}})
}

// ofCloud serves the first node as a machine that an autoscaler may have made.
func ofCloud(s *testkit.Server) {
	n := testNode("w1")
	n.TypeMeta = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}
	n.Spec.ProviderID = "aws:///a/i-1"
	s.Answer(nodes+"/w1", n)
}

func named(t *testing.T, s *testkit.Server) evaluate.Input {
	t.Helper()
	result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full})
	if err != nil {
		t.Fatal(err)
	}
	return result.Input
}

func TestAClusterWithoutAnAutoscalerCostsOneCall(t *testing.T) {
	s := fleet(t, 2)
	ofCloud(s)
	in := named(t, s)
	if got := scaled(s); len(got) != 1 || in.ClusterAutoscaler != nil || !in.Sources.Get(evaluate.SourceAutoscaler).Readable() {
		t.Errorf("%v, %+v", got, in.Sources)
	}
	for _, depth := range []evaluate.Depth{evaluate.Fleet, evaluate.Pods} {
		s := fleet(t, 2)
		if _, err := gather(t, s, Request{Depth: depth}); err != nil {
			t.Fatal(err)
		}
		if got := scaled(s); len(got) > 0 {
			t.Errorf("%s: %v", depth, got)
		}
	}
}

func TestWhatClusterAutoscalerReportsIsRead(t *testing.T) {
	s := fleet(t, 2)
	ofCloud(s)
	s.Answer(statusPath, corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: statusMap, Namespace: "kube-system"},
		Data: map[string]string{"status": statusTexts},
	})
	s.Answer(budgetPath, map[string]any{"items": []any{}})
	s.Answer("/api/v1/namespaces/kube-system/events", corev1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"}})
	s.Answer(eventsPath, corev1.EventList{
		TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"},
		Items:    []corev1.Event{{Reason: "NotTriggerScaleUp", InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "train-0", UID: "uid-train-0"}}},
	})
	waitingPod(s)
	in := named(t, s)
	if in.ClusterAutoscaler == nil || in.ClusterAutoscaler.Health.Status != "Healthy" || len(in.Events) != 1 {
		t.Errorf("%+v, %+v", in.ClusterAutoscaler, in.Events)
	}
	want := []string{
		"GET /api/v1/events?fieldSelector=reason%3DNotTriggerScaleUp&limit=500",
		"GET /api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status",
		"GET /api/v1/namespaces/kube-system/events?fieldSelector=involvedObject.name%3Dcluster-autoscaler-status",
		"GET /apis/policy/v1/poddisruptionbudgets",
	}
	if got := scaled(s); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	s.Answer(statusPath, corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, Data: map[string]string{"status": "???"}})
	in = named(t, s)
	if got := in.Sources.Get(evaluate.SourceAutoscaler); in.ClusterAutoscaler != nil || got.State != source.Unreachable || !strings.Contains(got.Gap(), "neither") {
		t.Errorf("a status that is none: %+v", got)
	}
	s.Refuse(statusPath, http.StatusForbidden)
	if got := named(t, s).Sources.Get(evaluate.SourceAutoscaler).Gap(); got != "not checked: needs get configmaps/cluster-autoscaler-status in kube-system" {
		t.Error(got)
	}
}

func TestTheNodeClaimOfANodeIsRead(t *testing.T) {
	s := fleet(t, 2)
	ofKarpenter(s)
	in := named(t, s)
	if len(in.NodeClaims) != 1 || len(in.NodeClaims[0].Status.Conditions) != 1 || in.NodeClaims[0].Metadata.Labels.NodePool != "default" ||
		len(in.NodePools) != 1 || in.NodePools[0].Spec.Disruption.After != "Never" || len(in.Budgets) != 1 {
		t.Errorf("%+v, %+v, %+v", in.NodeClaims, in.NodePools, in.Budgets)
	}
	// The API server gives a number that was written as one as it was written.
	if p := in.NodePools[0]; p.Spec.Limits.Cpu().Value() != 4 || p.Status.Resources.Cpu().Value() != 2 || len(in.Events) != 1 {
		t.Errorf("%+v, %+v", p, in.Events)
	}
	want := []string{
		"GET " + eventsPath + "?fieldSelector=reason%3DFailedScheduling%2Csource%21%3Ddefault-scheduler&limit=500", "GET " + claimsPath + "/default-a", "GET " + karpenterPath + "nodepools/default", "GET " + budgetPath,
	}
	if got := scaled(s); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	in.Nodes = nil // of which annotations are kept
	if data, err := json.Marshal(in); err != nil || strings.Contains(string(data), "s3cret") {
		t.Errorf("%v: %s", err, data)
	}
	s.Refuse(claimsPath+"/default-a", http.StatusForbidden)
	s.Refuse(karpenterPath+"nodepools/default", http.StatusNotFound)
	in = named(t, s)
	if got := in.Sources.Get(evaluate.SourceNodeClaims).Gap(); got != "not checked: needs get nodeclaims.karpenter.sh" {
		t.Error(got)
	}
	if got := in.Sources.Get(evaluate.SourceNodePools); !got.Readable() || len(in.NodePools) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestTheNodeClaimsOfAFleetAreReadWhereThereIsKarpenter(t *testing.T) {
	fleetOf := func(s *testkit.Server, depth evaluate.Depth) evaluate.Input {
		t.Helper()
		result, err := gather(t, s, Request{Depth: depth})
		if err != nil {
			t.Fatal(err)
		}
		return result.Input
	}
	s := fleet(t, 2)
	ofKarpenter(s)
	if in := fleetOf(s, evaluate.Fleet); len(in.NodeClaims) != 1 || len(scaled(s)) != 1 {
		t.Errorf("%+v: %v", in.NodeClaims, scaled(s))
	}
	s = fleet(t, 2) // none of its nodes joined
	s.Answer(systemLease, coordinationv1.LeaseList{
		TypeMeta: metav1.TypeMeta{Kind: "LeaseList", APIVersion: "coordination.k8s.io/v1"},
		Items:    []coordinationv1.Lease{{ObjectMeta: metav1.ObjectMeta{Name: "karpenter-leader-election", Namespace: "kube-system"}}},
	})
	s.Refuse(claimsPath, http.StatusForbidden)
	if got := fleetOf(s, evaluate.Pods).Sources.Get(evaluate.SourceNodeClaims).Gap(); got != "not checked: needs list nodeclaims.karpenter.sh" {
		t.Error(got)
	}
}

// Of the pods of a named node is kept what an autoscaler heeds, and no more of their volumes and annotations.
func TestWhatAnAutoscalerHeedsOfPodsIsKept(t *testing.T) {
	p := secretive("p", "w1")
	p.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "false"
	p.Spec.Volumes = []corev1.Volume{
		{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/s3cret"}}},
		{Name: "config", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s3cret"}}},
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	kept := trim.Named([]corev1.Pod{p})[0]
	data, err := json.Marshal(kept)
	if err != nil || strings.Contains(string(data), "s3cret") {
		t.Errorf("%v: %s", err, data)
	}
	if len(kept.Spec.Volumes) != 2 || kept.Spec.Volumes[1].Name != "tmp" || len(kept.Annotations) != 2 {
		t.Errorf("%s", data)
	}
}
