package makes

import (
	"fmt"
	"os"
	"os/exec"
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

// A container finds its device in its environment, the kubelet reports the device's health, and nodeinfo shows which pod has which.
func TestPodsWithDevices(t *testing.T) {
	c := devices(t)
	ns := c.Namespace(t)
	c.Apply(t, gpus("api", 2, rolling), "-n", ns)
	complete(t, c, ns, "deployment/api")
	for _, d := range allocated(t, c, 2).Allocated {
		if d.Namespace != ns || !d.Published || len(d.Pods) != 1 {
			t.Fatalf("%+v", d)
		}
		if log := c.MustKubectl(t, "logs", d.Pods[0], "-n", ns); !strings.Contains(log, "=w1/"+d.Device+"\n") {
			t.Errorf("pod %s has %s, and finds %q", d.Pods[0], d.Device, log)
		}
	}
	health := c.MustKubectl(t, "get", "pods", "-n", ns, "-o", "jsonpath={.items[*].status.containerStatuses[*].allocatedResourcesStatus[*].resources[*].health}")
	if health != "Healthy Healthy" {
		t.Errorf("the kubelet reports %q", health)
	}

	// Another workload finds none free. The same one blocks itself, and the printed command ends that.
	c.Apply(t, gpus("web", 1, rolling), "-n", ns)
	explained(t, c, ns, "deployment/web", "ResourceClaimUnsatisfied", "cannot allocate all claims", "the pod requests devices of DeviceClass "+draDriver)
	c.MustKubectl(t, "delete", "deployment/web", "-n", ns)
	c.MustKubectl(t, "patch", "deployment/api", "-n", ns, "-p", `{"spec":{"template":{"metadata":{"annotations":{"v":"2"}}}}}`)
	said := explained(t, c, ns, "deployment/api", "ResourceClaimUnsatisfied", "deadlock with old pods api-", "over devices of DeviceClass "+draDriver)
	change := said.Findings[0].Next[0]
	if said.Verdict != rollout.Stuck || change.Risk != finding.Change || !strings.Contains(change.Command, "maxSurge") {
		t.Fatalf("%s: %+v", said.Verdict, said.Findings[0].Next)
	}
	if r := c.Sh(t, change.Command); r.Code != 0 {
		t.Fatalf("%s: %s", change.Command, r.Stderr)
	}
	complete(t, c, ns, "deployment/api")
	allocated(t, c, 2)
}

// The scheduler says nothing of a pod whose claim does not exist, and little of one whose DeviceClass does not.
func TestClaimsThatDoNotExist(t *testing.T) {
	c := devices(t)
	ns := c.Namespace(t)
	absent := func(name, source string) string {
		return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {replicas: 1, selector: {matchLabels: {app: %[1]s}},
 template: {metadata: {labels: {app: %[1]s}}, spec: {terminationGracePeriodSeconds: 1, resourceClaims: [{name: gpu, %[2]s}],
  containers: [{name: main, image: "testapp:1", resources: {claims: [{name: gpu}]}}]}}}}
---
`, name, source)
	}
	c.Apply(t, absent("template", "resourceClaimTemplateName: nope")+absent("claim", "resourceClaimName: nope")+absent("class", "resourceClaimName: classless")+
		`{apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: {name: classless}, spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: nope.example.test}}]}}}`, "-n", ns)
	explained(t, c, ns, "deployment/class", "ResourceClaimUnsatisfied", `DeviceClass "nope.example.test" does not exist`)
	explained(t, c, ns, "deployment/claim", "ResourceClaimNotFound", `ResourceClaim "nope" does not exist`)
	explained(t, c, ns, "deployment/template", "ResourceClaimNotFound", `ResourceClaimTemplate "nope" does not exist`)
}

// A driver that fails, one that is gone, and what that keeps from ending.
func TestADeviceDriverThatFails(t *testing.T) {
	c := devices(t)
	ns := c.Namespace(t)
	c.Apply(t, gpus("api", 1, "{type: Recreate}"), "-n", ns)
	complete(t, c, ns, "deployment/api")
	heal := c.Fault(t, "fail-dra-prepare", "w1")
	c.Apply(t, gpus("web", 1, rolling), "-n", ns)
	explained(t, c, ns, "deployment/web", "FailedPrepareDynamicResources", "the DRA driver on node w1 cannot prepare ResourceClaim web-", "the device does not answer")
	nodeHas(t, c, "w1", "PodNotStarting", "FailedPrepareDynamicResources", "the device does not answer")
	heal()

	heal = c.Fault(t, "drop-dra-driver", "w1")
	nodeHas(t, c, "w1", "DeviceDriverNotPublishing", draDriver+" publishes no device, but pods use")
	c.MustKubectl(t, "rollout", "restart", "deployment/api", "-n", ns)
	explained(t, c, ns, "deployment/api", "PodStuckTerminating", "only after DRA driver "+draDriver+" has unprepared its devices")
	harness.Eventually(t, 3*time.Minute, func() (string, bool) {
		n := node(t, c, "w1")
		return fmt.Sprintf("%s: %+v", n.Summary, n.Consequences), slices.ContainsFunc(n.Consequences, func(e finding.Consequence) bool {
			return e.Code == "PodStuckTerminating" && e.CausedBy == "DeviceDriverNotPublishing" && e.Object.Namespace == ns
		})
	})
	heal()
	c.MustKubectl(t, "rollout", "status", "deployment/web", "-n", ns, "--timeout=240s")
	c.MustKubectl(t, "rollout", "status", "deployment/api", "-n", ns, "--timeout=240s")
	complete(t, c, ns, "deployment/api")
	allocated(t, c, 2)
}

// What its driver says of a device is in the status of the pod that has it; a taint takes the device from pods, old or new.
func TestAnUnhealthyDevice(t *testing.T) {
	c := devices(t)
	ns := c.Namespace(t)
	c.Apply(t, gpus("api", 2, rolling), "-n", ns)
	complete(t, c, ns, "deployment/api")
	heal := c.Fault(t, "break-dra-device", "w1")
	nodeHas(t, c, "w1", "DeviceUnhealthy", "-gpu-0 of claim:gpu is unhealthy", ns+"/api-")
	heal()
	allocated(t, c, 2)
	heal = c.Fault(t, "break-dra-device", "w1", "--device", "gpu-1", "--effect", "NoExecute")
	explained(t, c, ns, "deployment/api", "ResourceClaimUnsatisfied", "cannot allocate all claims")
	n := node(t, c, "w1")
	if p, is := pool(n); !is || p.TaintedDevices != 1 || len(p.Allocated) != 1 || p.Allocated[0].Device != "gpu-0" {
		t.Errorf("%+v", n.ResourcePools)
	}
	heal()
	complete(t, c, ns, "deployment/api")
	allocated(t, c, 2)
}

// The driver's own tests, on what the other tests rest on.
func TestTheDeviceDriver(t *testing.T) {
	test := exec.Command("go", "test", "-count=1", ".")
	test.Dir = "../../cluster/components/dra"
	test.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := test.CombinedOutput(); err != nil || strings.Contains(string(out), "no tests to run") {
		t.Errorf("%v\n%s", err, out)
	}
}
