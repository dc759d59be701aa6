// Package broken stands before a real API server and breaks its answers to one kind of request.
package broken

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is the real API server behind a front.
type Server interface {
	Answer(*http.Request) (*Answer, error)         // of what has an end
	Stream(w http.ResponseWriter, r *http.Request) // watches, followed logs and upgrades
}

// Answer is one of the real server's.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Front is the server as one run sees it: what it broke and what it was asked.
type Front struct {
	*httptest.Server
	Fault  Fault
	Source string    // what is broken; empty: nothing
	Clock  time.Time // what the server's clock says; zero: as the real one

	behind Server

	mu    sync.Mutex
	asked map[string]int
	hit   bool // an answer was broken: there was one to break
}

// NewFront starts a front, which ends with the test or with End. A clock that is not zero stands still.
func NewFront(t testing.TB, behind Server, f Fault, source string, clock time.Time) *Front {
	s := &Front{Fault: f, Source: source, Clock: clock, behind: behind, asked: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.End)
	return s
}

// End closes all connections.
func (s *Front) End() {
	s.CloseClientConnections()
	s.Close()
}

// Hit says whether an answer was broken: whether there was one to break.
func (s *Front) Hit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hit
}

// Asked says how often something was asked.
func (s *Front) Asked(source string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[source]
}

// Sources are what was asked, sorted.
func (s *Front) Sources() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name := range s.asked {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (s *Front) struck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hit = true
}

func (s *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := SourceOf(r)
	s.mu.Lock()
	s.asked[name]++
	times := s.asked[name]
	s.mu.Unlock()
	if !s.Clock.IsZero() {
		w.Header().Set("Date", s.Clock.UTC().Format(http.TimeFormat)) // of refusals, too
	}
	broken := s.Source != "" && s.Source == name
	if broken && s.Fault.before != nil {
		s.struck()
		if !s.Fault.before(w, r, times) {
			return
		}
	}
	if streams(r) {
		if broken && s.Fault.stream != nil {
			s.struck()
			s.Fault.stream(w, r)
			return
		}
		s.behind.Stream(w, r)
		return
	}
	a, err := s.behind.Answer(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for _, key := range []string{"Content-Type", "Warning"} {
		if value := a.Header.Get(key); value != "" {
			w.Header().Set(key, value)
		}
	}
	if broken && s.Fault.answer != nil && a.Status/100 == 2 {
		s.struck()
		s.Fault.answer(w, r, a.Body)
		return
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// streams says whether a request has no end, or changes its protocol.
func streams(r *http.Request) bool {
	return r.URL.Query().Get("watch") != "" || r.Header.Get("Upgrade") != "" || r.URL.Query().Get("follow") == "true"
}

// SourceOf names the kind of a request: verb, resource, and namespace, as in "list pods in kube-system". A path that is no
// resource stands for itself.
func SourceOf(r *http.Request) string {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case path[0] == "api" && len(path) > 2:
		path = path[2:]
	case path[0] == "apis" && len(path) > 3:
		path = path[3:]
	default:
		return strings.ToLower(r.Method) + " " + r.URL.Path
	}
	namespace := ""
	if path[0] == "namespaces" && len(path) > 2 {
		namespace, path = " in "+path[1], path[2:]
	}
	resource := path[0]
	if len(path) > 2 {
		resource += "/" + strings.Join(path[2:], "/")
	}
	verb := map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
	}[r.Method]
	switch {
	case r.Header.Get("Upgrade") != "":
		verb = "connect"
	case r.URL.Query().Get("watch") != "":
		verb = "watch"
	case r.Method == http.MethodGet && len(path) == 1:
		verb = "list"
	}
	return verb + " " + resource + namespace
}
