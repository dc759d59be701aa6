// Package dns holds the end-to-end tests of kubectl dns: through kubectl, on a real cluster, with the faults really
// there. Each asserts the primary code, the exit code, and that nothing else is reported.
package dns

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// header is what every report has.
type header struct {
	Verdict     string
	Summary     string
	PrimaryCode string
	Findings    []struct {
		Code, Severity, Message string
		Next                    []harness.Step
	}
	Replicas []replica
}

type replica struct{ Name, Node, State string }

// live gives a replica that stays: after a rollout the old pods are listed until they are gone.
func (h header) live(t testing.TB) replica {
	t.Helper()
	i := slices.IndexFunc(h.Replicas, func(r replica) bool { return r.State == "Running" })
	if i < 0 {
		t.Fatalf("no replica runs: %+v", h.Replicas)
	}
	return h.Replicas[i]
}

func (h header) codes() []string {
	list := []string{}
	for _, f := range h.Findings {
		if !slices.Contains(list, f.Code) {
			list = append(list, f.Code)
		}
	}
	return list
}

func cluster(t *testing.T) *harness.Cluster { return harness.Own(t, "dns", 2) }

func ask(t testing.TB, c *harness.Cluster, args ...string) (header, harness.Result) {
	t.Helper()
	r := c.Plugin(t, "dns", append(args, "-o", "json")...)
	var h header
	if err := json.Unmarshal([]byte(r.Stdout), &h); err != nil {
		t.Fatalf("kubectl dns %s: exit %d, no JSON: %v\n%s", strings.Join(args, " "), r.Code, err, r.Stderr)
	}
	return h, r
}

// expect polls until a command reports exactly this primary code alone, and then holds its exit code under --fail-on
// against the verdict. Polling is for the fault to take hold; what is reported meanwhile is not judged.
func expect(t testing.TB, c *harness.Cluster, limit time.Duration, verdict, code string, args ...string) header {
	t.Helper()
	codes := []string{}
	if code != "" {
		codes = append(codes, code)
	}
	return expectAll(t, c, limit, verdict, codes, args...)
}

// expectAll is expect for several findings, the primary one first.
func expectAll(t testing.TB, c *harness.Cluster, limit time.Duration, verdict string, codes []string, args ...string) header {
	t.Helper()
	code := ""
	if len(codes) > 0 {
		code = codes[0]
	}
	var h header
	harness.Eventually(t, limit, func() (string, bool) {
		var r harness.Result
		h, r = ask(t, c, append(args, "--fail-on", "warning")...)
		want := 3
		if verdict == "Healthy" || verdict == "Unknown" {
			want = 0
		}
		ok := h.Verdict == verdict && h.PrimaryCode == code && slices.Equal(h.codes(), codes) && r.Code == want
		return fmt.Sprintf("kubectl dns %s: %s, primary code %q, all %v, exit %d; want %s, %v alone, exit %d\n%s", strings.Join(args, " "), h.Verdict, h.PrimaryCode, h.codes(), r.Code, verdict, codes, want, h.Summary), ok
	})
	for _, f := range h.Findings {
		if len(f.Next) == 0 && args[0] == "check" { // the other reports may be all that there is to see
			t.Errorf("%s has no next command", f.Code)
		}
		for _, dead := range c.Follow(t, f.Next, args) {
			t.Errorf("a next command of %s leads nowhere: %s", f.Code, dead)
		}
	}
	return h
}

// healthy waits until nothing is wrong: between two faults, and at the end.
func healthy(t testing.TB, c *harness.Cluster) {
	t.Helper()
	expect(t, c, 150*time.Second, "Healthy", "", "check")
}

