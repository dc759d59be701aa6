package evaluate

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// dualStack gives the DNS Service and its pods addresses of IPv6 besides, and the suspect these nameservers.
func dualStack(nameservers ...string) Input {
	in := healthy()
	in.Services[0].Spec.ClusterIPs = []string{"10.96.0.10", "fd00:96::a"}
	six := slice("kube-system", "kube-dns", endpointAt("fd00:1::2", true), endpointAt("fd00:2::2", true))
	six.Name, six.AddressType = "kube-dns-six", discoveryv1.AddressTypeIPv6
	in.Slices = append(in.Slices, six)
	for i, ip := range []string{"fd00:1::2", "fd00:2::2"} {
		in.Pods[i].Status.PodIPs = append(in.Pods[i].Status.PodIPs, corev1.PodIP{IP: ip})
	}
	in.From.Pod.Status.PodIPs = []corev1.PodIP{{IP: "10.244.1.7"}, {IP: "fd00:1::7"}}
	in.Kubelets[0].ClusterDNS = nameservers
	in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver " +
		strings.Join(nameservers, "\nnameserver ") + "\noptions ndots:5\n"
	return answered(in)
}

// silence takes the answers of these servers away.
func silence(in Input, servers ...string) Input {
	for i := range in.From.Answers {
		if a := &in.From.Answers[i]; slices.Contains(servers, a.Server) {
			a.Rcode, a.Records, a.Error = "", nil, "no answer in time"
		}
	}
	return in
}

func TestServersOfBothFamiliesAreAsked(t *testing.T) {
	got, _ := ServersOf(dualStack("10.96.0.10"))
	if want := []string{"10.96.0.10", "fd00:96::a", "10.244.1.2", "fd00:1::2", "10.244.2.2", "fd00:2::2"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	in := dualStack("10.96.0.10")
	in.Services[0].Spec.ClusterIPs = in.Services[0].Spec.ClusterIPs[:1] // as kubeadm makes it
	got, _ = ServersOf(in)
	if want := []string{"10.96.0.10", "10.244.1.2", "10.244.2.2"}; !slices.Equal(got, want) {
		t.Errorf("a Service of one family: got %v", got)
	}
}

// What is broken in one family matters to a pod that queries over it.
func TestAPathThatIsBrokenInOneFamily(t *testing.T) {
	four, six := "10.96.0.10", "fd00:96::a"
	for _, tt := range []struct {
		name     string
		servers  []string // of the pod
		silent   []string
		code     finding.Code
		severity finding.Severity
		says     string
	}{
		{"nothing", []string{four, six}, nil, "", "", ""},
		{
			"a replica, for a pod that queries over IPv6",
			[]string{six},
			[]string{"fd00:2::2"},
			"ReplicaUnreachableFromPod", finding.Critical,
			"over IPv6, pod shop/web on node n1 does not reach coredns-b on node n2",
		},
		{
			"a replica, for a pod that queries over IPv4",
			[]string{four},
			[]string{"fd00:2::2"},
			"ReplicaUnreachableFromPod", finding.Info,
			"does not reach coredns-b on node n2; the pod does not query over IPv6: its nameserver is 10.96.0.10",
		},
		{"a replica, for a pod that queries over both", []string{six, four}, []string{"fd00:2::2"}, "ReplicaUnreachableFromPod", finding.Warning, "over IPv6, "},
		{
			"the address of the Service",
			[]string{six},
			[]string{six},
			"DNSServiceUnreachableFromPod", finding.Critical,
			"no answer from Service address fd00:96::a over TCP and UDP",
		},
		{
			"all of IPv6",
			[]string{six},
			[]string{six, "fd00:1::2", "fd00:2::2"},
			"DNSUnavailableFromPod", finding.Critical,
			"over IPv6, pod shop/web on node n1 reaches no DNS server",
		},
		{
			"all of IPv4, for a pod that queries over it",
			[]string{four},
			[]string{four, "10.244.1.2", "10.244.2.2"},
			"DNSUnavailableFromPod", finding.Critical,
			"over IPv4, pod shop/web",
		},
		{
			"everything",
			[]string{four},
			[]string{four, six, "10.244.1.2", "10.244.2.2", "fd00:1::2", "fd00:2::2"},
			"DNSUnavailableFromPod", finding.Critical,
			"pod shop/web on node n1 reaches no DNS server",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := judge(silence(dualStack(tt.servers...), tt.silent...))
			if tt.code == "" {
				if len(got.Findings) > 0 {
					t.Errorf("%+v", got.Findings)
				}
				return
			}
			if len(got.Findings) != 1 || got.Findings[0].Code != tt.code || got.Findings[0].Severity != tt.severity ||
				!strings.Contains(got.Findings[0].Message, tt.says) {
				t.Errorf("%s: %+v", got.Verdict, got.Findings)
			}
			if all := tt.name == "everything"; all == strings.HasPrefix(got.Findings[0].Message, "over ") {
				t.Errorf("%s", got.Findings[0].Message)
			}
		})
	}
}

