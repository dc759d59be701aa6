package makes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	dns "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// asDaemonSet runs the DNS servers as a DaemonSet instead of a Deployment until the test ends.
func asDaemonSet(t *testing.T, c *harness.Cluster) {
	t.Helper()
	var deployment map[string]any
	read(t, c, &deployment, "get", "deployment", "coredns", "-n", "kube-system", "-o", "json")
	spec := deployment["spec"].(map[string]any)
	metadata := map[string]any{"name": "coredns", "labels": deployment["metadata"].(map[string]any)["labels"]}
	manifest := func(kind string, spec map[string]any) string {
		data, err := json.Marshal(map[string]any{"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before := manifest("Deployment", spec)
	c.MustKubectl(t, "delete", "deployment", "coredns", "-n", "kube-system", "--cascade=foreground")
	c.Create(t, manifest("DaemonSet", map[string]any{"selector": spec["selector"], "template": spec["template"]}), "-n", "kube-system")
	t.Cleanup(func() {
		c.MustKubectl(t, "delete", "daemonset", "coredns", "-n", "kube-system", "--cascade=foreground")
		c.Create(t, before, "-n", "kube-system")
		c.MustKubectl(t, "rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=120s")
	})
	c.MustKubectl(t, "rollout", "status", "daemonset/coredns", "-n", "kube-system", "--timeout=120s")
}

// says waits until dns check has one cause of this code, whose message holds the words, and follows its next commands.
func says(t *testing.T, c *harness.Cluster, verdict dns.Verdict, code finding.Code, words string) dns.Status {
	t.Helper()
	var check dns.Status
	harness.Eventually(t, time.Minute, func() (string, bool) {
		check = dns.Status{}
		read(t, c, &check, "dns", "check", "-o", "json")
		return fmt.Sprintf("%s: %s %+v", check.Verdict, check.Summary, check.Findings),
			check.Verdict == verdict && check.PrimaryCode == code && strings.Contains(check.Summary, words)
	})
	follow(t, c, check.Findings)
	c.Settle(t, fmt.Sprintf("%s, %s", verdict, code), check.Summary, "dns", "check")
	return check
}

func TestCoreDNSAsADaemonSet(t *testing.T) {
	c := dualStack(t)
	asDaemonSet(t, c)
	var status dns.Status
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		status = dns.Status{}
		read(t, c, &status, "dns", "-o", "json")
		return fmt.Sprintf("%s: %s", status.Verdict, status.Summary), status.Verdict == dns.Healthy && len(status.Replicas) == 2
	})
	c.Settle(t, string(dns.Healthy), status.Summary, "dns")
	for _, r := range status.Replicas {
		if !r.Ready || !r.Queried || status.Provider != "CoreDNS" {
			t.Errorf("%s: %+v", status.Provider, r)
		}
	}
	t.Run("an image that is not there", func(t *testing.T) {
		image := get(t, c, "{.spec.template.spec.containers[0].image}", "daemonset", "coredns", "-n", "kube-system")[0]
		c.MustKubectl(t, "set", "image", "daemonset/coredns", "coredns=registry.k8s.io/coredns/coredns:none", "-n", "kube-system")
		t.Cleanup(func() {
			c.MustKubectl(t, "set", "image", "daemonset/coredns", "coredns="+image, "-n", "kube-system")
			c.MustKubectl(t, "delete", "pods", "-l", "k8s-app=kube-dns", "-n", "kube-system")
			c.MustKubectl(t, "rollout", "status", "daemonset/coredns", "-n", "kube-system", "--timeout=120s")
		})
		check := says(t, c, dns.Degraded, "ReplicaNotReady", "1 of 2 replicas are ready")
		undo := false
		for _, n := range check.Findings[0].Next {
			undo = undo || n.Command == "kubectl rollout undo daemonset coredns -n kube-system"
		}
		if !undo {
			t.Errorf("how to roll back is not said: %+v", check.Findings[0].Next)
		}
	})
	t.Run("a selector of no node", func(t *testing.T) {
		c.MustKubectl(t, "patch", "daemonset", "coredns", "-n", "kube-system", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"e2e":"none"}}}}}`)
		t.Cleanup(func() {
			c.MustKubectl(t, "patch", "daemonset", "coredns", "-n", "kube-system", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"e2e":null}}}}}`)
			c.MustKubectl(t, "rollout", "status", "daemonset/coredns", "-n", "kube-system", "--timeout=120s")
		})
		says(t, c, dns.Unhealthy, "DNSScaledToZero", "DaemonSet coredns matches no node")
	})
	t.Run("no Service", func(t *testing.T) {
		c.MustKubectl(t, "delete", "service", "kube-dns", "-n", "kube-system")
		check := says(t, c, dns.Unhealthy, "DNSServiceNotFound", "DaemonSet coredns has none")
		for _, n := range check.Findings[0].Next { // what is said makes it whole again
			if n.Risk != finding.Read {
				if r := c.Sh(t, n.Command); r.Code != 0 {
					t.Fatalf("%s: exit %d: %s", n.Command, r.Code, r.Stderr)
				}
			}
		}
		harness.Eventually(t, time.Minute, func() (string, bool) {
			check = dns.Status{}
			read(t, c, &check, "dns", "check", "-o", "json")
			return fmt.Sprintf("%s: %s", check.Verdict, check.Summary), check.Verdict == dns.Healthy
		})
		// The labels that kubeadm gives to it, by which it is known.
		c.MustKubectl(t, "label", "service", "kube-dns", "-n", "kube-system", "k8s-app=kube-dns", "kubernetes.io/cluster-service=true",
			"kubernetes.io/name=CoreDNS", "--overwrite")
		c.MustKubectl(t, "label", "service", "kube-dns", "-n", "kube-system", "app-")
	})
}

