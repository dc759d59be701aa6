package evaluate

import "testing"

// A server's complaint that it may not read is one, plain or quoted by a structured log, which writes every quote as \".
func TestARefusedServiceAccountIsSeenInItsLog(t *testing.T) {
	const account = "system:serviceaccount:kube-system:coredns"
	for line, want := range map[string]string{
		`[ERROR] plugin/kubernetes: Failed to watch *v1.Service: services is forbidden: User "` + account + `" cannot list resource "services" in API group "" at the cluster scope`:                                  "forbidden",
		`2026-06-01T11:58:01.5Z E0601 1 reflector.go:204] "Failed to watch" err="services is forbidden: User \"` + account + `\" cannot list resource \"services\" in API group \"\" at the cluster scope" logger=""`: "forbidden",
		`[ERROR] plugin/x: services is forbidden: User "jane" cannot list resource "services" in API group "" at the cluster scope`:                                                                                   "error",
		`"Failed to watch" err="connection reset"`: "api",
	} {
		if got, _ := ClassifyLine("coredns-a", line, false); got.Class != want {
			t.Errorf("%s\n got %q, want %q", line, got.Class, want)
		}
	}
}
