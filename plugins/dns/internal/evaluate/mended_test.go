package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// own gives the suspect one nameserver, which its own dnsConfig names, and what it got from there.
func own(in *Input, server, rcode string) {
	in.From.Pod.Spec.DNSPolicy, in.From.Pod.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{
		Nameservers: []string{server}, Searches: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"},
		Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr("5")}},
	}
	gone(in, server)
	for i := range in.From.Answers {
		if a := &in.From.Answers[i]; a.Server == server && rcode != "" {
			a.Rcode, a.Error, a.Lost = rcode, "", 0
			a.Records = []report.Record{{Name: a.Name, Type: "A", Data: "10.96.0.1"}}
		}
	}
}

func code(h report.Header, c finding.Code) *finding.Finding {
	for i := range h.Findings {
		if h.Findings[i].Code == c {
			return &h.Findings[i]
		}
	}
	return nil
}

// A container beside the program may be the pod's DNS server (dnsmasq, a VPN, Pi-hole): what it answers counts.
func TestADNSServerInThePod(t *testing.T) {
	got := judge(build(nil, func(in *Input) { own(in, "127.0.0.1", "NOERROR") }))
	if got.Verdict != report.Healthy || code(got.Header, "LoopbackNameserver") != nil || code(got.Header, "DNSPolicyNone") != nil {
		t.Errorf("it answers: %s %s: %s", got.Verdict, got.PrimaryCode, got.Summary)
	}
	got = judge(build(nil, func(in *Input) { own(in, "127.0.0.1", "") }))
	if f := code(got.Header, "LoopbackNameserver"); got.Verdict != report.Unhealthy || f == nil || !strings.Contains(f.Message, "spec.dnsConfig of the pod has the address") {
		t.Errorf("it is silent: %s %s: %+v", got.Verdict, got.Summary, f)
	}
	in := answered(healthy())
	own(&in, "127.0.0.1", "")
	in.From.Answers = nil // a pod is described without a question
	if f := code(Pod(in, noon, Options{}).Header, "LoopbackNameserver"); f == nil || f.Severity != finding.Info || !strings.Contains(f.Message, "unknown whether a container") {
		t.Errorf("it was not asked: %+v", f)
	}
}

// The usual reason why members of a StatefulSet do not find each other: a pod has no name until it is Ready.
func TestAPodThatIsNotReadyHasNoName(t *testing.T) {
	endpoint := func(name string, ready bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{
			Addresses: []string{"10.244.1.3" + name[len(name)-1:]}, Hostname: &name, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: name},
		}
	}
	in := healthy()
	in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}))
	in.Slices = append(in.Slices, slice("shop", "db", endpoint("db-0", true), endpoint("db-1", false)))
	name := "db-1.db.shop.svc.cluster.local."
	for i := range in.Probes {
		in.Probes[i].Answers = []report.Answer{{Viewpoint: "port-forward:" + in.Probes[i].Pod, Name: name, Type: "A", Rcode: "NXDOMAIN"}}
	}
	r := Resolve(in, noon, Options{}, name, []string{"A"}, "")
	says(t, "not ready", r.Header, report.Degraded, "NameNotFound", "does not exist: pod db-1 is not Ready, and has no name until it is")
	if got := commands(r.Header); !strings.Contains(got, "kubectl describe pod db-1 -n shop") {
		t.Errorf("next: %s", got)
	}
}

