package rolloutexplain

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// flaky plays an API server with one Deployment, whose watches break at the very moment at which the Deployment gets
// complete: no stream ever tells of it, so only a client that takes up its watches again learns it.
type flaky struct {
	*httptest.Server
	breakage breakage

	mu       sync.Mutex
	complete bool
	away     time.Time // until then every request is refused
	watches  int
	lists    int
	streams  int // streams that are open
	fail     chan struct{}
}

// breakage is how the streams end, and what is answered afterwards.
type breakage struct {
	name    string
	event   *metav1.Status // the last event of each stream
	drop    bool           // the connections are cut instead of ended
	expired bool           // a watch from an old version is answered by 410
	away    time.Duration
	status  int // of the answers while away; 0: 503
}

func newFlaky(t *testing.T, b breakage) *flaky {
	t.Helper()
	f := &flaky{breakage: b, fail: make(chan struct{})}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

// breakStreams makes the Deployment complete, and ends all streams in the way of the case.
func (f *flaky) breakStreams() {
	f.mu.Lock()
	f.complete, f.away = true, time.Now().Add(f.breakage.away)
	close(f.fail)
	f.mu.Unlock()
	if f.breakage.drop {
		f.CloseClientConnections()
	}
}

func (f *flaky) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	complete, away, watch := f.complete, time.Now().Before(f.away), r.URL.Query().Get("watch") != ""
	if watch {
		f.watches++
	} else {
		f.lists++
	}
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	old := complete && r.URL.Query().Get("resourceVersion") == "1" && r.URL.Query().Get("sendInitialEvents") == ""
	switch {
	case away:
		answerStatus(w, f.status())
	case watch && f.breakage.expired && old:
		answerStatus(w, http.StatusGone)
	case watch:
		f.stream(w, r, complete)
	default:
		list, one := f.objects(r.URL.Path, complete)
		switch {
		case one != nil:
			_ = json.NewEncoder(w).Encode(one)
		case list != nil:
			_ = json.NewEncoder(w).Encode(map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": version(complete)}, "items": list})
		default:
			answerStatus(w, http.StatusNotFound)
		}
	}
}

func (f *flaky) status() int {
	if f.breakage.status != 0 {
		return f.breakage.status
	}
	return http.StatusServiceUnavailable
}

func answerStatus(w http.ResponseWriter, code int) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(statusOf(code))
}

func statusOf(code int) metav1.Status {
	reasons := map[int]metav1.StatusReason{http.StatusGone: metav1.StatusReasonExpired, http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusUnauthorized: metav1.StatusReasonUnauthorized}
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reasons[code], Message: http.StatusText(code)}
}

func version(complete bool) string { return map[bool]string{false: "1", true: "2"}[complete] }

// stream sends what is there, and then only its end.
func (f *flaky) stream(w http.ResponseWriter, r *http.Request, complete bool) {
	flush := func() { http.NewResponseController(w).Flush() } //nolint:errcheck // a client that went away
	send := func(kind string, object any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": object})
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		list, _ := f.objects(r.URL.Path, complete)
		for _, o := range list {
			send("ADDED", o)
		}
		send("BOOKMARK", map[string]any{"kind": kindOf(r.URL.Path), "apiVersion": apiVersionOf(r.URL.Path), "metadata": map[string]any{"resourceVersion": version(complete), "annotations": map[string]string{metav1.InitialEventsAnnotationKey: "true"}}})
	}
	flush()
	f.mu.Lock()
	f.streams++
	fail := f.fail
	f.mu.Unlock()
	if complete {
		fail = nil // the streams of afterwards hold
	}
	select {
	case <-fail:
	case <-r.Context().Done():
	}
	if f.breakage.event != nil && fail != nil {
		send("ERROR", f.breakage.event)
		flush()
	}
	f.mu.Lock()
	f.streams--
	f.mu.Unlock()
}

func kindOf(path string) string {
	switch {
	case strings.HasSuffix(path, "pods"):
		return "Pod"
	case strings.HasSuffix(path, "replicasets"):
		return "ReplicaSet"
	}
	return "Deployment"
}

func apiVersionOf(path string) string {
	if strings.HasSuffix(path, "pods") {
		return "v1"
	}
	return "apps/v1"
}

