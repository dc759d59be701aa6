package evaluate

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func found(code finding.Code, severity finding.Severity, object finding.ObjectRef, evidence ...finding.Evidence) finding.Finding {
	return finding.Finding{
		Code: code, Severity: severity, Title: string(code), Message: string(code) + " of " + object.Name, Object: &object, Evidence: evidence,
	}
}

func nodeRef(name string) finding.ObjectRef { return finding.ObjectRef{Kind: "Node", Name: name} }

func podRef(namespace, name string) finding.ObjectRef {
	return finding.ObjectRef{Kind: "Pod", Namespace: namespace, Name: name}
}

func leaseOf(component string) finding.Evidence {
	return finding.Evidence{Source: "Lease kube-system/" + component, Path: "spec.renewTime", Value: "renewed 5m ago"}
}

// change alters an Input; a case is a list of them.
type change func(*Input)

// onNodeW is a finding of nodeinfo about a node, or about pods on it.
func onNodeW(name string, list ...finding.Finding) change {
	return func(in *Input) {
		in.Nodes.Items = append(in.Nodes.Items, nodereport.Node{Name: name, Verdict: nodereport.Unhealthy, Findings: list})
	}
}

func node(name string, code finding.Code) change {
	return onNodeW(name, found(code, finding.Critical, nodeRef(name)))
}

// nodePod is what a node says of a pod.
func nodePod(code finding.Code, pod finding.ObjectRef, more ...finding.ObjectRef) change {
	f := found(code, finding.Warning, pod)
	f.Covers = more
	return onNodeW("w9", f)
}

// inDNS is a finding about the cluster DNS, or about one of its two pods, c1 on w1 and c2 on w2.
func inDNS(code finding.Code, pod ...string) change {
	return func(in *Input) {
		f := found(code, finding.Critical, finding.ObjectRef{Kind: "Deployment", Namespace: "kube-system", Name: "coredns"})
		if len(pod) > 0 {
			f = found(code, finding.Warning, podRef("kube-system", pod[0]))
		}
		in.DNS.Verdict = dnsreport.Unhealthy
		in.DNS.Findings = append(in.DNS.Findings, f)
	}
}

// rollout is a Stuck one, for a finding about one pod, which is named as the rollout.
func rollout(namespace, name string, code finding.Code, more ...func(*rolloutreport.Finding)) change {
	return func(in *Input) {
		f := rolloutreport.Finding{Finding: found(code, finding.Critical, podRef(namespace, name)), Role: rolloutreport.RootCause, Pods: []string{name}}
		for _, m := range more {
			m(&f)
		}
		object := finding.ObjectRef{Kind: "Deployment", Namespace: namespace, Name: name}
		in.Rollouts.Items = append(in.Rollouts.Items, rolloutreport.Rollout{Object: object, Verdict: rolloutreport.Stuck, Findings: []rolloutreport.Finding{f}})
	}
}

func at(nodes ...string) func(*rolloutreport.Finding) {
	return func(f *rolloutreport.Finding) {
		for _, n := range nodes {
			f.At = append(f.At, nodeRef(n))
		}
	}
}

func says(value string) func(*rolloutreport.Finding) {
	return func(f *rolloutreport.Finding) {
		f.Evidence = append(f.Evidence, finding.Evidence{Source: "Event", Value: value})
	}
}

func with(e finding.Evidence) func(*rolloutreport.Finding) {
	return func(f *rolloutreport.Finding) { f.Evidence = append(f.Evidence, e) }
}

func since(d time.Duration) func(*rolloutreport.Finding) {
	at := now.Add(-d)
	return func(f *rolloutreport.Finding) { f.FirstSeen = &at }
}

func logs(lines ...string) func(*rolloutreport.Finding) {
	return func(f *rolloutreport.Finding) { f.Log = &rolloutreport.Log{Pod: "p", Container: "c", Lines: lines} }
}

