package makes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	dns "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodeinfo "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rollout "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// on starts a Deployment of one pod on a node.
func on(t *testing.T, c *harness.Cluster, ns, node, name string) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%[1]q},"spec":{"selector":{"matchLabels":{"app":%[1]q}},`+
		`"template":{"metadata":{"labels":{"app":%[1]q}},"spec":{"nodeName":%[2]q,"terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"testapp:1"}]}}}}`,
		name, node), "-n", ns)
}

func TestPluginsOnFlannel(t *testing.T) {
	c := flannel(t)
	ns := c.Namespace(t)
	client := clientOn(t, c, ns, "w1")
	var nodes nodeinfo.List
	harness.Eventually(t, time.Minute, func() (string, bool) {
		nodes = nodeinfo.List{}
		read(t, c, &nodes, "nodeinfo", "cp1", "w1", "-o", "json")
		return nodes.Summary, nodes.Counts.Healthy == 2
	})
	c.Settle(t, string(nodeinfo.Healthy), nodes.Summary, "nodeinfo", "cp1", "w1")
	for _, n := range nodes.Items {
		if len(n.Components.Network) != 1 || n.Components.Network[0].Name != "flannel" || !strings.HasPrefix(n.Components.Network[0].Pod, "kube-flannel/kube-flannel-ds-") {
			t.Errorf("%s: %+v", n.Name, n.Components.Network)
		}
	}
	on(t, c, ns, "w1", "well")
	c.MustKubectl(t, "rollout", "status", "deployment/well", "--timeout=60s", "-n", ns)
	var check dns.Status
	read(t, c, &check, "dns", "check", "--from", client, "-n", ns, "-o", "json")
	if check.Verdict != dns.Healthy || len(check.Findings) > 0 {
		t.Errorf("dns check: %s: %s %+v", check.Verdict, check.Summary, check.Findings)
	}
	c.Settle(t, string(dns.Healthy), check.Summary, "dns", "check", "--from", client)
	session := c.Run(t, time.Minute, []harness.Option{harness.Stdin(strings.NewReader("cat /run/flannel/subnet.env; exit 7\n"))},
		"kubectl", "nodeshell", "w1", "-n", ns, "-i", "--", "sh")
	if session.Code != 7 || !strings.Contains(session.Stdout, "FLANNEL_SUBNET=") {
		t.Errorf("session: exit %d: %s%s", session.Code, session.Stdout, session.Stderr)
	}
	server := get(t, c, `{.items[?(@.spec.nodeName=="cp1")].status.podIP}`, "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")[0]
	if got := packets(t, c, ns, client, server, "host "+server+" and port 53"); len(got) != 4 || !strings.Contains(got[0], server+".53") {
		t.Errorf("packets of the pod: %v", got)
	}
}

// The agent of one node does not run, as after a reboot: what it leaves on the node is gone, and pods that start there have no network.
func TestFlannelThatDoesNotRunOnOneNode(t *testing.T) {
	c := flannel(t)
	ns := c.Namespace(t)
	heal := c.Fault(t, "stop-flannel", "w1")
	on(t, c, ns, "w1", "new")
	on(t, c, ns, "cp1", "elsewhere")
	var said rollout.Rollout
	harness.Eventually(t, time.Minute, func() (string, bool) {
		said = explain(t, c, ns, "deployment/new")
		return fmt.Sprintf("%s: %s", said.Verdict, said.Summary), len(said.Findings) > 0 && said.Findings[0].Code == "FailedCreatePodSandBox" &&
			strings.Contains(said.Summary, "on node w1: network plugin flannel has not set up the node: open /run/flannel/subnet.env: no such file")
	})
	c.Settle(t, "FailedCreatePodSandBox", said.Summary, "rollout-explain", "deployment/new")
	c.MustKubectl(t, "rollout", "status", "deployment/elsewhere", "--timeout=60s", "-n", ns)
	var nodes nodeinfo.List
	harness.Eventually(t, time.Minute, func() (string, bool) {
		nodes = nodeinfo.List{}
		read(t, c, &nodes, "nodeinfo", "w1", "-o", "json")
		n := nodes.Items[0]
		return fmt.Sprintf("%s: %s %v", n.Verdict, n.Summary, codesOf(n.Findings)), n.Verdict == nodeinfo.Degraded &&
			strings.HasPrefix(n.Summary, "flannel (kube-flannel/kube-flannel-ds-")
	})
	n := nodes.Items[0]
	if n.Findings[0].Code != "NetworkPluginPodNotReady" || slices.Contains(codesOf(n.Findings), "PodNotStarting") {
		t.Errorf("%v", codesOf(n.Findings))
	}
	follow(t, c, n.Findings[:1])
	c.Settle(t, "Degraded, NetworkPluginPodNotReady", n.Summary, "nodeinfo", "w1")
	read(t, c, &nodes, "nodeinfo", "cp1", "-o", "json")
	if nodes.Items[0].Verdict != nodeinfo.Healthy {
		t.Errorf("cp1: %s", nodes.Summary)
	}
	heal()
	c.MustKubectl(t, "rollout", "status", "deployment/new", "--timeout=120s", "-n", ns)
	harness.Eventually(t, time.Minute, func() (string, bool) {
		read(t, c, &nodes, "nodeinfo", "w1", "-o", "json")
		return nodes.Summary, nodes.Counts.Healthy == 1
	})
}

// Packets of the overlay are lost between nodes: a pod reaches the replica on its own node, and not the other one.
func TestAnOverlayThatIsCut(t *testing.T) {
	c := flannel(t)
	ns := c.Namespace(t)
	client := clientOn(t, c, ns, "w1")
	away := get(t, c, `{.items[?(@.spec.nodeName=="cp1")].metadata.name}`, "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")
	if len(away) != 1 {
		t.Fatalf("servers on cp1: %v", away)
	}
	heal := c.Fault(t, "cut-overlay", "w1")
	var check dns.Status
	harness.Eventually(t, time.Minute, func() (string, bool) {
		check = dns.Status{}
		read(t, c, &check, "dns", "check", "--from", client, "-n", ns, "-o", "json")
		return fmt.Sprintf("%s: %s %+v", check.Verdict, check.Summary, check.Findings), check.Verdict == dns.Unhealthy && len(check.Findings) == 1
	})
	if f := check.Findings[0]; f.Code != "ReplicaUnreachableFromPod" || f.Severity != finding.Critical || !strings.Contains(f.Message, away[0]+" on node cp1") {
		t.Errorf("%s: %s", f.Code, f.Message)
	}
	follow(t, c, check.Findings)
	c.Settle(t, "Unhealthy, ReplicaUnreachableFromPod", check.Summary, "dns", "check", "--from", client)
	heal()
	harness.Eventually(t, time.Minute, func() (string, bool) {
		check = dns.Status{}
		read(t, c, &check, "dns", "check", "--from", client, "-n", ns, "-o", "json")
		return check.Summary, check.Verdict == dns.Healthy
	})
}
