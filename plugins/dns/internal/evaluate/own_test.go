package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// gone gives the suspect one nameserver that nothing serves, and what it got from there.
func gone(in *Input, server string) {
	in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver " + server + "\noptions ndots:5\n"
	for _, transport := range []string{"UDP", "TCP"} {
		in.From.Answers = append(in.From.Answers, report.Answer{
			Viewpoint: "pod:shop/web", Server: server, Name: "kubernetes.default.svc.cluster.local.", Type: "A", Transport: transport,
			Error: "no answer in time", Asked: 3, Lost: 3,
		})
	}
}

// A node cache that is gone takes DNS from the pod, though every server is well and answers it.
func TestTheOnlyNameserverOfThePodIsGone(t *testing.T) {
	in := build(nil, func(in *Input) {
		in.Kubelets = nil // nothing tells who wrote the address
		in.From.Pod.Spec.DNSPolicy, in.From.Pod.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"169.254.25.10"}}
		gone(in, "169.254.25.10")
	})
	got := judge(in)
	if got.Verdict != report.Unhealthy || got.PrimaryCode != "DNSUnavailableFromPod" ||
		!strings.Contains(got.Summary, "gets no answer from its only nameserver 169.254.25.10; DNS Service 10.96.0.10 answers the pod") {
		t.Errorf("%s %s: %s", got.Verdict, got.PrimaryCode, got.Summary)
	}
	in.From.Answers[len(in.From.Answers)-2].Rcode = "NOERROR"
	in.From.Answers[len(in.From.Answers)-2].Error, in.From.Answers[len(in.From.Answers)-2].Lost = "", 0
	in.From.Answers[len(in.From.Answers)-2].Records = []report.Record{{Name: "kubernetes.default.svc.cluster.local.", Type: "A", Data: "10.96.0.1"}}
	if got := judge(in); got.Verdict == report.Unhealthy {
		t.Errorf("it answers over UDP: %s %s", got.PrimaryCode, got.Summary)
	}
}

// A file that no known setting gives is not the kubelet's work for certain.
func TestTheKubeletIsNotAccusedOfAnOldFile(t *testing.T) {
	for file, want := range map[string]string{
		"nameserver 10.96.0.99\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n": "the pod is older, a container rewrote the file, or the kubelet of node n1 has other settings",
		"nameserver 10.96.0.99\n": "but kubelet-config now has 10.96.0.10: a container rewrote the file, or the runtime mounted that of the node",
		"nameserver 10.96.0.10\n": "lacks the search list of the cluster",
	} {
		in := answered(healthy())
		in.From.Files["/etc/resolv.conf"] = file
		got := judge(in)
		if got.PrimaryCode != "PodResolvConfMismatch" || !strings.Contains(got.Summary, want) {
			t.Errorf("%q: %s %s", file, got.PrimaryCode, got.Summary)
		}
		if r := Pod(in, noon, Options{}); r.PrimaryCode != "PodResolvConfMismatch" || strings.Contains(commands(r.Header), "dns pod web -n") {
			t.Errorf("%q: %s %s", file, r.PrimaryCode, commands(r.Header))
		}
	}
	in := answered(healthy())
	in.From.Files["/etc/resolv.conf"] = "nameserver 10.96.0.99\nsearch svc.cluster.local\noptions ndots:5\n"
	for clusterDNS, want := range map[string]string{"10.96.0.10": "PodResolvConfMismatch", "10.96.0.99": "KubeletClusterDNSMismatch"} {
		in.Kubelets = append(in.Kubelets[:1:1], Kubelet{Node: "n1", ClusterDNS: []string{clusterDNS}, ClusterDomain: "cluster.local"})
		if got := Pod(in, noon, Options{}); string(got.PrimaryCode) != want || strings.Contains(got.Summary, "has other settings") {
			t.Errorf("the kubelet has %s: %s %s", clusterDNS, got.PrimaryCode, got.Summary)
		}
	}
	in = answered(healthy())
	in.From.Files["/etc/resolv.conf"] = "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local corp.test\noptions ndots:2 edns0\n"
	if got := judge(in); got.Verdict != report.Healthy {
		t.Errorf("an edited copy: %s %s", got.PrimaryCode, got.Summary)
	}
}