func input(changes ...change) *Input {
	in := &Input{
		Nodes: &nodereport.List{Items: []nodereport.Node{{Name: "w5", Verdict: nodereport.Healthy}}},
		DNS: &dnsreport.Status{
			Header: dnsreport.Header{Verdict: dnsreport.Healthy}, Zone: "cluster.local.",
			Replicas: []dnsreport.Replica{
				{Namespace: "kube-system", Name: "c1", Node: "w1", Queried: true}, {Namespace: "kube-system", Name: "c2", Node: "w2", Queried: true},
			},
		},
		Rollouts: &rolloutreport.List{},
		Unread:   map[report.Workflow]source.Source{},
	}
	for _, c := range changes {
		c(in)
	}
	return in
}

// tree is each root with what it explains: "A(B C) D".
func tree(t report.Triage) string {
	var roots []string
	for i := range t.Causes {
		c := &t.Causes[i]
		text := string(c.Code)
		var codes []string
		for _, e := range c.Explains {
			codes = append(codes, string(e.Code))
		}
		slices.Sort(codes)
		if len(c.Subjects) > 1 {
			text += fmt.Sprintf("*%d", len(c.Subjects))
		}
		if len(codes) > 0 {
			text += "(" + strings.Join(codes, " ") + ")"
		}
		roots = append(roots, text)
	}
	slices.Sort(roots)
	return strings.Join(roots, " ")
}

const unanswered = "dial tcp: lookup db.shop on 10.96.0.10:53: read udp 10.0.0.2:1->10.96.0.10:53: i/o timeout"

func dead(name string, ago time.Duration) change {
	f := found("KubeletNotReporting", finding.Critical, nodeRef(name))
	f.Began = now.Add(-ago)
	return onNodeW(name, f)
}

type ruleCase struct {
	rule     string
	fault    []change
	want     string
	near     [][]change
	nearWant []string
}

