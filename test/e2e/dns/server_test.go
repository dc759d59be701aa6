package dns

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// corefile replaces text in the live Corefile and puts the old one back when the test ends.
func corefile(t testing.TB, c *harness.Cluster, old, replacement string) (heal func()) {
	t.Helper()
	before := c.MustKubectl(t, "-n", "kube-system", "get", "configmap", "coredns", "-o", "jsonpath={.data.Corefile}")
	if !strings.Contains(before, old) {
		t.Fatalf("the Corefile has no %q:\n%s", old, before)
	}
	set := func(text string) {
		patch, _ := json.Marshal(map[string]any{"data": map[string]string{"Corefile": text}})
		c.MustKubectl(t, "-n", "kube-system", "patch", "configmap", "coredns", "--type=merge", "-p", string(patch))
		// kubelets bring a changed ConfigMap into a pod when the pod itself changes, and else within two minutes
		c.Kubectl(t, "-n", "kube-system", "annotate", "pods", "-l", "k8s-app=kube-dns", fmt.Sprintf("e2e-touched=%d", time.Now().UnixNano()), "--overwrite")
	}
	set(strings.Replace(before, old, replacement, 1))
	done := false
	heal = func() {
		if !done {
			done = true
			set(before)
		}
	}
	t.Cleanup(heal)
	return heal
}

