package makes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	dns "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// policyCase is policies, and over which transports DNS then answers the pod: that is what dig in the pod sees, so the network
// proves each row, and the plugin has to agree.
type policyCase struct {
	name     string
	egress   string // spec of a policy that selects the pod; empty: none
	ingress  string // spec of a policy that selects the DNS pods
	udp, tcp bool
}

const (
	toDNS  = `"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}]`
	toAll  = `"to":[{"namespaceSelector":{}}]`
	both53 = `"ports":[{"port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"}]`
)

func egress(rules ...string) string {
	return `{"podSelector":{},"policyTypes":["Egress"],"egress":[` + strings.Join(rules, ",") + `]}`
}

func rule(parts ...string) string { return "{" + strings.Join(parts, ",") + "}" }

func ingress(rules ...string) string {
	return `{"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}},"policyTypes":["Ingress"],"ingress":[` + strings.Join(rules, ",") + `]}`
}

func policyCases(clusterIP, pods string) []policyCase {
	to := func(cidr string) string { return `"to":[{"ipBlock":{"cidr":"` + cidr + `"}}]` }
	fromTeam := func(team string) string {
		return rule(`"from":[{"namespaceSelector":{"matchLabels":{"team":"`+team+`"}}}]`, both53)
	}
	return []policyCase{
		{name: "none", udp: true, tcp: true},
		{name: "default deny egress", egress: egress()},
		{name: "default deny ingress", egress: `{"podSelector":{},"policyTypes":["Ingress"]}`, udp: true, tcp: true},
		{name: "egress to the DNS pods", egress: egress(rule(toDNS, both53)), udp: true, tcp: true},
		{name: "egress over UDP alone", egress: egress(rule(toDNS, `"ports":[{"port":53,"protocol":"UDP"}]`)), udp: true},
		{name: "egress over TCP alone", egress: egress(rule(toDNS, `"ports":[{"port":53}]`)), tcp: true},
		{name: "named ports", egress: egress(rule(toDNS, `"ports":[{"port":"dns","protocol":"UDP"},{"port":"dns-tcp","protocol":"TCP"}]`)), udp: true, tcp: true},
		{name: "a port named as that of the other protocol", egress: egress(rule(toDNS, `"ports":[{"port":"dns","protocol":"TCP"},{"port":"dns-tcp","protocol":"UDP"}]`))},
		{name: "a range of ports", egress: egress(rule(toAll, `"ports":[{"port":50,"endPort":60,"protocol":"UDP"}]`)), udp: true},
		{name: "a range of other ports", egress: egress(rule(toAll, `"ports":[{"port":54,"endPort":60,"protocol":"UDP"}]`))},
		{name: "a namespace selector that matches none", egress: egress(rule(`"to":[{"namespaceSelector":{"matchLabels":{"name":"kube-system"}}}]`, both53))},
		{name: "a pod selector without a namespace", egress: egress(rule(`"to":[{"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}]`, both53))},
		{name: "the address of the Service alone", egress: egress(rule(to(clusterIP+"/32"), both53))},
		{name: "the addresses of the pods", egress: egress(rule(to(pods), both53)), udp: true, tcp: true},
		{name: "all addresses but those of the pods", egress: egress(rule(`"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["` + pods + `"]}}]`))},
		{name: "ingress of the DNS pods from this team", ingress: ingress(fromTeam("shop")), udp: true, tcp: true},
		{name: "ingress of the DNS pods from another team", ingress: ingress(fromTeam("other"))},
		{name: "ingress of the DNS pods from their own namespace", ingress: ingress(rule(`"from":[{"podSelector":{}}]`))},
		{name: "ingress of the DNS pods on another port", ingress: ingress(rule(`"ports":[{"port":9153,"protocol":"TCP"}]`))},
	}
}

// sees says over which transports DNS answers in the pod.
func sees(t *testing.T, c *harness.Cluster, ns string) (udp, tcp bool) {
	t.Helper()
	line := "kubectl exec -n " + ns + " client -- dig +time=1 +tries=1 +short kubernetes.default.svc.cluster.local "
	return c.Sh(t, line+"+notcp").Code == 0, c.Sh(t, line+"+tcp").Code == 0
}

