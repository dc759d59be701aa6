package kube

import (
	"net/http"
	"strconv"
	"time"
)

// patientTransport honors Retry-After as far as there is time for it: client-go sleeps for as long as the server says, which may be
// an hour, and then tries again. Where the wait would outlast the request's own limit, the header is taken away, so that the
// refusal itself (429, 503) is the answer, and not a timeout that says nothing of it.
type patientTransport struct {
	next  http.RoundTripper
	limit time.Duration // --request-timeout; 0: none
}

func (t patientTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	seconds, parseErr := strconv.Atoi(response.Header.Get("Retry-After"))
	if parseErr != nil {
		return response, nil //nolint:nilerr // none, or a date, which client-go does not read either
	}
	wait := time.Duration(seconds) * time.Second
	deadline, bounded := request.Context().Deadline()
	if t.limit > 0 && wait >= t.limit || bounded && wait >= time.Until(deadline) || wait > longestWait {
		response.Header.Del("Retry-After")
	}
	return response, nil
}

// longestWait is how long a server may ask for at most: nobody waits longer for one answer.
const longestWait = time.Minute

// WrappedRoundTripper lets client-go find the transport below (k8s.io/apimachinery/pkg/util/net.RoundTripperWrapper).
func (t patientTransport) WrappedRoundTripper() http.RoundTripper { return t.next }
