package nodeinfo

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// What users reported in public. Each ends as what is nearly the same and well.

// leaseDenied: the kubelet posts its status, and a policy denies the renewal of its Lease. What the node controller makes of
// that in a minute would count as flapping for an hour, and is deleted.
func leaseDenied(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "refuse-lease-writes", node)
	var n report.Node
	harness.Eventually(t, 3*time.Minute, func() (string, bool) {
		w := want{node: node, verdict: report.Unhealthy, code: "LeaseNotRenewed", exit: 3, text: "the kubelet is running"}
		found, r, err := look(t, c, w)
		if err == nil {
			n, err = found, check(found, r, w)
		}
		return fmt.Sprint(err), err == nil
	})
	// The first step fails by design, and names what rejects the renewals; with what heals it the same step succeeds.
	step := firstStep(t, n, "LeaseNotRenewed")
	if r := c.Sh(t, step); r.Code == 0 || !strings.Contains(r.Stderr, "ValidatingAdmissionPolicy 'keep-leases-"+node+"'") {
		t.Errorf("%s: exit %d %s%s", step, r.Code, r.Stdout, r.Stderr)
	}
	heal()
	harness.Eventually(t, time.Minute, func() (string, bool) {
		r := c.Sh(t, step)
		return r.Stderr, r.Code == 0 && strings.Contains(r.Stdout, "annotated")
	})
	harness.Eventually(t, time.Minute, func() (string, bool) {
		c.MustKubectl(t, "delete", "events", "-n", "default", "--field-selector", "involvedObject.name="+node+",reason=NodeNotReady")
		n, _, err := look(t, c, want{node: node})
		return fmt.Sprint(n.Summary, err), err == nil && n.Verdict == report.Healthy
	})
	healthy(t, c, node)
}

// leakedAddresses: every address of the node is reserved, most of them for pods that do not exist.
func leakedAddresses(t *testing.T, c *harness.Cluster, node string) {
	namespace := c.Namespace(t)
	sleeper := func(name string) {
		c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 1
  containers: [{name: app, image: "busybox:1.36", imagePullPolicy: IfNotPresent, command: [sleep, "1000"]}]
`, name, namespace, node))
	}
	heal := c.Fault(t, "exhaust-cni-range", node)
	sleeper("waits")
	n := becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Degraded, code: "PodIPsExhausted", text: "the node has no free pod address, but only "})
	if f := of(t, n, "PodIPsExhausted"); !strings.Contains(f.Message, "no IP addresses available in range set") || !strings.Contains(f.Next[len(f.Next)-1].Command, "/var/lib/cni/networks/") {
		t.Errorf("%s, next %+v", f.Message, f.Next)
	}
	heal()
	c.MustKubectl(t, "wait", "pod/waits", "-n", namespace, "--for=condition=Ready", "--timeout=120s")
	healthy(t, c, node)
}

// kubeProxyRefuses: its pod is ready, and nothing listens on its health port for whoever asks from elsewhere.
func kubeProxyRefuses(t *testing.T, c *harness.Cluster, node string) {
	heal := func() { c.OnNode(t, node, "nft", "delete", "table", "ip", "e2eproxy") }
	t.Cleanup(heal)
	if r := c.OnNode(t, node, "sh", "-c", "nft add table ip e2eproxy; nft add chain ip e2eproxy i '{ type filter hook input priority -5; }'; nft add rule ip e2eproxy i tcp dport 10256 reject with tcp reset"); r.Code != 0 {
		t.Fatalf("nft: %s", r.Stderr)
	}
	becomes(t, c, 3*time.Minute, want{node: node, verdict: report.Degraded, code: "KubeProxyNotReady", text: "is running but does not work: its health port 10256 refuses connections"})
	r := c.Kubectl(t, "nodeinfo", "--paths", node, "--kubelet", "--timeout=40s")
	if !strings.HasPrefix(r.Stdout, "Degraded: paths of node/"+node+": "+node+": kube-proxy (kube-system/kube-proxy-") {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	heal()
	healthy(t, c, node)
}

// kubeProxyLosesItsNode: without the label of the DaemonSet's selector the controller takes the pod away. The next command heals it.
// Kubelet and node controller would set the label again, some time within minutes: a policy denies it to them.
func kubeProxyLosesItsNode(t *testing.T, c *harness.Cluster, node string) {
	t.Cleanup(func() {
		c.Kubectl(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "e2e-labels", "--ignore-not-found")
		c.Kubectl(t, "label", "node", node, "kubernetes.io/os=linux", "--overwrite")
	})
	c.Apply(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: e2e-labels}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [nodes, nodes/status], resourceNames: [%[1]s]}]
  matchConditions:
  - {name: others, expression: "request.userInfo.username != 'kubernetes-admin' || 'e2e-probe' in object.metadata.?annotations.orValue({})"}
  - {name: without, expression: "!('kubernetes.io/os' in oldObject.metadata.labels) || 'e2e-probe' in object.metadata.?annotations.orValue({})"}
  validations:
  - {expression: "!('kubernetes.io/os' in object.metadata.labels)", message: "no label"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: e2e-labels}
spec: {policyName: e2e-labels, validationActions: [Deny]}
`, node))
	harness.Eventually(t, time.Minute, func() (string, bool) { // a policy is not in force at once
		r := c.Kubectl(t, "annotate", "node", node, "e2e-probe=1", "--dry-run=server")
		return r.Stdout, r.Code != 0 && strings.Contains(r.Stderr, "'e2e-labels'")
	})
	c.MustKubectl(t, "label", "node", node, "kubernetes.io/os-")
	n := becomes(t, c, time.Minute, want{node: node, verdict: report.Degraded, code: "DaemonSetPodMissing", text: "DaemonSet kube-system/kube-proxy has no pod on this node: the node lacks the label kubernetes.io/os=linux"})
	f := of(t, n, "DaemonSetPodMissing")
	if line := f.Next[len(f.Next)-1].Command; !strings.Contains(line, "label node") || c.Sh(t, line).Code != 0 {
		t.Errorf("the last step does not set the label: %s", line)
	}
	c.MustKubectl(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "e2e-labels")
	healthy(t, c, node)
}

