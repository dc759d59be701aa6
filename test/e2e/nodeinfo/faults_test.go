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

// The faults of one node follow each other; the two workers are broken side by side. A node falls from Ready a few
// times only: five within an hour would be flapping, and reported as such.
func TestNodeFaults(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "cp1", "w1", "w2")
	t.Run("cp1", func(t *testing.T) {
		t.Parallel()
		t.Run("SchedulerWithoutElection", func(t *testing.T) { schedulerWithoutElection(t, c) })
	})
	t.Run("w1", func(t *testing.T) {
		t.Parallel()
		t.Run("KubeletStopped", func(t *testing.T) { kubeletStopped(t, c, "w1") })
		t.Run("CutFromTheAPI", func(t *testing.T) { cutFromTheAPI(t, c, "w1") })
		t.Run("KubeletsPortCut", func(t *testing.T) { kubeletsPortCut(t, c, "w1") })
		t.Run("KubeletCrashes", func(t *testing.T) { kubeletCrashes(t, c, "w1") })
		t.Run("Cordoned", func(t *testing.T) { cordoned(t, c, "w1") })
		t.Run("TaintedByAUser", func(t *testing.T) { taintedByAUser(t, c, "w1") })
		t.Run("CrashLoopingPod", func(t *testing.T) { crashLoopingPod(t, c, "w1") })
		t.Run("StuckTerminatingPod", func(t *testing.T) { stuckTerminatingPod(t, c, "w1") })
		t.Run("KubeProxyRefuses", func(t *testing.T) { kubeProxyRefuses(t, c, "w1") })
	})
	t.Run("w2", func(t *testing.T) {
		t.Parallel()
		t.Run("RuntimeStopped", func(t *testing.T) { runtimeStopped(t, c, "w2") })
		t.Run("CNIBroken", func(t *testing.T) { cniBroken(t, c, "w2") })
		t.Run("DiskPressure", func(t *testing.T) { diskPressure(t, c, "w2") })
		t.Run("TaintedByAutoscaler", func(t *testing.T) { taintedByAutoscaler(t, c, "w2") })
		t.Run("LeakedAddresses", func(t *testing.T) { leakedAddresses(t, c, "w2") })
		t.Run("KubeProxyLosesItsNode", func(t *testing.T) { kubeProxyLosesItsNode(t, c, "w2") })
		t.Run("WrongClusterDNSIsNotTheNodesHealth", func(t *testing.T) { wrongClusterDNS(t, c, "w2") })
		t.Run("EvictionNear", func(t *testing.T) { evictionNear(t, c, "w2") })
		t.Run("LeaseDenied", func(t *testing.T) { leaseDenied(t, c, "w2") })
	})
}

// First Ready is still True and only the heartbeat tells; then it is Unknown. The table and the report agree.
func kubeletStopped(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "stop-kubelet", node)
	late := becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Degraded, code: "HeartbeatLate", text: "Ready=True may be out of date"})
	if !strings.HasPrefix(late.Status, "Ready") {
		t.Errorf("the status is %s", late.Status)
	}
	becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Unhealthy, code: "KubeletNotReporting", exit: 3, text: "look the same"})
	if line := row(t, c, node); !strings.Contains(line, "Unhealthy") || !strings.Contains(line, "KubeletNotReporting") {
		t.Errorf("the fleet's row: %s", line)
	}
	becomes(t, c, time.Minute, want{node: node, verdict: report.Unhealthy, code: "KubeletNotReporting", exit: 3, text: "the kubelet is not running", flags: []string{"--kubelet"}})
	dumped(t, c, node)
	heal()
	healthy(t, c, node)
}