func pod(name, node, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":{"app":%q}},"spec":{"nodeName":%q,"terminationGracePeriodSeconds":0,%s"containers":[{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent","command":["sleep","100000"]}]}}`, name, name, node, spec)
}

func running(t testing.TB, c *harness.Cluster, ns string, names ...string) {
	t.Helper()
	for _, name := range names {
		c.MustKubectl(t, "wait", "-n", ns, "pod/"+name, "--for=condition=Ready", "--timeout=90s")
	}
}

func workers(t testing.TB, c *harness.Cluster) []string {
	t.Helper()
	out := c.MustKubectl(t, "get", "nodes", "-l", "!node-role.kubernetes.io/control-plane", "-o", "jsonpath={.items[*].metadata.name}")
	return strings.Fields(out)
}

// TestNothingIsWrong comes first: on a cluster as it was made there is nothing to report, in time and with few calls.
func TestNothingIsWrong(t *testing.T) {
	c := cluster(t)
	spread(t, c)
	healthy(t, c)
	best := func(run func()) time.Duration {
		least := time.Hour
		for range 5 {
			began := time.Now()
			run()
			least = min(least, time.Since(began))
		}
		return least
	}
	// how slow this machine is now: on a busy one everything takes longer, and that is no fault of the plugin. That the
	// reports make few calls is asserted by counting, in plugins/dns/calls_test.go.
	one := best(func() { c.MustKubectl(t, "get", "--raw", "/api/v1/namespaces/default") })
	for _, tt := range []struct {
		args  []string
		limit time.Duration
	}{{[]string{"status"}, 1500 * time.Millisecond}, {[]string{"check", "--profile", "quick"}, 5 * time.Second}} {
		took := best(func() { ask(t, c, tt.args...) })
		t.Logf("kubectl dns %s: %s, where one read by kubectl takes %s", strings.Join(tt.args, " "), took, one)
		if limit := max(tt.limit, 12*one); took > limit {
			t.Errorf("kubectl dns %s took %s, more than %s", strings.Join(tt.args, " "), took, limit)
		}
	}
	for _, args := range [][]string{{"config"}, {"upstream"}, {"top"}, {"logs"}, {"verify", "-A"}, {"resolve", "kubernetes.default"}, {"names", "svc/kubernetes", "-n", "default"}} {
		if h, _ := ask(t, c, args...); h.Verdict != "Healthy" {
			t.Errorf("kubectl dns %s: %s: %s", strings.Join(args, " "), h.Verdict, h.Summary)
		}
	}
}

// TestAThousandNames asks each server for a thousand names over the real port-forward. What the clock says is logged and
// stands in docs/performance.md; a busy machine makes no fault of it.
func TestAThousandNames(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	var items []string
	for i := range 250 {
		items = append(items, fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"s%d"},"spec":{"ports":[{"name":"http","port":80}]}}`, i))
	}
	c.Apply(t, `{"apiVersion":"v1","kind":"List","items":[`+strings.Join(items, ",")+`]}`, "-n", ns)
	var v struct {
		Verdict, Summary string
		Names            int
		Replicas         []struct{ Queried, Correct int }
	}
	best := time.Hour
	harness.Eventually(t, 60*time.Second, func() (string, bool) {
		began := time.Now()
		r := c.Kubectl(t, "dns", "verify", "-n", ns, "-o", "json")
		best = min(best, time.Since(began))
		if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
			t.Fatalf("%v\n%s", err, r.Stderr)
		}
		ok := v.Verdict == "Healthy" && v.Names > 1000 && len(v.Replicas) == 2
		for _, replica := range v.Replicas {
			ok = ok && replica.Queried == v.Names && replica.Correct == v.Names
		}
		return fmt.Sprintf("%s: %s %+v", v.Verdict, v.Summary, v.Replicas), ok
	})
	t.Logf("verify of %d names at %d replicas: %s", v.Names, len(v.Replicas), best)
}

