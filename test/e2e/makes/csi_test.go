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

// csiDriver is the driver of a cluster made --with csi.
const csiDriver = "disk.csi.example.test"

// claim is a PersistentVolumeClaim of a class.
func claim(name, class, mode string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: %s}, spec: {storageClassName: %s, accessModes: [%s], "+
		"resources: {requests: {storage: 16Mi}}}}\n---\n", name, class, mode)
}

// onClaim is a Deployment of one pod with a claim; the pod's spec gets the rest.
func onClaim(name, claim, strategy, spec string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {replicas: 1, strategy: %[3]s, selector: {matchLabels: {app: %[1]s}},
 template: {metadata: {labels: {app: %[1]s}}, spec: {terminationGracePeriodSeconds: 1, %[4]s,
  containers: [{name: main, image: "testapp:1", volumeMounts: [{name: data, mountPath: /data}]}],
  volumes: [{name: data, persistentVolumeClaim: {claimName: %[2]s}}]}}}}
`, name, claim, strategy, spec)
}

const (
	rolling = "{type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"
	onW1    = "nodeSelector: {kubernetes.io/hostname: w1}"
)

func moveTo(node string) string {
	return fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":%q}}}}}`, node)
}

func complete(t *testing.T, c *harness.Cluster, ns, target string) {
	t.Helper()
	c.MustKubectl(t, "rollout", "status", target, "-n", ns, "--timeout=90s")
	var said rollout.Rollout
	harness.Eventually(t, 20*time.Second, func() (string, bool) { // pods that were too many may still end
		said = rollout.Rollout{}
		read(t, c, &said, "rollout-explain", target, "-n", ns, "-o", "json")
		wrong := slices.ContainsFunc(said.Findings, func(f rollout.Finding) bool { return f.Severity != finding.Info })
		return fmt.Sprintf("%s: %s: %s %+v", target, said.Verdict, said.Summary, said.Findings), said.Verdict == rollout.Complete && !wrong
	})
	c.Settle(t, string(rollout.Complete), said.Summary, "rollout-explain", target, "-n", ns)
}

// explained waits until a rollout has a root of a code whose sentence holds all of the words.
func explained(t *testing.T, c *harness.Cluster, ns, target string, code finding.Code, words ...string) rollout.Rollout {
	t.Helper()
	var said rollout.Rollout
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		said = rollout.Rollout{}
		read(t, c, &said, "rollout-explain", target, "-n", ns, "-o", "json")
		found := len(said.Findings) > 0 && said.Findings[0].Role == rollout.RootCause && said.Findings[0].Code == code
		for _, w := range words {
			found = found && strings.Contains(said.Summary, w)
		}
		return fmt.Sprintf("%s: %s %+v", said.Verdict, said.Summary, said.Findings), found
	})
	follow(t, c, []finding.Finding{said.Findings[0].Finding})
	c.Settle(t, string(code), said.Summary, "rollout-explain", target, "-n", ns)
	return said
}

// node is what nodeinfo says of one.
func node(t *testing.T, c *harness.Cluster, name string) nodeinfo.Node {
	t.Helper()
	var nodes nodeinfo.List
	read(t, c, &nodes, "nodeinfo", name, "-o", "json")
	return nodes.Items[0]
}

func nodeHas(t *testing.T, c *harness.Cluster, name string, code finding.Code, words ...string) {
	t.Helper()
	var found finding.Finding
	harness.Eventually(t, 4*time.Minute, func() (string, bool) {
		n := node(t, c, name)
		i := slices.IndexFunc(n.Findings, func(f finding.Finding) bool {
			return f.Code == code && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(f.Message, w) })
		})
		if i >= 0 {
			found = n.Findings[i]
		}
		return fmt.Sprintf("%s: %s %+v", n.Verdict, n.Summary, n.Findings), i >= 0
	})
	follow(t, c, []finding.Finding{found})
	c.Settle(t, string(code), found.Message, "nodeinfo", name)
}

func nodeHealthy(t *testing.T, c *harness.Cluster, name string, attached int64) {
	t.Helper()
	var n nodeinfo.Node
	harness.Eventually(t, time.Minute, func() (string, bool) {
		n = node(t, c, name)
		d := n.Storage.Drivers
		return fmt.Sprintf("%s: %s %+v %+v", n.Verdict, n.Summary, n.Findings, d), n.Verdict == nodeinfo.Healthy &&
			len(d) == 1 && d[0].Name == csiDriver && d[0].Attached != nil && *d[0].Attached == attached && d[0].Limit != nil && *d[0].Limit == 4
	})
	c.Settle(t, string(nodeinfo.Healthy), n.Summary, "nodeinfo", name)
}