// objects are what a path holds: a list, or one object where it is named.
func (f *flaky) objects(path string, complete bool) (list []any, one any) {
	old, replicas, yes, labels := metav1.NewTime(time.Now().Add(-time.Minute)), int32(1), true, map[string]string{"app": "api"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: "api:1"}}}}
	owned := func(kind string, uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{Kind: kind, UID: uid, Name: "api", Controller: &yes}}
	}
	d := appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "default", UID: "d", Generation: 1, CreationTimestamp: old, ResourceVersion: version(complete)},
		Spec:   appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1},
	}
	rs := appsv1.ReplicaSet{
		TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Name: "api-1", Namespace: "default", UID: "rs", OwnerReferences: owned("Deployment", "d"), CreationTimestamp: old, ResourceVersion: version(complete)},
		Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Template: template},
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: old}
	if complete {
		ready.Status, d.Status.ReadyReplicas, d.Status.AvailableReplicas = corev1.ConditionTrue, 1, 1
	}
	pod := corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "api-1-x", Namespace: "default", UID: "p", OwnerReferences: owned("ReplicaSet", "rs"), CreationTimestamp: old, ResourceVersion: version(complete)},
		Spec: template.Spec, Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{ready}},
	}
	pod.Spec.NodeName = "w1"
	switch path {
	case deploymentPath:
		return nil, d
	case strings.TrimSuffix(deploymentPath, "/api"):
		return []any{d}, nil
	case setsPath:
		return []any{rs}, nil
	case podsPath:
		return []any{pod}, nil
	case eventsPath:
		return []any{}, nil
	}
	return nil, nil
}

// A wait goes on through whatever ends its watches, and learns what happened meanwhile.
func TestWaitSurvivesBrokenWatches(t *testing.T) {
	gone := statusOf(http.StatusGone)
	failure := statusOf(http.StatusInternalServerError)
	for _, b := range []breakage{
		{name: "the server ends the watches in good order"},
		{name: "the connections are cut", drop: true},
		{name: "410 Gone as the last event of the watches", event: &gone, expired: true},
		{name: "410 Gone as the answer to the next watch", expired: true},
		{name: "an error of the server as the last event", event: &failure},
		{name: "the server restarts: connections cut, then 503", drop: true, away: 1500 * time.Millisecond},
		{name: "the token has expired for a moment", drop: true, away: 1500 * time.Millisecond, status: http.StatusUnauthorized},
		{name: "too many requests for a moment", away: time.Second, status: http.StatusTooManyRequests},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := newFlaky(t, b)
			env := testkit.NewEnv("kubectl rollout-explain", time.Now())
			done := make(chan int, 1)
			go func() {
				done <- env.Run(t, New, "--kubeconfig", testkit.Kubeconfig(t, s.URL, "x"), "deployment/api", "--wait", "--stable-for=0s", "--timeout=40s", "--tail=0")
			}()
			for limit := time.Now().Add(10 * time.Second); s.open() < 3; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(limit) {
					t.Fatalf("only %d watches are open", s.open())
				}
			}
			s.breakStreams()
			if code := <-done; code != 0 {
				t.Errorf("exit %d, want 0:\n%s%s", code, env.Stdout, env.Stderr)
			}
			if !strings.HasPrefix(env.Stdout.String(), "Complete: deployment/api") {
				t.Errorf("it ends with:\n%s", env.Stdout)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.watches > 40 {
				t.Errorf("%d watches were asked for: no back-off", s.watches)
			}
		})
	}
}

// A server that stays away ends the wait by its own limit, and never as a failure or a success of the rollout.
func TestWaitForAServerThatStaysAwayTimesOut(t *testing.T) {
	t.Parallel()
	s := newFlaky(t, breakage{drop: true, away: time.Hour})
	env := testkit.NewEnv("kubectl rollout-explain", time.Now())
	done := make(chan int, 1)
	go func() {
		done <- env.Run(t, New, "--kubeconfig", testkit.Kubeconfig(t, s.URL, "x"), "deployment/api", "--wait", "--timeout=5s", "--fail-after=1s", "--fail-fast=strict")
	}()
	for limit := time.Now().Add(4 * time.Second); s.open() < 3 && time.Now().Before(limit); {
		time.Sleep(20 * time.Millisecond)
	}
	s.breakStreams()
	if code := <-done; code != 5 {
		t.Errorf("exit %d, want 5: %s", code, fmt.Sprint(env.Stdout, env.Stderr))
	}
}

// A terminal that cannot move its cursor gets lines, as a pipe does.
func TestADumbTerminalGetsLines(t *testing.T) {
	for name, draws := range map[string]bool{"xterm": true, "dumb": false} {
		env, out, _ := testEnv()
		env.OutTTY, env.Width = true, func() int { return 80 }
		env.LookupEnv = func(key string) (string, bool) { return name, key == "TERM" }
		f := &follower{runner: &runner{env: env, o: &Options{Watch: true, Color: output.ColorNever}}, lines: map[string]string{}}
		for _, verdict := range []report.Verdict{report.Progressing, report.Complete} {
			list := report.List{Items: []report.Rollout{{Object: finding.ObjectRef{Kind: "Deployment", Name: "api"}, Verdict: verdict}}}
			if err := f.show(list); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Contains(out.String(), "\x1b["); got != draws {
			t.Errorf("TERM=%s: escape sequences: %v\n%q", name, got, out)
		}
	}
}