// cases shows each rule, and what is near to it and no case of it.
var cases = []ruleCase{
	{
		rule: "a node that does not work explains pods that say so", want: "KubeletNotReporting(NodeNotReady TerminatingOnNotReadyNode)",
		fault: []change{
			dead("w1", time.Minute), rollout("shop", "api", "NodeNotReady", at("w1")),
			rollout("pay", "api", "TerminatingOnNotReadyNode", at("w1"), since(time.Hour)), // deleted long before: it waits for the kubelet all the same
		},
		near: [][]change{
			{dead("w1", time.Minute), rollout("shop", "api", "NodeNotReady", at("w2"))},
			{dead("w1", time.Minute), rollout("shop", "api", "UntoleratedTaint", at("w1", "w2"))},
			{node("w1", "DiskPressure"), rollout("shop", "api", "NodeNotReady", at("w1"))},
		},
		nearWant: []string{"KubeletNotReporting NodeNotReady", "KubeletNotReporting UntoleratedTaint", "DiskPressure NodeNotReady"},
	},
	{
		rule: "a node that does not work explains pods on it that do not start or end", want: "ContainerRuntimeDown(FailedCreatePodSandBox)",
		fault: []change{node("w1", "ContainerRuntimeDown"), rollout("shop", "api", "FailedCreatePodSandBox", at("w1"))},
		near: [][]change{
			{node("w1", "ContainerRuntimeDown"), rollout("shop", "api", "ContainerCrashing", at("w1"))},
			{dead("w1", time.Minute), rollout("shop", "api", "PodStuckTerminating", at("w1"), since(time.Hour))},
		},
		nearWant: []string{"ContainerCrashing ContainerRuntimeDown", "KubeletNotReporting PodStuckTerminating"},
	},
	{
		rule: "a node without disk space explains pods evicted for that and images that find no room", want: "DiskPressure(Evicted NoDiskSpaceForImage)",
		fault: []change{
			node("w1", "DiskPressure"), rollout("shop", "api", "Evicted", at("w1"), says("The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi")),
			rollout("pay", "api", "NoDiskSpaceForImage", at("w1")),
		},
		near: [][]change{
			{node("w1", "DiskPressure"), rollout("shop", "api", "Evicted", at("w1"), says("Pod ephemeral local storage usage exceeds the total limit of containers 1Mi."))},
			{node("w1", "DiskPressure"), rollout("shop", "api", "Evicted", at("w1"), says("The node was low on resource: memory."))},
		},
		nearWant: []string{"DiskPressure Evicted", "DiskPressure Evicted"},
	},
	{
		rule: "a node without memory explains pods evicted for that", want: "MemoryPressure(Evicted)",
		fault:    []change{node("w1", "MemoryPressure"), rollout("shop", "api", "Evicted", at("w1"), says("The node was low on resource: memory. Threshold quantity: 100Mi"))},
		near:     [][]change{{node("w2", "MemoryPressure"), rollout("shop", "api", "Evicted", at("w1"), says("The node was low on resource: memory."))}},
		nearWant: []string{"Evicted MemoryPressure"},
	},
	{
		rule: "a node without process IDs explains pods evicted for that", want: "PIDPressure(Evicted)",
		fault:    []change{node("w1", "PIDPressure"), rollout("shop", "api", "Evicted", at("w1"), says("The node was low on resource: pids. "))},
		near:     [][]change{{node("w1", "PIDPressure"), rollout("shop", "api", "Evicted", at("w1"), says("The node was low on resource: memory."))}},
		nearWant: []string{"Evicted PIDPressure"},
	},
	{
		rule: "a node that does not work explains DNS pods on it", want: "KubeletNotReporting(ReplicaNotReady)",
		fault: []change{dead("w1", time.Minute), inDNS("ReplicaNotReady", "c1")},
		near: [][]change{
			{dead("w1", time.Minute), inDNS("ReplicaNotReady", "c2")},
			{dead("w1", time.Minute), inDNS("DNSPodsNotReady")}, // the other pod is on w2
			{dead("w1", time.Minute), inDNS("CorefileInvalid")},
		},
		nearWant: []string{"KubeletNotReporting ReplicaNotReady", "DNSPodsNotReady KubeletNotReporting", "CorefileInvalid KubeletNotReporting"},
	},
	{
		rule: "a node that does not work explains a DNS pod that could not be queried", want: "HeartbeatLate(ReplicaPortForwardFailed)",
		fault:    []change{node("w2", "HeartbeatLate"), inDNS("ReplicaPortForwardFailed", "c2")},
		near:     [][]change{{node("w1", "HeartbeatLate"), inDNS("ReplicaPortForwardFailed", "c2")}},
		nearWant: []string{"HeartbeatLate ReplicaPortForwardFailed"},
	},
	{
		rule: "a control plane component that does not act explains what waits for it", want: "LeaderLeaseExpired(SpecUpdateNotObserved*)",
		fault: []change{
			onNodeW("cp1", found("LeaderLeaseExpired", finding.Critical, nodeRef("cp1"), leaseOf("kube-controller-manager"))),
			rollout("shop", "api", "SpecUpdateNotObserved", with(leaseOf("kube-controller-manager"))),
			rollout("pay", "api", "SpecUpdateNotObserved", with(leaseOf("kube-controller-manager"))),
		},
		near: [][]change{
			{
				onNodeW("cp1", found("LeaderLeaseExpired", finding.Critical, nodeRef("cp1"), leaseOf("kube-scheduler"))),
				rollout("shop", "api", "SpecUpdateNotObserved", with(leaseOf("kube-controller-manager"))),
			},
			{ // nothing says that the controller does not act
				onNodeW("cp1", found("LeaderLeaseExpired", finding.Critical, nodeRef("cp1"), leaseOf("kube-controller-manager"))),
				rollout("shop", "api", "SpecUpdateNotObserved"),
			},
		},
		nearWant: []string{"LeaderLeaseExpired SpecUpdateNotObserved", "LeaderLeaseExpired SpecUpdateNotObserved"},
	},
	{
		rule: "a DNS that does not answer explains crashes whose log says so", want: "DNSScaledToZero(ContainerCrashing InitContainerFailing)",
		fault: []change{
			inDNS("DNSScaledToZero"), rollout("shop", "api", "ContainerCrashing", at("w1"), logs("start", unanswered)),
			rollout("pay", "api", "InitContainerFailing", at("w2"), logs("ping: bad address 'db.shop'")),
		},
		near: [][]change{
			{inDNS("DNSScaledToZero"), rollout("shop", "api", "ContainerCrashing", logs("config: DB_HOST is required"))},
			{inDNS("DNSScaledToZero"), rollout("shop", "api", "ContainerCrashing")},
			{inDNS("DNSScaledToZero"), rollout("shop", "api", "ContainerCrashing", logs("lookup db.shop on 10.96.0.10:53: no such host"))}, // an answer
			{inDNS("SingleReplica"), rollout("shop", "api", "ContainerCrashing", logs(unanswered))},
			{inDNS("DNSScaledToZero"), rollout("shop", "api", "ImageNotFound", logs(unanswered))},
		},
		nearWant: []string{
			"ContainerCrashing DNSScaledToZero", "ContainerCrashing DNSScaledToZero", "ContainerCrashing DNSScaledToZero",
			"ContainerCrashing SingleReplica", "DNSScaledToZero ImageNotFound",
		},
	},
	{
		rule: "a DNS that answers wrong explains crashes whose log says that a name does not exist", want: "ZoneNotServed(ContainerCrashing)",
		fault: []change{inDNS("ZoneNotServed"), rollout("shop", "api", "ContainerCrashing", logs("getaddrinfo ENOTFOUND db.shop.svc.cluster.local"))},
		near: [][]change{
			{inDNS("ZoneNotServed"), rollout("shop", "api", "ContainerCrashing", logs("lookup api.example.com: no such host"))},
			{inDNS("ZoneNotServed"), rollout("shop", "api", "ContainerCrashing", logs("Temporary failure in name resolution"))},
		},
		nearWant: []string{"ContainerCrashing ZoneNotServed", "ContainerCrashing ZoneNotServed"},
	},
	{
		rule: "an upstream that fails explains crashes whose log names hosts outside the cluster", want: "UpstreamFailing(ContainerCrashing)",
		fault: []change{inDNS("UpstreamFailing"), rollout("shop", "api", "ContainerCrashing", logs("lookup api.example.com on 10.96.0.10:53: server misbehaving"))},
		near: [][]change{
			{inDNS("UpstreamFailing"), rollout("shop", "api", "ContainerCrashing", logs("lookup db.shop on 10.96.0.10:53: server misbehaving"))}, // may be a Service
			{inDNS("UpstreamFailing"), rollout("shop", "api", "ContainerCrashing", logs("Temporary failure in name resolution"))},
			{inDNS("UpstreamFailing"), rollout("shop", "api", "ContainerCrashing", logs("lookup db on 10.96.0.10:53: server misbehaving"))},
		},
		nearWant: []string{"ContainerCrashing UpstreamFailing", "ContainerCrashing UpstreamFailing", "ContainerCrashing UpstreamFailing"},
	},
	{
		rule: "a configuration that DNS pods do not start with explains their rollout", want: "CorefileInvalid(ContainerCrashing)",
		fault:    []change{inDNS("CorefileInvalid"), rollout("kube-system", "c1", "ContainerCrashing", at("w1"))},
		near:     [][]change{{inDNS("CorefileInvalid"), rollout("shop", "c1", "ContainerCrashing", at("w1"))}},
		nearWant: []string{"ContainerCrashing CorefileInvalid"},
	},
	{
		rule: "what is wrong with DNS pods explains a rollout that only says that they are not ready", want: "ReplicaNotReady(ReadinessProbeFailing)",
		fault: []change{inDNS("ReplicaNotReady", "c1"), rollout("kube-system", "c1", "ReadinessProbeFailing", at("w1"))},
		near: [][]change{
			{inDNS("ReplicaNotReady", "c2"), rollout("kube-system", "c1", "ReadinessProbeFailing", at("w1"))},
			{inDNS("SingleReplica"), rollout("kube-system", "c1", "ReadinessProbeFailing", at("w1"))},
		},
		nearWant: []string{"ReadinessProbeFailing ReplicaNotReady", "ReadinessProbeFailing SingleReplica"},
	},
	{
		rule: "what keeps DNS pods from running explains DNS", want: "ImageNotFound(ReplicaNotReady)",
		fault:    []change{inDNS("ReplicaNotReady", "c1"), rollout("kube-system", "c1", "ImageNotFound", at("w1"))},
		near:     [][]change{{inDNS("ReplicaNotReady", "c2"), rollout("kube-system", "c1", "ImageNotFound", at("w1"))}},
		nearWant: []string{"ImageNotFound ReplicaNotReady"},
	},
	{
		rule: "what keeps the pods of a rollout from running explains what their nodes say of them", want: "ContainerCrashing(PodCrashLooping)",
		fault: []change{rollout("shop", "api", "ContainerCrashing", at("w9")), nodePod("PodCrashLooping", podRef("shop", "api"))},
		near: [][]change{
			{rollout("shop", "api", "ContainerCrashing", at("w9")), nodePod("PodCrashLooping", podRef("pay", "api"))},
			{rollout("shop", "api", "ContainerCrashing", at("w9")), nodePod("PodCrashLooping", podRef("shop", "api"), podRef("shop", "bare"))},
			{rollout("shop", "api", "ContainerCrashing", at("w9")), node("w9", "DiskPressure")},
			{rollout("shop", "api", "NoCauseFound", at("w9")), nodePod("PodCrashLooping", podRef("shop", "api"))},
		},
		nearWant: []string{
			"ContainerCrashing PodCrashLooping", "ContainerCrashing PodCrashLooping", "ContainerCrashing DiskPressure", "NoCauseFound PodCrashLooping",
		},
	},
	{
		rule: "what is wrong with DNS pods explains what their nodes say of them", want: "CorefileInvalid(PodCrashLooping)",
		fault: []change{inDNS("CorefileInvalid"), nodePod("PodCrashLooping", podRef("kube-system", "c1"))},
		near: [][]change{
			{inDNS("CorefileInvalid"), nodePod("PodCrashLooping", podRef("kube-system", "other"))},
			{inDNS("UpstreamFailing"), nodePod("PodCrashLooping", podRef("kube-system", "c1"))},
		},
		nearWant: []string{"CorefileInvalid PodCrashLooping", "PodCrashLooping UpstreamFailing"},
	},
}

