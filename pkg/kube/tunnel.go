package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // deprecated, and still the type that client-go's portforward gives
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Tunnel is one port-forward session to a pod: any number of connections to any of its ports, without a local listener.
// It carries TCP alone, and what arrives in the pod comes from its own loopback: no Service, no network policy.
type Tunnel struct {
	conn httpstream.Connection
	next atomic.Int64
}

// OpenTunnel starts a session, over WebSocket as kubectl does, or SPDY where a proxy or an old server refuses that
// (https://kep.k8s.io/4006).
func (c *Cluster) OpenTunnel(ctx context.Context, namespace, pod string) (*Tunnel, error) {
	client, err := c.Typed()
	if err != nil {
		return nil, err
	}
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	config := rest.CopyConfig(c.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return within{ctx, next} })
	websocket, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := SPDY(ctx, config)
	if err != nil {
		return nil, err
	}
	dialer := portforward.NewFallbackDialer(websocket, spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url),
		func(err error) bool { return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err) })
	type dialed struct {
		conn httpstream.Connection
		err  error
	}
	// Dial takes no context: a late connection is closed when it comes.
	result := make(chan dialed, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		result <- dialed{conn, err}
	}()
	select {
	case d := <-result:
		if d.err != nil {
			return nil, d.err
		}
		return &Tunnel{conn: d.conn}, nil
	case <-ctx.Done():
		go func() {
			if d := <-result; d.err == nil {
				d.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// within gives requests the context that their dialer does not take: its deadline ends a handshake that nobody answers.
type within struct {
	ctx  context.Context
	next http.RoundTripper
}

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.next.RoundTrip(r.WithContext(w.ctx))
}

// WrappedRoundTripper lets client-go find the transport below.
func (w within) WrappedRoundTripper() http.RoundTripper { return w.next }

// Close ends the session and every connection in it.
func (t *Tunnel) Close() error { return t.conn.Close() }

// Dial opens a connection to a port of the pod. That nothing listens there shows at the first read.
func (t *Tunnel) Dial(ctx context.Context, port int32) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id := strconv.FormatInt(t.next.Add(1), 10)
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, id)
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	errorStream, err := createStream(ctx.Done(), t.conn, headers)
	if err != nil {
		return nil, fmt.Errorf("port %d: %w", port, err)
	}
	errorStream.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := createStream(ctx.Done(), t.conn, headers)
	if err != nil {
		t.conn.RemoveStreams(errorStream)
		return nil, fmt.Errorf("port %d: %w", port, err)
	}
	c := &tunnelConn{data: data, refused: make(chan error, 1), port: port}
	c.release = func() {
		_ = data.Reset()
		t.conn.RemoveStreams(data, errorStream)
	}
	go func() {
		message, err := io.ReadAll(errorStream)
		if err == nil && len(message) > 0 {
			err = errors.New(OneLine(errors.New(string(message))))
		}
		c.refused <- err
		close(c.refused)
	}()
	return c, nil
}

// tunnelConn makes a net.Conn of a data stream. SPDY streams know no deadlines: a deadline resets the stream, which
// ends every read and write on it.
type tunnelConn struct {
	data    httpstream.Stream
	refused chan error
	release func()
	port    int32

	mu      sync.Mutex
	timer   *time.Timer
	expired bool
	once    sync.Once
}

func (c *tunnelConn) Read(b []byte) (int, error) {
	n, err := c.data.Read(b)
	return n, c.explain(n, err)
}

func (c *tunnelConn) Write(b []byte) (int, error) {
	n, err := c.data.Write(b)
	return n, c.explain(n, err)
}

// explain prefers what the kubelet said about the port, and the deadline, to a bare end of the stream.
func (c *tunnelConn) explain(n int, err error) error {
	if err == nil || n > 0 {
		return err
	}
	c.mu.Lock()
	expired := c.expired
	c.mu.Unlock()
	if expired {
		return fmt.Errorf("port %d: %w", c.port, context.DeadlineExceeded)
	}
	select {
	case refused := <-c.refused:
		if refused != nil {
			return refused
		}
	case <-time.After(50 * time.Millisecond): // the kubelet's word about the port comes on a stream of its own
	}
	return err
}

func (c *tunnelConn) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		if c.timer != nil {
			c.timer.Stop()
		}
		c.mu.Unlock()
		c.release()
	})
	return nil
}

func (c *tunnelConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if t.IsZero() {
		return nil
	}
	c.timer = time.AfterFunc(time.Until(t), func() {
		c.mu.Lock()
		c.expired = true
		c.mu.Unlock()
		c.once.Do(c.release)
	})
	return nil
}

func (c *tunnelConn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }
func (c *tunnelConn) SetWriteDeadline(time.Time) error  { return nil }
func (c *tunnelConn) LocalAddr() net.Addr               { return tunnelAddr(0) }
func (c *tunnelConn) RemoteAddr() net.Addr              { return tunnelAddr(c.port) }

type tunnelAddr int32

func (a tunnelAddr) Network() string { return "tcp" }
func (a tunnelAddr) String() string  { return "pod:" + strconv.Itoa(int(a)) }
