package makes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	dns "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// cacheIP is what the kubelets of a cluster made --with node-cache give to pods.
const cacheIP = "169.254.20.10"

// clientOn starts a pod with dig on a node.
func clientOn(t *testing.T, c *harness.Cluster, ns, node string) string {
	t.Helper()
	name := "client-" + node
	c.Apply(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"nodeName":%q,"terminationGracePeriodSeconds":0,`+
		`"containers":[{"name":"c","image":"toolbox:1","imagePullPolicy":"Never","command":["sleep","100000"]}]}}`, name, node), "-n", ns)
	c.MustKubectl(t, "wait", "pod/"+name, "--for=condition=Ready", "--timeout=60s", "-n", ns)
	return name
}

// digs is what dig prints in a pod, and whether it got an answer.
func digs(t *testing.T, c *harness.Cluster, ns, pod string, args ...string) (string, bool) {
	t.Helper()
	r := c.Kubectl(t, append([]string{"exec", "-n", ns, pod, "--", "dig", "+time=1", "+tries=1", "+short"}, args...)...)
	return strings.TrimSpace(r.Stdout), r.Code == 0
}

func TestANodeCacheAnswersBeforeCoreDNS(t *testing.T) {
	c := other(t)
	ns := c.Namespace(t)
	client := clientOn(t, c, ns, "w1")
	var check dns.Status
	read(t, c, &check, "dns", "check", "--from", client, "-n", ns, "-o", "json")
	if check.Verdict != dns.Healthy || len(check.Findings) > 0 {
		t.Errorf("dns check: %s: %s %+v", check.Verdict, check.Summary, check.Findings)
	}
	c.Settle(t, string(dns.Healthy), check.Summary, "dns", "check", "--from", client)
	cache := check.NodeCache
	if cache == nil || cache.Ready != 3 || cache.Nodes != 3 || len(cache.Missing) > 0 || !slices.Equal(cache.IPs, []string{cacheIP}) {
		t.Fatalf("the cache: %+v", cache)
	}
	if u := cache.Upstream; u == nil || u.Name != "kube-dns-upstream" || u.Ready != check.Service.Ready || u.Ready == 0 {
		t.Errorf("behind the cache: %+v", u)
	}
	served := map[string]string{}
	for _, a := range check.From.Answers {
		if a.Rcode != "NOERROR" {
			t.Errorf("%s over %s: %+v", a.Server, a.Transport, a)
		}
		served[a.Server] = a.ServedBy
	}
	if !strings.HasPrefix(served[cacheIP], "node cache kube-system/node-local-dns-") || served[check.Service.ClusterIPs[0]] != "" || len(served) < 4 {
		t.Errorf("who answered: %v", served)
	}
	var resolved dns.Resolution
	read(t, c, &resolved, "dns", "resolve", "kubernetes.default", "--from", client, "-n", ns, "-o", "json")
	if resolved.Verdict != dns.Healthy || !strings.Contains(resolved.Summary, "by node cache kube-system/node-local-dns-") {
		t.Errorf("dns resolve: %s: %s", resolved.Verdict, resolved.Summary)
	}
	c.Settle(t, string(dns.Healthy), resolved.Summary, "dns", "resolve", "kubernetes.default", "--from", client)
	for _, args := range [][]string{{"dns", "pod", client}, {"dns", "explain", "kubernetes.default", "--from", client}, {"dns", "verify", "-A"}} {
		var said struct{ dns.Header }
		read(t, c, &said, append(args, "-n", ns, "-o", "json")...)
		if said.Verdict != dns.Healthy {
			t.Errorf("%v: %s: %s", args, said.Verdict, said.Summary)
		}
		c.Settle(t, string(dns.Healthy), said.Summary, args...)
	}
}

// CoreDNS is well, and pods of one node alone cannot resolve.
func TestANodeCacheThatIsStoppedOnOneNode(t *testing.T) {
	c := other(t)
	ns := c.Namespace(t)
	here, there := clientOn(t, c, ns, "w1"), clientOn(t, c, ns, "w2")
	heal := c.Fault(t, "stop-node-cache", "w1")
	harness.Eventually(t, 20*time.Second, func() (string, bool) {
		out, ok := digs(t, c, ns, here, "kubernetes.default.svc.cluster.local")
		return "the pod still gets " + out, !ok
	})
	if out, ok := digs(t, c, ns, there, "kubernetes.default.svc.cluster.local"); !ok {
		t.Errorf("the pod on w2 gets no answer: %s", out)
	}
	for _, args := range [][]string{
		{"dns", "check"},
		{"dns", "check", "--from", here, "-n", ns},
		{"dns", "check", "--from", there, "-n", ns},
		{"dns", "pod", here, "-n", ns},
		{"dns", "resolve", "kubernetes.default", "--from", here, "-n", ns},
		{"dns", "explain", "kubernetes.default", "--from", here, "-n", ns},
	} {
		t.Run(strings.TrimSuffix(strings.Join(args, " "), " -n "+ns), func(t *testing.T) {
			var said struct{ dns.Header }
			harness.Eventually(t, 20*time.Second, func() (string, bool) {
				said.Header = dns.Header{}
				read(t, c, &said, append(args, "-o", "json")...)
				return fmt.Sprintf("%s: %s %+v", said.Verdict, said.Summary, said.Findings), said.Verdict == dns.Unhealthy
			})
			if len(said.Findings) != 1 || said.PrimaryCode != "NodeLocalDNSCacheMissing" {
				t.Fatalf("%s: %+v", said.Summary, said.Findings)
			}
			f := said.Findings[0]
			if !strings.Contains(f.Message, "not ready on node w1; pods there query "+cacheIP) || strings.Contains(strings.ToLower(f.Message), "coredns") ||
				f.Object.Kind != "Pod" || !strings.HasPrefix(f.Object.Name, "node-local-dns-") {
				t.Errorf("%+v: %s", f.Object, f.Message)
			}
			if !slices.ContainsFunc(f.Evidence, func(e finding.Evidence) bool { return strings.HasPrefix(e.Path, cacheIP) }) &&
				slices.Contains(args, here) && args[1] != "pod" {
				t.Errorf("what the pod got is not shown: %+v", f.Evidence)
			}
			follow(t, c, said.Findings)
			c.Settle(t, "Unhealthy, NodeLocalDNSCacheMissing", said.Summary, args...)
		})
	}
	// A pod of another node is served.
	var resolved dns.Resolution
	read(t, c, &resolved, "dns", "resolve", "kubernetes.default", "--from", there, "-n", ns, "-o", "json")
	if resolved.Verdict != dns.Healthy {
		t.Errorf("from w2: %s: %s", resolved.Verdict, resolved.Summary)
	}
	c.Settle(t, string(dns.Healthy), resolved.Summary, "dns", "resolve", "kubernetes.default", "--from", there)
	heal()
	harness.Eventually(t, 20*time.Second, func() (string, bool) {
		var check dns.Status
		read(t, c, &check, "dns", "check", "--from", here, "-n", ns, "-o", "json")
		_, ok := digs(t, c, ns, here, "kubernetes.default.svc.cluster.local")
		return fmt.Sprintf("answered %t; %s: %s", ok, check.Verdict, check.Summary), ok && check.Verdict == dns.Healthy
	})
}

// The cache answers what was true before, for as long as it may; CoreDNS behind it is right.
func TestANodeCacheHoldsAnEarlierAnswer(t *testing.T) {
	c := other(t)
	ns := c.Namespace(t)
	client := clientOn(t, c, ns, "w2")
	server := c.MustKubectl(t, "get", "service", "kube-dns", "-n", "kube-system", "-o", "jsonpath={.spec.clusterIP}")
	for _, tt := range []struct {
		name string
		back bool // with another address
	}{{name: "deleted"}, {name: "changed", back: true}} {
		t.Run(tt.name, func(t *testing.T) {
			name := tt.name + "." + ns + ".svc.cluster.local"
			c.MustKubectl(t, "create", "service", "clusterip", tt.name, "--tcp=80", "-n", ns)
			var earlier string
			harness.Eventually(t, 20*time.Second, func() (string, bool) {
				earlier, _ = digs(t, c, ns, client, name)
				return "no address yet", earlier != ""
			})
			c.MustKubectl(t, "delete", "service", tt.name, "-n", ns)
			if tt.back {
				c.MustKubectl(t, "create", "service", "clusterip", tt.name, "--tcp=80", "-n", ns)
			}
			harness.Eventually(t, 10*time.Second, func() (string, bool) {
				now, ok := digs(t, c, ns, client, name, "@"+server)
				return "CoreDNS answers " + now, ok && now != earlier && (now != "") == tt.back
			})
			var said dns.Resolution
			read(t, c, &said, "dns", "resolve", name, "--from", client, "-n", ns, "-o", "json")
			if still, _ := digs(t, c, ns, client, name); still != earlier {
				t.Fatalf("the cache forgot %s and answers %q: the test came too late", earlier, still)
			}
			if said.Verdict != dns.Degraded || len(said.Findings) != 1 || said.PrimaryCode != "RecordMismatch" ||
				!strings.Contains(said.Summary, "the earlier answer is in the node cache kube-system/node-local-dns-") {
				t.Errorf("%s: %s %+v", said.Verdict, said.Summary, said.Findings)
			}
			follow(t, c, said.Findings)
			c.Settle(t, "Degraded, RecordMismatch", said.Summary, "dns", "resolve", strings.ReplaceAll(name, ns, "NAMESPACE"), "--from", client)
			var check dns.Status
			read(t, c, &check, "dns", "check", "--from", client, "-n", ns, "-o", "json")
			if check.Verdict != dns.Healthy {
				t.Errorf("dns check: %s: %s", check.Verdict, check.Summary)
			}
		})
	}
}