// A rolling update that takes its pod to another node waits for a volume that the old pod keeps, and the printed command ends that.
func TestAVolumeThatTwoNodesWant(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.Apply(t, claim("data", "csi", "ReadWriteOnce")+onClaim("api", "data", rolling, onW1), "-n", ns)
	complete(t, c, ns, "deployment/api")
	nodeHealthy(t, c, "w1", 1)
	c.MustKubectl(t, "patch", "deployment/api", "-n", ns, "-p", moveTo("w2"))
	said := explained(t, c, ns, "deployment/api", "MultiAttachError", "is attached to node w1; old pod api-", "a deadlock")
	if said.Verdict != rollout.Stuck {
		t.Errorf("%s: %s", said.Verdict, said.Summary)
	}
	i := slices.IndexFunc(said.Findings[0].Next, func(n finding.Next) bool { return strings.Contains(n.Command, "Recreate") })
	if i < 0 {
		t.Fatalf("no command sets the strategy: %+v", said.Findings[0].Next)
	}
	if r := c.Sh(t, said.Findings[0].Next[i].Command); r.Code != 0 {
		t.Fatalf("%s: %s", said.Findings[0].Next[i].Command, r.Stderr)
	}
	complete(t, c, ns, "deployment/api")
}

// The node of the old pod is cut off: nobody confirms there that the volume is free, and the printed command ends that, too.
func TestAVolumeOnANodeThatIsCutOff(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	soon := ", tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}]"
	c.Apply(t, claim("data", "csi", "ReadWriteOnce")+onClaim("api", "data", "{type: Recreate}",
		"affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, preference: {matchExpressions: "+
			"[{key: kubernetes.io/hostname, operator: In, values: [w1]}]}}]}}"+soon), "-n", ns)
	complete(t, c, ns, "deployment/api")
	heal := c.Fault(t, "cut-api", "w1")
	said := explained(t, c, ns, "deployment/api", "TerminatingOnNotReadyNode", "node w1")
	i := slices.IndexFunc(said.Findings, func(f rollout.Finding) bool { return f.Code == "MultiAttachError" })
	if i < 0 || !strings.Contains(said.Findings[i].Message, "is attached to node w1, and stays so until pod api-") {
		t.Errorf("what the new pod waits for is not said: %+v", said.Findings)
	}
	const taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
	i = slices.IndexFunc(said.Findings[0].Next, func(n finding.Next) bool { return strings.Contains(n.Command, taint) })
	if i < 0 {
		t.Fatalf("no command lets go of the node: %+v", said.Findings[0].Next)
	}
	t.Cleanup(func() { c.MustKubectl(t, "taint", "node", "w1", taint+"-") })
	if r := c.Sh(t, said.Findings[0].Next[i].Command); r.Code != 0 {
		t.Fatalf("%s: %s", said.Findings[0].Next[i].Command, r.Stderr)
	}
	complete(t, c, ns, "deployment/api")
	heal()
	c.MustKubectl(t, "wait", "node/w1", "--for=condition=Ready", "--timeout=120s")
}

// A node takes four volumes: the scheduler keeps the fifth pod off, and the driver refuses one that was not asked of the scheduler.
func TestTheLimitOfVolumesOfANode(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.Apply(t, `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {replicas: 5, podManagementPolicy: Parallel, serviceName: db,
 selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {terminationGracePeriodSeconds: 1, `+onW1+`,
  containers: [{name: main, image: "testapp:1", volumeMounts: [{name: data, mountPath: /data}]}]}},
 volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: csi, accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}}]}}`, "-n", ns)
	c.MustKubectl(t, "wait", "statefulset/db", "--for=jsonpath={.status.availableReplicas}=4", "--timeout=90s", "-n", ns)
	explained(t, c, ns, "statefulset/db", "VolumeLimitReached", "exceed max volume count")
	nodeHas(t, c, "w1", "VolumeLimitReached", csiDriver+" has reached its volume limit: 4 of 4 are attached")
	nodeHealthy(t, c, "w2", 0)
	c.Apply(t, claim("more", "csi-immediate", "ReadWriteOnce")+onClaim("api", "more", rolling, "nodeName: w1"), "-n", ns)
	explained(t, c, ns, "deployment/api", "FailedAttachVolume", `node "w1" has 4 volumes, and takes no more`)
	nodeHas(t, c, "w1", "VolumeAttachmentError", "cannot be attached to this node", `node "w1" has 4 volumes, and takes no more`)
	c.MustKubectl(t, "scale", "statefulset/db", "--replicas=2", "-n", ns)
	complete(t, c, ns, "statefulset/db")
	complete(t, c, ns, "deployment/api")
	nodeHealthy(t, c, "w1", 3)
}