func TestEveryRuleHasACaseAndANearMiss(t *testing.T) {
	for _, r := range rules {
		i := slices.IndexFunc(cases, func(c ruleCase) bool { return c.rule == r.name })
		if i < 0 || len(cases[i].near) == 0 || len(cases[i].near) != len(cases[i].nearWant) {
			t.Errorf("%s: no case, or no near miss", r.name)
		}
	}
	if len(cases) != len(rules) {
		t.Errorf("%d cases of %d rules", len(cases), len(rules))
	}
}

func TestFaultsOfOneCauseAreJoinedAndOthersStayApart(t *testing.T) {
	for _, c := range cases {
		want := strings.ReplaceAll(c.want, "SpecUpdateNotObserved*", "SpecUpdateNotObserved SpecUpdateNotObserved")
		if got := tree(Evaluate(input(c.fault...), now)); got != want {
			t.Errorf("%s: %s, want %s", c.rule, got, want)
		}
		for k, near := range c.near {
			if got := tree(Evaluate(input(near...), now)); got != c.nearWant[k] {
				t.Errorf("%s, near miss %d: %s, want %s", c.rule, k, got, c.nearWant[k])
			}
		}
	}
}

func TestARuleThatIsLeftOutIsMissed(t *testing.T) {
	all := rules
	defer func() { rules = all }()
	for k, c := range cases {
		rules = slices.DeleteFunc(slices.Clone(all), func(r rule) bool { return r.name == c.rule })
		if got := tree(Evaluate(input(c.fault...), now)); got == c.want {
			t.Errorf("case %d passes without its rule %s", k, c.rule)
		}
	}
}