// dumped reads the silent node from dumps, without the cluster: only with the times of the API server is the heartbeat known.
func dumped(t *testing.T, c *harness.Cluster, node string) {
	for flag, known := range map[string]bool{"--show-managed-fields=false": false, "--show-managed-fields": true} {
		r := c.Sh(t, "kubectl get nodes,leases,pods,events,daemonsets -A -o yaml "+flag+" | KUBECONFIG=/dev/null kubectl nodeinfo -f - -o json")
		var list report.List
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || len(list.Items) != 3 {
			t.Fatalf("exit %d, %d nodes: %s", r.Code, len(list.Items), r.Stderr)
		}
		for _, n := range list.Items {
			silent := slices.ContainsFunc(n.Findings, func(f finding.Finding) bool { return f.Code == "KubeletNotReporting" })
			if silent != (n.Name == node) || n.Pods == nil {
				t.Errorf("kubectl get %s: %s is %s: %s", flag, n.Name, n.Verdict, n.Summary)
			}
			if h := n.Health.Heartbeat; (h != nil && h.AgeSeconds != nil) != known {
				t.Errorf("kubectl get %s: the heartbeat of %s is %+v", flag, n.Name, h)
			}
		}
	}
}

// A node that is cut off looks dead, until it is asked itself: its kubelet may hang, for it asks the API server who may
// talk to it, but kube-proxy on the same machine answers.
func cutFromTheAPI(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "cut-api", node)
	becomes(t, c, 3*time.Minute, want{node: node, verdict: report.Unhealthy, code: "KubeletNotReporting", exit: 3})
	becomes(t, c, time.Minute, want{node: node, verdict: report.Unhealthy, code: "KubeletNotReporting", exit: 3, text: "the machine is up", flags: []string{"--kubelet"}})
	heal()
	healthy(t, c, node)
}

// The heartbeat goes on, and logs, exec and usage figures do not: what a firewall between API server and node does.
func kubeletsPortCut(t *testing.T, c *harness.Cluster, node string) {
	heal := func() { c.OnNode(t, node, "nft", "delete", "table", "ip", "e2eport") }
	t.Cleanup(heal)
	if r := c.OnNode(t, node, "sh", "-c", "nft add table ip e2eport; nft add chain ip e2eport i '{ type filter hook input priority -5; }'; nft add rule ip e2eport i tcp dport 10250 drop"); r.Code != 0 {
		t.Fatalf("nft: %s", r.Stderr)
	}
	becomes(t, c, time.Minute, want{node: node, verdict: report.Degraded, code: "KubeletUnreachable", text: "although its heartbeat is current", flags: []string{"--kubelet"}})
	heal()
	becomes(t, c, time.Minute, want{node: node, verdict: report.Healthy, flags: []string{"--kubelet"}})
}

// A kubelet that does not accept its configuration: it registers, renews its Lease and ends, again and again, and the node stays Ready.
func kubeletCrashes(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "memory-pressure", node, "--evict", "--threshold", "100Ti")
	becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Unhealthy, code: "KubeletRestarting", exit: 3, text: "it ends shortly after each start"})
	heal()
	healthy(t, c, node)
}

func runtimeStopped(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "stop-runtime", node)
	n := becomes(t, c, 3*time.Minute, want{node: node, verdict: report.Unhealthy, code: "ContainerRuntimeDown", exit: 3, text: "containerd"})
	if n.Components.Runtime.Version != "" && n.Components.Runtime.Version == "Unknown" {
		t.Errorf("a runtime that does not answer has the version %q", n.Components.Runtime.Version)
	}
	heal()
	healthy(t, c, node)
}

// The pod that cannot get a network is a consequence, not a second trouble.
func cniBroken(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "break-cni", node)
	becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Unhealthy, code: "NetworkPluginNotReady", exit: 3, text: "no usable CNI configuration"})
	heal()
	healthy(t, c, node)
}

