package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// answering is a transport that counts what is sent, and answers with the query.
type answering struct {
	sent  atomic.Int32
	reply func(*http.Request) (*http.Response, error)
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	a.sent.Add(1)
	return a.reply(r)
}

func echo(status int) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"A": {"b"}}, Body: io.NopCloser(strings.NewReader(r.URL.RequestURI()))}, nil
	}
}

func sharing(t *testing.T, reply func(*http.Request) (*http.Response, error)) (*answering, func(method, path string, header ...string) (string, error)) {
	t.Helper()
	below := &answering{reply: reply}
	c := &Cluster{Config: &rest.Config{Host: "http://cluster", Transport: below}}
	c.ShareReads(t.Context())
	client, err := c.HTTP()
	if err != nil {
		t.Fatal(err)
	}
	return below, func(method, path string, header ...string) (string, error) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://cluster"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close() //nolint:errcheck // it was read
		body, err := io.ReadAll(response.Body)
		return fmt.Sprint(response.StatusCode, " ", string(body)), err
	}
}

func TestWhatIsReadIsSentOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		paths []string
		sent  int32
		last  string
	}{
		{"a list however it is asked for", []string{"/api/v1/pods?limit=500", "/api/v1/pods?resourceVersion=0", "/api/v1/pods?limit=50&resourceVersion=0"}, 1, "200 /api/v1/pods?resourceVersion=0"},
		{"an object", []string{"/api/v1/namespaces/a/pods/b", "/api/v1/namespaces/a/pods/b"}, 1, "200 /api/v1/namespaces/a/pods/b"},
		{"two selectors", []string{"/api/v1/pods?limit=5&labelSelector=a", "/api/v1/pods?limit=5&labelSelector=b"}, 2, "200 /api/v1/pods?labelSelector=b&resourceVersion=0"},
		{"a watch", []string{"/api/v1/pods?watch=true", "/api/v1/pods?watch=true"}, 2, "200 /api/v1/pods?watch=true"},
		{"a log", []string{"/api/v1/namespaces/a/pods/b/log", "/api/v1/namespaces/a/pods/b/log"}, 2, "200 /api/v1/namespaces/a/pods/b/log"},
		{"a proxy", []string{"/api/v1/nodes/w1/proxy/healthz", "/api/v1/nodes/w1/proxy/healthz"}, 2, "200 /api/v1/nodes/w1/proxy/healthz"},
		{"a further page", []string{"/api/v1/pods?limit=5&continue=x", "/api/v1/pods?limit=5&continue=x"}, 2, "200 /api/v1/pods?limit=5&continue=x"},
	} {
		below, get := sharing(t, echo(http.StatusOK))
		last := ""
		for _, path := range tt.paths {
			var err error
			if last, err = get(http.MethodGet, path); err != nil {
				t.Fatal(err)
			}
		}
		if below.sent.Load() != tt.sent || last != tt.last {
			t.Errorf("%s: sent %d times, last %s; want %d, %s", tt.name, below.sent.Load(), last, tt.sent, tt.last)
		}
	}
	below, get := sharing(t, echo(http.StatusForbidden))
	for range 3 {
		if got, err := get(http.MethodGet, "/api/v1/nodes"); err != nil || !strings.HasPrefix(got, "403 ") {
			t.Errorf("%s %v", got, err)
		}
	}
	for range 2 {
		_, _ = get(http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews")
		_, _ = get(http.MethodGet, "/api/v1/namespaces/a/pods/b", "Upgrade", "SPDY/3.1")
	}
	_, _ = get(http.MethodGet, "/api/v1/nodes", "Accept", "application/json") // another encoding is another answer
	if n := below.sent.Load(); n != 6 {
		t.Errorf("sent %d", n)
	}
}

// A list that is too large for one answer is asked by each in its own way.
func TestWhatFailedIsAskedAgainAsItWas(t *testing.T) {
	for name, reply := range map[string]func(*http.Request) (*http.Response, error){
		"an error of the server": func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Has("limit") {
				return echo(http.StatusOK)(r)
			}
			return echo(http.StatusGatewayTimeout)(r)
		},
		"no connection": func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Has("limit") {
				return echo(http.StatusOK)(r)
			}
			return nil, errors.New("reset")
		},
		"half an answer": func(r *http.Request) (*http.Response, error) {
			response, err := echo(http.StatusOK)(r)
			if !r.URL.Query().Has("limit") {
				response.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), failing{}))
			}
			return response, err
		},
	} {
		_, get := sharing(t, reply)
		if got, err := get(http.MethodGet, "/api/v1/pods?limit=5"); err != nil || got != "200 /api/v1/pods?limit=5" {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Those who ask at the same time wait for one answer; one that gives up takes it from nobody.
func TestOneWhoGivesUpLeavesTheAnswerToTheOthers(t *testing.T) {
	answer := make(chan struct{})
	below := &answering{reply: func(r *http.Request) (*http.Response, error) {
		select {
		case <-answer:
			return echo(http.StatusOK)(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}}
	c := &Cluster{Config: &rest.Config{Host: "http://cluster", Transport: below}}
	c.ShareReads(t.Context())
	client, err := c.HTTP()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://cluster/api/v1/pods", http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := ask(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := ask(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	close(answer)
	all.Wait()
	if n := below.sent.Load(); n != 1 {
		t.Errorf("sent %d times", n)
	}
}
