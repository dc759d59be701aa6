package makes

import (
	"fmt"
	"net/netip"
	"path/filepath"
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

// ofFamilies are the clusters that have IPv6, by the families of their pods.
func ofFamilies() map[string]func(*testing.T) *harness.Cluster {
	return map[string]func(*testing.T) *harness.Cluster{"dual-stack": dualStack, "IPv6 only": ipv6Only}
}

// web is a server with Services of each kind that the cluster's families allow.
const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "testapp:1", readinessProbe: {periodSeconds: 1, httpGet: {path: /ready, port: 8080}}}]
---
apiVersion: v1
kind: Service
metadata: {name: both}
spec: {ipFamilyPolicy: PreferDualStack, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: each}
spec: {clusterIP: None, ipFamilyPolicy: PreferDualStack, selector: {app: web}, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: six}
spec: {ipFamilies: [IPv6], selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

// serve starts web and waits until its Services have endpoints.
func serve(t *testing.T, c *harness.Cluster, ns string) {
	t.Helper()
	c.Apply(t, web, "-n", ns)
	c.MustKubectl(t, "rollout", "status", "deployment/web", "--timeout=90s", "-n", ns)
}

// get gives words of a field.
func get(t *testing.T, c *harness.Cluster, path string, args ...string) []string {
	t.Helper()
	return strings.Fields(c.MustKubectl(t, append(append([]string{"get"}, args...), "-o", "jsonpath="+path)...))
}

// typeOf is the record type of an address.
func typeOf(address string) string {
	if strings.Contains(address, ":") {
		return "AAAA"
	}
	return "A"
}

func TestRecordsOfBothFamilies(t *testing.T) {
	for name, cluster := range ofFamilies() {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			ns := c.Namespace(t)
			serve(t, c, ns)
			client := clientOn(t, c, ns, "w1")
			domain := domainOf(t, c)
			for service, addresses := range map[string][]string{
				"both": get(t, c, "{.spec.clusterIPs[*]}", "service", "both", "-n", ns),
				"each": get(t, c, "{.items[0].status.podIPs[*].ip}", "pods", "-l", "app=web", "-n", ns),
				"six":  get(t, c, "{.spec.clusterIPs[*]}", "service", "six", "-n", ns),
			} {
				var said dns.Resolution
				harness.Eventually(t, 20*time.Second, func() (string, bool) {
					said = dns.Resolution{}
					read(t, c, &said, "dns", "resolve", service, "--from", client, "-n", ns, "-o", "json")
					return said.Summary, said.Verdict == dns.Healthy
				})
				c.Settle(t, string(dns.Healthy), said.Summary, "dns", "resolve", service, "--from", client)
				if want := service + "." + ns + ".svc." + domain; strings.TrimSuffix(said.Name, ".") != want {
					t.Errorf("%s is %s, want %s", service, said.Name, want)
				}
				got := map[string][]string{}
				for _, a := range said.Answers {
					for _, r := range a.Records {
						if !slices.Contains(got[r.Type], r.Data) {
							got[r.Type] = append(got[r.Type], r.Data)
						}
					}
				}
				want := map[string][]string{}
				for _, address := range addresses {
					want[typeOf(address)] = append(want[typeOf(address)], address)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %v, want %v", service, got, want)
				}
				for _, address := range addresses {
					reverse(t, c, ns, address, service+"."+ns+".svc."+domain)
				}
			}
			var verified dns.Verification
			read(t, c, &verified, "dns", "verify", "-n", ns, "-o", "json")
			if verified.Verdict != dns.Healthy || verified.Objects < 3 {
				t.Errorf("dns verify: %s: %s %+v", verified.Verdict, verified.Summary, verified.Items)
			}
			c.Settle(t, string(dns.Healthy), verified.Summary, "dns", "verify")
		})
	}
}

// reverse asks for the name of an address, which ends as given.
func reverse(t *testing.T, c *harness.Cluster, ns, address, ends string) {
	t.Helper()
	refused := c.Kubectl(t, "dns", "resolve", address, "-n", ns)
	_, command, ok := strings.Cut(refused.Stderr, "run '")
	command, _, _ = strings.Cut(command, "'")
	if !ok || refused.Code != 1 {
		t.Fatalf("an address for a name: exit %d: %s", refused.Code, refused.Stderr)
	}
	var said dns.Resolution
	read(t, c, &said, append([]string{"dns"}, append(strings.Fields(command), "-n", ns, "-o", "json")...)...)
	if said.Verdict != dns.Healthy || !slices.ContainsFunc(said.Answers, func(a dns.Answer) bool {
		return slices.ContainsFunc(a.Records, func(r dns.Record) bool { // a pod has the names of all Services that select it
			return r.Type == "PTR" && strings.HasSuffix(strings.TrimSuffix(r.Data, "."), ends)
		})
	}) {
		t.Errorf("%s: %s: %s %+v", command, said.Verdict, said.Summary, said.Answers)
	}
}

