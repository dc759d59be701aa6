package kube

import (
	"net/http"
	"sync"
	"time"
)

// Clock tells the API server's time, learned from the Date header of its responses: ages of leases and conditions are
// judged against the cluster's clock, never against this machine's, which may be wrong by hours.
type Clock struct {
	local func() time.Time

	mu     sync.Mutex
	offset time.Duration
	known  bool
}

// NewClock makes a clock that runs on local until a response has been seen.
func NewClock(local func() time.Time) *Clock { return &Clock{local: local} }

// Now gives the server's time, within a second, or the local time before the first response.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.local().Add(c.offset)
}

// Offset is the server's time minus the local time, and whether it is known.
func (c *Clock) Offset() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, c.known
}

// Wrap makes a transport that reads the Date of every response.
func (c *Clock) Wrap(next http.RoundTripper) http.RoundTripper {
	return clockTransport{clock: c, next: next}
}

type clockTransport struct {
	clock *Clock
	next  http.RoundTripper
}

func (t clockTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err == nil {
		t.clock.observe(response.Header.Get("Date"))
	}
	return response, err
}

// WrappedRoundTripper lets client-go find the transport below (k8s.io/apimachinery/pkg/util/net.RoundTripperWrapper).
func (t clockTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// observe keeps the largest offset seen: the header is cut to whole seconds and arrives late, so every sample is too
// small, and the largest is the closest.
func (c *Clock) observe(header string) {
	date, err := http.ParseTime(header)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset := date.Sub(c.local()); !c.known || offset > c.offset {
		c.offset, c.known = offset, true
	}
}