// What monitoring charts make for a control plane that a cloud hides, and what is left of ended work, is no fault of a cluster.
func TestAServiceThatNothingIsBehind(t *testing.T) {
	with := func(change func(*Input)) report.Status {
		in := answered(healthy())
		in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}))
		change(&in)
		return Status(answered(in), noon, Options{All: true}, "DNSCheck")
	}
	pod := func(name string, phase corev1.PodPhase) corev1.Pod {
		return corev1.Pod{ObjectMeta: labeled("shop", name, map[string]string{"app": "db"}), Status: corev1.PodStatus{Phase: phase}}
	}
	unready := endpointAt("10.244.1.20", false)
	unready.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "job"}
	for name, c := range map[string]struct {
		change func(*Input)
		want   finding.Severity
	}{
		"no pod": {func(*Input) {}, finding.Info},
		"ended":  {func(in *Input) { in.Targets = []corev1.Pod{pod("job", corev1.PodSucceeded)} }, finding.Info},
		"ended, still in a slice": {func(in *Input) {
			in.Targets, in.Slices = []corev1.Pod{pod("job", corev1.PodSucceeded)}, append(in.Slices, slice("shop", "db", unready))
		}, finding.Info},
		"pending":        {func(in *Input) { in.Targets = []corev1.Pod{pod("db-0", corev1.PodPending)} }, finding.Warning},
		"an unread pod":  {func(in *Input) { in.Slices = append(in.Slices, slice("shop", "db", unready)) }, finding.Warning},
		"scaled to zero": {func(in *Input) { in.StatefulSet = scaled(0) }, finding.Info},
		"no pod made":    {func(in *Input) { in.StatefulSet = scaled(3) }, finding.Warning},
	} {
		if f := code(with(c.change).Header, "HeadlessServiceWithoutEndpoints"); f == nil || f.Severity != c.want {
			t.Errorf("%s: %+v, want %s", name, f, c.want)
		}
	}
	ended := subdomainPod("nowhere")
	ended.Status.Phase = corev1.PodSucceeded
	if f := code(with(func(in *Input) { in.Targets = []corev1.Pod{ended} }).Header, "PodSubdomainWithoutName"); f != nil {
		t.Errorf("an ended pod needs no name: %s", f.Message)
	}
}

func scaled(replicas int32) []appsv1.StatefulSet {
	sts := statefulSet("db")
	sts.Spec.Replicas = &replicas
	return []appsv1.StatefulSet{sts}
}

// An ExternalName that leads to a headless Service is right, whether that has records now or not.
func TestAnExternalNameOfAnEmptyHeadlessService(t *testing.T) {
	in := answered(healthy())
	in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}), externalName("a", "db.shop.svc.cluster.local"))
	f := code(Status(answered(in), noon, Options{All: true}, "DNSCheck").Header, "ExternalNameTargetNotFound")
	if f == nil || f.Message != "ExternalName Service shop/a refers to db.shop.svc.cluster.local: headless Service shop/db has no ready endpoints" {
		t.Fatalf("%+v", f)
	}
	for _, n := range f.Next {
		if n.Risk != finding.Read {
			t.Errorf("changes what is right: %s", n.Command)
		}
	}
}