// The kubelet writes a pod's own addresses of each family into its hosts file.
func TestAPodsOwnAddressesInItsHostsFile(t *testing.T) {
	for file, want := range map[string]bool{
		"10.244.1.7\tapi.shop.svc.cluster.local api\nfd00:1::7\tapi.shop.svc.cluster.local api\n": false,
		"fd00:1::7\tapi.shop.svc.cluster.local api\n":                                             false,
		"fd00:1::8\tapi.shop.svc.cluster.local api\n":                                             true,
	} {
		in := dualStack("10.96.0.10")
		in.From.Files["/etc/hosts"] = file
		got := Resolve(in, noon, Options{Typed: "api"}, "api.shop.svc.cluster.local.", []string{"A"}, "")
		if has := slices.ContainsFunc(got.Findings, func(f finding.Finding) bool { return f.Code == "HostsFileOverridesDNS" }); has != want {
			t.Errorf("%q: %+v", file, got.Findings)
		}
	}
}

// kubectl expose makes no Service of a DaemonSet.
func TestTheServiceOfADaemonSetIsGone(t *testing.T) {
	in := answered(healthy())
	in.Services = in.Services[1:]
	in.DaemonSets = []appsv1.DaemonSet{{
		ObjectMeta: labeled("kube-system", "coredns", nil),
		Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-dns"}}}},
		Status:     appsv1.DaemonSetStatus{NumberReady: 2},
	}}
	in.Deployments = nil
	got := judge(in)
	if got.Verdict != report.Unhealthy || !strings.Contains(got.Summary, "DaemonSet coredns has none") {
		t.Errorf("%s: %s", got.Verdict, got.Summary)
	}
	text := commands(got.Header)
	if strings.Contains(text, "expose") || !strings.Contains(text, "kubectl create service clusterip kube-dns --tcp=53 --clusterip=10.96.0.10 -n kube-system") ||
		!strings.Contains(text, `"path":"/spec/selector","value":{"k8s-app":"kube-dns"}`) {
		t.Errorf("%s", text)
	}
}

// The names of addresses are in zones of their own, which a Corefile may lack.
func TestTheNameOfAnAddress(t *testing.T) {
	for _, tt := range []struct {
		name, corefile, ip string
		says               string
	}{
		{
			"a Service, and no zone", strings.ReplaceAll(kubeadmCorefile, " ip6.arpa", ""), "fd00:96::6",
			"does not exist: address fd00:96::6 belongs to six.shop.svc.cluster.local, but the kubernetes plugin of CoreDNS does not serve its zone",
		},
		{"nothing of the cluster", kubeadmCorefile, "fd00:96::7", "does not exist: no Service or endpoint of the cluster has address fd00:96::7"},
		{"nothing of the cluster, in IPv4", kubeadmCorefile, "192.0.2.9", "does not exist: no Service or endpoint of the cluster has address 192.0.2.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := healthy()
			in.ConfigMaps[0].Data["Corefile"] = tt.corefile
			in.Services = append(in.Services, service("shop", "six", "fd00:96::6", nil, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"}))
			name := records.ReverseName(tt.ip)
			in.Probes = nil
			in.From.Answers = []report.Answer{{Viewpoint: "pod:shop/web", Server: "10.96.0.10", Transport: "UDP", Name: name, Type: "PTR", Rcode: "NXDOMAIN"}}
			got := Resolve(in, noon, Options{}, name, []string{"PTR"}, "")
			if got.PrimaryCode != "NameNotFound" || !strings.Contains(got.Summary, tt.says) || strings.Contains(got.Summary, "namespace") {
				t.Errorf("%s: %s", got.PrimaryCode, got.Summary)
			}
		})
	}
}