// spread puts the replicas on different nodes. The scheduler only prefers that: while a rollout has pods on every node, two
// new ones may get the same, and a cluster just made may have both on its first.
func spread(t testing.TB, c *harness.Cluster) {
	t.Helper()
	harness.Eventually(t, 3*time.Minute, func() (string, bool) {
		var list corev1.PodList
		if err := json.Unmarshal([]byte(c.MustKubectl(t, "-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		nodes, staying := map[string]bool{}, []string{}
		for _, p := range list.Items {
			if p.DeletionTimestamp == nil && p.Spec.NodeName != "" {
				nodes[p.Spec.NodeName], staying = true, append(staying, p.Name)
			}
		}
		if len(staying) > 1 && len(nodes) == 1 { // the one that stays sends the next one away
			c.MustKubectl(t, "-n", "kube-system", "delete", "pod", staying[0])
			c.MustKubectl(t, "-n", "kube-system", "rollout", "status", "deployment", "coredns", "--timeout=120s")
		}
		return fmt.Sprintf("DNS replicas %v on the nodes %v", staying, nodes), len(nodes) > 1
	})
}

func restart(t testing.TB, c *harness.Cluster) {
	t.Helper()
	c.MustKubectl(t, "-n", "kube-system", "rollout", "restart", "deployment", "coredns")
	c.MustKubectl(t, "-n", "kube-system", "rollout", "status", "deployment", "coredns", "--timeout=120s")
	spread(t, c)
}

// TestPods: what is wrong with one pod or object while the servers are well.
func TestPods(t *testing.T) {
	c := cluster(t)
	nodes := workers(t, c)
	ns := c.Namespace(t)
	for _, p := range []string{
		pod("plain", nodes[0], ""),
		pod("host", nodes[0], `"hostNetwork":true,`),
		pod("none", nodes[0], `"dnsPolicy":"None","dnsConfig":{"nameservers":["192.0.2.53"]},`),
		pod("wild", nodes[0], `"dnsConfig":{"searches":["wild.example.test"]},`),
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"static"},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"testapp:1","imagePullPolicy":"IfNotPresent"}]}}`,
	} {
		c.Apply(t, p, "-n", ns)
	}
	running(t, c, ns, "plain", "host", "none", "wild", "static")

	t.Run("a plain pod", func(t *testing.T) {
		expect(t, c, 20*time.Second, "Healthy", "", "check", "--from", "plain", "-n", ns)
		h, _ := ask(t, c, "pod", "plain", "-n", ns)
		if h.Verdict != "Healthy" {
			t.Errorf("pod: %s", h.Summary)
		}
	})
	t.Run("hostNetwork with ClusterFirst", func(t *testing.T) {
		expect(t, c, 20*time.Second, "Degraded", "HostNetworkClusterFirst", "check", "--from", "host", "-n", ns)
		expect(t, c, 20*time.Second, "Degraded", "HostNetworkClusterFirst", "pod", "host", "-n", ns)
	})
	t.Run("dnsPolicy None", func(t *testing.T) {
		// Nothing is there.
		expectAll(t, c, 20*time.Second, "Unhealthy", []string{"DNSUnavailableFromPod", "DNSPolicyNone"}, "check", "--from", "none", "-n", ns)
		expect(t, c, 20*time.Second, "Degraded", "DNSPolicyNone", "pod", "none", "-n", ns)
	})
	t.Run("a wildcard search domain", func(t *testing.T) {
		expect(t, c, 20*time.Second, "Degraded", "WildcardSearchDomain", "check", "--from", "wild", "-n", ns)
		out := c.MustKubectl(t, "dns", "explain", "www.example.com", "--from", "wild", "-n", ns, "--libc", "glibc")
		if !strings.Contains(out, "www.example.com.wild.example.test") || !strings.Contains(out, "glibc: Answered") {
			t.Errorf("explain does not show the capture:\n%s", out)
		}
	})
	t.Run("a pod without a shell", func(t *testing.T) {
		h := expect(t, c, 20*time.Second, "Unknown", "", "check", "--from", "static", "-n", ns)
		if !strings.Contains(h.Summary, "--probe") {
			t.Errorf("no way on: %s", h.Summary)
		}
		expect(t, c, 60*time.Second, "Healthy", "", "check", "--from", "static", "-n", ns, "--probe", "ephemeral")
		h, _ = ask(t, c, "check", "--from", "static", "-n", ns, "--probe", "pod")
		if h.Verdict != "Healthy" {
			t.Errorf("--probe pod: %s: %s", h.Verdict, h.Summary)
		}
		harness.Eventually(t, 30*time.Second, func() (string, bool) {
			left := c.MustKubectl(t, "get", "pods,jobs", "-A", "-l", "app.kubernetes.io/managed-by=kubectl-dns", "-o", "name")
			return "left behind: " + left, strings.TrimSpace(left) == ""
		})
	})
	t.Run("a NetworkPolicy without DNS", func(t *testing.T) {
		c.Apply(t, `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"locked"},"spec":{"podSelector":{"matchLabels":{"app":"plain"}},"policyTypes":["Egress"]}}`, "-n", ns)
		expect(t, c, 20*time.Second, "Unhealthy", "NetworkPolicyBlocksDNS", "pod", "plain", "-n", ns)
		// the test cluster's network enforces none, and the pod's own answers show that
		h, _ := ask(t, c, "check", "--from", "plain", "-n", ns)
		if h.Verdict != "Healthy" || !slices.Equal(h.codes(), []string{"NetworkPolicyBlocksDNS"}) || h.Findings[0].Severity != "info" || !strings.Contains(h.Findings[0].Message, "does not enforce it") {
			t.Errorf("a policy that is not enforced: %s %+v", h.Verdict, h.Findings)
		}
		c.MustKubectl(t, "delete", "networkpolicy", "locked", "-n", ns)
	})
	t.Run("a Service without endpoints", func(t *testing.T) {
		c.Apply(t, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"empty"},"spec":{"selector":{"app":"nobody"},"ports":[{"port":80}]}}`, "-n", ns)
		expect(t, c, 30*time.Second, "Degraded", "ServiceWithoutEndpoints", "names", "svc/empty", "-n", ns)
		c.MustKubectl(t, "delete", "service", "empty", "-n", ns)
	})
	t.Run("an ExternalName loop", func(t *testing.T) {
		for _, pair := range [][2]string{{"loop-a", "loop-b"}, {"loop-b", "loop-a"}} {
			c.Apply(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":%q},"spec":{"type":"ExternalName","externalName":"%s.%s.svc.cluster.local"}}`, pair[0], pair[1], ns), "-n", ns)
		}
		expect(t, c, 20*time.Second, "Degraded", "ExternalNameLoop", "names", "svc/loop-a", "-n", ns)
		c.MustKubectl(t, "delete", "service", "loop-a", "loop-b", "-n", ns)
	})
	t.Run("a StatefulSet with the wrong serviceName", func(t *testing.T) {
		c.Apply(t, `{"apiVersion":"v1","kind":"List","items":[
			{"apiVersion":"v1","kind":"Service","metadata":{"name":"db"},"spec":{"clusterIP":"None","selector":{"app":"db"},"ports":[{"name":"sql","port":5432}]}},
			{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"},"spec":{"serviceName":"dbs","replicas":1,"selector":{"matchLabels":{"app":"db"}},"template":{"metadata":{"labels":{"app":"db"}},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent","command":["sleep","100000"]}]}}}}]}`, "-n", ns)
		expect(t, c, 60*time.Second, "Degraded", "StatefulSetPodsWithoutNames", "names", "sts/db", "-n", ns)
	})
	t.Run("a typing mistake and a wrong namespace", func(t *testing.T) {
		for _, name := range []string{"kubernets.default", "kubernets.default.svc", "kubernetes.defualt", "kubernetes." + ns} {
			h := expect(t, c, 20*time.Second, "Degraded", "NameNotFound", "resolve", name)
			if !strings.Contains(h.Summary, "closest existing name: kubernetes.default.svc.cluster.local") {
				t.Errorf("%s: %s", name, h.Summary)
			}
			h = expect(t, c, 20*time.Second, "Degraded", "NameNotFound", "explain", name, "--from", "plain", "-n", ns)
			if !strings.Contains(h.Summary, "closest existing name: kubernetes.default.svc.cluster.local") {
				t.Errorf("explain %s: %s", name, h.Summary)
			}
		}
	})
	t.Run("the pod asks itself", func(t *testing.T) {
		r := c.Kubectl(t, "dns", "resolve", "kubernetes.default", "--from", "plain", "-n", ns, "--transport", "both", "--type", "A", "--expect", "any")
		if r.Code != 0 || !strings.Contains(r.Stdout, "pod:"+ns+"/plain") || strings.Contains(r.Stdout, "port-forward:") {
			t.Errorf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		if r := c.Kubectl(t, "dns", "resolve", "kubernetes.default", "--type", "A", "--expect", "A=192.0.2.1"); r.Code != 3 {
			t.Errorf("an expectation that is not met: exit %d", r.Code)
		}
		if r := c.Kubectl(t, "dns", "resolve", "nope.default", "--type", "A", "--expect", "nxdomain"); r.Code != 0 {
			t.Errorf("an expected NXDOMAIN: exit %d\n%s", r.Code, r.Stderr)
		}
	})
}
