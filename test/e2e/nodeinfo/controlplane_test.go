package nodeinfo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

func TestSchedulerGone(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "cp1", "w1")
	heal := c.Fault(t, "stop-scheduler")
	becomes(t, c, 3*time.Minute, want{node: "cp1", verdict: report.Unhealthy, code: "LeaderLeaseExpired", exit: 3, text: "kube-scheduler has had no leader"})
	// A worker's own health is not touched; that nobody leads is for information there.
	becomes(t, c, time.Minute, want{node: "w1", verdict: report.Healthy, info: []finding.Code{"LeaderLeaseExpired"}})
	heal()
	healthy(t, c, "cp1", "w1")
}

// Without a controller manager Ready stays True: only the age of the heartbeat shows the fault, and the cause is named.
func TestControllerManagerGoneLeavesReadyStale(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "cp1", "w1", "w2")
	heal := c.Fault(t, "stop-controller-manager")
	becomes(t, c, 3*time.Minute, want{node: "cp1", verdict: report.Unhealthy, code: "LeaderLeaseExpired", exit: 3, text: "kube-controller-manager has had no leader"})
	healKubelet := c.Fault(t, "stop-kubelet", "w2")
	n := becomes(t, c, 3*time.Minute, want{node: "w2", verdict: report.Unhealthy, code: "ReadyConditionStale", info: []finding.Code{"LeaderLeaseExpired"}, exit: 3, text: "but Ready is still True: kube-controller-manager has no leader"})
	if !strings.HasPrefix(n.Status, "Ready") {
		t.Errorf("the API says %s: the test shows nothing", n.Status)
	}
	if line := row(t, c, "w2"); !strings.Contains(line, "ReadyConditionStale") {
		t.Error(line)
	}
	healKubelet()
	heal()
	healthy(t, c, "cp1", "w1", "w2")
}

// Without metrics-server usage is unknown, and said to be: never zero, and no node is worse for it.
func TestMetricsServerRemoved(t *testing.T) {
	c := cluster(t)
	service := c.MustKubectl(t, "get", "apiservice", "v1beta1.metrics.k8s.io", "-o", "json")
	var object map[string]any
	if err := json.Unmarshal([]byte(service), &object); err != nil {
		t.Fatal(err)
	}
	delete(object, "status")
	meta := object["metadata"].(map[string]any)
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp"} {
		delete(meta, field)
	}
	manifest, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	c.MustKubectl(t, "delete", "apiservice", "v1beta1.metrics.k8s.io")
	restore := func() { c.Apply(t, string(manifest)) }
	t.Cleanup(restore)
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		r := c.Kubectl(t, "nodeinfo")
		return r.Stdout + r.Stderr, r.Code == 0 && strings.Contains(r.Stdout, "metrics: metrics-server is not installed") && strings.Contains(r.Stdout, "<unknown>")
	})
	n := becomes(t, c, time.Minute, want{node: "w1", verdict: report.Healthy})
	for _, r := range n.Resources {
		if r.Usage != nil {
			t.Errorf("%s has a usage of %s without metrics", r.Name, r.Usage.Quantity)
		}
	}
}

// A scheduler that elects no leader works without a Lease: the old one says nothing of it.
func schedulerWithoutElection(t *testing.T, c *harness.Cluster) {
	set := func(from, to string) {
		t.Helper()
		if r := c.OnNode(t, "cp1", "sed", "-i", "s/--leader-elect="+from+"/--leader-elect="+to+"/", "/etc/kubernetes/manifests/kube-scheduler.yaml"); r.Code != 0 {
			t.Fatalf("exit %d: %s", r.Code, r.Stderr)
		}
		harness.Eventually(t, 3*time.Minute, func() (string, bool) {
			args := c.Kubectl(t, "-n", "kube-system", "get", "pod", "kube-scheduler-cp1", "-o", "jsonpath={.spec.containers[0].command} {.status.containerStatuses[0].ready}").Stdout
			return args, strings.Contains(args, "--leader-elect="+to) && strings.HasSuffix(args, " true")
		})
	}
	t.Cleanup(func() {
		c.OnNode(t, "cp1", "sed", "-i", "s/--leader-elect=false/--leader-elect=true/", "/etc/kubernetes/manifests/kube-scheduler.yaml")
	})
	set("true", "false")
	harness.Eventually(t, 3*time.Minute, func() (string, bool) { // a Lease that is this old is a scheduler that is gone
		at := strings.TrimSpace(c.MustKubectl(t, "-n", "kube-system", "get", "lease", "kube-scheduler", "-o", "jsonpath={.spec.renewTime}"))
		renewed, err := time.Parse(time.RFC3339, at)
		return "renewed at " + at, err == nil && time.Since(renewed) > time.Minute
	})
	healthy(t, c, "cp1")
	set("false", "true")
	healthy(t, c, "cp1")
}
