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

func karpenter(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes-karpenter", 1, "--with", "karpenter")
}

// nodePool makes a NodePool of machines with two CPUs, and a class of machines of its own; limit is of CPUs. Its nodes go with it.
func nodePool(t *testing.T, c *harness.Cluster, name, limit, consolidateAfter string) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`{apiVersion: karpenter.kwok.sh/v1alpha1, kind: KWOKNodeClass, metadata: {name: %[1]s}}
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: %[1]s}
spec:
  limits: {cpu: %[2]s}
  disruption: {consolidateAfter: %[3]s}
  template:
    spec:
      expireAfter: Never
      nodeClassRef: {group: karpenter.kwok.sh, kind: KWOKNodeClass, name: %[1]s}
      requirements:
      - {key: karpenter.kwok.sh/instance-cpu, operator: In, values: ["2"]}
      - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
`, name, limit, consolidateAfter))
	t.Cleanup(func() {
		c.MustKubectl(t, "delete", "nodepool", name, "--timeout=60s")
		c.MustKubectl(t, "delete", "nodeclaims", "-l", "karpenter.sh/nodepool="+name, "--timeout=60s")
		c.MustKubectl(t, "delete", "kwoknodeclass", name, "--timeout=60s")
	})
}

// inPool is a Deployment whose pods need a machine of the pool each.
func inPool(name string, replicas int, annotations string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {replicas: %[2]d, selector: {matchLabels: {app: %[1]s}},
 template: {metadata: {labels: {app: %[1]s}, annotations: {%[3]s}}, spec: {terminationGracePeriodSeconds: 1, nodeSelector: {karpenter.sh/nodepool: %[1]s},
  containers: [{name: main, image: "testapp:1", resources: {requests: {cpu: "1"}}}]}}}}
