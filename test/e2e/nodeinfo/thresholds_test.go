package nodeinfo

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// thresholds is the flag with a file of this text.
func thresholds(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "thresholds.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--thresholds=" + path
}

// The control plane's pods request some CPU: by a threshold of 1% that is nearly all. The report says by which numbers it judges.
func TestThresholds(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "cp1")
	flag := thresholds(t, "requestsPercent: 1\n")
	n, _, err := look(t, c, want{node: "cp1", flags: []string{flag}})
	if err != nil {
		t.Fatal(err)
	}
	of(t, n, "NewPodsKeptOff")
	if out := c.MustKubectl(t, "nodeinfo", "cp1", flag); !strings.Contains(out, "\nChanged thresholds:\n  requestsPercent: 1 (default: 95)\n") {
		t.Errorf("the report does not say so:\n%s", out)
	}
	if r := c.Kubectl(t, "nodeinfo", thresholds(t, "requestPercent: 1\n")); r.Code != 1 || !strings.Contains(r.Stderr, `line 1: "requestPercent" is not a threshold; closest existing name: requestsPercent`) {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
}

// The kernel of this machine is the nodes', too: what it does not measure, no report has.
func TestStallsAreThoseOfTheKernel(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1")
	n, _, err := look(t, c, want{node: "w1", flags: []string{"--kubelet"}})
	if err != nil {
		t.Fatal(err)
	}
	_, noPSI := os.Stat("/proc/pressure/cpu")
	_, noV2 := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	if measured := noPSI == nil && noV2 == nil; n.PSI == nil || n.PSI.Supported != measured || len(n.PSI.Items) > 0 != measured {
		t.Errorf("measured %t, and the report has %+v", measured, n.PSI)
	}
	swaps, err := os.ReadFile("/proc/swaps")
	if err != nil {
		t.Fatal(err)
	}
	if some := strings.Count(string(swaps), "\n") > 1; n.Swap == nil || n.Swap.Capacity == nil || (*n.Swap.Capacity > 0) != some || n.Swap.Behavior != "NoSwap" {
		t.Errorf("swap %t, and the report has %+v", some, n.Swap)
	}
}

// fleet is the report on all nodes.
func fleet(t *testing.T, c *harness.Cluster, flags ...string) (report.List, harness.Result) {
	t.Helper()
	r := c.Plugin(t, "nodeinfo", append([]string{"-o", "json", "--timeout=40s"}, flags...)...)
	var list report.List
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		t.Fatalf("exit %d: %v: %s", r.Code, err, r.Stderr)
	}
	return list, r
}

// tells says whether the report on all nodes has a finding about a node with this text.
func tells(list report.List, node, code, text string) bool {
	return slices.ContainsFunc(list.Items, func(n report.Node) bool {
		for _, f := range n.Findings {
			if n.Name == node && string(f.Code) == code && strings.Contains(f.Message, text) {
				return true
			}
		}
		return false
	})
}