// A node's clock that is behind lets the serial of a replica look old; what the replica knows says that it is not.
func TestAClockThatIsBehindIsNoStaleReplica(t *testing.T) {
	in := healthy()
	svc := service("shop", "new", "10.96.1.9", nil, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"})
	svc.CreationTimestamp = ago(80 * time.Second)
	in.Services = append(in.Services, svc)
	if f := code(judge(answered(in)).Header, "ReplicaStale"); f != nil {
		t.Errorf("%s", f.Message)
	}
}

// A serial that is newer than the newest Service has missed nothing, however old it is.
func TestASerialAfterTheNewestServiceIsNotStale(t *testing.T) {
	in := healthy()
	svc := service("shop", "new", "10.96.1.9", nil, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"})
	svc.CreationTimestamp = ago(10 * time.Minute)
	in.Services = append(in.Services, svc)
	in = answered(in)
	for i := range in.Probes {
		for k := range in.Probes[i].Answers {
			if a := &in.Probes[i].Answers[k]; a.Type == "SOA" {
				a.Records[0].Data = fmt.Sprintf("ns.dns. hostmaster. %d", noon.Add(-9*time.Minute).Unix())
			}
		}
	}
	if f := code(judge(in).Header, "ReplicaStale"); f != nil {
		t.Errorf("%s", f.Message)
	}
}

// With internalTrafficPolicy Local, what a node cache answers asks the Service nothing, but the cache asks its own.
func TestADNSServiceThatKeepsToItsNode(t *testing.T) {
	with := func(change func(*Input)) *finding.Finding {
		in := healthy()
		nodeLocal(&in, "n2", "n2")
		change(&in)
		return code(judge(answered(in)).Header, "DNSServiceNodeLocal")
	}
	if f := with(func(*Input) {}); f == nil || !strings.Contains(f.Message, "no ready DNS pod is on 1 of 2 nodes; on n1, pods get no answer from 10.96.0.10") {
		t.Errorf("%+v", f)
	}
	tainted := func(key string) func(*Input) {
		return func(in *Input) {
			in.Nodes[0].Spec.Taints = []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoSchedule}}
		}
	}
	for key, want := range map[string]finding.Severity{"node-role.kubernetes.io/control-plane": finding.Info, corev1.TaintNodeUnschedulable: finding.Critical} {
		if f := with(tainted(key)); f == nil || f.Severity != want {
			t.Errorf("%s: %+v", key, f)
		}
	}
	if f := with(func(in *Input) { in.Nodes[0].Status.Conditions[0].Status = corev1.ConditionUnknown }); f != nil {
		t.Errorf("no pod asks on a node that is gone: %s", f.Message)
	}
	upstream := func(name string, policy *corev1.ServiceInternalTrafficPolicy) func(*Input) {
		return func(in *Input) {
			nodeCache(in, linkLocal, 2)
			in.DaemonSets[0].Spec.Template.Spec.Containers[0].Args = append(in.DaemonSets[0].Spec.Template.Spec.Containers[0].Args, "-upstreamsvc", name)
			svc := in.Services[0].DeepCopy()
			svc.Name, svc.Spec.ClusterIP, svc.Spec.ClusterIPs, svc.Spec.InternalTrafficPolicy = "kube-dns-upstream", "10.96.0.11", []string{"10.96.0.11"}, policy
			in.Services = append(in.Services, *svc)
			in.Slices = append(in.Slices, slice("kube-system", "kube-dns-upstream", in.Slices[0].Endpoints...))
		}
	}
	if f := with(upstream("kube-dns-upstream", nil)); f != nil {
		t.Errorf("the node caches answer: %s", f.Message)
	}
	if f := with(upstream("kube-dns-upstream", ptr(corev1.ServiceInternalTrafficPolicyLocal))); f == nil || !strings.Contains(f.Message, "Service kube-dns-upstream has") || !strings.Contains(f.Message, "on n1, the node cache gets no answer from it") {
		t.Errorf("the upstream of the caches: %+v", f)
	}
	if f := with(upstream("kube-dns", nil)); f == nil || !strings.Contains(f.Message, "Service kube-dns has") {
		t.Errorf("the caches ask the Service itself: %+v", f)
	}
}

// What does not fit into a UDP packet is no record that is missing.
func TestATruncatedAnswerIsAPart(t *testing.T) {
	with := func(change func(*report.Answer)) report.Resolution {
		in := healthy()
		endpoints := make([]discoveryv1.Endpoint, 0, 60)
		for i := range 60 {
			endpoints = append(endpoints, endpointAt(fmt.Sprintf("10.244.3.%d", i), true))
		}
		in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}))
		in.Slices = append(in.Slices, slice("shop", "db", endpoints...))
		a := report.Answer{Viewpoint: "pod:shop/web", Server: "10.96.0.10", Transport: "UDP", Name: "db.shop.svc.cluster.local.", Type: "A", Rcode: "NOERROR", Truncated: true}
		for i := range 29 {
			a.Records = append(a.Records, report.Record{Name: a.Name, Type: "A", TTL: 30, Data: fmt.Sprintf("10.244.3.%d", i)})
		}
		change(&a)
		in.From.Answers = []report.Answer{a}
		return Resolve(in, noon, Options{}, a.Name, []string{"A"}, "")
	}
	if r := with(func(*report.Answer) {}); r.Verdict != report.Healthy {
		t.Errorf("a part: %s %s", r.Verdict, r.Summary)
	}
	if r := with(func(a *report.Answer) { a.Records = nil }); r.Verdict != report.Healthy {
		t.Errorf("nothing fitted: %s %s", r.Verdict, r.Summary)
	}
	if r := with(func(a *report.Answer) { a.Records[3].Data = "10.244.9.9" }); r.PrimaryCode != "RecordMismatch" {
		t.Errorf("another address: %s %s", r.Verdict, r.Summary)
	}
	r := with(func(a *report.Answer) { a.Truncated = false })
	if r.PrimaryCode != "RecordMismatch" || !strings.Contains(r.Summary, "answered with 10.244.3.0, 10.244.3.1, 10.244.3.10 and 26 more, but the API has") {
		t.Errorf("a whole answer: %s %s", r.Verdict, r.Summary)
	}
}

