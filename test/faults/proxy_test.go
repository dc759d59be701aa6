package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/apiserver"
)

// proxy stands before a real API server. It keeps what was answered, so that the server is asked each thing once, and breaks the
// answers to one kind of request. The clock that it shows stands at the time at which the world was made.
type proxy struct {
	target  *url.URL
	client  *http.Transport
	started time.Time

	mu      sync.Mutex
	answers map[string]*answer
}

// answer is one of the real server's.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func newProxy(target *url.URL) *proxy {
	client := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true, MaxIdleConnsPerHost: 32,
	}
	return &proxy{target: target, client: client, started: time.Now(), answers: map[string]*answer{}}
}

// front is the proxy for one run: what it broke and what it was asked.
type front struct {
	*proxy
	*httptest.Server

	fault  fault
	source string // what is broken; empty: nothing

	mu    sync.Mutex
	asked map[string]int
	hit   bool // an answer was broken: there was one to break
}

func (p *proxy) front(t testing.TB, f fault, source string) *front {
	s := &front{proxy: p, fault: f, source: source, asked: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.end)
	return s
}

func (s *front) end() {
	s.CloseClientConnections()
	s.Close()
}

func (s *front) struck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hit = true
}

// sources are what was asked, sorted.
func (s *front) sources() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name := range s.asked {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func (s *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := sourceOf(r)
	s.mu.Lock()
	s.asked[name]++
	times := s.asked[name]
	s.mu.Unlock()
	w.Header().Set("Date", s.started.UTC().Format(http.TimeFormat)) // of refusals, too
	broken := s.source != "" && s.source == name
	if broken && s.fault.before != nil {
		s.struck()
		if !s.fault.before(w, r, times) {
			return
		}
	}
	if streams(r) {
		if broken && s.fault.stream != nil {
			s.struck()
			s.fault.stream(w, r)
			return
		}
		if strings.HasPrefix(name, "connect pods/") { // no kubelet is there
			refuse(500, "InternalError", "error dialing backend: no kubelet")(w, r, times)
			return
		}
		s.forward(w, r)
		return
	}
	a, err := s.answer(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for _, key := range []string{"Content-Type", "Warning"} {
		if value := a.header.Get(key); value != "" {
			w.Header().Set(key, value)
		}
	}
	if broken && s.fault.answer != nil && a.status == http.StatusOK {
		s.struck()
		s.fault.answer(w, r, a.body)
		return
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// streams says whether a request has no end, or changes its protocol.
func streams(r *http.Request) bool {
	return r.URL.Query().Get("watch") != "" || r.Header.Get("Upgrade") != "" || r.URL.Query().Get("follow") == "true"
}

func (s *front) forward(w http.ResponseWriter, r *http.Request) {
	forward := &httputil.ReverseProxy{Transport: s.client, FlushInterval: -1, ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
		panic(http.ErrAbortHandler)
	}}
	forward.Rewrite = func(p *httputil.ProxyRequest) {
		p.SetURL(s.target)
		p.Out.Host = s.target.Host
		p.Out.Header.Set("Authorization", "Bearer "+apiserver.Token)
	}
	forward.ServeHTTP(w, r)
}

// answer asks the real server, or remembers: nothing in the world changes but what a run itself writes.
func (p *proxy) answer(r *http.Request) (*answer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(r.URL.Path, "/log") { // no kubelet is there that has one
		header := http.Header{"Content-Type": {"text/plain"}}
		return &answer{status: http.StatusOK, header: header, body: []byte("[INFO] plugin/reload: Running\n")}, nil
	}
	key := r.URL.RequestURI() + " " + r.Header.Get("Accept")
	keeps := r.Method == http.MethodGet && !strings.Contains(key, "kubectl-runbooks") && !strings.Contains(key, "/pods/nodeshell")
	p.mu.Lock()
	kept := p.answers[key]
	p.mu.Unlock()
	if kept != nil && keeps {
		return kept, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.Method, p.target.JoinPath(r.URL.Path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.URL.RawQuery = r.URL.RawQuery
	request.Header = r.Header.Clone()
	request.Header.Del("Accept-Encoding")
	request.Header.Set("Authorization", "Bearer "+apiserver.Token) // client-go sends credentials over TLS alone
	response, err := p.client.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // read whole, or an error already
	a := &answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	if keeps {
		p.mu.Lock()
		p.answers[key] = a
		p.mu.Unlock()
	}
	return a, nil
}

// sourceOf names the kind of a request: verb, resource, and namespace, as in "list pods in kube-system". A path that is no
// resource stands for itself.
func sourceOf(r *http.Request) string {
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

// fault is what becomes of the requests of one kind.
type fault struct {
	name string
	// before answers in the place of the real server, and says whether it is asked all the same. It is told how often this was asked.
	before func(w http.ResponseWriter, r *http.Request, times int) bool
	answer func(w http.ResponseWriter, r *http.Request, body []byte) // spoils the real answer
	stream func(w http.ResponseWriter, r *http.Request)              // spoils a watch or an upgrade
	// The outcome must be that of a run without a fault.
	harmless bool
	// The run waits until a limit of its own ends it.
	waits bool
}

func refuse(code int, reason, message string, header ...string) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		_, _ = io.Copy(io.Discard, r.Body) // or the connection could not be used again
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
		return false
	}
}

func abort() { panic(http.ErrAbortHandler) }

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// part sends the first half of an answer that claims to be whole.
func part(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body[:len(body)/2])
	flush(w)
}

// switched agrees to an upgrade and then closes the connection; a watch gets half an event.
func switched(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		w.WriteHeader(http.StatusOK)
		fmt.Fprint(w, `{"type":"ADDED","object":{"kind":"Po`)
		flush(w)
		abort()
	}
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		abort()
	}
	fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_ = connection.Close()
}

func garbage(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(bytes.Repeat([]byte{0xff}, 64))
}

func worldFaults() []fault {
	hang := func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		_, _ = io.Copy(io.Discard, r.Body) // or the client's going would not be seen
		<-r.Context().Done()
		return false
	}
	return []fault{
		{name: "answers 0.2 s late", harmless: true, before: func(http.ResponseWriter, *http.Request, int) bool {
			time.Sleep(200 * time.Millisecond)
			return true
		}},
		{name: "429 once, with Retry-After", harmless: true, before: func(w http.ResponseWriter, r *http.Request, times int) bool {
			return times > 1 || refuse(429, "TooManyRequests", "slow down", "Retry-After", "1")(w, r, times)
		}},
		{name: "hangs", waits: true, before: hang},
		{name: "drops the connection", waits: true, before: func(http.ResponseWriter, *http.Request, int) bool { abort(); return false }},
		{name: "reset in the middle", answer: func(w http.ResponseWriter, _ *http.Request, body []byte) { part(w, body); abort() }, stream: switched},
		{name: "cut in the middle", answer: func(w http.ResponseWriter, _ *http.Request, body []byte) {
			flush(w) // without a length: the end looks like one
			_, _ = w.Write(body[:len(body)/2])
		}, stream: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }},
		{name: "corrupt bytes", answer: func(w http.ResponseWriter, _ *http.Request, body []byte) {
			spoilt := slices.Clone(body)
			copy(spoilt[len(spoilt)/2:], bytes.Repeat([]byte{0xff}, len(spoilt)))
			_, _ = w.Write(spoilt)
		}, stream: garbage},
		{name: "empty answer", answer: func(http.ResponseWriter, *http.Request, []byte) {}, stream: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
		}},
		{name: "a login page", before: func(w http.ResponseWriter, r *http.Request, _ int) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>\n<body>Please log in</body>\n</html>")
			return false
		}},
		{name: "one byte at a time", waits: true, answer: func(w http.ResponseWriter, r *http.Request, body []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)+1000))
			for i := range body {
				_, _ = w.Write(body[i : i+1])
				flush(w)
				select {
				case <-r.Context().Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
			<-r.Context().Done()
		}, stream: func(w http.ResponseWriter, r *http.Request) { hang(w, r, 1) }},
		{name: "401", before: refuse(401, "Unauthorized", "Unauthorized")},
		{name: "403", before: refuse(403, "Forbidden", `that is forbidden: User "u" cannot do that`)},
		{name: "404", before: refuse(404, "NotFound", "the server could not find the requested resource")},
		{name: "409", before: refuse(409, "Conflict", "the object has been modified")},
		{name: "410", before: refuse(410, "Expired", "the provided continue parameter is too old")},
		{name: "429 for ever, with Retry-After", waits: true, before: refuse(429, "TooManyRequests", "slow down", "Retry-After", "1")},
		{name: "429 for ever, Retry-After an hour", before: refuse(429, "TooManyRequests", "slow down", "Retry-After", "3600")},
		{name: "500", before: refuse(500, "InternalError", "etcdserver: leader changed")},
		{name: "503", before: refuse(503, "ServiceUnavailable", "the server is currently unable to handle the request")},
		{name: "504", before: refuse(504, "Timeout", "the server was unable to return a response in the time allotted")},
	}
}
