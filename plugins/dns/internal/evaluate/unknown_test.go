package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Without rights for the Service and the kubelet nothing is known of the pod's servers, which is not that it has none.
func TestAPodWhoseKubeletIsUnknownIsNotGivenTheNodesResolver(t *testing.T) {
	in := healthy()
	in.Services, in.Kubelets, in.Pods, in.From.Files = nil, nil, nil, nil
	forbid(&in, "services", "kubelet-config", "pods")
	got := Pod(in, noon, Options{})
	if got.Verdict != report.Unknown || strings.Contains(got.Summary, "<none>") {
		t.Errorf("%s %s", got.Verdict, got.Summary)
	}
	if !slices.Contains(got.Computed.Options, "ndots:5") || len(got.Computed.Searches) != 3 {
		t.Errorf("computed: %+v", got.Computed)
	}
	for _, s := range got.Settings {
		if strings.Contains(s.Value, "nameserver") && strings.Contains(s.From, "resolv.conf of node") {
			t.Errorf("%+v", s)
		}
	}
	in.From.Files = map[string]string{"/etc/resolv.conf": "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"}
	if got := Pod(in, noon, Options{}); got.Verdict != report.Healthy || len(got.Differences) > 0 || !strings.Contains(got.Summary, "queries 10.96.0.10 with ndots:5") {
		t.Errorf("its file was read: %s %s %v", got.Verdict, got.Summary, got.Differences)
	}
}

// A pod keeps its Ready for some seconds after its server was killed: the end is the cause, not a Ready server without a
// voice. One that has run long since has recovered.
func TestASilentReplicaThatHasJustFallenSaysHow(t *testing.T) {
	for _, tt := range []struct {
		ended, since time.Duration
		says         string
	}{
		{20 * time.Second, 19 * time.Second, "does not answer DNS queries over TCP: a container ran out of memory 20s ago"},
		{9 * time.Minute, 9 * time.Minute, "is Ready but does not answer DNS queries over TCP"},
	} {
		in := build(nil, func(in *Input) {
			for i := range in.Probes[0].Answers {
				silent(&in.Probes[0].Answers[i])
			}
			s := &in.Pods[0].Status.ContainerStatuses[0]
			s.RestartCount, s.State = 1, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(tt.since)}}
			s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: 137, Reason: "OOMKilled", StartedAt: ago(tt.ended + 20*time.Second), FinishedAt: ago(tt.ended),
			}
		})
		if got := judge(in); got.PrimaryCode != "ReplicaNotAnswering" || !strings.Contains(got.Summary, tt.says) {
			t.Errorf("%s ago: %s %s", tt.ended, got.PrimaryCode, got.Summary)
		}
	}
}

// That nobody answers is what is seen; why stands on the same line where the pods tell it.
func TestPodsThatAreDownSayHowTheyFell(t *testing.T) {
	for _, reason := range []string{"OOMKilled", "Completed"} {
		in := build(func(in *Input) {
			for i := range in.Pods {
				for k := range in.Pods[i].Status.Conditions {
					in.Pods[i].Status.Conditions[k].Status = corev1.ConditionFalse
				}
				end := &corev1.ContainerStateTerminated{Reason: reason, ExitCode: 137, StartedAt: ago(2 * time.Minute), FinishedAt: ago(time.Minute)}
				if reason == "Completed" {
					end.ExitCode = 0
				}
				in.Pods[i].Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
				in.Pods[i].Status.ContainerStatuses[0].LastTerminationState.Terminated = end
			}
		}, nil)
		got := judge(in)
		if got.PrimaryCode != "DNSPodsNotReady" || strings.Contains(got.Summary, "ran out of memory 60s ago") != (reason == "OOMKilled") {
			t.Errorf("%s: %s %s", reason, got.PrimaryCode, got.Summary)
		}
	}
}

