package nodeinfo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// removal waits until the preview of a removal of w2 has a verdict and exactly these findings of causes.
func removal(t *testing.T, c *harness.Cluster, verdict report.DrainVerdict, causes ...finding.Code) report.Drain {
	t.Helper()
	var d report.Drain
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		r := c.Kubectl(t, "nodeinfo", "--remove", "w2", "-o", "json")
		d = report.Drain{}
		if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil || d.Removal == nil {
			return r.Stderr, false
		}
		var got []finding.Code
		for _, f := range d.Findings {
			if f.Severity != finding.Info {
				got = append(got, f.Code)
			}
		}
		return fmt.Sprintf("%s %v: %s", d.Verdict, got, d.Summary), d.Verdict == verdict && slices.Equal(got, causes)
	})
	return d
}

// follows runs the reading commands of a list.
func follows(t *testing.T, c *harness.Cluster, list []finding.Next) {
	t.Helper()
	var steps []harness.Step
	for _, next := range list {
		steps = append(steps, harness.Step{Command: next.Command, Why: next.Why, Risk: string(next.Risk)})
	}
	for _, dead := range c.Follow(t, steps, nil) {
		t.Errorf("a command leads nowhere: %s", dead)
	}
}

// A volume of the machine is told, and with the printed commands the node is gone: what goes by itself goes.
func TestARemovedNode(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1", "w2")
	t.Cleanup(func() { c.Kubectl(t, "uncordon", "w2") })
	ns := c.Namespace(t)
	t.Cleanup(func() { c.Kubectl(t, "delete", "pv", ns+"-disk", "--ignore-not-found", "--timeout=20s") })
	c.Apply(t, fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s-disk}
spec:
  capacity: {storage: 1Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: %[1]s
  claimRef: {namespace: %[1]s, name: data}
  local: {path: /mnt}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [w2]}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: %[1]s}
spec: {storageClassName: %[1]s, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`, ns))
	lost := removal(t, c, report.Risky, "RemoveLosesVolumes")
	follows(t, c, lost.Findings[0].Next)
	c.MustKubectl(t, "delete", "pvc/data", "-n", ns)
	c.MustKubectl(t, "delete", "pv", ns+"-disk")
	d := removal(t, c, report.Removable)

	var heal func()
	for _, step := range d.Removal.Steps {
		switch {
		case strings.Contains(step.Command, "systemctl disable --now kubelet"):
			heal = c.Fault(t, "stop-kubelet", "w2") // nodes of the embedded cluster have no systemd
		case step.Risk != finding.Read:
			if r := c.Sh(t, step.Command); r.Code != 0 {
				t.Fatalf("%s: exit %d: %s", step.Command, r.Code, r.Stderr)
			}
		}
	}
	if heal == nil {
		t.Fatalf("the kubelet is not stopped: %+v", d.Removal.Steps)
	}
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		last := d.Removal.Steps[len(d.Removal.Steps)-1]
		r := c.Sh(t, last.Command)
		return r.Stdout + r.Stderr, r.Code == 0 && strings.Contains(last.Command, "get pods") && strings.HasPrefix(r.Stderr, "No resources found")
	})
	for _, left := range d.Removal.Left {
		args := []string{"get", strings.ToLower(left.Object.Kind), left.Object.Name, "--ignore-not-found"}
		if left.Object.Namespace != "" {
			args = append(args, "-n", left.Object.Namespace)
		}
		if out := c.MustKubectl(t, args...); left.Fate != report.LeftGoes || out != "" {
			t.Errorf("%s %s: %s", left.Object, left.Fate, out)
		}
	}
	heal()
	healthy(t, c, "w2")
}
