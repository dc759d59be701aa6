package faults

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/apiserver"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/faults/broken"
)

// proxy keeps what a real API server answered, so that it is asked each thing once. The clock that it shows stands at the time at
// which the world was made.
type proxy struct {
	broken.Plain
	started time.Time

	mu      sync.Mutex
	answers map[string]*broken.Answer
}

func newProxy(target *url.URL) *proxy {
	client := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true, MaxIdleConnsPerHost: 32,
	}
	plain := broken.Plain{Target: target, Transport: authorized{client}}
	return &proxy{Plain: plain, started: time.Now(), answers: map[string]*broken.Answer{}}
}

// authorized adds the credentials, which client-go sends over TLS alone.
type authorized struct{ http.RoundTripper }

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+apiserver.Token)
	return a.RoundTripper.RoundTrip(r)
}

// front is the proxy for one run.
func (p *proxy) front(t testing.TB, f broken.Fault, source string) *broken.Front {
	return broken.NewFront(t, p, f, source, p.started)
}

// Stream refuses connections to pods: no kubelet is there.
func (p *proxy) Stream(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(broken.SourceOf(r), "connect pods/") {
		broken.Refuse(500, "InternalError", "error dialing backend: no kubelet")(w, r, 1)
		return
	}
	p.Plain.Stream(w, r)
}

// Answer asks the real server, or remembers: nothing in the world changes but what a run itself writes.
func (p *proxy) Answer(r *http.Request) (*broken.Answer, error) {
	if strings.HasSuffix(r.URL.Path, "/log") { // no kubelet is there that has one
		header := http.Header{"Content-Type": {"text/plain"}}
		return &broken.Answer{Status: http.StatusOK, Header: header, Body: []byte("[INFO] plugin/reload: Running\n")}, nil
	}
	key := r.URL.RequestURI() + " " + r.Header.Get("Accept")
	keeps := r.Method == http.MethodGet && !strings.Contains(key, "kubectl-runbooks") && !strings.Contains(key, "/pods/nodeshell")
	p.mu.Lock()
	kept := p.answers[key]
	p.mu.Unlock()
	if kept != nil && keeps {
		return kept, nil
	}
	a, err := p.Plain.Answer(r)
	if err == nil && keeps {
		p.mu.Lock()
		p.answers[key] = a
		p.mu.Unlock()
	}
	return a, err
}