func diskPressure(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "fill-disk", node)
	becomes(t, c, 3*time.Minute, want{node: node, verdict: report.Unhealthy, code: "DiskPressure", exit: 3, flags: []string{"--kubelet"}})
	r := c.Kubectl(t, "nodeinfo", node, "--kubelet", "--section=storage", "--timeout=40s")
	if !strings.Contains(r.Stdout, "FILESYSTEM") {
		t.Errorf("no figures of the file systems:\n%s", r.Stdout)
	}
	heal()
	harness.Eventually(t, 7*time.Minute, func() (string, bool) {
		n, _, err := look(t, c, want{node: node})
		if err != nil {
			return err.Error(), false
		}
		return n.Summary, n.Verdict == report.Healthy
	})
}

// Closed by somebody is no illness: since when and by what program is said.
func cordoned(t *testing.T, c *harness.Cluster, node string) {
	watch := c.Watch(t, "kubectl-nodeinfo", "-w", "--no-headers", "--field-selector=metadata.name="+node, "--timeout=40s")
	watch.Await(t, time.Minute, node, 1)
	c.MustKubectl(t, "cordon", node)
	t.Cleanup(func() { c.Kubectl(t, "uncordon", node) })
	watch.Await(t, time.Minute, "SchedulingDisabled", 1)
	watch.Interrupt(t)
	if out := watch.Output(t); strings.Count(out, node+" ") != 2 {
		t.Errorf("not printed twice:\n%s", out)
	}
	n := becomes(t, c, time.Minute, want{node: node, verdict: report.Healthy, code: "Cordoned", text: "by kubectl"})
	if n.Scheduling == nil || !n.Scheduling.Cordoned || n.Scheduling.CordonedSince == nil || time.Since(*n.Scheduling.CordonedSince).Abs() > 5*time.Minute {
		t.Errorf("scheduling: %+v", n.Scheduling)
	}
	if line := row(t, c, node); !strings.Contains(line, "SchedulingDisabled") {
		t.Error(line)
	}
	if line := firstStep(t, n, "Cordoned"); !strings.Contains(line, "uncordon") || c.Sh(t, line).Code != 0 {
		t.Errorf("the next command does not open the node: %s", line)
	}
	healthy(t, c, node)
}

func taintedByAUser(t *testing.T, c *harness.Cluster, node string) {
	c.MustKubectl(t, "taint", "node", node, "team=a:NoSchedule")
	t.Cleanup(func() { c.Kubectl(t, "taint", "node", node, "team-") })
	n := becomes(t, c, time.Minute, want{node: node, verdict: report.Healthy, code: "NewPodsKeptOff", text: "team=a:NoSchedule"})
	if line := firstStep(t, n, "NewPodsKeptOff"); c.Sh(t, line).Code != 0 {
		t.Errorf("the next command does not remove the taint: %s", line)
	}
	healthy(t, c, node)
}

func crashLoopingPod(t *testing.T, c *harness.Cluster, node string) {
	namespace := c.Namespace(t)
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: crash, namespace: %s}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: "busybox:1.36", imagePullPolicy: IfNotPresent, command: [sh, -c, "sleep 1; exit 7"]}
`, namespace, node))
	n := becomes(t, c, 3*time.Minute, want{node: node, verdict: report.Degraded, code: "PodCrashLooping", text: "exit code 7"})
	for _, f := range n.Findings {
		if f.Code == "PodCrashLooping" && (f.Object.Namespace != namespace || f.Object.Name != "crash") {
			t.Errorf("the finding is about %s", f.Object)
		}
	}
	if r := c.Kubectl(t, "nodeinfo", node, "--fail-on=warning"); r.Code != 3 {
		t.Errorf("--fail-on=warning: exit %d", r.Code)
	}
	c.MustKubectl(t, "delete", "pod", "crash", "-n", namespace, "--wait")
	healthy(t, c, node)
}

func stuckTerminatingPod(t *testing.T, c *harness.Cluster, node string) {
	namespace := c.Namespace(t)
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: held, namespace: %s, finalizers: [example.test/hold]}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: "busybox:1.36", imagePullPolicy: IfNotPresent, command: [sleep, "1000"]}
`, namespace, node))
	free := func() {
		c.Kubectl(t, "patch", "pod", "held", "-n", namespace, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	}
	t.Cleanup(free)
	c.MustKubectl(t, "delete", "pod", "held", "-n", namespace, "--wait=false")
	// Within its grace period and a minute nothing is said.
	n, _, err := look(t, c, want{node: node})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range n.Findings {
		if f.Code == "PodStuckTerminating" {
			t.Errorf("too early: %s", f.Message)
		}
	}
	// Its containers are gone by then: what holds it is not the node, whose health it does not touch.
	becomes(t, c, 4*time.Minute, want{node: node, verdict: report.Healthy, code: "PodStuckTerminating", text: "finalizer example.test/hold is set"})
	free()
	healthy(t, c, node)
}