// TestServers: what is wrong with the servers. The faults follow each other, and each ends with a healthy check.
func TestServers(t *testing.T) {
	c := cluster(t)
	spread(t, c)

	t.Run("scaled to 0", func(t *testing.T) {
		c.MustKubectl(t, "-n", "kube-system", "scale", "deployment", "coredns", "--replicas=0")
		t.Cleanup(func() { c.Kubectl(t, "-n", "kube-system", "scale", "deployment", "coredns", "--replicas=2") })
		h := expect(t, c, 60*time.Second, "Unhealthy", "DNSScaledToZero", "check")
		expect(t, c, 10*time.Second, "Unhealthy", "DNSScaledToZero", "status")
		// the next command heals it
		if r := c.Sh(t, h.Findings[0].Next[0].Command); r.Code != 0 {
			t.Fatalf("%s: exit %d %s", h.Findings[0].Next[0].Command, r.Code, r.Stderr)
		}
		c.MustKubectl(t, "-n", "kube-system", "rollout", "status", "deployment", "coredns", "--timeout=120s")
		spread(t, c)
		healthy(t, c)
	})
	t.Run("all replicas on one node", func(t *testing.T) {
		node := workers(t, c)[0]
		c.MustKubectl(t, "-n", "kube-system", "patch", "deployment", "coredns", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":%q}}}}}`, node))
		heal := func() {
			c.Kubectl(t, "-n", "kube-system", "patch", "deployment", "coredns", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":null}}}}}`)
		}
		t.Cleanup(heal)
		c.MustKubectl(t, "-n", "kube-system", "rollout", "status", "deployment", "coredns", "--timeout=120s")
		expect(t, c, 60*time.Second, "Degraded", "AllReplicasOnOneNode", "check")
		heal()
		c.MustKubectl(t, "-n", "kube-system", "rollout", "status", "deployment", "coredns", "--timeout=120s")
		spread(t, c)
		healthy(t, c)
	})
	t.Run("watched and followed", func(t *testing.T) { watched(t, c) })
	t.Run("a missing permission", func(t *testing.T) {
		role := c.MustKubectl(t, "get", "clusterrole", "system:coredns", "-o", "json")
		var object map[string]any
		if err := json.Unmarshal([]byte(role), &object); err != nil {
			t.Fatal(err)
		}
		all, _ := json.Marshal(map[string]any{"rules": object["rules"]})
		heal := func() { c.Kubectl(t, "patch", "clusterrole", "system:coredns", "--type=merge", "-p", string(all)) }
		t.Cleanup(heal)
		c.MustKubectl(t, "patch", "clusterrole", "system:coredns", "--type=merge", "-p", `{"rules":[{"apiGroups":[""],"resources":["endpoints","services","pods","namespaces"],"verbs":["list","watch"]}]}`)
		expect(t, c, 30*time.Second, "Unhealthy", "DNSServerForbidden", "check")
		heal()
		healthy(t, c)
	})
	t.Run("a broken Corefile, the old one still serving", func(t *testing.T) {
		heal := corefile(t, c, "    ready\n", "    ready\n    nosuchplugin\n")
		harness.Eventually(t, 150*time.Second, func() (string, bool) {
			h, _ := ask(t, c, "check")
			return fmt.Sprint(h.codes(), h.Summary), h.PrimaryCode == "CorefileReloadFailed" && h.Verdict == "Degraded"
		})
		h, r := ask(t, c, "check", "--fail-on", "warning")
		for _, code := range h.codes() {
			if code != "CorefileReloadFailed" && code != "UnknownPlugin" {
				t.Errorf("also seen: %s", code)
			}
		}
		if r.Code != 3 {
			t.Errorf("exit %d", r.Code)
		}
		if r := c.Kubectl(t, "dns", "resolve", "kubernetes.default", "--type", "A", "--expect", "any"); r.Code != 0 {
			t.Errorf("the old configuration does not serve: exit %d\n%s", r.Code, r.Stdout)
		}
		heal()
		restart(t, c)
		healthy(t, c)
	})
	t.Run("a dead upstream", func(t *testing.T) {
		heal := corefile(t, c, "forward . /etc/resolv.conf", "forward . 192.0.2.1")
		restart(t, c)
		expect(t, c, 60*time.Second, "Unhealthy", "UpstreamFailing", "check")
		expect(t, c, 30*time.Second, "Unhealthy", "UpstreamFailing", "upstream")
		h, r := ask(t, c, "upstream", "--direct")
		if !strings.Contains(fmt.Sprint(h.codes()), "UpstreamNotResponding") {
			t.Errorf("upstream --direct: %s, %v\n%s", h.Summary, h.codes(), r.Stderr)
		}
		if left := c.MustKubectl(t, "-n", "kube-system", "get", "jobs", "-o", "name"); left != "" {
			t.Errorf("upstream --direct leaves %s", left)
		}
		heal()
		restart(t, c)
		healthy(t, c)
	})
	t.Run("a slow upstream", func(t *testing.T) {
		ns := c.Namespace(t)
		image := c.MustKubectl(t, "-n", "kube-system", "get", "deployment", "coredns", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		c.Apply(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"slow"},"data":{"Corefile":". {\n erratic {\n  drop 0\n  truncate 0\n  delay 1 1200ms\n }\n}\n"}}`, "-n", ns)
		c.Apply(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"slow"},"spec":{"terminationGracePeriodSeconds":0,"volumes":[{"name":"c","configMap":{"name":"slow"}}],"containers":[{"name":"c","image":%q,"imagePullPolicy":"IfNotPresent","args":["-conf","/c/Corefile"],"volumeMounts":[{"name":"c","mountPath":"/c"}]}]}}`, image), "-n", ns)
		running(t, c, ns, "slow")
		ip := c.MustKubectl(t, "-n", ns, "get", "pod", "slow", "-o", "jsonpath={.status.podIP}")
		heal := corefile(t, c, "forward . /etc/resolv.conf {", fmt.Sprintf("forward . %s {", ip))
		restart(t, c)
		expect(t, c, 60*time.Second, "Degraded", "UpstreamSlow", "check")
		heal()
		restart(t, c)
		healthy(t, c)
	})
	t.Run("a kubelet that hangs", func(t *testing.T) {
		h, _ := ask(t, c, "status")
		victim := h.live(t)
		heal := c.Fault(t, "pause-kubelet", victim.Node)
		began := time.Now()
		h, r := ask(t, c, "check", "--fail-on", "warning")
		took := time.Since(began)
		t.Logf("check with a hanging kubelet: %s", took)
		if h.Verdict != "Degraded" || h.PrimaryCode != "ReplicaPortForwardFailed" || r.Code != 3 || !strings.Contains(h.Summary, victim.Name) || !strings.Contains(h.Summary, victim.Node) {
			t.Errorf("exit %d, %s %s: %s", r.Code, h.Verdict, h.PrimaryCode, h.Summary)
		}
		if took > 30*time.Second { // four seconds and what a busy machine adds
			t.Errorf("check waited %s for a kubelet that hangs", took)
		}
		if h, _ := ask(t, c, "verify", "-A"); h.PrimaryCode != "ReplicaPortForwardFailed" {
			t.Errorf("verify: %s: %s", h.Verdict, h.Summary)
		}
		if r := c.Kubectl(t, "dns", "check", "--require-complete"); r.Code != 4 || !strings.Contains(r.Stdout, "\n  port-forward: ") {
			t.Errorf("the gap is not stated: exit %d\n%s", r.Code, r.Stdout)
		}
		heal()
		healthy(t, c)
	})
	t.Run("the Service", func(t *testing.T) { serviceFaults(t, c) })
	t.Run("a rewrite that hides a Service", func(t *testing.T) {
		ns := c.Namespace(t)
		c.Apply(t, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"api"},"spec":{"ports":[{"name":"http","port":80}]}}`, "-n", ns)
		heal := corefile(t, c, "    ready\n", "    ready\n    rewrite name suffix ."+ns+".svc.cluster.local .elsewhere.svc.cluster.local\n")
		restart(t, c)
		expect(t, c, 60*time.Second, "Degraded", "AnswersOverridden", "resolve", "api."+ns)
		expect(t, c, 60*time.Second, "Degraded", "AnswersOverridden", "verify", "-n", ns)
		heal()
		restart(t, c)
		healthy(t, c)
	})
	t.Run("a forwarding loop", func(t *testing.T) {
		heal := corefile(t, c, "forward . /etc/resolv.conf", "forward . 127.0.0.1")
		c.MustKubectl(t, "-n", "kube-system", "delete", "pods", "-l", "k8s-app=kube-dns", "--wait=false")
		expect(t, c, 120*time.Second, "Unhealthy", "ForwardingLoop", "check")
		heal()
		restart(t, c)
		healthy(t, c)
	})
	t.Run("a replica cut off from the API server", func(t *testing.T) { cutOff(t, c) })
}

// watched: what goes on until it is interrupted goes on when the servers are replaced.
func watched(t *testing.T, c *harness.Cluster) {
	top, logs := c.Watch(t, "kubectl-dns", "top", "--watch", "--interval", "2s"), c.Watch(t, "kubectl-dns", "logs", "--follow")
	h, _ := ask(t, c, "status")
	old := h.live(t).Name
	top.Await(t, time.Minute, old, 1)
	logs.Await(t, time.Minute, old, 1)
	restart(t, c)
	h, _ = ask(t, c, "status")
	top.Await(t, time.Minute, h.live(t).Name, 2)
	logs.Await(t, time.Minute, h.live(t).Name, 1)
	top.Interrupt(t)
	logs.Interrupt(t)
	healthy(t, c)
}

// serviceFaults breaks the DNS Service itself, in the ways in which an edit does, while every server is well.
func serviceFaults(t *testing.T, c *harness.Cluster) {
	var object map[string]any
	if err := json.Unmarshal([]byte(c.MustKubectl(t, "-n", "kube-system", "get", "service", "kube-dns", "-o", "json")), &object); err != nil {
		t.Fatal(err)
	}
	meta := object["metadata"].(map[string]any)
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "managedFields"} {
		delete(meta, field)
	}
	before, _ := json.Marshal(object)
	heal := func() {
		c.Kubectl(t, "-n", "kube-system", "delete", "service", "kube-dns", "--ignore-not-found")
		c.Apply(t, string(before))
	}
	t.Cleanup(heal)
	patch := func(kind, text string) {
		c.MustKubectl(t, "-n", "kube-system", "patch", "service", "kube-dns", "--type="+kind, "-p", text)
	}

	patch("merge", `{"spec":{"selector":{"k8s-app":"nobody"}}}`)
	expect(t, c, 30*time.Second, "Unhealthy", "DNSServiceWithoutDNSPods", "check")
	patch("merge", `{"spec":{"selector":{"k8s-app":"metrics-server"}}}`)
	change(t, c, expect(t, c, 30*time.Second, "Unhealthy", "DNSServiceWithoutDNSPods", "check"))
	patch("json", `[{"op":"replace","path":"/spec/ports/0/targetPort","value":9153}]`)
	expect(t, c, 30*time.Second, "Unhealthy", "DNSServiceTargetPortMismatch", "check")
	patch("json", `[{"op":"replace","path":"/spec/ports/0/targetPort","value":5353},{"op":"replace","path":"/spec/ports/1/targetPort","value":5353}]`)
	expect(t, c, 30*time.Second, "Unhealthy", "DNSServiceTargetPortMismatch", "check")
	patch("json", `[{"op":"replace","path":"/spec/ports/0/targetPort","value":53},{"op":"replace","path":"/spec/ports/1/targetPort","value":53}]`)
	localTraffic(t, c, func() { patch("merge", `{"spec":{"internalTrafficPolicy":"Local"}}`) })
	c.Apply(t, `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"kube-dns-by-hand","namespace":"kube-system","labels":{"kubernetes.io/service-name":"kube-dns"}},"addressType":"IPv4","ports":[{"name":"dns","port":53,"protocol":"UDP"}],"endpoints":[{"addresses":["192.0.2.99"],"conditions":{"ready":true}}]}`)
	expect(t, c, 30*time.Second, "Degraded", "DNSServiceEndpointsMismatch", "check")
	c.MustKubectl(t, "-n", "kube-system", "delete", "endpointslice", "kube-dns-by-hand")

	c.MustKubectl(t, "-n", "kube-system", "delete", "service", "kube-dns")
	h := expect(t, c, 30*time.Second, "Unhealthy", "DNSServiceNotFound", "check")
	change(t, c, h) // it is made again as it was
	healthy(t, c)
}

// localTraffic keeps the DNS Service to the node of each client. The control plane node has no DNS pod: with its taint that is for
// information, and without it pods may come there, which have no DNS.
func localTraffic(t *testing.T, c *harness.Cluster, local func()) {
	const taint = "node-role.kubernetes.io/control-plane"
	local()
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		h, _ := ask(t, c, "check")
		return fmt.Sprint(h.Verdict, h.codes(), h.Summary), h.Verdict == "Healthy" && slices.Equal(h.codes(), []string{"DNSServiceNodeLocal"})
	})
	again := func() { c.Kubectl(t, "taint", "node", "cp1", taint+":NoSchedule", "--overwrite") }
	t.Cleanup(again)
	c.MustKubectl(t, "taint", "node", "cp1", taint+"-")
	change(t, c, expect(t, c, 30*time.Second, "Unhealthy", "DNSServiceNodeLocal", "check"))
	again()
	healthy(t, c)
}

// change runs the changing next commands of the first finding; what heals by them is for the next check to tell.
func change(t *testing.T, c *harness.Cluster, h header) {
	t.Helper()
	ran := 0
	for _, next := range h.Findings[0].Next {
		if next.Risk == "change" {
			ran++
			if r := c.Sh(t, next.Command); r.Code != 0 {
				t.Fatalf("%s: exit %d %s", next.Command, r.Code, r.Stderr)
			}
		}
	}
	if ran == 0 {
		t.Errorf("%s has no command that changes anything", h.Findings[0].Code)
	}
}

// cutOff drops what goes between one replica and the API server, both ways: the replica stays Ready, and knows nothing
// of what is made from then on.
func cutOff(t *testing.T, c *harness.Cluster) {
	h, _ := ask(t, c, "status")
	name, node := h.live(t).Name, h.live(t).Node
	ip := c.MustKubectl(t, "-n", "kube-system", "get", "pod", name, "-o", "jsonpath={.status.podIP}")
	rules := fmt.Sprintf("add table ip e2edns\nadd chain ip e2edns f { type filter hook forward priority -5; }\nadd rule ip e2edns f ip saddr %s tcp dport 6443 drop\nadd rule ip e2edns f ip daddr %s tcp sport 6443 drop\nadd chain ip e2edns o { type filter hook output priority -5; }\nadd rule ip e2edns o ip daddr %s tcp sport 6443 drop\nadd chain ip e2edns i { type filter hook input priority -5; }\nadd rule ip e2edns i ip saddr %s tcp dport 6443 drop\n", ip, ip, ip, ip)
	if r := c.OnNode(t, node, "sh", "-c", "printf '"+strings.ReplaceAll(rules, "\n", `\n`)+"' | nft -f -"); r.Code != 0 {
		t.Fatalf("nft: %s", r.Stderr)
	}
	heal := func() { c.OnNode(t, node, "nft", "delete", "table", "ip", "e2edns") }
	t.Cleanup(heal)
	ns := c.Namespace(t)
	c.Apply(t, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"new"},"spec":{"ports":[{"name":"http","port":80}]}}`, "-n", ns)
	// within the time that DNS may need this is settling, not a fault
	if h, _ := ask(t, c, "verify", "svc/new", "-n", ns); h.Verdict != "Healthy" {
		t.Errorf("a change of a moment ago is already held against the server: %s", h.Summary)
	}
	h = expect(t, c, 100*time.Second, "Unhealthy", "ReplicaStale", "check")
	stale := h
	if !strings.Contains(h.Summary, name) {
		t.Errorf("the replica is not named: %s", h.Summary)
	}
	h, r := ask(t, c, "verify", "-n", ns, "--fail-on", "critical")
	if r.Code != 3 || h.Verdict != "Unhealthy" || !strings.Contains(h.Summary, name) {
		t.Errorf("verify: exit %d, %s: %s", r.Code, h.Verdict, h.Summary)
	}
	harness.Eventually(t, 60*time.Second, func() (string, bool) {
		h, _ := ask(t, c, "status")
		return "status: " + h.Summary, h.PrimaryCode == "ReplicaStale"
	})
	heal()
	change(t, c, stale)
	healthy(t, c)
}