// Without its zone the names of IPv6 addresses are asked of the world outside, which does not know them.
func TestCoreDNSWithoutTheZoneOfIPv6(t *testing.T) {
	c := dualStack(t)
	ns := c.Namespace(t)
	serve(t, c, ns)
	core := c.MustKubectl(t, "get", "configmap", "coredns", "-n", "kube-system", "-o", "jsonpath={.data.Corefile}")
	put := func(text string) {
		data, err := json.Marshal(map[string]any{"data": map[string]string{"Corefile": text}})
		if err != nil {
			t.Fatal(err)
		}
		c.MustKubectl(t, "patch", "configmap", "coredns", "-n", "kube-system", "-p", string(data))
		c.MustKubectl(t, "delete", "pods", "-l", "k8s-app=kube-dns", "-n", "kube-system") // the kubelet takes a minute to see the change
		c.MustKubectl(t, "rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=120s")
	}
	if !strings.Contains(core, " ip6.arpa {") {
		t.Fatalf("no zone to take away: %s", core)
	}
	put(strings.ReplaceAll(core, " ip6.arpa", ""))
	t.Cleanup(func() { put(core) })
	address := get(t, c, "{.spec.clusterIP}", "service", "six", "-n", ns)[0]
	refused := c.Kubectl(t, "dns", "resolve", address)
	_, command, _ := strings.Cut(refused.Stderr, "run '")
	command, _, _ = strings.Cut(command, "'")
	var said dns.Resolution
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		said = dns.Resolution{}
		read(t, c, &said, append([]string{"dns"}, append(strings.Fields(command), "-n", ns, "-o", "json")...)...)
		return fmt.Sprintf("%s: %s %+v", said.Verdict, said.Summary, said.Findings), said.Verdict != dns.Healthy && len(said.Findings) == 1
	})
	if !strings.Contains(said.Summary, "address "+address+" belongs to six."+ns+".svc.") || !strings.Contains(said.Summary, "does not serve its zone") {
		t.Errorf("%s: %+v", said.Summary, said.Findings)
	}
	follow(t, c, said.Findings)
	c.Settle(t, fmt.Sprintf("%s, %s", said.Verdict, said.PrimaryCode), said.Summary, "dns", "resolve", "PTR-NAME")
	var verified dns.Verification
	read(t, c, &verified, "dns", "verify", "-n", ns, "-o", "json")
	if verified.Verdict == dns.Unhealthy {
		t.Errorf("dns verify: %s: %s", verified.Verdict, verified.Summary)
	}
}