// A claim that waits for its first pod is as it should be; what keeps the pod off is the cause. A claim that cannot be provisioned is one.
func TestAClaimThatWaitsForItsPod(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.Apply(t, claim("data", "csi", "ReadWriteOnce")+onClaim("api", "data", rolling, "nodeSelector: {disk: fast}"), "-n", ns)
	said := explained(t, c, ns, "deployment/api", "NodeAffinityUnsatisfied", "disk=fast")
	if strings.Contains(said.Summary, "PersistentVolumeClaim") {
		t.Errorf("the claim is blamed: %s", said.Summary)
	}
	c.MustKubectl(t, "patch", "deployment/api", "-n", ns, "--type=json", "-p", `[{"op":"remove","path":"/spec/template/spec/nodeSelector"}]`)
	complete(t, c, ns, "deployment/api")
	for _, class := range []string{"csi", "csi-immediate"} {
		c.Apply(t, claim(class, class, "ReadWriteMany")+onClaim(class, class, rolling, onW1), "-n", ns)
		explained(t, c, ns, "deployment/"+class, "PVCNotBound", fmt.Sprintf("%q is Pending", class), "one node at a time can use a volume")
	}
}

// An expansion passes through its steps, or the API server refuses it: neither is a fault of a rollout or of a node.
func TestAVolumeThatIsExpanded(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.Apply(t, claim("data", "csi", "ReadWriteOnce")+onClaim("api", "data", "{type: Recreate}", onW1), "-n", ns)
	c.Apply(t, claim("fixed", "csi-immediate", "ReadWriteOnce")+onClaim("web", "fixed", "{type: Recreate}", onW1), "-n", ns)
	complete(t, c, ns, "deployment/api")
	complete(t, c, ns, "deployment/web")
	larger := func(size string) string { return `{"spec":{"resources":{"requests":{"storage":"` + size + `"}}}}` }
	c.MustKubectl(t, "patch", "pvc/data", "-n", ns, "-p", larger("32Mi"))
	c.MustKubectl(t, "wait", "pvc/data", "--for=jsonpath={.status.capacity.storage}=32Mi", "--timeout=150s", "-n", ns)
	if r := c.Kubectl(t, "patch", "pvc/fixed", "-n", ns, "-p", larger("32Mi")); r.Code == 0 || !strings.Contains(r.Stderr, "must support resize") {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	// Without a pod, the file system stays as it is until the next one.
	c.MustKubectl(t, "scale", "deployment/api", "--replicas=0", "-n", ns)
	c.MustKubectl(t, "wait", "pod", "-l", "app=api", "--for=delete", "--timeout=60s", "-n", ns)
	c.MustKubectl(t, "patch", "pvc/data", "-n", ns, "-p", larger("64Mi"))
	c.MustKubectl(t, "wait", "pvc/data", "--for=condition=FileSystemResizePending", "--timeout=150s", "-n", ns)
	complete(t, c, ns, "deployment/api")
	c.MustKubectl(t, "scale", "deployment/api", "--replicas=1", "-n", ns)
	complete(t, c, ns, "deployment/api")
	complete(t, c, ns, "deployment/web")
	c.MustKubectl(t, "wait", "pvc/data", "--for=jsonpath={.status.capacity.storage}=64Mi", "--timeout=150s", "-n", ns)
	nodeHealthy(t, c, "w1", 2)
}

// Pods that run keep their volumes, and no other pod gets one: neither a volume that is attached already, nor one that is not.
func TestADriverThatIsGoneFromANode(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.Apply(t, claim("data", "csi", "ReadWriteOnce")+onClaim("api", "data", rolling, onW1), "-n", ns)
	complete(t, c, ns, "deployment/api")
	heal := c.Fault(t, "drop-csi-driver", "w1")
	complete(t, c, ns, "deployment/api")
	missing := "CSI driver " + csiDriver + " is not registered on node w1"
	c.MustKubectl(t, "scale", "deployment/api", "--replicas=2", "-n", ns)
	c.Apply(t, claim("more", "csi-immediate", "ReadWriteOnce")+onClaim("web", "more", rolling, onW1), "-n", ns)
	explained(t, c, ns, "deployment/api", "FailedMount", missing)
	explained(t, c, ns, "deployment/web", "FailedAttachVolume", missing)
	nodeHas(t, c, "w1", "CSIDriverPodNotReady", "disk-csi-node-")
	nodeHealthy(t, c, "w2", 0)
	heal()
	c.MustKubectl(t, "rollout", "status", "deployment/api", "-n", ns, "--timeout=150s")
	complete(t, c, ns, "deployment/api")
	c.MustKubectl(t, "rollout", "status", "deployment/web", "-n", ns, "--timeout=150s")
	complete(t, c, ns, "deployment/web")
	nodeHealthy(t, c, "w1", 2)
}

// Upstream's tests of the specification, on the driver that the other tests rest on.
func TestTheDriverKeepsToTheSpecification(t *testing.T) {
	test := exec.Command("go", "test", "-count=1", ".")
	test.Dir = "../../cluster/components/csi"
	test.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := test.CombinedOutput(); err != nil || strings.Contains(string(out), "no tests to run") {
		t.Errorf("%v\n%s", err, out)
	}
}
