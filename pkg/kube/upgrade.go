package kube

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/httpstream"               //nolint:staticcheck // deprecated, and still the types that client-go's executor and portforward take
	httpspdy "k8s.io/apimachinery/pkg/util/httpstream/spdy" //nolint:staticcheck // the same
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport/spdy"
)

// SPDY is client-go's spdy.RoundTripperFor, bound to the context of the handshake. That one dials within the context of its request,
// but reads the answer for as long as the server keeps silent, and opens a stream on a connection that has ended by waiting 30 s
// for a reply: https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/streaming/pkg/httpstream/spdy/connection.go
// (createStreamResponseTimeout).
func SPDY(ctx context.Context, config *rest.Config) (http.RoundTripper, spdy.Upgrader, error) {
	settings, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, nil, err
	}
	proxy := http.ProxyFromEnvironment
	if config.Proxy != nil {
		proxy = config.Proxy
	}
	tripper, err := httpspdy.NewRoundTripperWithConfig(httpspdy.RoundTripperConfig{TLS: settings, Proxier: proxy})
	if err != nil {
		return nil, nil, err
	}
	u := &upgrade{SpdyRoundTripper: tripper, ctx: ctx}
	wrapper, err := rest.HTTPWrappersForConfig(config, u)
	return wrapper, u, err
}

// upgrade is one handshake, and the connection that it gives.
type upgrade struct {
	*httpspdy.SpdyRoundTripper

	ctx  context.Context //nolint:containedctx // of one handshake, for as long as it lasts
	conn net.Conn
	keep func() bool // the connection outlives the handshake
}

// RoundTrip sends the request. Until there is a connection, the end of the context closes what was dialed.
func (u *upgrade) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(u.ctx)
	r.Header.Add(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	r.Header.Add(httpstream.HeaderUpgrade, httpspdy.HeaderSpdy31)
	conn, err := u.Dial(r)
	if err != nil {
		return nil, err
	}
	u.conn, u.keep = conn, context.AfterFunc(u.ctx, func() { conn.Close() })
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		u.keep()
		conn.Close()
		if u.ctx.Err() != nil {
			err = context.Cause(u.ctx)
		}
		return nil, err
	}
	return response, nil
}

// pings keep a connection open through balancers, as often as client-go's.
const pings = 5 * time.Second

// NewConnection leaves to client-go what a refusal says.
func (u *upgrade) NewConnection(response *http.Response) (httpstream.Connection, error) {
	if response.StatusCode != http.StatusSwitchingProtocols {
		defer u.conn.Close()
		return u.SpdyRoundTripper.NewConnection(response)
	}
	if !u.keep() {
		return nil, context.Cause(u.ctx)
	}
	conn, err := httpspdy.NewClientConnectionWithPings(u.conn, pings)
	if err != nil {
		return nil, err
	}
	return prompt{conn, u.conn}, nil
}

// prompt is a connection whose streams do not outlive it.
type prompt struct {
	httpstream.Connection

	raw net.Conn
}

func (p prompt) CreateStream(headers http.Header) (httpstream.Stream, error) {
	return createStream(nil, p.Connection, headers)
}

// Close does not wait for a server that does not answer.
func (p prompt) Close() error {
	err := p.Connection.Close()
	p.raw.Close()
	return err
}

// createStream opens a stream, and gives up when the connection has ended, or done.
func createStream(done <-chan struct{}, conn httpstream.Connection, headers http.Header) (httpstream.Stream, error) {
	select {
	case <-conn.CloseChan():
		return nil, io.ErrUnexpectedEOF
	default:
	}
	type opened struct {
		stream httpstream.Stream
		err    error
	}
	result := make(chan opened)
	given := make(chan struct{})
	defer close(given)
	headers = headers.Clone() // the caller goes on with them
	go func() {
		stream, err := conn.CreateStream(headers)
		select {
		case result <- opened{stream, err}:
		case <-given:
			if err == nil { // nobody waits any more
				_ = stream.Reset()
				conn.RemoveStreams(stream)
			}
		}
	}()
	select {
	case o := <-result:
		return o.stream, o.err
	case <-conn.CloseChan():
		return nil, io.ErrUnexpectedEOF
	case <-done:
		return nil, context.DeadlineExceeded
	}
}
