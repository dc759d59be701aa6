package rolloutexplain

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	deploymentPath = "/apis/apps/v1/namespaces/default/deployments/api"
	setsPath       = "/apis/apps/v1/namespaces/default/replicasets"
	podsPath       = "/api/v1/namespaces/default/pods"
	eventsPath     = "/api/v1/namespaces/default/events"
)

// serve plays an API server with one healthy Deployment.
func serve(t *testing.T) *testkit.Server {
	t.Helper()
	s := testkit.NewServer(t)
	old := metav1.NewTime(time.Now().Add(-time.Hour))
	one := int32(1)
	labels := map[string]string{"app": "api"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: "api:1"}}}}
	owner := func(kind, uid string) []metav1.OwnerReference {
		yes := true
		return []metav1.OwnerReference{{Kind: kind, Name: "api", UID: "d", Controller: &yes}}
	}
	s.Answer(deploymentPath, appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "default", UID: "d", Generation: 1, CreationTimestamp: old},
		Spec:   appsv1.DeploymentSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1},
	})
	s.Answer(setsPath, appsv1.ReplicaSetList{TypeMeta: metav1.TypeMeta{Kind: "ReplicaSetList", APIVersion: "apps/v1"}, Items: []appsv1.ReplicaSet{{
		ObjectMeta: metav1.ObjectMeta{Name: "api-1", Namespace: "default", UID: "rs", OwnerReferences: owner("Deployment", "d"), CreationTimestamp: old},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &one, Template: template},
	}}})
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "api-1-x", Namespace: "default", UID: "p", OwnerReferences: owner("ReplicaSet", "rs"), CreationTimestamp: old}, Spec: template.Spec}
	pod.OwnerReferences[0].UID = "rs"
	pod.Spec.NodeName = "w1"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: old}}
	s.Answer(podsPath, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{pod}})
	s.Answer(eventsPath, corev1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"}})
	return s
}

func ask(t *testing.T, s *testkit.Server, args ...string) (report.Rollout, testkit.Env, int) {
	t.Helper()
	env := testkit.NewEnv("kubectl rollout-explain", time.Now())
	code := env.Run(t, New, append([]string{"--kubeconfig", s.Kubeconfig(t), "deployment/api", "-o", "json"}, args...)...)
	var r report.Rollout
	if code == 0 {
		if err := json.Unmarshal(env.Stdout.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, env.Stdout)
		}
	}
	return r, env, code
}

// Five calls for a healthy rollout, whatever the size of the cluster: the last reads the warnings of its pods.
func TestHealthyRolloutTakesFiveCalls(t *testing.T) {
	s := serve(t)
	r, env, code := ask(t, s)
	if code != 0 || r.Verdict != report.Complete {
		t.Fatalf("exit %d, %s: %s %s", code, r.Verdict, r.Summary, env.Stderr)
	}
	if got := s.Requests(); len(got) != 5 {
		t.Errorf("%d calls:\n%s", len(got), strings.Join(got, "\n"))
	}
	for _, request := range s.Requests() {
		if !strings.HasPrefix(request, "GET ") {
			t.Errorf("it writes: %s", request)
		}
	}
}

// A part that cannot be read is a stated gap; only the named object itself is worth an error.
// That the API server denies a built-in kind is no answer: without the ReplicaSets, a Deployment would seem not to be observed.
func TestABuiltInKindThatIsNotServedIsAGap(t *testing.T) {
	for path, name := range map[string]string{setsPath: "revisions", podsPath: "pods", eventsPath: "events"} {
		s := serve(t)
		s.Refuse(path, http.StatusNotFound)
		r, env, code := ask(t, s)
		if got := r.Sources.Get(name); code != 0 || got.State != source.Unreachable || !strings.Contains(got.Message, "does not serve ") {
			t.Errorf("exit %d, %+v\n%s", code, got, env.Stderr)
		}
	}
}

func TestUnreadableSourcesAreSaid(t *testing.T) {
	for _, tt := range []struct {
		path, source string
		status       int
		state        string
		verdict      report.Verdict
	}{
		{eventsPath, "events", http.StatusForbidden, "forbidden", report.Complete},
		{eventsPath, "events", http.StatusInternalServerError, "unreachable", report.Complete},
		{podsPath, "pods", http.StatusForbidden, "forbidden", report.Complete}, // the counters alone say it
		{setsPath, "revisions", http.StatusForbidden, "forbidden", report.Complete},
	} {
		s := serve(t)
		s.Refuse(tt.path, tt.status)
		r, env, code := ask(t, s)
		if code != 0 || r.Verdict != tt.verdict {
			t.Errorf("%s %d: exit %d, %s: %s %s", tt.path, tt.status, code, r.Verdict, r.Summary, env.Stderr)
		}
		if tt.verdict == report.Complete && !strings.HasSuffix(r.Summary, "; not checked: "+tt.source) {
			t.Errorf("%s %d: %s", tt.path, tt.status, r.Summary)
		}
		if got := string(r.Sources.Get(tt.source).State); got != tt.state {
			t.Errorf("%s %d: source %s is %s, want %s", tt.path, tt.status, tt.source, got, tt.state)
		}
		if len(r.NotChecked) != 1 || !strings.HasPrefix(r.NotChecked[0], tt.source+": ") {
			t.Errorf("%s %d: unchecked is %q", tt.path, tt.status, r.NotChecked)
		}
		if _, _, code := ask(t, s, "--require-complete"); code != 4 {
			t.Errorf("%s %d: --require-complete exits %d, want 4", tt.path, tt.status, code)
		}
	}
	s := serve(t)
	s.Refuse(deploymentPath, http.StatusForbidden)
	if _, env, code := ask(t, s); code != 1 || !strings.Contains(env.Stderr.String(), "not allowed") {
		t.Errorf("exit %d: %s", code, env.Stderr)
	}
}
