package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Server is an API server for tests: it answers paths with objects, counts what is asked, and misbehaves on demand. It
// knows no selectors: what a test expects of those is shown on a real cluster.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	answers  map[string]answer
	requests []string
}

type answer struct {
	status int
	object any
}

// NewServer starts a server; it stops with the test. Paths it was not told of answer 404.
func NewServer(t testing.TB) *Server {
	s := &Server{answers: map[string]answer{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// Text is an answer that is no JSON, such as metrics.
type Text string

// Answer serves object as JSON at path ("/api/v1/nodes").
func (s *Server) Answer(path string, object any) { s.set(path, answer{http.StatusOK, object}) }

// Refuse answers path with a status code and a Status object, as the API server would.
func (s *Server) Refuse(path string, code int) {
	reasons := map[int]metav1.StatusReason{
		http.StatusUnauthorized: metav1.StatusReasonUnauthorized, http.StatusForbidden: metav1.StatusReasonForbidden,
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusServiceUnavailable: metav1.StatusReasonServiceUnavailable,
		http.StatusTooManyRequests: metav1.StatusReasonTooManyRequests, http.StatusInternalServerError: metav1.StatusReasonInternalError,
	}
	s.Fail(path, metav1.Status{Code: int32(code), Reason: reasons[code], Message: http.StatusText(code)})
}

// Fail answers path with a failure whose details matter, such as the name of the object that is not there.
func (s *Server) Fail(path string, status metav1.Status) {
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	status.Status = metav1.StatusFailure
	s.set(path, answer{int(status.Code), status})
}

// NotReady answers GETs of a path as an API server does that is not ready: with a plain text, and 500.
func (s *Server) NotReady(path, text string) {
	s.set(path, answer{http.StatusInternalServerError, Text(text)})
}

func (s *Server) set(path string, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = a
}

// Requests lists what was asked so far ("GET /api/v1/nodes?limit=500"), sorted.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.requests))
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	a, ok := s.answers[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		a = answer{http.StatusNotFound, metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status:   metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "not found",
		}}
	}
	if text, ok := a.object.(Text); ok {
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, string(text))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	// A client that went away is that test's business.
	_ = json.NewEncoder(w).Encode(a.object)
}

// Kubeconfig writes a kubeconfig for the server and gives its path.
func (s *Server) Kubeconfig(t testing.TB) string { return Kubeconfig(t, s.URL, "test-token") }

// Kubeconfig writes a kubeconfig for any address, with a bearer token, and gives its path.
func Kubeconfig(t testing.TB, address, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q}}]
users: [{name: test, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
`, address, token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