// A pod finds HOST.SERVICE of its own namespace by its search list.
func TestANameIsCompletedAsThePodWould(t *testing.T) {
	in := with(headless("db", map[string]string{"app": "db"}))
	host := "db-0"
	e := endpointAt("10.244.1.30", true)
	e.Hostname = &host
	in.Slices = append(in.Slices, slice("shop", "db", e))
	complete := func(in Input, name, want string) {
		t.Helper()
		if got := Qualify(in, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	complete(in, "db-0.db", "db-0.db.shop.svc.cluster.local.")
	complete(in, "db-9.db", "db-9.db.shop.svc.cluster.local.")
	complete(in, "www.example.com", "www.example.com.")
	named := in
	named.Namespaces = append(slices.Clone(in.Namespaces), corev1.Namespace{ObjectMeta: labeled("", "db", nil)})
	complete(named, "db-0.db", "db-0.db.shop.svc.cluster.local.")
	complete(named, "api.db", "api.db.svc.cluster.local.")
	in.From = nil
	complete(in, "db-0.db", "db-0.db.")
	gone := func(_ int, a *report.Answer) { a.Rcode, a.Records = "NXDOMAIN", nil }
	for name, want := range map[string]string{"db-0.shop": "db-0.db.shop.svc.cluster.local", "api.shop.cluster.local": "api.shop.svc.cluster.local"} {
		r := resolved(in, name, gone)
		if r.PrimaryCode != "NameNotFound" || !strings.Contains(commands(r.Header), "kubectl dns resolve "+want) {
			t.Errorf("%s: %s %s\n%s", name, r.PrimaryCode, r.Summary, commands(r.Header))
		}
	}
}

// Silence is met on the way to the servers, not behind them.
func TestSilenceDoesNotLeadToTheUpstreams(t *testing.T) {
	for rcode, want := range map[string]string{"": "kubectl dns check --from web -n shop", "SERVFAIL": "kubectl dns upstream"} {
		in := healthy()
		for _, typ := range []string{"A", "AAAA"} {
			a := report.Answer{Viewpoint: "pod:shop/web", Server: "10.96.0.10", Transport: "UDP", Name: "www.example.com.", Type: typ, Rcode: rcode}
			if rcode == "" {
				silent(&a)
			}
			in.From.Answers = append(in.From.Answers, a)
		}
		r := Explain(in, noon, Options{}, "www.example.com.", []resolver.Libc{resolver.Glibc})
		if r.PrimaryCode != "NoUsableAnswer" || !strings.Contains(commands(r.Header), want) {
			t.Errorf("%q: %s %s\n%s", rcode, r.PrimaryCode, r.Summary, commands(r.Header))
		}
	}
}

// A pod that asks a node cache alone needs no way to the DNS pods.
func TestAPolicyThatLetsTheNodeCacheThrough(t *testing.T) {
	with := func(change func(*report.Answer)) report.Status {
		in := cached(linkLocal, 2, "n1")
		in.Policies = append(in.Policies, policy(true, port53(corev1.ProtocolUDP)))
		to := &in.Policies[0].Spec.Egress[0]
		to.To, to.Ports = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: linkLocal + "/32"}}}, nil
		in = answered(in)
		from(&in, func(a *report.Answer) {
			if a.Server != linkLocal {
				silent(a)
			}
		})
		from(&in, change)
		return judge(in)
	}
	got := with(func(*report.Answer) {})
	if f := code(got.Header, "NetworkPolicyBlocksDNS"); got.Verdict != report.Healthy || f == nil || f.Severity != finding.Info || !strings.Contains(f.Message, "which "+linkLocal+" answers") {
		t.Errorf("%s %s\n%+v", got.Verdict, got.Summary, got.Findings)
	}
	got = with(func(a *report.Answer) { silent(a) })
	if f := code(got.Header, "NetworkPolicyBlocksDNS"); got.Verdict != report.Unhealthy || f != nil && strings.Contains(f.Message, "answers") {
		t.Errorf("the cache is silent: %s %s\n%+v", got.Verdict, got.Summary, got.Findings)
	}
}

