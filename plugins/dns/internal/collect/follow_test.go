package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
)

// logServer answers each request for a pod's log with the next of its streams.
type logServer struct {
	mu      sync.Mutex
	pods    []corev1.Pod
	streams map[string][]http.HandlerFunc
	asked   []string
}

func (s *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, isLog := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/kube-system/pods/"), "/log")
	s.mu.Lock()
	if !isLog {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(corev1.PodList{Items: s.pods})
		s.mu.Unlock()
		return
	}
	s.asked = append(s.asked, fmt.Sprintf("%s since %s, tail %s", name, r.URL.Query().Get("sinceTime"), r.URL.Query().Get("tailLines")))
	left := s.streams[name]
	if len(left) > 0 {
		s.streams[name] = left[1:]
	}
	s.mu.Unlock()
	if len(left) > 0 {
		left[0](w, r)
	}
}

func write(w http.ResponseWriter, texts []string) {
	for _, text := range texts {
		fmt.Fprintln(w, text)
	}
	w.(http.Flusher).Flush()
}

func lines(texts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		write(w, texts)
		<-r.Context().Done()
	}
}

func broken(texts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		write(w, texts)
		panic(http.ErrAbortHandler)
	}
}

func refused(code int, reason metav1.StatusReason) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "pods/log: " + string(reason)})
	}
}

func logPod(name, id string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "coredns"}}},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "coredns", ContainerID: id, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
	}
}

var errEnough = errors.New("enough")

// followed is what a run of Follow gave, sorted.
type followed struct{ lines, complaints []string }

// follow follows until as many lines have come, or an error.
func follow(t *testing.T, s *logServer, enough int) (followed, error) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	flags := kube.NewFlags("test", time.Now)
	if err := flags.FlagSet().Parse([]string{"--kubeconfig", testkit.Kubeconfig(t, server.URL, "token")}); err != nil {
		t.Fatal(err)
	}
	cluster, err := flags.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	in := evaluate.Input{Pods: s.pods, Sources: source.List{{Name: "pods", State: source.OK}}}
	in.Services = []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.10", Selector: map[string]string{"k8s-app": "kube-dns"}, Ports: []corev1.ServicePort{{Port: 53, Protocol: "UDP"}}}}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var got followed
	err = (&Collector{Cluster: cluster}).Follow(ctx, in, Tail{
		Emit: func(pod, line string) error {
			if got.lines = append(got.lines, pod+": "+line); len(got.lines) == enough {
				return errEnough
			}
			return nil
		},
		Complain: func(of string, err error) {
			if err != nil {
				got.complaints = append(got.complaints, of+": "+err.Error())
			}
		},
	})
	slices.Sort(got.lines)
	slices.Sort(got.complaints)
	return got, err
}

func TestABrokenStreamIsTakenUpAfterItsLastLine(t *testing.T) {
	t.Parallel()
	const one, two, three, other = "2026-01-01T10:00:00.1Z one", "2026-01-01T10:00:00.2Z two", "2026-01-01T10:00:01Z three", "2026-01-01T10:00:00Z other"
	s := &logServer{pods: []corev1.Pod{logPod("a", "id-a"), logPod("b", "id-b")}, streams: map[string][]http.HandlerFunc{
		"a": {broken(one, two), lines(one, two, three)},
		"b": {refused(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable), lines(other)},
	}}
	got, err := follow(t, s, 4)
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	want := followed{
		lines:      []string{"a: " + one, "a: " + two, "a: " + three, "b: " + other},
		complaints: []string{`id-a: log of DNS pod "a": unexpected EOF`, `id-b: log of DNS pod "b": pods/log: ServiceUnavailable`},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(followed{})); d != "" {
		t.Error(d)
	}
	slices.Sort(s.asked)
	if !strings.HasPrefix(s.asked[0], "a since , tail 10") || !strings.HasPrefix(s.asked[1], "a since 2026-01-01T10:00:00Z, tail ") {
		t.Error(s.asked)
	}
}

// conmon, of CRI-O, gives every line of one write the same time.
func TestLinesOfOneMomentAreAllGiven(t *testing.T) {
	t.Parallel()
	const at = "2026-01-01T10:00:00.000000001Z "
	s := &logServer{pods: []corev1.Pod{logPod("a", "id-a")}, streams: map[string][]http.HandlerFunc{"a": {lines(at+"one", at+"three", at+"two")}}}
	got, err := follow(t, s, 3)
	if d := cmp.Diff([]string{"a: " + at + "one", "a: " + at + "three", "a: " + at + "two"}, got.lines); d != "" || !errors.Is(err, errEnough) {
		t.Error(err, d)
	}
}

func TestARefusedLogEndsTheFollowing(t *testing.T) {
	t.Parallel()
	s := &logServer{pods: []corev1.Pod{logPod("a", "id-a")}, streams: map[string][]http.HandlerFunc{"a": {refused(http.StatusForbidden, metav1.StatusReasonForbidden)}}}
	if _, err := follow(t, s, 1); !apierrors.IsForbidden(err) {
		t.Error(err)
	}
}
