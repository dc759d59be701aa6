package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// sharedReads makes several workflows read a cluster once: for the length of a run, an object or a list that one has read is answered
// to the others from memory, and what several ask for at once is asked once. Whole lists are one however they are asked for, in
// pages or from the API server's memory, and are then read from that memory (resourceVersion=0) in one answer: never older than a
// moment (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
type sharedReads struct {
	ctx context.Context //nolint:containedctx // of the run: a read must not end with the first of those who wait for it

	mu     sync.Mutex
	shared map[string]*sharedRead
}

// sharedRead is one request and its answer.
type sharedRead struct {
	done   chan struct{}
	status int
	header http.Header
	body   []byte
	err    error
}

// ShareReads makes this connection share what is read, until ctx ends. It is called before the first client is made.
func (c *Cluster) ShareReads(ctx context.Context) {
	reads := &sharedReads{ctx: ctx, shared: map[string]*sharedRead{}}
	c.Config.Wrap(func(next http.RoundTripper) http.RoundTripper { return sharedTransport{reads: reads, next: next} })
}

type sharedTransport struct {
	reads *sharedReads
	next  http.RoundTripper
}

// WrappedRoundTripper lets client-go find the transport below.
func (t sharedTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

func (t sharedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	whole, key, ok := canonical(request)
	if !ok {
		return t.next.RoundTrip(request)
	}
	t.reads.mu.Lock()
	read := t.reads.shared[key]
	if read == nil {
		read = &sharedRead{done: make(chan struct{})}
		t.reads.shared[key] = read
		go t.fetch(request, whole, read)
	}
	t.reads.mu.Unlock()
	select {
	case <-read.done:
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
	if !read.whole() {
		// Each asks for itself, in its own way, such as in pages: what failed once may be too large for one answer.
		return t.next.RoundTrip(request)
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", read.status, http.StatusText(read.status)), StatusCode: read.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: read.header.Clone(), Body: io.NopCloser(bytes.NewReader(read.body)), ContentLength: int64(len(read.body)), Request: request,
	}, nil
}

// whole says whether others can have the answer: data, or that there is none, or that it is forbidden.
func (s *sharedRead) whole() bool {
	return s.err == nil && (s.status == http.StatusOK || s.status == http.StatusForbidden || s.status == http.StatusNotFound)
}

func (t sharedTransport) fetch(request *http.Request, whole *url.URL, read *sharedRead) {
	defer close(read.done)
	own := request.Clone(t.reads.ctx)
	own.URL = whole
	response, err := t.next.RoundTrip(own)
	if err != nil {
		read.err = err
		return
	}
	defer response.Body.Close()
	read.status, read.header = response.StatusCode, response.Header
	read.body, read.err = io.ReadAll(response.Body)
}

// canonical is the request that stands for all that ask for the same, and what these have in common; false: it is answered to one
// alone, such as a watch, a log, what a proxy forwards, or one page after another.
func canonical(request *http.Request) (whole *url.URL, key string, ok bool) {
	query := request.URL.Query()
	apart := request.Method != http.MethodGet || request.Body != nil && request.Body != http.NoBody ||
		request.Header.Get("Upgrade") != "" || query.Has("watch") || query.Has("continue") || query.Has("follow")
	for _, part := range strings.Split(request.URL.Path, "/") {
		apart = apart || part == "proxy" || part == "log" || part == "exec" || part == "portforward"
	}
	if apart {
		return nil, "", false
	}
	copied := *request.URL
	whole = &copied
	fromMemory := query.Has("limit") || query.Has("resourceVersion")
	query.Del("limit")
	query.Del("resourceVersion")
	key = whole.Path + "?" + query.Encode() + "\x00" + request.Header.Get("Accept")
	if fromMemory {
		query.Set("resourceVersion", "0")
		whole.RawQuery = query.Encode()
	}
	return whole, key, true
}