// A file of a volume hides what the kubelet writes: a new pod has it, too.
func TestAMountHidesTheFileOfTheKubelet(t *testing.T) {
	with := func(path string, change func(*corev1.Pod)) report.Status {
		in := healthy()
		pod := &in.From.Pod
		in.From.Container = "c"
		in.From.Files["/etc/resolv.conf"], in.From.Files["/etc/hosts"] = "nameserver 8.8.8.8\n", "10.9.9.9 api.shop.svc.cluster.local\n"
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", Controller: ptr(true)}}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "files", MountPath: path}}
		pod.Spec.Volumes = []corev1.Volume{{Name: "files", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "resolver"}}}}}
		change(pod)
		return Status(in, noon, Options{}, "DNSCheck")
	}
	same := func(*corev1.Pod) {}
	for _, path := range []string{"/etc/resolv.conf", "/etc//resolv.conf"} {
		got := with(path, same)
		f := code(got.Header, "PodResolvConfMismatch")
		if f == nil || !strings.Contains(f.Message, "container c has volume files (ConfigMap resolver) there") || !strings.Contains(f.Next[0].Command, "describe configmap resolver -n shop") || strings.Contains(commands(got.Header), "delete pod") {
			t.Errorf("%s: %+v", path, f)
		}
	}
	if f := code(with("/etc/hosts", same).Header, "HostsFileOverridesDNS"); f == nil || !strings.Contains(f.Message, "(volume files (ConfigMap resolver))") {
		t.Errorf("hosts: %+v", f)
	}
	for what, got := range map[string]report.Status{
		"a directory above": with("/etc", same),
		"another container": with("/etc/resolv.conf", func(pod *corev1.Pod) { pod.Spec.Containers[0].Name = "d" }),
	} {
		if f := code(got.Header, "PodResolvConfMismatch"); f == nil || strings.Contains(f.Message, "volume") || !strings.Contains(commands(got.Header), "delete pod") {
			t.Errorf("%s: %+v", what, f)
		}
	}
}

// Without reload, and where the kubelet leaves the file as it was, a changed Corefile is one that nobody serves yet.
func TestACorefileThatNobodyHasLoaded(t *testing.T) {
	with := func(change func(*Input)) Input {
		in := healthy()
		editedAt(&in, "loop\n", "hosts {\n 192.0.2.1 db.corp.test\n fallthrough\n}\nloop\n", ago(time.Hour))
		change(&in)
		return in
	}
	check := func(change func(*Input)) *finding.Finding {
		return code(judge(answered(with(change))).Header, "CorefileNotReloaded")
	}
	subPath := func(in *Input) {
		for i := range in.Pods {
			in.Pods[i].Spec.Containers[0].VolumeMounts[0] = corev1.VolumeMount{Name: "config-volume", MountPath: "/etc/coredns/Corefile", SubPath: "Corefile"}
		}
	}
	without := func(in *Input) {
		in.ConfigMaps[0].Data["Corefile"] = strings.Replace(in.ConfigMaps[0].Data["Corefile"], "reload\n", "", 1)
	}
	if f := check(func(*Input) {}); f != nil {
		t.Errorf("it has reload: %s", f.Message)
	}
	if f := check(subPath); f == nil || !strings.Contains(f.Message, "2 of 2 replicas serve the Corefile of before its last change, 60m ago; volume config-volume is mounted with subPath") {
		t.Errorf("subPath: %+v", f)
	}
	f := check(without)
	if f == nil || !strings.Contains(f.Message, "it has no reload plugin") || f.Next[1].Command != "kubectl rollout restart deployment coredns -n kube-system" {
		t.Errorf("no reload: %+v", f)
	}
	f = check(func(in *Input) {
		without(in)
		in.Pods[0].Status.ContainerStatuses[0].State.Running.StartedAt = ago(time.Minute)
	})
	if f == nil || !strings.Contains(f.Message, "1 of 2 replicas") {
		t.Errorf("one was restarted: %+v", f)
	}
	if f = check(func(in *Input) { without(in); in.ConfigMaps[0].ManagedFields = nil }); f != nil {
		t.Errorf("unknown when it changed: %s", f.Message)
	}
	gone := func(_ int, a *report.Answer) { a.Rcode, a.Records = "NXDOMAIN", nil }
	for name, want := range map[string]finding.Code{"db.corp.test": "CorefileNotReloaded", "dc.corp.test": "NameNotFound"} {
		if r := resolved(with(without), name, gone); r.PrimaryCode != want {
			t.Errorf("%s: %s %s", name, r.PrimaryCode, r.Summary)
		}
	}
}

