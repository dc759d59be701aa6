package dns

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// TestPaths: port 53 dropped on one node, in the ways in which it happens, seen from a pod there and not from elsewhere.
func TestPaths(t *testing.T) {
	c := cluster(t)
	nodes := workers(t, c)
	ns := c.Namespace(t)
	keepOff(t, c, nodes[0])
	c.Apply(t, pod("here", nodes[0], ""), "-n", ns)
	c.Apply(t, pod("there", nodes[1], ""), "-n", ns)
	running(t, c, ns, "here", "there")
	for _, tt := range []struct {
		name, verdict, code string
		args                []string
	}{
		{"UDP alone", "Unhealthy", "DNSOverUDPBlocked", []string{"--proto", "udp", "--dest", "all"}},
		{"TCP alone", "Degraded", "DNSOverTCPBlocked", []string{"--proto", "tcp", "--dest", "all"}},
		{"the Service's address alone", "Unhealthy", "DNSServiceUnreachableFromPod", []string{"--proto", "both", "--dest", "vip"}},
		{"everything", "Unhealthy", "DNSUnavailableFromPod", []string{"--proto", "both", "--dest", "all"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			heal := c.Fault(t, "block-dns", append([]string{nodes[0]}, tt.args...)...)
			expect(t, c, 30*time.Second, tt.verdict, tt.code, "check", "--from", "here", "-n", ns)
			expect(t, c, 30*time.Second, "Healthy", "", "check", "--from", "there", "-n", ns)
			heal()
		})
	}
	// The servers are new, and the node does not hear of them: its rules lead to addresses where nobody is.
	t.Run("kube-proxy hangs there", func(t *testing.T) {
		heal := c.Fault(t, "freeze-kube-proxy", nodes[0])
		restart(t, c)
		h := expect(t, c, 30*time.Second, "Unhealthy", "DNSServiceUnreachableFromPod", "check", "--from", "here", "-n", ns)
		expect(t, c, 30*time.Second, "Healthy", "", "check", "--from", "there", "-n", ns)
		step := h.Findings[0].Next[1]
		if r := c.Sh(t, step.Command); r.Stdout != "no answer\n" {
			t.Errorf("%+v: exit %d: %s%s", step, r.Code, r.Stdout, r.Stderr)
		}
		heal()
		expect(t, c, 30*time.Second, "Healthy", "", "check", "--from", "here", "-n", ns)
		if r := c.Sh(t, step.Command); !strings.Contains(r.Stdout, `"lastUpdated"`) {
			t.Errorf("%s: exit %d: %s%s", step.Command, r.Code, r.Stdout, r.Stderr)
		}
	})
	t.Run("a kubelet with a wrong clusterDNS", func(t *testing.T) {
		heal := c.Fault(t, "wrong-cluster-dns", nodes[0])
		c.Apply(t, pod("wrong", nodes[0], ""), "-n", ns)
		running(t, c, ns, "wrong")
		expect(t, c, 30*time.Second, "Unhealthy", "PodResolvConfMismatch", "check", "--from", "wrong", "-n", ns)
		expect(t, c, 30*time.Second, "Unhealthy", "KubeletClusterDNSMismatch", "pod", "wrong", "-n", ns, "--kubelet-config")
		expect(t, c, 30*time.Second, "Healthy", "", "check", "--from", "there", "-n", ns)
		h := expect(t, c, 60*time.Second, "Unhealthy", "KubeletClusterDNSMismatch", "check", "--profile", "full", "--ignore-findings", "ServiceWithoutEndpoints")
		if !strings.Contains(h.Summary, nodes[0]) {
			t.Errorf("the node is not named: %s", h.Summary)
		}
		heal()
		harness.Eventually(t, 90*time.Second, func() (string, bool) {
			h, _ := ask(t, c, "check", "--profile", "full", "--ignore-findings", "ServiceWithoutEndpoints")
			return h.Summary, h.Verdict == "Healthy"
		})
	})
}

// keepOff moves the servers off a node, each to a node of its own, so that a fault there hits clients alone.
func keepOff(t *testing.T, c *harness.Cluster, node string) {
	t.Helper()
	set := func(affinity string) {
		c.MustKubectl(t, "-n", "kube-system", "patch", "deployment", "coredns", "--type=json", "-p", `[{"op":"add","path":"/spec/template/spec/affinity","value":`+affinity+`}]`)
		c.MustKubectl(t, "-n", "kube-system", "rollout", "status", "deployment", "coredns", "--timeout=150s")
	}
	before := c.MustKubectl(t, "-n", "kube-system", "get", "deployment", "coredns", "-o", "jsonpath={.spec.template.spec.affinity}")
	if before == "" {
		before = "{}"
	}
	t.Cleanup(func() { set(before) })
	set(`{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"NotIn","values":["` + node + `"]}]}]}},"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"podAffinityTerm":{"labelSelector":{"matchLabels":{"k8s-app":"kube-dns"}},"topologyKey":"kubernetes.io/hostname"}}]}}`)
	spread(t, c)
	healthy(t, c)
}