// The longest zone wins, as in CoreDNS; a stub for one domain takes nothing away.
func TestTheServerBlockThatCoreDNSChoosesDecides(t *testing.T) {
	for block, taken := range map[string]bool{
		"local:53 {\n forward . 10.9.9.9\n}\n": true, "svc.cluster.local {\n forward . 10.9.9.9\n}\n": true,
		"corp.local:53 {\n forward . 10.9.9.9\n}\n": false, "local:5353 {\n forward . 10.9.9.9\n}\n": false, "tls://local {\n forward . 10.9.9.9\n}\n": false,
		"local {\n kubernetes cluster.local\n}\n": false,
	} {
		in := healthy()
		in.ConfigMaps[0].Data = map[string]string{"Corefile": kubeadmCorefile + block}
		r := ConfigReport(in, noon, Options{})
		if (r.PrimaryCode == "ZoneNotServed") != taken || taken && !strings.Contains(r.Summary, "the longest matching zone wins") {
			t.Errorf("config, %q: %s %s", block, r.PrimaryCode, r.Summary)
		}
		in = answered(in)
		if got := judge(in); got.PrimaryCode == "ZoneNotServed" {
			t.Errorf("the servers answer rightly, %q: %s", block, got.Summary)
		}
		each(&in, func(_ *Probe, a *report.Answer) {
			if a.Name != in.External {
				a.Rcode, a.Records = "SERVFAIL", nil
			}
		})
		if got := judge(in); (got.PrimaryCode == "ZoneNotServed") != taken {
			t.Errorf("check, %q: %s %s", block, got.PrimaryCode, got.Summary)
		}
	}
}

// A server that cannot answer does not answer otherwise than the API.
func TestSERVFAILIsNoOtherAnswer(t *testing.T) {
	in := build(nil, func(in *Input) {
		for i, a := range in.Probes[0].Answers {
			if a.Name != in.External && a.Type != "SOA" {
				in.Probes[0].Answers[i].Rcode, in.Probes[0].Answers[i].Records = "SERVFAIL", nil
			}
		}
	})
	got := judge(in)
	if got.PrimaryCode != "ReplicaNotAnswering" || len(got.Findings) != 1 || !strings.Contains(got.Summary, "DNS pod coredns-a answers SERVFAIL for") {
		t.Errorf("%s %s %+v", got.PrimaryCode, got.Summary, got.Findings)
	}
}

// The answer of a Service that was made anew stands in the cache until its TTL ends.
func TestAnOldAnswerInTheCacheIsNoDeadWatch(t *testing.T) {
	resolve := func(corefile string, ttl uint32, age time.Duration) report.Resolution {
		in := healthy()
		in.ConfigMaps[0].Data = map[string]string{"Corefile": corefile}
		in.Services[2].CreationTimestamp = ago(age)
		for i := range in.Probes {
			in.Probes[i].Answers = []report.Answer{{
				Viewpoint: "port-forward:" + in.Probes[i].Pod, Name: "api.shop.svc.cluster.local.", Type: "A", Rcode: "NOERROR", Milliseconds: ptr(1.0),
				Records: []report.Record{{Name: "api.shop.svc.cluster.local.", Type: "A", Data: "10.96.7.7", TTL: ttl}},
			}}
		}
		return Resolve(in, noon, Options{}, "api.shop.svc.cluster.local.", []string{"A"}, "")
	}
	cache := strings.Replace(kubeadmCorefile, "       disable success cluster.local\n", "", 1)
	says(t, "cached", resolve(cache, 17, 10*time.Second).Header, report.Degraded, "RecordMismatch",
		"is answered with 10.96.7.7, but the API has 10.96.1.1: the earlier answer is in the cache of CoreDNS for another 17s at most")
	says(t, "no cache", resolve(kubeadmCorefile, 30, 10*time.Second).Header, report.Degraded, "RecordMismatch", "DNS may need that long")
	says(t, "old", resolve(cache, 30, time.Hour).Header, report.Unhealthy, "RecordMismatch", "but the API has 10.96.1.1", "!cache of CoreDNS")
}