// A probe that failed is not advised again.
func TestAProbeIsAdvisedOnlyWhereNoneWasMade(t *testing.T) {
	for method, advised := range map[string]bool{"": true, "a pod on the same node": false} {
		in := answered(healthy())
		in.From.Answers, in.From.Error, in.From.Method = nil, "no shell", method
		if got := judge(in); got.Verdict != report.Unknown || strings.Contains(got.Summary, "--probe") != advised {
			t.Errorf("by %q: %s %s", method, got.Verdict, got.Summary)
		}
	}
}

func TestServersThatWereNotAskedAreNotCalledWell(t *testing.T) {
	in := answered(healthy())
	in.From.Answers, in.From.Error = nil, "no shell"
	if got := judge(in); got.Verdict != report.Unknown || !strings.Contains(got.Summary, "which answer correctly") {
		t.Errorf("asked: %s %s", got.Verdict, got.Summary)
	}
	for i := range in.Probes {
		in.Probes[i] = Probe{Namespace: "kube-system", Pod: in.Probes[i].Pod, Error: "forbidden", Forbidden: true}
	}
	forbid(&in, "port-forward")
	if got := judge(in); got.Verdict != report.Unknown || strings.Contains(got.Summary, "well") {
		t.Errorf("not asked: %s %s", got.Verdict, got.Summary)
	}
	in = build(nil, func(in *Input) {
		from(in, silent)
		for i := range in.Probes {
			in.Probes[i] = Probe{Namespace: "kube-system", Pod: in.Probes[i].Pod, Error: "forbidden", Forbidden: true}
		}
		forbid(in, "port-forward")
	})
	if got := judge(in); got.PrimaryCode != "DNSUnavailableFromPod" || strings.Contains(got.Summary, "well") {
		t.Errorf("the pod gets nothing: %s %s", got.PrimaryCode, got.Summary)
	}
}

func TestAnAddressOfTheNodeIsNoWrongAddress(t *testing.T) {
	local := func(ip string) Input {
		in := healthy()
		in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver " + ip + "\noptions ndots:5\n"
		return in
	}
	in := local("169.254.20.10")
	forbid(&in, "daemonsets")
	if got := judge(answered(in)); got.Verdict != report.Healthy || len(got.Findings) != 1 || got.Findings[0].Severity != finding.Info {
		t.Errorf("DaemonSets unreadable: %s %+v", got.Verdict, got.Findings)
	}
	in = local("169.254.10.11") // a service of the node, in no DaemonSet
	in.Kubelets = append(in.Kubelets, Kubelet{Node: "n1", ClusterDNS: []string{"169.254.10.11"}, ClusterDomain: "cluster.local"})
	in = answered(in)
	if got := judge(in); got.Verdict != report.Healthy || len(got.Findings) > 0 {
		t.Errorf("it answers: %s %+v", got.Verdict, got.Findings)
	}
	from(&in, func(a *report.Answer) {
		if a.Server == "169.254.10.11" {
			silent(a)
		}
	})
	if got := judge(in); got.PrimaryCode != "KubeletClusterDNSMismatch" || got.Verdict != report.Unhealthy {
		t.Errorf("it does not answer: %s %s", got.PrimaryCode, got.Summary)
	}
	if got := judge(answered(local("169.254.169.253"))); got.PrimaryCode != "PodResolvConfMismatch" || got.Verdict != report.Unhealthy {
		t.Errorf("a cloud's resolver: %s %s", got.PrimaryCode, got.Summary)
	}
	if got := judge(answered(local("192.0.2.53"))); got.PrimaryCode != "PodResolvConfMismatch" || got.Verdict != report.Unhealthy {
		t.Errorf("an ordinary wrong address: %s %s", got.PrimaryCode, got.Summary)
	}
}

func TestOneWrongAddressOfTwoIsNotTheLossOfDNS(t *testing.T) {
	in := healthy()
	in.Kubelets[0].ClusterDNS = []string{"10.96.0.10", "10.96.0.99"}
	if got := judge(answered(in)); got.PrimaryCode != "KubeletClusterDNSMismatch" || got.Verdict != report.Degraded {
		t.Errorf("%s %s", got.Verdict, got.Summary)
	}
}

