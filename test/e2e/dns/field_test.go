package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// TestReportedPods: what users reported of one pod or name, each beside what is nearly the same and well.
func TestReportedPods(t *testing.T) {
	c := cluster(t)
	node := workers(t, c)[0]
	ns := c.Namespace(t)
	writes := func(name, line string) string {
		return strings.Replace(pod(name, node, ""), `["sleep","100000"]`, fmt.Sprintf(`["sh","-c",%q]`, line+"; exec sleep 100000"), 1)
	}
	for _, p := range []string{
		pod("alias", node, `"hostAliases":[{"ip":"192.0.2.7","hostnames":["kubernetes.default"]}],`),
		pod("elsewhere", node, `"hostAliases":[{"ip":"192.0.2.7","hostnames":["db.example.test"]}],`),
		pod("cache", node, `"dnsPolicy":"None","dnsConfig":{"nameservers":["169.254.25.10"],"searches":["`+ns+`.svc.cluster.local","svc.cluster.local","cluster.local"],"options":[{"name":"ndots","value":"5"}]},`),
		writes("rewritten", "echo nameserver 192.0.2.53 >/etc/resolv.conf"),
		writes("edited", "echo options edns0 >>/etc/resolv.conf"),
		strings.NewReplacer("busybox:1.36", "no-such-image:1", "IfNotPresent", "Never").Replace(pod("absent", node, "")),
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"resolver"},"data":{"resolv.conf":"nameserver 192.0.2.53\n"}}`,
		strings.Replace(pod("mounted", node, `"volumes":[{"name":"files","configMap":{"name":"resolver"}}],`), `"name":"c",`,
			`"name":"c","volumeMounts":[{"name":"files","mountPath":"/etc/resolv.conf","subPath":"resolv.conf"}],`, 1),
		`{"apiVersion":"v1","kind":"List","items":[
			{"apiVersion":"v1","kind":"Service","metadata":{"name":"many"},"spec":{"clusterIP":"None","ports":[{"name":"sql","port":5432}]}},
			{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"many","labels":{"kubernetes.io/service-name":"many"}},"addressType":"IPv4","ports":[{"name":"sql","port":5432,"protocol":"TCP"}],"endpoints":[` + addresses(60) + `]}]}`,
		`{"apiVersion":"v1","kind":"List","items":[
			{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"side"},"data":{"Corefile":".:53 {\n bind 127.0.0.1\n forward . ` + c.MustKubectl(t, "get", "service", "kube-dns", "-n", "kube-system", "-o", "jsonpath={.spec.clusterIP}") + `\n}\n"}},
			{"apiVersion":"v1","kind":"Pod","metadata":{"name":"side"},"spec":{"nodeName":"` + node + `","terminationGracePeriodSeconds":0,"dnsPolicy":"None",
				"dnsConfig":{"nameservers":["127.0.0.1"],"searches":["` + ns + `.svc.cluster.local","svc.cluster.local","cluster.local"],"options":[{"name":"ndots","value":"5"}]},
				"volumes":[{"name":"side","configMap":{"name":"side"}}],
				"containers":[{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent","command":["sleep","100000"]},
					{"name":"dns","image":"` + c.MustKubectl(t, "get", "deployment", "coredns", "-n", "kube-system", "-o", "jsonpath={.spec.template.spec.containers[0].image}") + `",
						"imagePullPolicy":"IfNotPresent","args":["-conf","/side/Corefile"],"volumeMounts":[{"name":"side","mountPath":"/side"}]}]}}]}`,
		`{"apiVersion":"v1","kind":"List","items":[
			{"apiVersion":"v1","kind":"Service","metadata":{"name":"late"},"spec":{"clusterIP":"None","selector":{"app":"late"},"ports":[{"name":"sql","port":5432}]}},
			{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"late"},"spec":{"serviceName":"late","replicas":2,"podManagementPolicy":"Parallel","selector":{"matchLabels":{"app":"late"}},"template":{"metadata":{"labels":{"app":"late"}},"spec":{"terminationGracePeriodSeconds":0,"containers":[
				{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent","command":["sleep","100000"],"readinessProbe":{"exec":{"command":["sh","-c","[ $HOSTNAME = late-0 ]"]},"periodSeconds":1}}]}}}}]}`,
		`{"apiVersion":"v1","kind":"List","items":[
			{"apiVersion":"v1","kind":"Service","metadata":{"name":"set"},"spec":{"clusterIP":"None","selector":{"app":"set"},"ports":[{"name":"sql","port":5432}]}},
			{"apiVersion":"v1","kind":"Service","metadata":{"name":"set-hl"},"spec":{"clusterIP":"None","selector":{"app":"set"},"ports":[{"name":"sql","port":5432}]}},
			{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"set"},"spec":{"serviceName":"set-hl","replicas":1,"selector":{"matchLabels":{"app":"set"}},"template":{"metadata":{"labels":{"app":"set"}},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent","command":["sleep","100000"]}]}}}}]}`,
	} {
		c.Apply(t, p, "-n", ns)
	}
	running(t, c, ns, "mounted", "alias", "elsewhere", "cache", "rewritten", "edited", "set-0", "late-0", "side")
	server := strings.TrimPrefix(strings.Fields(c.MustKubectl(t, "-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "name"))[0], "pod/")
	for _, tt := range []struct {
		name, verdict, code, says string
		args                      []string
	}{
		{"an alias of the cluster's own name", "Degraded", "HostsFileOverridesDNS", "/etc/hosts of pod " + ns + "/alias (hostAliases) has 192.0.2.7", []string{"check", "--from", "alias", "-n", ns}},
		{"resolve tells it too", "Degraded", "HostsFileOverridesDNS", "programs read it before DNS", []string{"resolve", "kubernetes.default", "--from", "alias", "-n", ns}},
		{"an alias of another name", "Healthy", "", "", []string{"check", "--from", "elsewhere", "-n", ns}},
		{"another name of that pod", "Healthy", "", "", []string{"resolve", "kubernetes.default", "--from", "elsewhere", "-n", ns}},
		{"a node cache that is gone", "Unhealthy", "DNSUnavailableFromPod", "its only nameserver 169.254.25.10", []string{"check", "--from", "cache", "-n", ns, "--ignore-findings", "DNSPolicyNone"}},
		{"a resolv.conf that the container wrote", "Unhealthy", "PodResolvConfMismatch", "a container rewrote the file", []string{"check", "--from", "rewritten", "-n", ns}},
		{"a resolv.conf that a volume brings", "Unhealthy", "PodResolvConfMismatch", "container c has volume files (ConfigMap resolver) there", []string{"check", "--from", "mounted", "-n", ns}},
		{"more addresses than a packet holds", "Healthy", "", "", []string{"resolve", "many." + ns, "--from", "elsewhere", "-n", ns}},
		{"one with another option", "Healthy", "", "", []string{"check", "--from", "edited", "-n", ns}},
		{"a host name under another Service", "Degraded", "NameNotFound", "pod set-0 has its name under Service set-hl", []string{"resolve", "set-0.set." + ns}},
		{"the same under its serviceName", "Healthy", "", "", []string{"resolve", "set-0.set-hl." + ns}},
		{"a member by its Service alone", "Healthy", "", "answered at step 1", []string{"explain", "set-0.set-hl", "--from", "elsewhere", "-n", ns}},
		{"a member by its host name alone", "Degraded", "NameNotFound", "set-0." + ns + ".svc.cluster.local does not exist", []string{"explain", "set-0", "--from", "elsewhere", "-n", ns}},
		{"a member that is not Ready", "Degraded", "NameNotFound", "pod late-1 is not Ready, and has no name until it is", []string{"resolve", "late-1.late." + ns}},
		{"a DNS server in the pod", "Healthy", "", "", []string{"check", "--from", "side", "-n", ns}},
		{"a pod that does not run", "Unknown", "", "the pod is not running (ErrImageNeverPull)", []string{"check", "--from", "pod/absent", "-n", ns}},
		{"a DNS pod itself", "Unknown", "", "is a DNS server, which uses the resolver of its node by design", []string{"check", "--from", "pod/" + server, "-n", "kube-system"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if h := expect(t, c, 30*time.Second, tt.verdict, tt.code, tt.args...); !strings.Contains(h.Summary, tt.says) {
				t.Errorf("%s; want %s", h.Summary, tt.says)
			}
		})
	}
}

// addresses are endpoints of a slice, without pods.
func addresses(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"addresses":["198.51.100.%d"],"conditions":{"ready":true}}`, i+1)
	}
	return strings.Join(list, ",")
}

// TestAServiceThatIsMadeAgain: with the cluster's names in the cache of CoreDNS, the old address is told against the API.
func TestAServiceThatIsMadeAgain(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	heal := corefile(t, c, "    cache 30 {\n       disable success cluster.local\n", "    cache 30 {\n")
	restart(t, c)
	service := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"api"},"spec":{"ports":[{"name":"http","port":80}]}}`
	c.Apply(t, service, "-n", ns)
	expect(t, c, 60*time.Second, "Healthy", "", "resolve", "api."+ns, "--type", "A")
	// The cache holds an answer for 30 s: on a machine that takes longer for this, it is made again once more.
	var h header
	question := []string{"resolve", "api." + ns, "--type", "A", "--fail-on", "warning"}
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		c.MustKubectl(t, "delete", "service", "api", "-n", ns)
		c.Apply(t, service, "-n", ns)
		var r harness.Result
		h, r = ask(t, c, question...)
		return fmt.Sprintf("%s %v, exit %d: %s", h.Verdict, h.codes(), r.Code, h.Summary),
			h.Verdict == "Degraded" && slices.Equal(h.codes(), []string{"RecordMismatch"}) && r.Code == 3
	})
	if !strings.Contains(h.Summary, "the earlier answer is in the cache of CoreDNS for another ") {
		t.Errorf("%s", h.Summary)
	}
	for _, dead := range c.Follow(t, h.Findings[0].Next, question) {
		t.Errorf("a next command leads nowhere: %s", dead)
	}
	expect(t, c, 60*time.Second, "Healthy", "", "resolve", "api."+ns, "--type", "A") // its time is over
	heal()
	restart(t, c)
	healthy(t, c)
}

// TestReportedServers: what users reported of the servers, each beside what is nearly the same and well.
func TestReportedServers(t *testing.T) {
	c := cluster(t)
	spread(t, c)
	t.Run("an upstream that answers over UDP alone", func(t *testing.T) {
		nodes := strings.Fields(c.MustKubectl(t, "-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "jsonpath={.items[*].spec.nodeName}"))
		slices.Sort(nodes)
		var heals []func()
		for _, node := range slices.Compact(nodes) {
			heals = append(heals, c.Fault(t, "block-dns", node, "--proto", "tcp", "--dest", "all"))
		}
		// Its next command, "dns upstream", waits for what forward makes of the loss, longer than expect allows a step.
		harness.Eventually(t, 60*time.Second, func() (string, bool) {
			h, _ := ask(t, c, "resolve", "www.example.test", "--type", "A")
			return fmt.Sprint(h.Verdict, h.codes(), h.Summary), h.Verdict == "Degraded" && h.PrimaryCode == "UpstreamTCPFailing" && strings.Contains(h.Summary, "over TCP")
		})
		expect(t, c, 30*time.Second, "Healthy", "", "resolve", "kubernetes.default", "--type", "A")
		for _, heal := range heals {
			heal()
		}
		expect(t, c, 60*time.Second, "Healthy", "", "resolve", "www.example.test", "--type", "A")
	})
	t.Run("a Corefile that nobody reads again", func(t *testing.T) {
		heal := corefile(t, c, "    reload\n", "")
		restart(t, c)
		healthy(t, c)
		again := corefile(t, c, "    loop\n", "    loop\n    hosts {\n      192.0.2.7 db.corp.test\n      fallthrough\n    }\n")
		expect(t, c, 60*time.Second, "Degraded", "CorefileNotReloaded", "resolve", "db.corp.test", "--type", "A")
		change(t, c, expect(t, c, 60*time.Second, "Degraded", "CorefileNotReloaded", "check"))
		c.MustKubectl(t, "-n", "kube-system", "rollout", "status", "deployment", "coredns", "--timeout=120s")
		expect(t, c, 60*time.Second, "Healthy", "", "resolve", "db.corp.test", "--type", "A", "--expect", "A=192.0.2.7")
		again()
		heal()
		restart(t, c)
		healthy(t, c)
	})
	t.Run("a server block that is longer than the cluster's", func(t *testing.T) {
		heal := corefile(t, c, ".:53 {\n", "corp.local:53 {\n    forward . 192.0.2.1\n}\n.:53 {\n")
		restart(t, c)
		healthy(t, c)
		heal()
		heal = corefile(t, c, ".:53 {\n", "local:53 {\n    forward . 192.0.2.1\n}\n.:53 {\n")
		restart(t, c)
		for _, report := range []string{"check", "config"} {
			if h := expect(t, c, 60*time.Second, "Unhealthy", "ZoneNotServed", report); !strings.Contains(h.Summary, "the longest matching zone wins") {
				t.Errorf("%s: %s", report, h.Summary)
			}
		}
		heal()
		restart(t, c)
		healthy(t, c)
	})
	t.Run("a Corefile without ready", func(t *testing.T) {
		heal := corefile(t, c, "    ready\n", "")
		c.MustKubectl(t, "-n", "kube-system", "delete", "pods", "-l", "k8s-app=kube-dns", "--wait=false")
		h := expect(t, c, 120*time.Second, "Unhealthy", "ProbePluginMissing", "check")
		if !strings.Contains(h.Summary, "8181") {
			t.Errorf("%s", h.Summary)
		}
		heal()
		restart(t, c)
		healthy(t, c)
	})
}
