package nodeinfo

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// What a driver would publish is written by hand, the scheduler allocates of it, and the kubelet, which knows no such driver, starts
// nothing. First the driver says that the device is not ready, then nothing is published any more.
func TestDevicesOfResourceClaims(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1")
	ns := c.Namespace(t)
	driver := ns + ".example.com"
	t.Cleanup(func() { c.Kubectl(t, "delete", "resourceslice,deviceclass", driver, "--ignore-not-found") })
	c.Apply(t, fmt.Sprintf(`apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: %[1]s}
spec: {selectors: [{cel: {expression: 'device.driver == "%[1]s"'}}]}
---
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {name: %[1]s}
spec:
  driver: %[1]s
  nodeName: w1
  pool: {name: w1, generation: 1, resourceSliceCount: 1}
  devices: [{name: gpu-0}, {name: gpu-1}]
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: train, namespace: %[2]s}
spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: %[1]s}}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: train, namespace: %[2]s}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [sleep, "100000"], resources: {claims: [{name: gpu}]}}]
  resourceClaims: [{name: gpu, resourceClaimName: train}]
`, driver, ns))
	c.MustKubectl(t, "wait", "--for=condition=PodScheduled", "pod/train", "-n", ns, "--timeout=30s")
	c.MustKubectl(t, "patch", "resourceclaim", "train", "-n", ns, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status":{"devices":[{"driver":%q,"pool":"w1","device":%q,"conditions":[{"type":"Ready","status":"False","reason":"ResetFailed","message":"","lastTransitionTime":%q}]}]}}`,
		driver, held(t, c, driver).Device, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)))
	hasFinding(t, c, "ClaimedDeviceUnusable", "is not ready, as its driver reports (ResetFailed) (pod "+ns+"/train)")

	c.MustKubectl(t, "delete", "resourceslice", driver)
	hasFinding(t, c, "DeviceDriverNotPublishing", driver+" publishes no device, but pods use 1 device of it: "+ns+"/train")
	waitsForDriver(t, c, ns)
	if d := held(t, c, driver); d.Published || d.Claim != "train" || !slices.Equal(d.Pods, []string{"train"}) {
		t.Errorf("%+v", d)
	}
}

// waitsForDriver waits until the pod that the kubelet does not start, since its driver is gone, is a consequence of that.
func waitsForDriver(t *testing.T, c *harness.Cluster, namespace string) {
	t.Helper()
	soon := thresholds(t, "podStart: 10s\n")
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		n, _, err := look(t, c, want{node: "w1", flags: []string{soon}})
		return fmt.Sprintf("%v %+v", err, n.Consequences), slices.ContainsFunc(n.Consequences, func(e finding.Consequence) bool {
			return e.Code == "PodNotStarting" && e.CausedBy == "DeviceDriverNotPublishing" && e.Object.Namespace == namespace
		})
	})
}

// hasFinding waits until w1 has a finding that ends so, and follows its next commands.
func hasFinding(t *testing.T, c *harness.Cluster, code finding.Code, end string) {
	t.Helper()
	var f finding.Finding
	harness.Eventually(t, 20*time.Second, func() (string, bool) {
		n, _, err := look(t, c, want{node: "w1"})
		if err != nil {
			return err.Error(), false
		}
		i := slices.IndexFunc(n.Findings, func(f finding.Finding) bool { return f.Code == code && strings.HasSuffix(f.Message, end) })
		if i < 0 {
			return fmt.Sprintf("%s: %+v", n.Summary, n.Findings), false
		}
		f = n.Findings[i]
		return "", true
	})
	var steps []harness.Step
	for _, next := range f.Next {
		steps = append(steps, harness.Step{Command: next.Command, Why: next.Why, Risk: string(next.Risk)})
	}
	for _, dead := range c.Follow(t, steps, nil) {
		t.Errorf("a next command of %s leads nowhere: %s", code, dead)
	}
}

// held is the one device that is allocated of the driver on w1.
func held(t *testing.T, c *harness.Cluster, driver string) report.AllocatedDevice {
	t.Helper()
	var device report.AllocatedDevice
	harness.Eventually(t, 20*time.Second, func() (string, bool) {
		n, _, err := look(t, c, want{node: "w1"})
		if err != nil {
			return err.Error(), false
		}
		for _, p := range n.ResourcePools {
			if p.Driver == driver && len(p.Allocated) == 1 {
				device = p.Allocated[0]
				return "", true
			}
		}
		return fmt.Sprintf("%+v", n.ResourcePools), false
	})
	return device
}