// A tunnel asks over TCP: that an upstream answers over UDP alone is told by resolve, and is no missing name.
func TestResolveTellsThatTCPAloneFails(t *testing.T) {
	resolve := func(name string, before, after float64) report.Resolution {
		in := healthy()
		deadUpstream(&in, before, after)
		for i := range in.Probes {
			in.Probes[i].Answers = []report.Answer{{
				Viewpoint: "port-forward:" + in.Probes[i].Pod, Name: name, Type: "A", Rcode: "SERVFAIL", Milliseconds: ptr(4000.0),
			}}
		}
		return Resolve(in, noon, Options{}, name, []string{"A"}, "")
	}
	tcp := resolve("www.example.com.", 3, 3)
	says(t, "over TCP alone", tcp.Header, report.Degraded, "UpstreamTCPFailing", "no answer over TCP (port-forward) from", "UDP health checks pass")
	if !strings.Contains(commands(tcp.Header), "dns upstream") {
		t.Errorf("next: %s", commands(tcp.Header))
	}
	for name, r := range map[string]report.Resolution{
		"the upstream is dead": resolve("www.example.com.", 3, 5), "a name of the cluster": resolve("api.shop.svc.cluster.local.", 3, 3),
	} {
		if r.PrimaryCode == "UpstreamTCPFailing" || r.Verdict == report.Healthy {
			t.Errorf("%s: %s %s: %s", name, r.Verdict, r.PrimaryCode, r.Summary)
		}
	}
}

// A pod of a StatefulSet has its name under the Service that is its serviceName alone.
func TestAHostNameUnderAnotherServiceIsTold(t *testing.T) {
	endpoint := func(hostname string) discoveryv1.Endpoint {
		e := endpointAt("10.244.1.20", true)
		e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "db-0"}
		if hostname != "" {
			e.Hostname = &hostname
		}
		return e
	}
	in := healthy()
	in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}), headless("db-hl", map[string]string{"app": "db"}))
	in.Slices = append(in.Slices, slice("shop", "db", endpoint("")), slice("shop", "db-hl", endpoint("db-0")))
	ask := func(in Input, name string) report.Resolution {
		for i := range in.Probes {
			in.Probes[i].Answers = []report.Answer{{Viewpoint: "port-forward:" + in.Probes[i].Pod, Name: name, Type: "A", Rcode: "NXDOMAIN"}}
		}
		return Resolve(in, noon, Options{}, name, []string{"A"}, "")
	}
	r := ask(in, "db-0.db.shop.svc.cluster.local.")
	says(t, "elsewhere", r.Header, report.Degraded, "NameNotFound", "pod db-0 has its name under Service db-hl")
	if !strings.Contains(commands(r.Header), "db-0.db-hl.shop.svc.cluster.local") {
		t.Errorf("next: %s", commands(r.Header))
	}
	in.Slices = in.Slices[:len(in.Slices)-1]
	says(t, "nowhere", ask(in, "db-0.db.shop.svc.cluster.local.").Header, report.Degraded, "NameNotFound", "spec.subdomain of the pod")
	says(t, "no such pod", ask(in, "db-7.db.shop.svc.cluster.local.").Header, report.Degraded, "NameNotFound", "no ready endpoint or port of that name")
}

// A suspect that cannot be asked, or is no client, is no fault of DNS.
func TestASuspectThatIsNoRunningClient(t *testing.T) {
	in := answered(healthy())
	in.From.Pod, in.From.Answers, in.From.Files = in.Pods[0], nil, nil
	in.From.Error = `container "coredns" has no shell`
	if got := judge(in); got.Verdict != report.Unknown || len(got.Findings) > 0 || !strings.Contains(got.Summary, "is a DNS server, which uses the resolver of its node by design") {
		t.Errorf("%s %s %+v", got.Verdict, got.Summary, got.Findings)
	}
	in = answered(healthy())
	in.From.Pod.Status.Phase, in.From.Answers, in.From.Files = corev1.PodPending, nil, nil
	in.From.Error = "the pod is not running (ImagePullBackOff)"
	if got := judge(in); got.Verdict != report.Unknown || len(got.Findings) > 0 || strings.Contains(got.Summary, "--probe") {
		t.Errorf("%s %s %+v", got.Verdict, got.Summary, got.Findings)
	}
}

