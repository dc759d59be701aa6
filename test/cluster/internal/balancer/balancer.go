// Package balancer passes connections on to those API servers of a cluster that say that they are ready, as the load
// balancer in front of a control plane of several nodes does
// (https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/high-availability/).
package balancer

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookEvery and lookFor are how often an API server is asked whether it is ready, and how long its answer may take.
	lookEvery = time.Second
	lookFor   = 2 * time.Second
	dialFor   = 2 * time.Second
)

// backend is one API server.
type backend struct {
	address string // host:port
	ready   atomic.Bool
}

// Balancer is a listener in front of several API servers.
type Balancer struct {
	backends []*backend
	next     atomic.Uint64
}

// Serve passes on what comes to an address (host:port), until the listener fails.
func Serve(listen string, addresses []string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	return New(addresses).Serve(listener)
}

// New makes a balancer in front of the API servers at these addresses (host:port).
func New(addresses []string) *Balancer {
	b := &Balancer{}
	for _, address := range addresses {
		b.backends = append(b.backends, &backend{address: address})
	}
	return b
}

// Serve accepts connections until the listener is closed. Those that run go on when their server is no longer ready.
func (b *Balancer) Serve(listener net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, one := range b.backends {
		go one.look(ctx)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go b.pass(connection)
	}
}

// look asks again and again whether a server is ready.
func (s *backend) look(ctx context.Context) {
	client := http.Client{Timeout: lookFor, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it is only asked whether it is ready
	}}
	for ctx.Err() == nil {
		s.ready.Store(isReady(ctx, &client, s.address))
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// isReady asks an API server, which answers this to anybody.
func isReady(ctx context.Context, client *http.Client, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close() //nolint:errcheck // nothing of it is read
	return response.StatusCode == http.StatusOK
}

// order is the servers to try for one connection: in turn, the ready ones first. While none is ready, as when the first of
// them starts, each is tried.
func (b *Balancer) order() []*backend {
	start := int(b.next.Add(1) % uint64(len(b.backends))) //nolint:gosec // it is less than their number
	var ready, others []*backend
	for i := range b.backends {
		one := b.backends[(start+i)%len(b.backends)]
		if one.ready.Load() {
			ready = append(ready, one)
		} else {
			others = append(others, one)
		}
	}
	return append(ready, others...)
}

func (b *Balancer) pass(client net.Conn) {
	defer client.Close() //nolint:errcheck // it may be closed already
	server, err := b.dial()
	if err != nil {
		return // the client sees its connection closed, as from any balancer without a server
	}
	defer server.Close() //nolint:errcheck // it may be closed already
	var both sync.WaitGroup
	both.Go(func() { forward(server, client) })
	both.Go(func() { forward(client, server) })
	both.Wait()
}

func (b *Balancer) dial() (net.Conn, error) {
	err := fmt.Errorf("no API server to try")
	for _, one := range b.order() {
		var server net.Conn
		if server, err = net.DialTimeout("tcp", one.address, dialFor); err == nil {
			return server, nil
		}
	}
	return nil, err
}

// forward copies one direction and passes its end on.
func forward(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok && err == nil {
		half.CloseWrite() //nolint:errcheck // the other side may be gone
		return
	}
	to.Close()   //nolint:errcheck // the connection is broken
	from.Close() //nolint:errcheck // so that the other direction ends too
}