// domainOf is the domain that the kubelets give to pods.
func domainOf(t *testing.T, c *harness.Cluster) string {
	t.Helper()
	for line := range strings.Lines(c.MustKubectl(t, "get", "configmap", "kubelet-config", "-n", "kube-system", "-o", "jsonpath={.data.kubelet}")) {
		if domain, ok := strings.CutPrefix(line, "clusterDomain: "); ok {
			return strings.TrimSpace(domain)
		}
	}
	t.Fatal("the kubelets' configuration names no domain")
	return ""
}

func TestDNSOfAPodInBothFamilies(t *testing.T) {
	for name, cluster := range ofFamilies() {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			ns := c.Namespace(t)
			serve(t, c, ns)
			client := clientOn(t, c, ns, "w1")
			domain := domainOf(t, c)
			server := get(t, c, "{.spec.clusterIPs[*]}", "service", "kube-dns", "-n", "kube-system")
			var pod dns.PodResolver
			read(t, c, &pod, "dns", "pod", client, "-n", ns, "-o", "json")
			if pod.Verdict != dns.Healthy || pod.Actual == nil || !slices.Equal(pod.Actual.Nameservers, server[:1]) ||
				!slices.Equal(pod.Actual.Searches, []string{ns + ".svc." + domain, "svc." + domain, domain}) || len(pod.Differences) > 0 {
				t.Errorf("dns pod: %s: %s %+v %v", pod.Verdict, pod.Summary, pod.Actual, pod.Differences)
			}
			c.Settle(t, string(dns.Healthy), pod.Summary, "dns", "pod", client)
			var check dns.Status
			read(t, c, &check, "dns", "check", "--from", client, "-n", ns, "-o", "json")
			if check.Verdict != dns.Healthy || len(check.Findings) > 0 || check.Zone != domain+"." && check.Zone != domain {
				t.Errorf("dns check: %s: %s %+v; zone %s", check.Verdict, check.Summary, check.Findings, check.Zone)
			}
			c.Settle(t, string(dns.Healthy), check.Summary, "dns", "check", "--from", client)
			var said dns.Explanation
			read(t, c, &said, "dns", "explain", "both", "--from", client, "-n", ns, "-o", "json")
			steps := said.Lookups[0].Steps
			if said.Verdict != dns.Healthy || len(steps) == 0 || !strings.HasPrefix(steps[0].Name, "both."+ns+".svc."+domain) {
				t.Errorf("dns explain: %s: %s %+v", said.Verdict, said.Summary, said.Lookups)
			}
			c.Settle(t, string(dns.Healthy), said.Summary, "dns", "explain", "both", "--from", client)
			upstream := struct{ dns.Header }{}
			read(t, c, &upstream, "dns", "upstream", "-o", "json")
			if upstream.Verdict != dns.Healthy {
				t.Errorf("dns upstream: %s: %s", upstream.Verdict, upstream.Summary)
			}
			c.Settle(t, string(dns.Healthy), upstream.Summary, "dns", "upstream")
		})
	}
}

// A Service of one family has no record of the other: programs that ask for that alone do not find it.
func TestAServiceAskedForTheOtherFamily(t *testing.T) {
	c := dualStack(t)
	ns := c.Namespace(t)
	serve(t, c, ns)
	client := clientOn(t, c, ns, "w1")
	var said dns.Resolution
	read(t, c, &said, "dns", "resolve", "six", "--type", "A", "--from", client, "-n", ns, "-o", "json")
	if len(said.Findings) != 1 || !strings.Contains(said.Findings[0].Message, "Service "+ns+"/six has addresses of IPv6 only") {
		t.Errorf("%s: %s %+v", said.Verdict, said.Summary, said.Findings)
	}
	follow(t, c, said.Findings)
	c.Settle(t, string(said.Findings[0].Code), said.Summary, "dns", "resolve", "six", "--type", "A", "--from", client)
	read(t, c, &said, "dns", "resolve", "six", "--from", client, "-n", ns, "-o", "json")
	if said.Verdict != dns.Healthy {
		t.Errorf("asked for both: %s: %s", said.Verdict, said.Summary)
	}
}

