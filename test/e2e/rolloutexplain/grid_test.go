package rolloutexplain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// The grid holds the arithmetic against the real controller: n = 1..10 over pairs of surge and unavailable. No pod runs:
// the scheduler is one that does not exist, and the test plays the kubelet for the old pods by writing their Ready
// condition. The new pods never get ready, so each rollout comes to rest where the controller has no move left.
func TestArithmeticGrid(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	pairs := [][2]string{{"25%", "25%"}, {"1", "0"}, {"0", "1"}, {"0", "25%"}, {"50%", "50%"}, {"100%", "0"}}
	var names []string
	var manifests strings.Builder
	for p, pair := range pairs {
		for n := 1; n <= 10; n++ {
			a := app{name: fmt.Sprintf("g%d-%d", p, n), replicas: n, pod: "\n      schedulerName: nobody", spec: fmt.Sprintf("\n  strategy: {rollingUpdate: {maxSurge: %s, maxUnavailable: %s}}", pair[0], pair[1])}
			manifests.WriteString(a.yaml() + "---\n")
			names = append(names, a.name)
		}
		c.Apply(t, manifests.String(), "-n", ns)
		manifests.Reset()
	}
	markReady(t, c, ns, 55*len(pairs))
	c.MustKubectl(t, "set", "env", "deployments", "--all", "V=2", "-n", ns)
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		list := explain(t, c, ns)
		open := 0
		for _, r := range list.Items {
			if r.UpdateStrategy == nil || r.UpdateStrategy.MayCreate == nil || *r.UpdateStrategy.MayCreate > 0 || *r.UpdateStrategy.MayRemove > 0 || r.Revision == nil || r.Revision.Number != 2 {
				open++
			}
		}
		return fmt.Sprintf("%d of %d have not come to rest", open, len(list.Items)), open == 0 && len(list.Items) == len(names)
	})
	time.Sleep(5 * time.Second) // at rest it must stay: a move now would be one that the arithmetic did not see
	sets := strings.Fields(c.MustKubectl(t, "get", "rs", "-n", ns, "-o", `jsonpath={range .items[*]}{.metadata.ownerReferences[0].name}/{.metadata.annotations.deployment\.kubernetes\.io/revision}/{.spec.replicas}{" "}{end}`))
	have := map[string]string{}
	for _, s := range sets {
		parts := strings.Split(s, "/")
		have[parts[0]+"/"+parts[1]] = parts[2]
	}
	for p, pair := range pairs {
		for n := 1; n <= 10; n++ {
			name := fmt.Sprintf("g%d-%d", p, n)
			got := explain(t, c, ns, "deployment/"+name)
			old, fresh := have[name+"/1"], have[name+"/2"]
			total := atoi(old) + atoi(fresh)
			if got.UpdateStrategy == nil || *got.UpdateStrategy.MayCreate != 0 || *got.UpdateStrategy.MayRemove != 0 {
				t.Errorf("n %d, %v: the controller rests at %s old and %s new, and a move is announced: %+v", n, pair, old, fresh, got.UpdateStrategy)
				continue
			}
			if total > int(*got.UpdateStrategy.MaxPods) || atoi(old) < int(*got.UpdateStrategy.MinAvailable) {
				t.Errorf("n %d, %v: %s old and %s new are outside of at most %d, at least %d", n, pair, old, fresh, *got.UpdateStrategy.MaxPods, *got.UpdateStrategy.MinAvailable)
			}
			// the bounds are tight: the controller uses all of the ceiling, or has asked for all new pods
			if total != int(*got.UpdateStrategy.MaxPods) && atoi(fresh) != n {
				t.Errorf("n %d, %v: %s old and %s new, and up to %d were announced", n, pair, old, fresh, *got.UpdateStrategy.MaxPods)
			}
			if atoi(old) != int(*got.UpdateStrategy.MinAvailable) {
				t.Errorf("n %d, %v: %s old pods are left, and a minimum of %d was announced", n, pair, old, *got.UpdateStrategy.MinAvailable)
			}
		}
	}
}

func atoi(s string) int {
	n := 0
	_, _ = fmt.Sscan(s, &n)
	return n
}

// markReady plays the kubelet: every pod of the namespace gets Ready, many in one request.
func markReady(t *testing.T, c *harness.Cluster, ns string, want int) {
	t.Helper()
	patch := `{"status":{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
	var pods []string
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		pods = strings.Fields(c.MustKubectl(t, "get", "pods", "-n", ns, "-o", "name"))
		return fmt.Sprintf("%d of %d pods", len(pods), want), len(pods) == want
	})
	for len(pods) > 0 {
		batch := pods[:min(50, len(pods))]
		pods = pods[len(batch):]
		c.MustKubectl(t, append([]string{"patch", "-n", ns, "--subresource=status", "--type=strategic", "-p", patch}, batch...)...)
	}
	harness.Eventually(t, time.Minute, func() (string, bool) {
		out := c.MustKubectl(t, "get", "deployments", "-n", ns, "-o", `jsonpath={range .items[*]}{.status.availableReplicas}/{.spec.replicas} {end}`)
		for _, pair := range strings.Fields(out) {
			if a, b, _ := strings.Cut(pair, "/"); a != b {
				return pair + " available", false
			}
		}
		return "", true
	})
}
