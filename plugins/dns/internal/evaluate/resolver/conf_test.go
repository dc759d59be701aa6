package resolver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

var kubelet = Kubelet{ClusterDNS: []string{"10.96.0.10"}, Domain: "cluster.local", From: "test"}

func ptr[T any](v T) *T { return &v }

func TestComputeFollowsThePolicy(t *testing.T) {
	cluster := Conf{Nameservers: []string{"10.96.0.10"}, Searches: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}, Options: []string{"ndots:5"}}
	config := &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10", "192.0.2.1"}, Searches: []string{"corp.test", "cluster.local"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr("2")}, {Name: "edns0"}}}
	tests := map[string]struct {
		spec    corev1.PodSpec
		kubelet Kubelet
		want    Conf
		policy  corev1.DNSPolicy
		host    bool
	}{
		"ClusterFirst":                       {corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, kubelet, cluster, corev1.DNSClusterFirst, false},
		"unset is ClusterFirst":              {corev1.PodSpec{}, kubelet, cluster, corev1.DNSClusterFirst, false},
		"host network turns it into Default": {corev1.PodSpec{HostNetwork: true, DNSPolicy: corev1.DNSClusterFirst}, kubelet, Conf{}, corev1.DNSDefault, true},
		"ClusterFirstWithHostNet":            {corev1.PodSpec{HostNetwork: true, DNSPolicy: corev1.DNSClusterFirstWithHostNet}, kubelet, cluster, corev1.DNSClusterFirst, false},
		"a kubelet without clusterDNS":       {corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, Kubelet{Domain: "cluster.local"}, Conf{}, corev1.DNSDefault, true},
		"None is dnsConfig alone":            {corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: config}, kubelet, Conf{Nameservers: []string{"10.96.0.10", "192.0.2.1"}, Searches: []string{"corp.test", "cluster.local"}, Options: []string{"ndots:2", "edns0"}}, corev1.DNSNone, false},
		"dnsConfig is added":                 {corev1.PodSpec{DNSConfig: config}, kubelet, Conf{Nameservers: []string{"10.96.0.10", "192.0.2.1"}, Searches: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.test"}, Options: []string{"ndots:2", "edns0"}}, corev1.DNSClusterFirst, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Compute("shop", tt.spec, tt.kubelet)
			if d := cmp.Diff(tt.want, got.Conf); d != "" {
				t.Error(d)
			}
			if got.Policy != tt.policy || got.HostServers != tt.host {
				t.Errorf("policy %s, host %v", got.Policy, got.HostServers)
			}
		})
	}
}

func TestLimitsDropTheRest(t *testing.T) {
	spec := corev1.PodSpec{DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1", "2.2.2.2", "3.3.3.3"}}}
	for i := range 40 {
		spec.DNSConfig.Searches = append(spec.DNSConfig.Searches, fmt.Sprintf("d%d.test", i))
	}
	got := Compute("shop", spec, kubelet)
	if len(got.Nameservers) != 3 || len(got.Searches) != 32 || len(got.Dropped) != 1+11 {
		t.Errorf("%d servers, %d searches, dropped %v", len(got.Nameservers), len(got.Searches), got.Dropped)
	}
}

func TestDifferences(t *testing.T) {
	computed := Compute("shop", corev1.PodSpec{}, kubelet)
	same := Parse("nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local lan\noptions ndots:5\n")
	if d := computed.Differences(same); d != nil {
		t.Errorf("the node's own search domain counts as a difference: %v", d)
	}
	other := Parse("nameserver 10.96.0.99\nsearch svc.cluster.local cluster.local\noptions ndots:2\n")
	if d := computed.Differences(other); len(d) != 3 {
		t.Errorf("%v", d)
	}
}

func TestParse(t *testing.T) {
	got := Parse("# x\n; y\ndomain a.test\nsearch b.test c.test\nnameserver 1.1.1.1\nnameserver\noptions ndots:3 timeout:1\noptions edns0\n")
	want := Conf{Nameservers: []string{"1.1.1.1"}, Searches: []string{"b.test", "c.test"}, Options: []string{"ndots:3", "timeout:1", "edns0"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]int{"": 1, "options ndots:5": 5, "options ndots:99": 15, "options ndots:x": 1, "options ndots:0": 0} {
		if got := Parse(text).Ndots(); got != want {
			t.Errorf("%q: ndots %d, want %d", text, got, want)
		}
	}
}

func TestWindowsTakesADottedNameAsItIs(t *testing.T) {
	c := Parse("search shop.svc.cluster.local svc.cluster.local\noptions ndots:5")
	if got := Candidates("api.backend", c, Windows); len(got) != 1 || got[0].Name != "api.backend." {
		t.Errorf("%+v", got)
	}
	if got := Candidates("api", c, Windows); len(got) != 2 || got[0].Name != "api.shop.svc.cluster.local." {
		t.Errorf("%+v", got)
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add("nameserver 1.1.1.1\nsearch a b\noptions ndots:2\n", "www.example.com")
	f.Add("options ndots:-1 ndots:999999999999\nsearch . ..\n", "a.")
	f.Fuzz(func(t *testing.T, text, name string) {
		c := Parse(text)
		for _, l := range All() {
			steps := Candidates(name, c, l)
			if len(steps) == 0 || len(steps) > len(c.Searches)+1 {
				t.Errorf("%d names for %d searches", len(steps), len(c.Searches))
			}
			w := Follow(name, c, l, func(string) Pair { return Pair{NXDomain, NXDomain} })
			if w.Found || len(w.Steps) != len(steps) {
				t.Errorf("%s: %+v", l, w)
			}
			for _, s := range steps {
				if !strings.HasSuffix(s.Name, ".") {
					t.Errorf("%q is not whole", s.Name)
				}
			}
		}
	})
}

func TestAHostsFileIsReadAsTheLibrariesDo(t *testing.T) {
	const text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n10.0.0.7\tweb.shop.example web # db\n\n10.0.0.8\n"
	for name, want := range map[string][]string{"localhost": {"127.0.0.1", "::1"}, "WEB": {"10.0.0.7"}, "db": nil, "10.0.0.8": nil, "we": nil} {
		if d := cmp.Diff(want, HostsFile(text, name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
