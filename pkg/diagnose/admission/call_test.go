package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAFailedCallIsTakenApart(t *testing.T) {
	const failed = `Error creating: Internal error occurred: failed calling webhook "v.example.com": `
	for text, want := range map[string]*Call{
		failed + `failed to call webhook: Post "https://v.ops.svc:8443/check?timeout=2s": http: server gave HTTP response to HTTPS client`: {Webhook: "v.example.com", Namespace: "ops", Service: "v", Port: 8443, Why: "http: server gave HTTP response to HTTPS client", Reached: true},
		failed + `failed to call webhook: Post "https://v.ops.svc:443/": dial tcp 10.0.0.1:443: connect: connection refused`:               {Webhook: "v.example.com", Namespace: "ops", Service: "v", Port: 443, Why: "dial tcp 10.0.0.1:443: connect: connection refused"},
		failed + `failed to call webhook: Post "https://v.ops.svc/?timeout=10s": context deadline exceeded`:                                {Webhook: "v.example.com", Namespace: "ops", Service: "v", Port: 443, Why: "context deadline exceeded"},
		failed + `failed to call webhook: Post "https://v.ops.svc:443/": no endpoints available for service "v"`:                           {Webhook: "v.example.com", Namespace: "ops", Service: "v", Port: 443, Why: `no endpoints available for service "v"`},
		failed + `failed to call webhook: Post "https://v.ops.svc:443/": service "v" not found`:                                            {Webhook: "v.example.com", Namespace: "ops", Service: "v", Port: 443, Why: `service "v" not found`, NoService: true},
		failed + `failed to call webhook: Post "https://hook.example.com/x": tls: failed to verify certificate: x509: unknown authority`:   {Webhook: "v.example.com", URL: true, Why: "tls: failed to verify certificate: x509: unknown authority", Reached: true},
		failed + `expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=`:                                    {Webhook: "v.example.com", Why: "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=", Reached: true},
		`Internal error occurred: failed calling webhook "v.example.com"; no further details available`:                                    {Webhook: "v.example.com"},
		`admission webhook "v.example.com" denied the request: failed to call webhook`:                                                     nil,
		`exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`:                                                              nil,
	} {
		if diff := cmp.Diff(want, Parse(text).FailedCall()); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	}
}