// A key that a log prints over several lines is hidden in all of them.
func TestAKeyOverSeveralLinesIsHidden(t *testing.T) {
	in := healthy()
	stamp := "2026-06-01T11:59:00.000000000Z "
	in.Logs[0].Text = stamp + "[INFO] tls\n" + stamp + "-----BEGIN RSA PRIVATE KEY-----\n" + stamp + "MIIEowIBAAKCAQEA7bq\n" + stamp + "c2VjcmV0\n" +
		stamp + "-----END RSA PRIVATE KEY-----\n" + stamp + "[INFO] plugin/reload: Running configuration SHA512 = abcdef\n"
	var text strings.Builder
	for _, l := range MergeLogs(in, noon, Options{}, false).Items {
		text.WriteString(l.Text + "\n")
	}
	text.WriteString(Masked(in).Logs[0].Text)
	for _, secret := range []string{"MIIEow", "c2VjcmV0"} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("%s is shown:\n%s", secret, text.String())
		}
	}
	for _, kept := range []string{"[INFO] tls", "SHA512 = abcdef", stamp + "***\n"} {
		if !strings.Contains(text.String(), kept) {
			t.Errorf("%s is lost:\n%s", kept, text.String())
		}
	}
	if !strings.Contains(in.Logs[0].Text, "MIIEow") {
		t.Error("the input that is judged was changed")
	}
}

// warn adds a warning about the first DNS pod, which has been ready for 19 hours.
func warn(in *Input, reason string, age time.Duration) {
	in.Pods = slices.Clone(in.Pods)
	in.Pods[0].UID = "coredns-a"
	in.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(19 * time.Hour)}}
	in.Events = append(in.Events, corev1.Event{
		ObjectMeta: labeled("kube-system", reason, nil), Type: corev1.EventTypeWarning, Reason: reason, Message: "said by the kubelet",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "kube-system", Name: in.Pods[0].Name, UID: in.Pods[0].UID}, LastTimestamp: ago(age),
	})
}

// Nothing that speaks against health is dropped.
func TestWhatNoRuleKnowsIsUnexplained(t *testing.T) {
	in := answered(healthy())
	in.Logs[1].Text += "2026-06-01T11:58:00Z [PANIC] runtime error: index out of range\n"
	got := judge(in)
	if got.Verdict != report.Degraded || got.PrimaryCode != finding.UnexplainedEvidence || !strings.Contains(got.Summary, "Log panic") {
		t.Errorf("%s %s: %s", got.Verdict, got.PrimaryCode, got.Summary)
	}
	in = answered(healthy())
	warn(&in, "NodeShutdown", 2*time.Minute)
	if got := judge(in); got.PrimaryCode != finding.UnexplainedEvidence || !strings.Contains(got.Summary, "Event NodeShutdown") {
		t.Errorf("%s %s: %s", got.Verdict, got.PrimaryCode, got.Summary)
	}
	in = answered(healthy())
	silent(&in.Probes[0].Answers[3]) // one of many; the server answers the rest
	if got := judge(in); got.PrimaryCode != finding.UnexplainedEvidence {
		t.Errorf("%s %s: %s", got.Verdict, got.PrimaryCode, got.Summary)
	}
}

// A pod that asks other servers proves nothing against those of the cluster.
func TestAPodThatAsksElsewhereDoesNotAccuseClusterDNS(t *testing.T) {
	const name = "kubernetes.default.svc.cluster.local."
	for policy, want := range map[corev1.DNSPolicy]string{corev1.DNSDefault: "DNSPolicyDefault", corev1.DNSNone: "DNSPolicyNone", corev1.DNSClusterFirst: "RecordMismatch"} {
		in := healthy()
		in.From.Pod.Spec.DNSPolicy = policy
		in.From.Pod.Spec.DNSConfig = &corev1.PodDNSConfig{}
		if policy == corev1.DNSNone {
			in.From.Pod.Spec.DNSConfig.Nameservers = []string{"192.0.2.53"}
		}
		in.Probes = nil
		in.From.Answers = []report.Answer{{Viewpoint: "pod:" + in.From.Pod.Namespace + "/" + in.From.Pod.Name, Name: name, Type: "A", Rcode: "NXDOMAIN"}}
		r := Resolve(in, noon, Options{}, name, []string{"A"}, "")
		if r.PrimaryCode != finding.Code(want) || len(r.Findings) != 1 {
			t.Errorf("%s: %s: %s: %+v", policy, r.PrimaryCode, r.Summary, r.Findings)
		}
	}
}
