package dns

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// A Service that selects metrics-server: its pods are neither asked as DNS servers nor is its account's access; the DNS
// pods are found by their own labels.
func TestPodsThatTheServiceSelectsByMistakeAreNotAsked(t *testing.T) {
	strangers := map[string]string{"k8s-app": "metrics-server"}
	for name, readable := range map[string]bool{"deployments readable": true, "deployments unreadable": false} {
		t.Run(name, func(t *testing.T) {
			api := fleet(t, 1, 0)
			api.Answer("/api/v1/services", corev1.ServiceList{Items: []corev1.Service{{
				ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns", Labels: map[string]string{"k8s-app": "kube-dns"}},
				Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.10", Selector: strangers, Ports: []corev1.ServicePort{{Port: 53, Protocol: "UDP"}, {Port: 53, Protocol: "TCP"}}},
			}}})
			stranger := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "metrics-server", Labels: strangers}, Spec: corev1.PodSpec{ServiceAccountName: "metrics-server", Containers: []corev1.Container{{Name: "m", Image: "metrics-server:1"}}}}
			if readable {
				deployment := func(name, account string, labels map[string]string) appsv1.Deployment {
					return appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Spec: appsv1.DeploymentSpec{
						Selector: &metav1.LabelSelector{MatchLabels: labels},
						Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{ServiceAccountName: account}},
					}}
				}
				api.Answer("/apis/apps/v1/namespaces/kube-system/deployments", appsv1.DeploymentList{Items: []appsv1.Deployment{
					deployment("coredns", "coredns", map[string]string{"k8s-app": "kube-dns"}), deployment("metrics-server", "metrics-server", strangers),
				}})
			} else {
				api.Refuse("/apis/apps/v1/namespaces/kube-system/deployments", http.StatusForbidden)
			}
			var mu sync.Mutex
			var reviews []string
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == dnsPods && strings.Contains(r.URL.Query().Get("labelSelector"), "metrics-server"):
					w.Header().Set("Content-Type", "application/json")
					_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{stranger}})
					return
				case strings.HasSuffix(r.URL.Path, "/subjectaccessreviews"):
					body, _ := io.ReadAll(r.Body)
					mu.Lock()
					reviews = append(reviews, string(body))
					mu.Unlock()
					r.Body = io.NopCloser(bytes.NewReader(body))
				}
				api.ServeHTTP(w, r)
			}))
			t.Cleanup(front.Close)
			env := testkit.NewEnv("kubectl dns", noon)
			env.Run(t, New, "check", "--kubeconfig", testkit.Kubeconfig(t, front.URL, "t"), "-o", "json")
			var got struct {
				PrimaryCode string `json:"primaryCode"`
				Replicas    []struct {
					Name string `json:"name"`
				} `json:"replicas"`
			}
			if err := json.Unmarshal(env.Stdout.Bytes(), &got); err != nil {
				t.Fatalf("%v\n%s%s", err, env.Stdout, env.Stderr)
			}
			if got.PrimaryCode != "DNSServiceWithoutDNSPods" || len(got.Replicas) != 2 || got.Replicas[0].Name != "a" {
				t.Errorf("%s %+v", got.PrimaryCode, got.Replicas)
			}
			if len(reviews) == 0 || slices.ContainsFunc(reviews, func(r string) bool { return !strings.Contains(r, "system:serviceaccount:kube-system:coredns") }) {
				t.Errorf("the access of another account was asked: %q", reviews)
			}
		})
	}
}
