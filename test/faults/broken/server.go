package broken

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// Plain asks the API server at Target as Transport does, each time.
type Plain struct {
	Target    *url.URL
	Transport http.RoundTripper
}

// Stream passes a request on, and what comes back as it comes.
func (p Plain) Stream(w http.ResponseWriter, r *http.Request) {
	forward := &httputil.ReverseProxy{Transport: p.Transport, FlushInterval: -1, ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
		panic(http.ErrAbortHandler)
	}}
	forward.Rewrite = func(out *httputil.ProxyRequest) {
		out.SetURL(p.Target)
		out.Out.Host = p.Target.Host
	}
	forward.ServeHTTP(w, r)
}

// Answer reads the whole answer, as the server sends it when it need not compress.
func (p Plain) Answer(r *http.Request) (*Answer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.Method, p.Target.JoinPath(r.URL.Path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.URL.RawQuery = r.URL.RawQuery
	request.Header = r.Header.Clone()
	request.Header.Del("Accept-Encoding")
	response, err := p.Transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // read whole, or an error already
	a := &Answer{Status: response.StatusCode, Header: response.Header}
	a.Body, err = io.ReadAll(response.Body)
	return a, err
}
