package dns

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The inputs were saved on a cluster whose nodes have a DNS cache, from a pod on w1: the cache there was stopped; and a Service had been
// deleted a moment ago, for which the cache still answered the address, and CoreDNS no longer.
func TestAnswersOfANodeCache(t *testing.T) {
	for input, tt := range map[string]struct {
		name, verdict, code, says string
		served                    bool
	}{
		"cache-stopped": {"kubernetes.default", "Unhealthy", "NodeLocalDNSCacheMissing", "not ready on node w1; pods there query 169.254.20.10, where no server answers", false},
		"cache-earlier": {"api.shop", "Degraded", "RecordMismatch", "the earlier answer is in the node cache kube-system/node-local-dns-g74cz for another 30s at most", true},
	} {
		t.Run(input, func(t *testing.T) {
			env := testkit.NewEnv("kubectl dns", noon)
			args := []string{"resolve", tt.name, "--from", "web-w1", "-n", "shop", "-o", "json", "--from-input", "testdata/saved/" + input + ".json"}
			var got report.Resolution
			if code := env.Run(t, New, args...); code != 0 || json.Unmarshal(env.Stdout.Bytes(), &got) != nil {
				t.Fatalf("exit %d: %s", code, env.Stderr)
			}
			if string(got.Verdict) != tt.verdict || string(got.PrimaryCode) != tt.code || len(got.Findings) != 1 || !strings.Contains(got.Summary, tt.says) {
				t.Errorf("%s %s: %s %+v", got.Verdict, got.PrimaryCode, got.Summary, got.Findings)
			}
			for _, a := range got.Answers {
				if (a.ServedBy != "") != tt.served {
					t.Errorf("%s is served by %q", a.Type, a.ServedBy)
				}
			}
		})
	}
}