func TestNamesOutsideAreAnsweredOnlyWhenOneWas(t *testing.T) {
	const line = "names outside the cluster are answered"
	if got := judge(answered(healthy())); !slices.Contains(got.PassedChecks, line) {
		t.Errorf("all well: %v", got.PassedChecks)
	}
	in := build(func(in *Input) {
		for i := range in.Pods {
			in.Pods[i].Status.Conditions[0].Status = corev1.ConditionFalse
		}
	}, func(in *Input) { each(in, func(_ *Probe, a *report.Answer) { silent(a) }) })
	if got := judge(in); slices.ContainsFunc(got.PassedChecks, func(s string) bool { return strings.Contains(s, "answer") }) {
		t.Errorf("nothing answers: %v", got.PassedChecks)
	}
}

// After a repair the old pods end: what they said last is past.
func TestPodsOnTheirWayOutDoNotAccuse(t *testing.T) {
	for _, line := range []string{`[FATAL] plugin/loop: Loop (127.0.0.1:53 -> :53) detected for zone "."`, "/etc/coredns/Corefile:3 - Error during parsing: Unknown directive 'x'", "[ERROR] Restart failed: x"} {
		in := healthy()
		gone := dnsPod("coredns-old", "n1", "10.244.1.8")
		gone.DeletionTimestamp = ptr(ago(time.Second))
		gone.Status.Conditions[0].Status = corev1.ConditionFalse
		gone.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: ago(time.Second)}}
		gone.Status.ContainerStatuses[0].LastTerminationState = gone.Status.ContainerStatuses[0].State
		in.Pods = append(in.Pods, gone)
		in.Logs = append(in.Logs, Log{Pod: gone.Name, Text: "2026-06-01T11:59:00Z " + line + "\n"})
		if got := judge(answered(in)); got.Verdict != report.Healthy || len(got.Findings) > 0 {
			t.Errorf("%s: %s %+v", line, got.Verdict, got.Findings)
		}
	}
}

func TestAPolicyThatThePodsOwnAnswersDisproveIsNoFault(t *testing.T) {
	locked := func(in *Input) { in.Policies = []networkingv1.NetworkPolicy{policy(false)} }
	got := judge(build(locked, nil))
	if got.Verdict != report.Healthy || len(got.Findings) != 1 || got.Findings[0].Severity != finding.Info || !strings.Contains(got.Findings[0].Message, "but this network does not enforce it") {
		t.Errorf("every question was answered: %s %+v", got.Verdict, got.Findings)
	}
	got = judge(build(locked, func(in *Input) {
		from(in, func(a *report.Answer) {
			if a.Transport == "UDP" {
				silent(a)
			}
		})
	}))
	if got.PrimaryCode != "NetworkPolicyBlocksDNS" || got.Verdict != report.Unhealthy {
		t.Errorf("UDP got none: %s %s", got.Verdict, got.Summary)
	}
	if got = judge(build(locked, func(in *Input) { in.From.Answers = nil })); got.Verdict != report.Unhealthy {
		t.Errorf("nothing was asked: %s", got.Verdict)
	}
	closed := func(in *Input) {
		p := policy(false)
		p.Namespace, p.Name, p.Spec.PolicyTypes = "kube-system", "closed", []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		in.Policies = []networkingv1.NetworkPolicy{p}
	}
	if got = judge(build(closed, nil)); got.Verdict != report.Healthy {
		t.Errorf("ingress, and the pod is answered: %s %s", got.Verdict, got.Summary)
	}
	if got = judge(build(closed, func(in *Input) { in.From = nil })); got.Verdict != report.Unhealthy {
		t.Errorf("ingress, and no pod asked: %s", got.Verdict)
	}
}

// An information beside a fault does not explain it away.
func TestAnInformationExplainsNothing(t *testing.T) {
	got := judge(build(func(in *Input) { in.Policies = []networkingv1.NetworkPolicy{policy(false)} }, func(in *Input) {
		from(in, func(a *report.Answer) {
			if a.Server == "10.244.2.2" {
				silent(a)
			}
		})
	}))
	if got.PrimaryCode != "ReplicaUnreachableFromPod" {
		t.Errorf("%s %s", got.Verdict, got.Summary)
	}
}