// A name with the usual domain is none of this cluster.
func TestANameOfAnotherClusterDomain(t *testing.T) {
	c := dualStack(t)
	ns := c.Namespace(t)
	serve(t, c, ns)
	client := clientOn(t, c, ns, "w1")
	var said dns.Explanation
	read(t, c, &said, "dns", "explain", "both."+ns+".svc.cluster.local", "--from", client, "-n", ns, "-o", "json")
	if said.Verdict == dns.Healthy || !strings.Contains(said.Summary, otherDomain) {
		t.Errorf("%s: %s %+v", said.Verdict, said.Summary, said.Findings)
	}
	follow(t, c, said.Findings)
	c.Settle(t, fmt.Sprintf("%s, %s", said.Verdict, said.PrimaryCode), said.Summary, "dns", "explain", "both.NAMESPACE.svc.cluster.local", "--from", client)
}

// bothFamilies gives the DNS Service an address of each family, as it has where an installer asks for it.
func bothFamilies(t *testing.T, c *harness.Cluster) (four, six string) {
	t.Helper()
	c.MustKubectl(t, "patch", "service", "kube-dns", "-n", "kube-system", "-p", `{"spec":{"ipFamilyPolicy":"PreferDualStack"}}`)
	t.Cleanup(func() {
		c.MustKubectl(t, "patch", "service", "kube-dns", "-n", "kube-system", "--type=merge", "-p",
			`{"spec":{"ipFamilyPolicy":"SingleStack","ipFamilies":["IPv4"]}}`)
	})
	ips := get(t, c, "{.spec.clusterIPs[*]}", "service", "kube-dns", "-n", "kube-system")
	if len(ips) != 2 {
		t.Fatalf("the DNS Service has %v", ips)
	}
	return ips[0], ips[1]
}