func TestTheContainerThatRunsIsAsked(t *testing.T) {
	status := func(name string, running bool) corev1.ContainerStatus {
		s := corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}
		if running {
			s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
		}
		return s
	}
	pod := corev1.Pod{
		Spec:   corev1.PodSpec{InitContainers: []corev1.Container{{Name: "wait"}}, Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	for want, change := range map[string]func(*corev1.Pod){
		"": func(*corev1.Pod) {},
		"wait": func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{status("wait", true)}
		},
		"a": func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{status("b", true), status("a", true)}
		},
		"b": func(p *corev1.Pod) {
			p.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": "b"}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{status("a", true), status("b", true)}
		},
	} {
		p := *pod.DeepCopy()
		change(&p)
		if got := facts.RunningContainer(&p); got != want || facts.Runs(&p) != (want != "") {
			t.Errorf("%q, want %q", got, want)
		}
		p.Status.Phase = corev1.PodFailed
		if facts.Runs(&p) {
			t.Errorf("%q runs in a pod that has ended", want)
		}
	}
}

// Some programs are told to query over TCP alone.
func TestTCPThatIsBlockedIsAllThatSomePodsHave(t *testing.T) {
	for options, want := range map[string]finding.Severity{"ndots:5": finding.Warning, "ndots:5 use-vc": finding.Critical} {
		for musl, want := range map[bool]finding.Severity{false: want, true: finding.Warning} {
			in := healthy()
			in.From.Files["/etc/resolv.conf"] = strings.Replace(in.From.Files["/etc/resolv.conf"], "ndots:5", options, 1)
			in.From.Musl = &musl
			in = answered(in)
			from(&in, func(a *report.Answer) {
				if a.Transport == "TCP" {
					silent(a)
				}
			})
			if f := code(judge(in).Header, "DNSOverTCPBlocked"); f == nil || f.Severity != want {
				t.Errorf("%s, musl %t: %+v", options, musl, f)
			}
		}
	}
}

// Nobody fills a Service without a selector but who made it: for the name that is asked, that is the answer.
func TestAServiceThatNobodyFills(t *testing.T) {
	svc := service("shop", "bare", "10.96.1.8", nil, corev1.ServicePort{Name: "http", Port: 80})
	answer := func(_ int, a *report.Answer) {
		if a.Type == "A" {
			a.Records = []report.Record{{Name: a.Name, Type: "A", Data: "10.96.1.8"}}
		}
	}
	r := explained(with(svc), "bare.shop", resolver.Glibc, answer)
	says(t, "bare", r.Header, report.Degraded, "ServiceWithoutEndpoints", "Service shop/bare has no ready endpoints")
	if strings.Contains(commands(r.Header), "get pods") || strings.Contains(fmt.Sprint(r.Findings), "selector matches") {
		t.Errorf("it selects nothing: %+v", r.Findings)
	}
	in := with(svc)
	in.Slices = append(in.Slices, slice("shop", "bare", endpointAt("192.0.2.9", true)))
	if r = explained(in, "bare.shop", resolver.Glibc, answer); r.Verdict != report.Healthy {
		t.Errorf("it has one endpoint: %s", r.Summary)
	}
	if f := code(Status(answered(with(svc)), noon, Options{All: true}, "DNSCheck").Header, "ServiceWithoutEndpoints"); f != nil {
		t.Errorf("in a check: %s", f.Message)
	}
}

// Where no DNS pod is ready, no part of the servers is Healthy: logs without an error, and traffic of nobody, say nothing.
func TestNoPartOfServersThatAreDownIsHealthy(t *testing.T) {
	headers := func(in Input) map[string]report.Header {
		return map[string]report.Header{
			"logs": MergeLogs(in, noon, Options{}, true).Header, "top": Top(in, noon, Options{}).Header, "upstream": Upstreams(in, noon, Options{Slow: time.Second}).Header,
		}
	}
	down := answered(healthy())
	for i := range down.Pods {
		down.Pods[i].Status.Conditions[0].Status = corev1.ConditionFalse
	}
	for name, h := range headers(down) {
		if h.Verdict != report.Unhealthy || h.PrimaryCode != "DNSPodsNotReady" {
			t.Errorf("%s: %s %s: %s", name, h.Verdict, h.PrimaryCode, h.Summary)
		}
	}
	for name, h := range headers(answered(healthy())) {
		if h.PrimaryCode != "" {
			t.Errorf("near miss: %s: %s", name, h.Summary)
		}
	}
}