func TestAPodThatIsRefusedDoesNotReachItsDNS(t *testing.T) {
	got := judge(build(nil, func(in *Input) { from(in, func(a *report.Answer) { a.Rcode, a.Records = "REFUSED", nil }) }))
	if got.PrimaryCode != "DNSUnavailableFromPod" || !strings.Contains(got.Summary, "gets REFUSED") || slices.ContainsFunc(got.PassedChecks, func(s string) bool { return strings.Contains(s, "the pod reaches") }) {
		t.Errorf("%s %s %v", got.PrimaryCode, got.Summary, got.PassedChecks)
	}
}

func TestAWrongZoneIsNotCalledRight(t *testing.T) {
	in := healthy()
	corefileOf(&in, "kubernetes cluster.local", "kubernetes cluster.locl")
	got := judge(answered(in))
	if got.PrimaryCode != "ZoneNotServed" || slices.ContainsFunc(got.PassedChecks, func(s string) bool { return strings.Contains(s, "cluster names") }) {
		t.Errorf("%s %v", got.PrimaryCode, got.PassedChecks)
	}
	if !slices.ContainsFunc(got.Findings[0].Next, func(n finding.Next) bool {
		return n.Risk == finding.Change && strings.Contains(n.Command, "edit configmap coredns")
	}) {
		t.Errorf("no change: %+v", got.Findings[0].Next)
	}
}

func TestLogsWithErrorsAreNotCalledClean(t *testing.T) {
	in := healthy()
	in.Logs[0].Text += "2026-06-01T11:59:00Z [ERROR] plugin/errors: 2 x. A: read udp 10.0.0.1:5->192.0.2.9:53: i/o timeout\n"
	if got := MergeLogs(in, noon, Options{}, true); !strings.Contains(got.Summary, "1 kind of log lines report") {
		t.Errorf("%s", got.Summary)
	}
}

// What many kubelets give to pods is one cause, with the ConfigMap that they have it from.
func TestKubeletsThatAgreeAreOneFinding(t *testing.T) {
	wrong, right := []string{"10.96.0.99"}, []string{"10.96.0.10"}
	for _, tt := range []struct {
		name     string
		kubelets []Kubelet
		want     []string
	}{
		{"one", []Kubelet{{ClusterDNS: right}, {Node: "n1", ClusterDNS: right}, {Node: "n2", ClusterDNS: wrong}}, []string{"the kubelet of node n2 gives pods nameserver 10.96.0.99, which"}},
		{"two", []Kubelet{{ClusterDNS: right}, {Node: "n1", ClusterDNS: wrong}, {Node: "n2", ClusterDNS: wrong}}, []string{"the kubelets of 2 nodes (n1, n2) give pods nameserver 10.96.0.99, which"}},
		{"all", []Kubelet{{ClusterDNS: wrong}, {Node: "n1", ClusterDNS: wrong}, {Node: "n2", ClusterDNS: wrong}}, []string{"the configuration of all kubelets, like that of n1, n2, gives pods nameserver 10.96.0.99, which"}},
		{"each its own", []Kubelet{{ClusterDNS: right}, {Node: "n1", ClusterDNS: wrong}, {Node: "n2"}}, []string{"the kubelet of node n1 gives pods nameserver 10.96.0.99, which", "the kubelet of node n2 has no clusterDNS: pods"}},
		{"none", []Kubelet{{ClusterDNS: right}, {Node: "n1", ClusterDNS: right}}, nil},
	} {
		in := healthy()
		in.Kubelets = tt.kubelets
		var got []string
		for _, f := range judge(in).Findings {
			if f.Code == "KubeletClusterDNSMismatch" {
				got = append(got, f.Message)
			}
		}
		if len(got) != len(tt.want) || len(got) > 0 && !strings.HasPrefix(got[0], tt.want[0]) || len(got) > 1 && !strings.HasPrefix(got[1], tt.want[1]) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