`, name, replicas, annotations)
}

// scaledNode waits for the one node of a pool, as the provider made it.
func scaledNode(t *testing.T, c *harness.Cluster, pool string) (name, claim string) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() (string, bool) {
		r := c.Kubectl(t, "get", "nodes", "-l", "karpenter.sh/nodepool="+pool, "-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.ownerReferences[0].name}{end}")
		f := strings.Fields(r.Stdout)
		if len(f) != 2 {
			return r.Stdout + r.Stderr, false
		}
		name, claim = f[0], f[1]
		return "", true
	})
	return name, claim
}

// Karpenter makes a machine for a pod that no node takes, and kwok lets it live; it touches no real node.
func TestKarpenterMakesANode(t *testing.T) {
	c := karpenter(t)
	ns := c.Namespace(t)
	nodePool(t, c, "healthy", "4", "Never")
	c.Apply(t, inPool("healthy", 1, ""), "-n", ns)
	complete(t, c, ns, "deployment/healthy")
	name, claim := scaledNode(t, c, "healthy")
	var n nodeinfo.Node
	harness.Eventually(t, time.Minute, func() (string, bool) {
		n = node(t, c, name)
		a := n.Autoscaler
		return fmt.Sprintf("%s: %s %+v %+v", n.Verdict, n.Summary, n.Findings, a), n.Verdict == nodeinfo.Healthy && a != nil && a.Name == "Karpenter" &&
			a.Group == "healthy" && a.NodeClaim != nil && a.NodeClaim.Name == claim && holdsOf(a) == "PoolConsolidationOff" &&
			len(a.Limits) == 1 && a.Limits[0].Limit == "4"
	})
	var fleet nodeinfo.List
	read(t, c, &fleet, "nodeinfo", "-o", "json")
	if len(fleet.Items) != 3 || len(fleet.Findings) > 0 || slices.ContainsFunc(fleet.Items, func(n nodeinfo.Node) bool { return n.Verdict != nodeinfo.Healthy }) {
		t.Errorf("%+v %+v", fleet.Summary, fleet.Findings)
	}
	c.Settle(t, string(nodeinfo.Healthy), n.Summary, "nodeinfo", "NODE")
	c.Settle(t, string(nodeinfo.Healthy), fleet.Summary, "nodeinfo")
	if kubelet := c.MustKubectl(t, "get", "node", "w1", "-o", "jsonpath={.status.nodeInfo.kubeletVersion}"); strings.Contains(kubelet, "kwok") {
		t.Errorf("kwok plays w1: %s", kubelet)
	}
	text := c.MustKubectl(t, "nodeinfo", "--remove", name)
	if !strings.Contains(text, "Karpenter manages the node (NodePool healthy) and ends its machine when the Node is deleted; it makes another one for pods") {
		t.Error(text)
	}
}

func holdsOf(a *nodeinfo.Autoscaler) string {
	var list []string
	for _, h := range a.Holds {
		list = append(list, strings.TrimSpace(h.Reason+" "+strings.Join(h.Budgets, " ")))
	}
	return strings.Join(list, ",")
}

// A machine joins and never gets ready, another does not join; both times the pods wait for a node that Karpenter makes.
func TestAMachineOfKarpenterThatDoesNotBecomeANode(t *testing.T) {
	c := karpenter(t)
	ns := c.Namespace(t)
	nodePool(t, c, "starting", "4", "Never")
	c.MustKubectl(t, "scale", "deployment/kwok-controller", "--replicas=0", "-n", "kube-system")
	start := func() {
		c.MustKubectl(t, "scale", "deployment/kwok-controller", "--replicas=1", "-n", "kube-system")
		c.MustKubectl(t, "rollout", "status", "deployment/kwok-controller", "--timeout=60s", "-n", "kube-system")
	}
	t.Cleanup(start)
	c.MustKubectl(t, "wait", "pod", "-l", "app=kwok-controller", "--for=delete", "--timeout=30s", "-n", "kube-system")
	c.Apply(t, inPool("starting", 1, ""), "-n", ns)
	name, claim := scaledNode(t, c, "starting")
	var n nodeinfo.Node
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		n = node(t, c, name)
		known := n.Autoscaler != nil && n.Autoscaler.NodeClaim != nil && slices.ContainsFunc(n.Autoscaler.NodeClaim.Conditions, func(x nodeinfo.ClaimCondition) bool {
			return x.Type == "Initialized" && x.Status == "Unknown" && x.Reason == "NodeNotReady"
		})
		return fmt.Sprintf("%s: %s %+v %+v", n.Verdict, n.Summary, n.Findings, n.Autoscaler), n.Verdict == nodeinfo.Unhealthy && known &&
			n.Findings[0].Code == "KubeletNeverReported"
	})
	c.Settle(t, "Unhealthy, KubeletNeverReported", n.Summary, "nodeinfo", "NODE")
	start()
	complete(t, c, ns, "deployment/starting")
	c.MustKubectl(t, "patch", "kwoknodeclass", "starting", "--type=merge", "-p", `{"spec":{"nodeRegistrationDelay":"30m"}}`)
	c.MustKubectl(t, "scale", "deployment/starting", "--replicas=2", "-n", ns)
	var said rollout.Rollout
	harness.Eventually(t, time.Minute, func() (string, bool) {
		said = rollout.Rollout{}
		read(t, c, &said, "rollout-explain", "deployment/starting", "-n", ns, "-o", "json")
		return fmt.Sprintf("%s: %+v", said.Verdict, said.Findings), len(said.Findings) > 0 && said.Findings[0].Code == "InsufficientResources" &&
			strings.Contains(said.Findings[0].Message, "Karpenter is adding a node")
	})
	follow(t, c, []finding.Finding{said.Findings[0].Finding})
	c.Settle(t, "InsufficientResources", said.Summary, "rollout-explain", "deployment/starting")
	var fleet nodeinfo.List
	read(t, c, &fleet, "nodeinfo", "-o", "json") // after a few seconds nothing is late yet
	if len(fleet.Findings) > 0 {
		t.Errorf("%+v", fleet.Findings)
	}
	if claims := c.MustKubectl(t, "get", "nodeclaims", "-l", "karpenter.sh/nodepool=starting", "-o", "name"); len(strings.Fields(claims)) != 2 || !strings.Contains(claims, claim) {
		t.Errorf("NodeClaims: %s", claims)
	}
}

// A pod's annotation and a budget keep Karpenter from removing a node; once its deletion is ordered, its drain waits for them.
func TestANodeThatKarpenterCannotDisrupt(t *testing.T) {
	c := karpenter(t)
	ns := c.Namespace(t)
	nodePool(t, c, "kept", "2", "0s")
	c.Apply(t, inPool("kept", 1, `karpenter.sh/do-not-disrupt: "1h"`)+
		"---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: kept}, spec: {minAvailable: 1, selector: {matchLabels: {app: kept}}}}\n", "-n", ns)
	complete(t, c, ns, "deployment/kept")
	name, claim := scaledNode(t, c, "kept")
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		n := node(t, c, name)
		a := n.Autoscaler
		said := a != nil && a.Reported != nil && a.Reported.Reason == "DisruptionBlocked"
		return fmt.Sprintf("%s: %s %+v", n.Verdict, n.Summary, a), n.Verdict == nodeinfo.Healthy && said && len(a.Holds) == 1 &&
			strings.HasSuffix(a.Holds[0].Message, "karpenter.sh/do-not-disrupt=1h")
	})
	text := c.MustKubectl(t, "nodeinfo", "--drain", name)
	for _, words := range []string{"PodDisruptionBudget " + ns + "/kept allows no disruption", "1 pod is marked as not to be evicted", "karpenter.sh/do-not-disrupt=1h"} {
		if !strings.Contains(text, words) {
			t.Errorf("%q is not said: %s", words, text)
		}
	}
	c.MustKubectl(t, "delete", "nodeclaim", claim, "--wait=false")
	var found nodeinfo.Node
	harness.Eventually(t, time.Minute, func() (string, bool) {
		found = node(t, c, name)
		return fmt.Sprintf("%s: %s %+v", found.Verdict, found.Summary, found.Findings), found.Verdict == nodeinfo.Healthy && len(found.Findings) == 1 &&
			found.Findings[0].Code == "NodeRemovalInProgress" && strings.Contains(found.Findings[0].Message, "waits for pods that are kept: "+ns+"/kept-")
	})
	follow(t, c, found.Findings)
	c.Settle(t, "Healthy, NodeRemovalInProgress", found.Findings[0].Message, "nodeinfo", "NODE")
	c.MustKubectl(t, "delete", "pdb/kept", "deployment/kept", "-n", ns)
	c.MustKubectl(t, "wait", "node/"+name, "--for=delete", "--timeout=60s")
}

// The limit of a NodePool is why a pod stays without a node: both plugins name it until it is raised.
func TestANodePoolAtItsLimit(t *testing.T) {
	c := karpenter(t)
	ns := c.Namespace(t)
	nodePool(t, c, "limited", "2", "Never")
	c.Apply(t, inPool("limited", 1, ""), "-n", ns)
	complete(t, c, ns, "deployment/limited")
	name, _ := scaledNode(t, c, "limited")
	c.MustKubectl(t, "scale", "deployment/limited", "--replicas=2", "-n", ns)
	const limit = "all available instance types exceed limits for nodepool (NodePool=limited)"
	var said rollout.Rollout
	harness.Eventually(t, time.Minute, func() (string, bool) {
		said = rollout.Rollout{}
		read(t, c, &said, "rollout-explain", "deployment/limited", "-n", ns, "-o", "json")
		return fmt.Sprintf("%s: %+v", said.Verdict, said.Findings), len(said.Findings) > 0 && strings.Contains(said.Findings[0].Message, "Karpenter adds no node: "+limit)
	})
	c.Settle(t, string(said.Findings[0].Code), said.Findings[0].Message, "rollout-explain", "deployment/limited")
	if !slices.ContainsFunc(said.Findings[0].Next, func(n finding.Next) bool { return strings.Contains(n.Command, "describe nodepool limited") }) {
		t.Errorf("no command reads the NodePool: %+v", said.Findings[0].Next)
	}
	follow(t, c, []finding.Finding{said.Findings[0].Finding})
	if w := node(t, c, name).Autoscaler.Waiting; w == nil || w.Pods != 1 || w.Message != limit {
		t.Errorf("%+v", w)
	}
	c.MustKubectl(t, "patch", "nodepool", "limited", "--type=merge", "-p", `{"spec":{"limits":{"cpu":8}}}`)
	complete(t, c, ns, "deployment/limited")
	if w := node(t, c, name).Autoscaler.Waiting; w != nil {
		t.Errorf("pods that have a node: %+v", w)
	}
}