// A soft threshold just below the process IDs that are left: the kubelet is content, and the next two thousand are one too many. (Of
// memory, clusters of other tests take more than that at any time.) The pod that uses the disk is told beside it.
func evictionNear(t *testing.T, c *harness.Cluster, node string) {
	var stats struct {
		Node struct {
			Processes struct {
				Most int64 `json:"maxpid"`
				Run  int64 `json:"curproc"`
			} `json:"rlimit"`
		} `json:"node"`
	}
	harness.Eventually(t, time.Minute, func() (string, bool) { // an earlier test may have restarted the kubelet
		r := c.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/stats/summary")
		return r.Stderr, json.Unmarshal([]byte(r.Stdout), &stats) == nil && stats.Node.Processes.Most > 0
	})
	ns := c.Namespace(t)
	c.Apply(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"filler"},"spec":{"nodeName":%q,"terminationGracePeriodSeconds":0,`+
		`"volumes":[{"name":"d","emptyDir":{}}],"containers":[{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent",`+
		`"command":["sh","-c","dd if=/dev/zero of=/d/fill bs=1M count=256 && sleep 100000"],"volumeMounts":[{"name":"d","mountPath":"/d"}]}]}}`, node), "-n", ns)
	becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Healthy, flags: []string{"--kubelet"}})
	left := stats.Node.Processes.Most - stats.Node.Processes.Run
	heal := c.Fault(t, "pid-pressure", node, "--threshold", strconv.FormatInt(left*93/100, 10))
	n := becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Degraded, code: "EvictionNear", text: "process IDs left: the kubelet evicts pods below", flags: []string{"--kubelet"}})
	if f := of(t, n, "EvictionNear"); !strings.Contains(f.Message, "soft threshold") {
		t.Error(f.Message)
	}
	becomes(t, c, time.Minute, want{node: node, verdict: report.Healthy}) // without the right to ask the kubelet nothing is claimed
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {          // the kubelet measures volumes once a minute
		r := c.Kubectl(t, "nodeinfo", node, "--kubelet", "--section=storage")
		return r.Stdout, regexp.MustCompile(`DISK-USED\n *` + ns + ` +filler +25[0-9](\.[0-9])?Mi`).MatchString(r.Stdout)
	})
	heal()
	becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Healthy, flags: []string{"--kubelet"}})
}
