package makes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	nodeinfo "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rollout "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// draDriver is the driver of a cluster made --with dra, and its DeviceClass. Each node has two devices.
const draDriver = "gpu.dra.example.test"

// devices is a cluster whose nodes have devices that pods claim.
func devices(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes-dra", 1, "--with", "dra")
}

// gpus is a ResourceClaimTemplate and a Deployment whose pods each have a device of w1 by it; the pods print their devices.
func gpus(name string, replicas int, strategy string) string {
	return fmt.Sprintf(`{apiVersion: resource.k8s.io/v1, kind: ResourceClaimTemplate, metadata: {name: %[1]s},
 spec: {spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: %[4]s}}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {replicas: %[2]d, strategy: %[3]s, selector: {matchLabels: {app: %[1]s}},
 template: {metadata: {labels: {app: %[1]s}}, spec: {terminationGracePeriodSeconds: 1, %[5]s,
  resourceClaims: [{name: gpu, resourceClaimTemplateName: %[1]s}],
  containers: [{name: main, image: "busybox:1.36", command: [sh, -c, "env | grep ^DRA_; exec sleep 100000"], resources: {claims: [{name: gpu}]}}]}}}}
`, name, replicas, strategy, draDriver, onW1)
}

// pool is what nodeinfo says of the driver's devices on w1.
func pool(n nodeinfo.Node) (pool nodeinfo.ResourcePool, is bool) {
	i := slices.IndexFunc(n.ResourcePools, func(p nodeinfo.ResourcePool) bool { return p.Driver == draDriver && p.Pool == "w1" })
	if i < 0 {
		return pool, false
	}
	return n.ResourcePools[i], true
}

// allocated waits until w1 is healthy with so many of its two devices in use.
func allocated(t *testing.T, c *harness.Cluster, count int) nodeinfo.ResourcePool {
	t.Helper()
	var seen nodeinfo.ResourcePool
	harness.Eventually(t, time.Minute, func() (string, bool) {
		n := node(t, c, "w1")
		p, is := pool(n)
		seen = p
		return fmt.Sprintf("%s: %s %+v %+v", n.Verdict, n.Summary, n.Findings, n.ResourcePools),
			n.Verdict == nodeinfo.Healthy && is && p.Devices == 2 && len(p.Allocated) == count && p.TaintedDevices == 0
	})
	return seen
}