// asking starts a pod on w1 whose nameservers are these.
func asking(t *testing.T, c *harness.Cluster, ns, name string, servers ...string) {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"nodeName":"w1","terminationGracePeriodSeconds":0,
"dnsPolicy":"None","dnsConfig":{"nameservers":["%s"],"searches":["%s.svc.%s"]},
"containers":[{"name":"c","image":"toolbox:1","imagePullPolicy":"Never","command":["sleep","100000"]}]}}`, name, strings.Join(servers, `","`), ns, domainOf(t, c)), "-n", ns)
	c.MustKubectl(t, "wait", "pod/"+name, "--for=condition=Ready", "--timeout=60s", "-n", ns)
}

// IPv6 is dropped between a node and the others; IPv4 works. What that is to a pod depends on its nameservers.
func TestIPv6DroppedOnOneNode(t *testing.T) {
	c := dualStack(t)
	ns := c.Namespace(t)
	four, six := bothFamilies(t, c)
	c.MustKubectl(t, "rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=60s")
	asking(t, c, ns, "over-4", four)
	asking(t, c, ns, "over-6", six)
	asking(t, c, ns, "over-both", six, four)
	away := "" // the replicas on the other node, which the pods reach over IPv4 alone
	for _, line := range strings.Fields(c.MustKubectl(t, "get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "-o",
		`jsonpath={range .items[?(@.spec.nodeName!="w1")]}{.metadata.name} {end}`)) {
		away = line
	}
	if away == "" {
		t.Fatal("all DNS servers run on w1")
	}
	for _, pod := range []string{"over-4", "over-6", "over-both"} {
		harness.Eventually(t, 30*time.Second, func() (string, bool) {
			var check dns.Status
			read(t, c, &check, "dns", "check", "--from", pod, "-n", ns, "-o", "json")
			return fmt.Sprintf("before: %s: %s", check.Verdict, check.Summary), check.Verdict == dns.Healthy && len(check.Findings) == 0
		})
	}
	c.Fault(t, "cut-family", "w1")
	for pod, want := range map[string]struct {
		verdict  dns.Verdict
		severity finding.Severity
	}{"over-4": {dns.Healthy, finding.Info}, "over-6": {dns.Unhealthy, finding.Critical}, "over-both": {dns.Degraded, finding.Warning}} {
		t.Run(pod, func(t *testing.T) {
			var check dns.Status
			harness.Eventually(t, 30*time.Second, func() (string, bool) {
				check = dns.Status{}
				read(t, c, &check, "dns", "check", "--from", pod, "-n", ns, "-o", "json")
				// The server on w1 loses the address of IPv6 of the nodes' resolver as well, until it has seen that.
				return fmt.Sprintf("%s: %s %+v", check.Verdict, check.Summary, check.Findings), check.Verdict == want.verdict && len(check.Findings) == 1
			})
			f := check.Findings[0]
			if f.Code != "ReplicaUnreachableFromPod" || f.Severity != want.severity || !strings.HasPrefix(f.Message, "over IPv6, pod "+ns+"/"+pod) ||
				!strings.Contains(f.Message, away) {
				t.Errorf("%s %s: %s", f.Severity, f.Code, f.Message)
			}
			follow(t, c, check.Findings)
			c.Settle(t, fmt.Sprintf("%s, %s", want.verdict, f.Code), check.Summary, "dns", "check", "--from", pod)
		})
	}
	t.Run("capture", func(t *testing.T) { // through the kubelet, over IPv4: what the pod sends is seen, and that nothing comes
		server := get(t, c, "{.status.podIPs[1].ip}", "pod", away, "-n", "kube-system")[0]
		for _, line := range packets(t, c, ns, "over-6", server, "ip6 and host "+server+" and port 53") {
			if !strings.Contains(line, " > "+server+".53: ") {
				t.Errorf("not what the pod sends: %s", line)
			}
		}
	})
}

// What the node sends to the API server over IPv6 is dropped; the kubelet runs.
func TestANodeThatLosesTheAPIServerOverIPv6(t *testing.T) {
	c := ipv6Only(t)
	heal := c.Fault(t, "cut-api", "w1")
	var nodes nodeinfo.List
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		nodes = nodeinfo.List{}
		read(t, c, &nodes, "nodeinfo", "w1", "--kubelet", "-o", "json")
		codes := codesOf(nodes.Items[0].Findings)
		return fmt.Sprint(nodes.Summary, codes), slices.Contains(codes, "KubeletNotReporting") && nodes.Items[0].Verdict == nodeinfo.Unhealthy
	})
	c.Settle(t, "Unhealthy, KubeletNotReporting", nodes.Items[0].Summary, "nodeinfo", "w1", "--kubelet")
	heal()
	c.MustKubectl(t, "wait", "node/w1", "--for=condition=Ready", "--timeout=120s")
}

func TestNodeinfoInBothFamilies(t *testing.T) {
	for name, cluster := range ofFamilies() {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			families := len(get(t, c, "{.spec.podCIDRs[*]}", "node", "w1"))
			var nodes nodeinfo.List
			harness.Eventually(t, time.Minute, func() (string, bool) {
				nodes = nodeinfo.List{}
				read(t, c, &nodes, "nodeinfo", "cp1", "w1", "--kubelet", "-o", "json")
				return nodes.Summary, nodes.Counts.Healthy == 2
			})
			c.Settle(t, string(nodeinfo.Healthy), nodes.Summary, "nodeinfo", "cp1", "w1", "--kubelet")
			for _, n := range nodes.Items {
				if n.Network == nil || len(n.Network.PodCIDRs) != families || !slices.Equal(n.Network.PodCIDRs, get(t, c, "{.spec.podCIDRs[*]}", "node", n.Name)) {
					t.Errorf("%s: pods' ranges %+v", n.Name, n.Network)
					continue
				}
				addresses := 0
				for _, a := range n.Network.Addresses {
					if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == "InternalIP" && ip.IsValid() {
						addresses++
					}
				}
				if addresses != families {
					t.Errorf("%s: addresses %+v", n.Name, n.Network.Addresses)
				}
				if n.Health == nil || n.Health.Kubelet != "answers" {
					t.Errorf("%s: the kubelet answers %+v", n.Name, n.Health)
				}
			}
			var paths nodeinfo.Paths
			read(t, c, &paths, "nodeinfo", "--paths", "-o", "json")
			if paths.Verdict != nodeinfo.Healthy || len(paths.Paths) == 0 {
				t.Errorf("nodeinfo --paths: %s: %s", paths.Verdict, paths.Summary)
			}
			c.Settle(t, string(nodeinfo.Healthy), paths.Summary, "nodeinfo", "--paths")
			var join nodeinfo.Join
			read(t, c, &join, "nodeinfo", "w1", "--join", "-o", "json")
			if len(join.Machines) != 1 || join.Machines[0].Verdict != nodeinfo.Joined {
				t.Errorf("nodeinfo --join: %s: %s %+v", join.Verdict, join.Summary, join.Machines)
			}
			c.Settle(t, string(nodeinfo.Joined), join.Summary, "nodeinfo", "w1", "--join")
		})
	}
}

// packets captures queries of a pod and gives what was written, a line each.
func packets(t *testing.T, c *harness.Cluster, ns, pod, server, filter string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.pcap")
	captured := c.Sh(t, fmt.Sprintf(`(while :; do kubectl exec -n %[1]s %[2]s -- dig +time=1 +tries=1 kubernetes.default.svc.%[5]s @%[6]s >/dev/null 2>&1; done) & loop=$!