func TestTheSameRefusalIsOneCause(t *testing.T) {
	hook := `Error creating: Internal error occurred: failed calling webhook %q: failed to call webhook: Post "https://guard.default.svc:443/": service "guard" not found`
	denied := `Error creating: admission webhook %q denied the request: %s`
	quota := `Error creating: pods "api-%s" is forbidden: exceeded quota: %s, requested: pods=1, used: pods=2, limited: pods=2`
	refused := func(namespace string, code finding.Code, format string, args ...any) change {
		return rollout(namespace, "api", code, says(fmt.Sprintf(format, args...)))
	}
	for _, tt := range []struct {
		name    string
		changes []change
		want    string
	}{
		{"one webhook that cannot be called", []change{refused("a", "AdmissionWebhookCallFailed", hook, "g"), refused("b", "AdmissionWebhookCallFailed", hook, "g")}, "AdmissionWebhookCallFailed*2"},
		{"two webhooks", []change{refused("a", "AdmissionWebhookCallFailed", hook, "g"), refused("b", "AdmissionWebhookCallFailed", hook, "h")}, "AdmissionWebhookCallFailed AdmissionWebhookCallFailed"},
		{"one denial, of two pods", []change{
			refused("a", "AdmissionWebhookDenied", denied, "g", "pod api-7dfbb478fd-7xw5w has no owner"), refused("b", "AdmissionWebhookDenied", denied, "g", "pod web-54d47d8ccb-gjzks has no owner"),
		}, "AdmissionWebhookDenied*2"},
		{"two denials of one webhook", []change{refused("a", "AdmissionWebhookDenied", denied, "g", "no owner"), refused("b", "AdmissionWebhookDenied", denied, "g", "no limits")}, "AdmissionWebhookDenied AdmissionWebhookDenied"},
		{"one quota", []change{refused("a", "QuotaExceeded", quota, "x", "q"), refused("a", "QuotaExceeded", quota, "y", "q")}, "QuotaExceeded*2"},
		{"quotas of one name in two namespaces", []change{refused("a", "QuotaExceeded", quota, "x", "q"), refused("b", "QuotaExceeded", quota, "y", "q")}, "QuotaExceeded QuotaExceeded"},
		{"one node that no other workflow knows", []change{rollout("a", "api", "NodeNotReady", at("w1")), rollout("b", "api", "NodeNotReady", at("w1"))}, "NodeNotReady*2"},
		{"two crashes", []change{rollout("a", "api", "ContainerCrashing", at("w1")), rollout("b", "api", "ContainerCrashing", at("w1"))}, "ContainerCrashing ContainerCrashing"},
	} {
		if got := tree(Evaluate(input(tt.changes...), now)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestOrderAndFolding(t *testing.T) {
	in := func() *Input {
		return input(
			rollout("shop", "web", "ImageNotFound", at("w2")), dead("w1", time.Minute), inDNS("ReplicaNotReady", "c1"),
			rollout("shop", "api", "NodeNotReady", at("w1")), rollout("pay", "api", "NodeNotReady", at("w1")), rollout("pay", "job", "TerminatingOnNotReadyNode", at("w1")),
			nodePod("PodCrashLooping", podRef("x", "bare")),
		)
	}
	got := Evaluate(in(), now)
	if got.Causes[0].Code != "KubeletNotReporting" || got.Causes[0].ExplainsSummary != "3 rollouts in 2 namespaces, 1 DNS replica" {
		t.Errorf("first %s explains %q", got.Causes[0].Code, got.Causes[0].ExplainsSummary)
	}
	if got.Causes[2].Code != "PodCrashLooping" || got.Verdict != report.Unhealthy || got.Summary != "KubeletNotReporting of w1 (and 2 more causes)" {
		t.Errorf("last %s, verdict %s: %s", got.Causes[2].Code, got.Verdict, got.Summary)
	}
	for range 20 {
		shuffled := in()
		for _, list := range [][]nodereport.Node{shuffled.Nodes.Items} {
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		list := shuffled.Rollouts.Items
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if d := cmp.Diff(got, Evaluate(shuffled, now)); d != "" {
			t.Fatalf("shuffled lists give another report: %s", d)
		}
	}
}

func TestWhatCouldNotBeReadIsNoHealth(t *testing.T) {
	if got := Evaluate(input(), now); got.Verdict != report.Healthy || len(got.Causes) != 0 || got.Causes == nil {
		t.Errorf("%s, %v", got.Verdict, got.Causes)
	}
	unread := input()
	unread.Nodes = nil
	unread.Unread[report.Nodes] = source.Source{Name: "the workflow", State: source.Forbidden, Verb: "list", Resource: "nodes"}
	got := Evaluate(unread, now)
	if got.Verdict != report.Unknown || got.Summary != "no problem was found in what could be read; unknown: nodes" || len(got.NotChecked) > 0 {
		t.Errorf("%s: %s, %q", got.Verdict, got.Summary, got.NotChecked)
	}
	if got.Workflows[0].Unread != "needs list nodes" || !got.Sources.Incomplete() {
		t.Errorf("%+v", got.Workflows[0])
	}
	silent := input()
	silent.DNS.Verdict = dnsreport.Unknown
	if got := Evaluate(silent, now); got.Verdict != report.Unknown {
		t.Errorf("DNS is unknown: %s", got.Verdict)
	}
	info := input()
	info.Nodes.Items = []nodereport.Node{{Name: "w1", Verdict: nodereport.Healthy, Findings: []finding.Finding{found("Cordoned", finding.Info, nodeRef("w1"))}}}
	if got := Evaluate(info, now); got.Verdict != report.Healthy || len(got.Causes) != 0 {
		t.Errorf("information is a cause: %s", tree(got))
	}
	progress := input(rollout("shop", "api", "ImagePullInProgress"))
	progress.Rollouts.Items[0].Verdict = rolloutreport.Progressing
	progress.Rollouts.Items[0].Findings[0].Severity = finding.Info
	if got := Evaluate(progress, now); got.Verdict != report.Healthy {
		t.Errorf("a rollout that progresses is a problem: %s", tree(got))
	}
	stuck := input(rollout("shop", "api", "ScaledToZero"))
	stuck.Rollouts.Items[0].Findings[0].Severity = finding.Info
	if got := Evaluate(stuck, now); got.Verdict != report.Degraded || tree(got) != "ScaledToZero" {
		t.Errorf("a rollout is stuck, and its cause is dropped: %s, %s", got.Verdict, tree(got))
	}
}

// A rule that names a code which no workflow has joins nothing.
func TestRulesNameCodesThatThereAre(t *testing.T) {
	catalogs := map[report.Workflow][]finding.Entry{report.Nodes: nodeinfo.Catalog(), report.DNS: dns.Catalog(), report.Rollouts: rolloutexplain.Catalog()}
	codes := map[report.Workflow][]finding.Code{
		report.Nodes: slices.Concat(clusterWide, ofPods, []finding.Code{"HeartbeatLate"}), report.Rollouts: append(slices.Clone(vague), "RegistryUnavailable"), report.DNS: dnsPods,
	}
	for _, r := range rules {
		codes[r.of] = append(slices.Clone(codes[r.of]), r.effects...)
		codes[r.by] = append(slices.Clone(codes[r.by]), r.causes...)
	}
	for w, list := range codes {
		for _, code := range list {
			if !slices.ContainsFunc(catalogs[w], func(e finding.Entry) bool { return e.Code == code }) {
				t.Errorf("%s has no code %s", w, code)
			}
		}
	}
}
