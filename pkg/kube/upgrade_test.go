package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"               //nolint:staticcheck // the types that client-go's executor takes
	httpspdy "k8s.io/apimachinery/pkg/util/httpstream/spdy" //nolint:staticcheck // the same
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// overSPDY runs a command at a server, and says how it ended. 20 s are no end: the limits of client-go are 30 s.
func overSPDY(ctx context.Context, t *testing.T, server http.HandlerFunc) (string, error) {
	t.Helper()
	s := httptest.NewServer(server)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	address, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport, upgrader, err := SPDY(ctx, &rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	executor, err := remotecommand.NewSPDYExecutorForTransports(transport, upgrader, http.MethodPost, address)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	end := make(chan error, 1)
	go func() { end <- executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out}) }()
	select {
	case err = <-end:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	return out.String(), err
}

// upgraded agrees to the upgrade, and lets a test go on with the bare connection.
func upgraded(then func(net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		then(conn)
	}
}

func TestAnUpgradeThatNobodyAnswersEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	gone := make(chan struct{})
	_, err := overSPDY(ctx, t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		close(gone)
	})
	if !errors.Is(err, context.DeadlineExceeded) && (err == nil || ctx.Err() == nil) {
		t.Errorf("ends with %v", err)
	}
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the connection is left open")
	}
}

func TestAStreamDoesNotOutliveItsConnection(t *testing.T) {
	_, err := overSPDY(t.Context(), t, upgraded(func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1)) // the stream is asked for
	}))
	if err == nil || Explain(err).Error() != "the API server closed the connection" {
		t.Errorf("ends with %v", err)
	}
}

func TestAStreamThatNobodyOpensEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	gone := make(chan struct{})
	_, err := overSPDY(ctx, t, upgraded(func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn)
		close(gone)
	}))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ends with %v", err)
	}
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the connection is left open")
	}
}

func TestACommandRunsOverSPDY(t *testing.T) {
	out, err := overSPDY(t.Context(), t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := httpstream.Handshake(r, w, []string{"v4.channel.k8s.io"}); err != nil {
			t.Error(err)
			return
		}
		streams := make(chan httpstream.Stream, 2)
		conn := httpspdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
			streams <- s
			return nil
		})
		defer conn.Close()
		for range 2 {
			s := <-streams
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeStdout {
				fmt.Fprint(s, "hello")
			}
			s.Close()
		}
		<-conn.CloseChan()
	})
	if out != "hello" || err != nil {
		t.Errorf("gives %q, %v", out, err)
	}
}

func TestARefusedUpgradeSaysWhy(t *testing.T) {
	_, err := overSPDY(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"kind":"Status","message":"no kubelet"}`, http.StatusInternalServerError)
	})
	if err == nil || err.Error() != "unable to upgrade connection: no kubelet" {
		t.Errorf("ends with %v", err)
	}
}