func TestPoliciesAreJudgedAsTheNetworkEnforcesThem(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.MustKubectl(t, "label", "namespace", ns, "team=shop")
	c.Apply(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"client"},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"toolbox:1","imagePullPolicy":"Never","command":["sleep","100000"]}]}}`, "-n", ns)
	c.MustKubectl(t, "wait", "pod/client", "--for=condition=Ready", "--timeout=60s", "-n", ns)
	clusterIP := c.MustKubectl(t, "get", "service", "kube-dns", "-n", "kube-system", "-o", "jsonpath={.spec.clusterIP}")
	pod := c.MustKubectl(t, "get", "pod", "client", "-n", ns, "-o", "jsonpath={.status.podIP}")
	pods := strings.Join(strings.Split(pod, ".")[:2], ".") + ".0.0/16"
	for _, tt := range policyCases(clusterIP, pods) {
		t.Run(tt.name, func(t *testing.T) {
			for namespace, spec := range map[string]string{ns: tt.egress, "kube-system": tt.ingress} {
				if spec == "" {
					continue
				}
				c.Apply(t, `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"e2e-policy"},"spec":`+spec+`}`, "-n", namespace)
				t.Cleanup(func() { c.MustKubectl(t, "delete", "networkpolicy", "e2e-policy", "-n", namespace) })
			}
			harness.Eventually(t, 20*time.Second, func() (string, bool) {
				udp, tcp := sees(t, c, ns)
				return fmt.Sprintf("the network lets UDP %t, TCP %t through", udp, tcp), udp == tt.udp && tcp == tt.tcp
			})
			agrees(t, c, ns, tt)
		})
	}
}

// agrees holds what the plugin says of the pod, with and without questions asked in it, against what the network does.
func agrees(t *testing.T, c *harness.Cluster, ns string, tt policyCase) {
	t.Helper()
	var of dns.PodResolver
	read(t, c, &of, "dns", "pod", "client", "-n", ns, "-o", "json")
	open := map[string]bool{"UDP": len(of.Policies) > 0, "TCP": len(of.Policies) > 0}
	for _, effect := range of.Policies {
		open[effect.Transport] = open[effect.Transport] && effect.Result == "allowed"
	}
	if open["UDP"] != tt.udp || open["TCP"] != tt.tcp {
		t.Errorf("dns pod: %+v", of.Policies)
	}
	verdict, severity := "Healthy", finding.Severity("")
	switch {
	case !tt.udp:
		verdict, severity = "Unhealthy", finding.Critical
	case !tt.tcp:
		verdict, severity = "Degraded", finding.Warning
	}
	var check dns.Status
	read(t, c, &check, "dns", "check", "--from", "client", "-n", ns, "-o", "json")
	for name, h := range map[string]dns.Header{"dns pod": of.Header, "dns check --from": check.Header} {
		if string(h.Verdict) != verdict {
			t.Errorf("%s: %s: %s; want %s", name, h.Verdict, h.Summary, verdict)
		}
		if i := slices.IndexFunc(h.Findings, func(f finding.Finding) bool { return f.Code == "NetworkPolicyBlocksDNS" }); severity == "" && i >= 0 ||
			severity != "" && (len(h.Findings) != 1 || i != 0 || h.Findings[i].Severity != severity || strings.Contains(h.Findings[i].Message, "does not enforce")) {
			t.Errorf("%s: %+v", name, h.Findings)
		}
		follow(t, c, h.Findings)
	}
	c.Settle(t, verdict, of.Summary, "dns", "pod", "client")
	c.Settle(t, verdict, check.Summary, "dns", "check", "--from", "client")
}

// A policy that lets nobody in closes DNS for all, and `dns check` says so without a pod to ask from.
func TestAPolicyThatClosesTheDNSPods(t *testing.T) {
	c := cluster(t)
	c.Apply(t, `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"e2e-closed"},"spec":`+ingress()+`}`, "-n", "kube-system")
	t.Cleanup(func() { c.MustKubectl(t, "delete", "networkpolicy", "e2e-closed", "-n", "kube-system") })
	var check dns.Status
	harness.Eventually(t, 20*time.Second, func() (string, bool) {
		check = dns.Status{}
		read(t, c, &check, "dns", "check", "-o", "json")
		return fmt.Sprintf("%s: %+v", check.Verdict, check.Findings), check.Verdict == "Unhealthy" && len(check.Findings) == 1 &&
			check.Findings[0].Code == "NetworkPolicyBlocksDNS" && check.Findings[0].Severity == finding.Critical
	})
	follow(t, c, check.Findings)
	c.Settle(t, "Unhealthy, NetworkPolicyBlocksDNS", check.Summary, "dns", "check")
}

// A policy that keeps out the addresses of one node's pods: those pods get no answer, and pods elsewhere are as well as ever. Without
// a pod to ask from, the report must not say that no policy blocks DNS.
func TestAPolicyThatKeepsOutOneNodesPods(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	shut, open := clientOn(t, c, ns, "w1"), clientOn(t, c, ns, "w2")
	heal := c.Fault(t, "deny-by-policy", "w1")
	of := func(client string) (check dns.Status) {
		read(t, c, &check, "dns", "check", "--from", client, "-n", ns, "-o", "json")
		return check
	}
	var check dns.Status
	harness.Eventually(t, 20*time.Second, func() (string, bool) {
		check = of(shut)
		return fmt.Sprintf("%s: %+v", check.Verdict, check.Findings), check.Verdict == dns.Unhealthy && len(check.Findings) == 1 &&
			strings.Contains(fmt.Sprint(check.Findings[0].Evidence), "the policy is enforced")
	})
	if f := check.Findings[0]; f.Code != "NetworkPolicyBlocksDNS" || f.Severity != finding.Critical ||
		!slices.ContainsFunc(f.Next, func(n finding.Next) bool { return n.Why == "Allow ingress from the pod on port 53 over UDP and TCP" }) {
		t.Errorf("%s: %s: %+v", f.Code, f.Message, f.Next)
	}
	follow(t, c, check.Findings)
	c.Settle(t, "Unhealthy, NetworkPolicyBlocksDNS", check.Summary, "dns", "check", "--from", shut)
	if check = of(open); check.Verdict != dns.Healthy || !slices.Contains(check.PassedChecks, "no NetworkPolicy blocks DNS") {
		t.Errorf("a pod of another node: %s: %q", check.Summary, check.PassedChecks)
	}
	c.Settle(t, "Healthy", check.Summary, "dns", "check", "--from", open)
	var all dns.Status
	read(t, c, &all, "dns", "check", "-o", "json")
	if all.Verdict != dns.Healthy || slices.Contains(all.PassedChecks, "no NetworkPolicy blocks DNS") {
		t.Errorf("without a pod: %s: %q", all.Summary, all.PassedChecks)
	}
	heal()
	harness.Eventually(t, 20*time.Second, func() (string, bool) {
		check = of(shut)
		return check.Summary, check.Verdict == dns.Healthy
	})
}

func read(t *testing.T, c *harness.Cluster, into any, args ...string) {
	t.Helper()
	r := c.Kubectl(t, args...)
	if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
		t.Fatalf("kubectl %s: exit %d: %v\n%s", strings.Join(args, " "), r.Code, err, r.Stderr)
	}
}

// follow runs the reading next commands.
func follow(t *testing.T, c *harness.Cluster, findings []finding.Finding, markers ...harness.Marker) {
	t.Helper()
	for _, f := range findings {
		var steps []harness.Step
		for _, n := range f.Next {
			steps = append(steps, harness.Step{Command: n.Command, Why: n.Why, Risk: string(n.Risk)})
		}
		for _, dead := range c.Follow(t, steps, nil, markers...) {
			t.Errorf("a next command of %s leads nowhere: %s", f.Code, dead)
		}
	}
}