kubectl nodeshell capture %[2]s -n %[1]s -w %[3]s --count 4 -- %[4]s; code=$?; kill $loop; exit $code`, ns, pod, file, filter, domainOf(t, c), server))
	if captured.Code != 0 {
		t.Fatalf("capture of %q: exit %d: %s", filter, captured.Code, captured.Stderr)
	}
	return strings.Split(strings.TrimSpace(c.Sh(t, "tcpdump -nn -r "+file+" 2>/dev/null").Stdout), "\n")
}

func TestNodeshellInBothFamilies(t *testing.T) {
	for name, cluster := range ofFamilies() {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			ns := c.Namespace(t)
			client := clientOn(t, c, ns, "w1")
			session := c.Run(t, time.Minute, []harness.Option{harness.Stdin(strings.NewReader("hostname\nexit 7\n"))},
				"kubectl", "nodeshell", "w1", "-n", ns, "-i", "--", "sh")
			if session.Code != 7 || session.Stdout != "w1\n" {
				t.Errorf("session: exit %d: %s%s", session.Code, session.Stdout, session.Stderr)
			}
			servers := get(t, c, "{.items[0].status.podIPs[*].ip}", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")
			for _, own := range get(t, c, "{.status.podIPs[*].ip}", "pod", client, "-n", ns) {
				i := slices.IndexFunc(servers, func(s string) bool { return typeOf(s) == typeOf(own) })
				filter, mark := "ip and host "+own+" and port 53", "IP "
				if typeOf(own) == "AAAA" {
					filter, mark = "ip6 and host "+own+" and port 53", "IP6 "
				}
				got := packets(t, c, ns, client, servers[i], filter)
				if len(got) != 4 || slices.ContainsFunc(got, func(line string) bool { return !strings.Contains(line, mark) || !strings.Contains(line, own) }) {
					t.Errorf("%s: %v", filter, got)
				}
			}
		})
	}
}

func TestRolloutExplainInBothFamilies(t *testing.T) {
	for name, cluster := range ofFamilies() {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			ns := c.Namespace(t)
			serve(t, c, ns)
			said := explain(t, c, ns, "deployment/web")
			if said.Verdict != rollout.Complete || len(said.Findings) > 0 {
				t.Errorf("%s: %s", said.Verdict, said.Summary)
			}
			c.Settle(t, string(rollout.Complete), said.Summary, "rollout-explain", "deployment/web")
		})
	}
}

// A server that listens on 0.0.0.0 has no IPv6, over which the kubelet probes it here.
func TestAProbeOverIPv6OfAServerThatHasIPv4Alone(t *testing.T) {
	c := ipv6Only(t)
	ns := c.Namespace(t)
	serve(t, c, ns)
	c.MustKubectl(t, "set", "env", "deployment/web", "TESTAPP_NETWORK=tcp4", "-n", ns)
	var said rollout.Rollout
	harness.Eventually(t, time.Minute, func() (string, bool) {
		said = explain(t, c, ns, "deployment/web")
		return fmt.Sprintf("%s: %s", said.Verdict, said.Summary), len(said.Findings) > 0 && said.Findings[0].Code == "ReadinessProbeFailing" &&
			strings.Contains(said.Summary, "connection refused")
	})
	if !strings.Contains(said.Summary, "listens on 0.0.0.0 accepts IPv4 only") {
		t.Errorf("%s", said.Summary)
	}
	follow(t, c, []finding.Finding{said.Findings[0].Finding})
	c.Settle(t, "ReadinessProbeFailing", said.Summary, "rollout-explain", "deployment/web")
}
