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

// preview waits until the preview of a drain of w2 has a verdict and exactly these findings of causes.
func preview(t *testing.T, c *harness.Cluster, verdict report.DrainVerdict, causes ...finding.Code) report.Drain {
	t.Helper()
	var d report.Drain
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		r := c.Kubectl(t, "nodeinfo", "--drain", "w2", "-o", "json")
		d = report.Drain{}
		if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil {
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

// A budget blocks and its next command frees it, a pod has no room elsewhere, and where nothing is in the way the printed line
// drains the node as it was told.
func TestDrainPreview(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1", "w2")
	ns := c.Namespace(t)
	t.Cleanup(func() { c.Kubectl(t, "uncordon", "w2") })
	workload := func(name string, replicas int, cpu string) {
		c.Apply(t, fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 1
      affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, preference: {matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [w2]}]}}]}}
      containers: [{name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [sleep, "100000"], resources: {requests: {cpu: %[4]s}}}]
`, name, ns, replicas, cpu))
		c.MustKubectl(t, "rollout", "status", "deployment/"+name, "-n", ns, "--timeout=60s")
	}
	workload("web", 2, "10m")
	c.MustKubectl(t, "create", "pdb", "web", "-n", ns, "--selector=app=web", "--min-available=2")
	blocked := preview(t, c, report.DrainBlocked, "DrainBlockedByPDB")
	f := blocked.Findings[0]
	if !strings.Contains(f.Message, "PodDisruptionBudget "+ns+"/web allows no disruption: minAvailable 2 requires 2 of 2 healthy") {
		t.Error(f.Message)
	}
	if r := c.Sh(t, blocked.Command.Command+" --timeout=3s"); r.Code == 0 || !strings.Contains(r.Stderr, "violate the pod's disruption budget") {
		t.Errorf("the drain is not blocked: %s%s", r.Stdout, r.Stderr)
	}
	c.MustKubectl(t, "uncordon", "w2")
	if step := f.Next[len(f.Next)-1]; step.Risk != finding.Change || c.Sh(t, step.Command).Code != 0 {
		t.Errorf("%+v", step)
	}
	freed := preview(t, c, report.Drainable)

	// One more than w1 would have free then, of a pod that w2 can hold, because w1 has something of its own.
	c.Apply(t, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: own, namespace: %s}
spec:
  nodeName: w1
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [sleep, "100000"], resources: {requests: {cpu: 200m}}}]
`, ns))
	at := slices.IndexFunc(freed.Rooms, func(r report.DrainRoom) bool { return r.Node == "w1" })
	workload("big", 1, fmt.Sprintf("%dm", freed.Rooms[at].Free["cpu"].Value-100))
	full := preview(t, c, report.Risky, "DrainPodsUnplaced")
	if f := full.Findings[0]; !strings.Contains(f.Message, ns+"/big-") || !strings.Contains(f.Message, "nearest is w1, requires ") {
		t.Error(f.Message)
	}
	c.MustKubectl(t, "delete", "deployment/big", "pdb/web", "-n", ns)

	d := preview(t, c, report.Drainable)
	if r := c.Sh(t, d.Command.Command+" --timeout=90s"); r.Code != 0 {
		t.Fatalf("%s: exit %d: %s", d.Command.Command, r.Code, r.Stderr)
	}
	var stays []string
	for _, p := range d.Pods {
		if p.Fate == report.PodOfDaemonSet || p.Fate == report.PodStatic {
			stays = append(stays, p.Name)
		}
	}
	slices.Sort(stays)
	left := strings.Fields(c.MustKubectl(t, "get", "pods", "-A", "--field-selector=spec.nodeName=w2", "-o", "jsonpath={.items[*].metadata.name}"))
	if slices.Sort(left); !slices.Equal(left, stays) {
		t.Errorf("left on the node %v, told %v", left, stays)
	}
	c.MustKubectl(t, "rollout", "status", "deployment/web", "-n", ns, "--timeout=60s")
}