func taintedByAutoscaler(t *testing.T, c *harness.Cluster, node string) {
	taint := "ToBeDeletedByClusterAutoscaler"
	t.Cleanup(func() { c.Kubectl(t, "taint", "node", node, taint+"-") })
	c.MustKubectl(t, "taint", "node", node, fmt.Sprintf("%s=%d:NoSchedule", taint, time.Now().Add(-time.Minute).Unix()), "--overwrite")
	becomes(t, c, time.Minute, want{node: node, verdict: report.Healthy, code: "NodeRemovalInProgress"})
	c.MustKubectl(t, "taint", "node", node, fmt.Sprintf("%s=%d:NoSchedule", taint, time.Now().Add(-2*time.Hour).Unix()), "--overwrite")
	becomes(t, c, time.Minute, want{node: node, verdict: report.Degraded, code: "NodeRemovalStuck"})
	c.MustKubectl(t, "taint", "node", node, taint+"-")
	healthy(t, c, node)
}

// What pods ask is not the node's health: nothing is wrong with the node, and nothing is said.
func wrongClusterDNS(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "wrong-cluster-dns", node)
	healthy(t, c, node)
	heal()
	healthy(t, c, node)
}

// settled waits until the kubelet has renewed its Lease twice: one that an earlier test has restarted may not have registered
// its node yet, and would make the Node anew after it was deleted.
func settled(t *testing.T, c *harness.Cluster, node string) {
	t.Helper()
	renewals := map[string]bool{}
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		renewals[c.MustKubectl(t, "-n", "kube-node-lease", "get", "lease", node, "-o", "jsonpath={.spec.renewTime}")] = true
		return fmt.Sprintf("%d renewals of the Lease", len(renewals)-1), len(renewals) > 2
	})
}

// A Node object that somebody deletes: its pods are still there, and a restart of the kubelet brings it back, as the
// finding says.
func TestADeletedNodeComesBack(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w2")
	settled(t, c, "w2")
	c.MustKubectl(t, "delete", "node", "w2")
	n := becomes(t, c, time.Minute, want{node: "w2", verdict: report.Unhealthy, code: "NodeDeleted", exit: 1, text: "(event RemovingNode); "})
	if f := of(t, n, "NodeDeleted"); !strings.Contains(f.Message, "still bound to it") || len(f.Next) < 2 || !strings.Contains(f.Next[1].Command, "restart kubelet") {
		t.Errorf("%s, next: %+v", f.Message, f.Next)
	}
	back := make(chan struct{})
	starts := harness.OnSpeech(func() {
		go func() {
			defer close(back)
			c.Fault(t, "stop-kubelet", "w2")()
		}()
	})
	r := c.Run(t, 5*time.Minute, []harness.Option{starts}, "kubectl", "nodeinfo", "w2", "--wait-for=healthy")
	if !strings.Contains(r.Stderr, "waiting: node w2 is Unhealthy (NodeDeleted)") {
		t.Fatalf("it does not wait: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	<-back
	if r.Code != 0 || !strings.HasPrefix(r.Stdout, "Healthy: node/w2: ") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	healthy(t, c, "w2")
}
