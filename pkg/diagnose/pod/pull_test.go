package pod

import "testing"

func TestWhyAPullFails(t *testing.T) {
	const request = `failed to resolve reference "reg.example/a/geofence:1": failed to do request: Head "https://reg.example/v2/a/geofence/manifests/1": `
	for text, want := range map[string]Pull{
		request + "dial tcp: lookup reg.example on 10.0.0.2:53: no such host":                                  PullLookup,
		request + "dial tcp: lookup reg.example on 10.0.0.2:53: read udp 10.0.0.9:4->10.0.0.2:53: i/o timeout": PullLookup,
		request + "dial tcp 10.0.0.1:443: connect: connection refused":                                         PullConnection,
		request + "dial tcp 10.0.0.1:443: i/o timeout":                                                         PullConnection,
		request + "EOF": PullConnection,
		request + "remote error: tls: handshake failure":                                                         PullConnection,
		request + "tls: failed to verify certificate: x509: certificate signed by unknown authority":             PullTLS,
		request + "http: server gave HTTP response to HTTPS client":                                              PullTLS,
		"unexpected status from HEAD request to https://reg.example/v2/a/geofence/manifests/1: 401 Unauthorized": PullDenied,
		"pull access denied, repository does not exist or may require authorization: insufficient_scope":         PullDenied,
		"toomanyrequests: You have reached your pull rate limit":                                                 PullRateLimit,
		"unexpected status code 503 Service Unavailable":                                                         PullServerError,
		"reg.example/a/geofence:1: not found":                                                                    PullNotFound,
		"manifest unknown: manifest unknown":                                                                     PullNotFound,
		`no match for platform in manifest: not found`:                                                           PullNoPlatform,
		"write /var/lib/containerd/x: no space left on device":                                                   PullNoSpace,
		"geofence":           PullUnknown,
		"sha256:0429toomany": PullUnknown,
		"":                   PullUnknown,
	} {
		if got := WhyPull(text, "reg.example/a/geofence:1"); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
