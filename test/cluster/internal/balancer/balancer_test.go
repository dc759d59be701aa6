package balancer

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// server is an API server that says its name, and whether it is ready.
func server(t *testing.T, name string) (address string, ready *atomic.Bool) {
	t.Helper()
	ready = &atomic.Bool{}
	ready.Store(true)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && !ready.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		io.WriteString(w, name) //nolint:errcheck // the test reads it
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://"), ready
}

// start serves in front of some servers and gives a function that asks who answers a new connection.
func start(t *testing.T, addresses ...string) (*Balancer, func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := New(addresses)
	go b.Serve(listener)                   //nolint:errcheck // it ends with its listener
	t.Cleanup(func() { listener.Close() }) //nolint:errcheck // nothing to lose
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	return b, func() string {
		response, err := client.Get("https://" + listener.Addr().String() + "/")
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close() //nolint:errcheck // read whole
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}
}

// await waits until the balancer has seen how its servers are.
func await(t *testing.T, b *Balancer, want ...bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		same := true
		for i, one := range b.backends {
			same = same && one.ready.Load() == want[i]
		}
		if same {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the servers are not seen as %v", want)
		}
	}
}

func answers(ask func() string) map[string]int {
	got := map[string]int{}
	for range 6 {
		got[ask()]++
	}
	return got
}

func TestConnectionsGoToReadyServersInTurn(t *testing.T) {
	first, firstReady := server(t, "first")
	second, _ := server(t, "second")
	b, ask := start(t, first, second)
	await(t, b, true, true)
	if got := answers(ask); got["first"] != 3 || got["second"] != 3 {
		t.Errorf("both are ready: %v", got)
	}
	firstReady.Store(false)
	await(t, b, false, true)
	if got := answers(ask); got["second"] != 6 {
		t.Errorf("only the second is ready: %v", got)
	}
}

func TestAServerThatIsNotThereIsPassedOver(t *testing.T) {
	first, ready := server(t, "first")
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := gone.Addr().String()
	gone.Close() //nolint:errcheck // that it does not listen is the point
	ready.Store(false)
	b, ask := start(t, address, first)
	await(t, b, false, false)
	if got := answers(ask); got["first"] != 6 {
		t.Errorf("none is ready, one listens: %v", got)
	}
}
