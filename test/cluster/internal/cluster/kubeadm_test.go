package cluster

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/pki"
)

// documentsOf splits a rendered configuration by kind.
func documentsOf(t *testing.T, text string) map[string]object {
	t.Helper()
	found := map[string]object{}
	for _, part := range strings.Split(text, "---\n") {
		var o object
		if err := yaml.UnmarshalStrict([]byte(part), &o); err != nil {
			t.Fatalf("%v in\n%s", err, part)
		}
		found[o["kind"].(string)] = o
	}
	return found
}

func field(o object, path string) any {
	var value any = o
	for _, key := range strings.Split(path, ".") {
		inner, ok := value.(object)
		if !ok {
			return nil
		}
		value = inner[key]
	}
	return value
}

func TestInitConfig(t *testing.T) {
	text, err := initConfig(Spec{Name: "x", ProxyMode: "nftables", Version: "v1.36.3"}, netplan.For(2, netplan.IPv4), secrets{token: "abcdef.0123456789abcdef"}, true)
	if err != nil {
		t.Fatal(err)
	}
	found := documentsOf(t, text)
	for _, test := range []struct {
		kind, path string
		want       any
	}{
		{"InitConfiguration", "localAPIEndpoint.advertiseAddress", "10.64.2.11"},
		{"InitConfiguration", "nodeRegistration.name", "cp1"},
		{"ClusterConfiguration", "kubernetesVersion", "v1.36.3"},
		{"ClusterConfiguration", "etcd.local.imageTag", "3.6.8-0"},
		{"ClusterConfiguration", "controlPlaneEndpoint", "10.64.2.11:6443"},
		{"ClusterConfiguration", "networking.podSubnet", "10.114.0.0/16"},
		{"ClusterConfiguration", "networking.serviceSubnet", "10.98.0.0/16"},
		{"ClusterConfiguration", "dns.imageTag", build.CoreDNSVersion},
		{"KubeProxyConfiguration", "mode", "nftables"},
		{"KubeletConfiguration", "cgroupDriver", "cgroupfs"},
		{"KubeletConfiguration", "failCgroupV1", false},
		// The first node's own group must not become every node's.
		{"KubeletConfiguration", "cgroupRoot", nil},
		// Upstream's thresholds have to hold in a healthy cluster.
		{"KubeletConfiguration", "evictionHard", nil},
	} {
		if got := field(found[test.kind], test.path); got != test.want {
			t.Errorf("%s %s: got %v, want %v", test.kind, test.path, got, test.want)
		}
	}
	audit := field(found["ClusterConfiguration"], "apiServer.extraArgs").([]any)
	if path := audit[0].(object)["value"]; path != auditPolicyPath || !strings.HasPrefix(audit[1].(object)["value"].(string), auditDir+"/") {
		t.Errorf("requests are written down as %v", audit)
	}
	text, err = initConfig(Spec{Name: "x"}, netplan.For(0, netplan.IPv4), secrets{token: "t"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := field(documentsOf(t, text)["KubeletConfiguration"], "failCgroupV1"); got != nil {
		t.Errorf("version 2 of control groups: failCgroupV1 is %v, want upstream's own", got)
	}
}

// A cluster of IPv4 is told nothing that it was not told before there were others.
func TestConfigOfIPv4(t *testing.T) {
	s := secrets{token: "abcdef.0123456789abcdef", certificateKey: "00"}
	text, err := initConfig(Spec{Name: "x", ProxyMode: "iptables", Version: "v1.37.2"}, netplan.For(0, netplan.IPv4), s, true)
	if err != nil {
		t.Fatal(err)
	}
	join, err := joinConfig(node.Config{Name: "w1", IP: "10.64.0.12", IPs: "10.64.0.12"}, false, "10.64.0.11:6443", s, "sha256:00")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/kubeadm-ipv4.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := text + "---\n" + join; got != string(golden) {
		t.Errorf("got\n%s", got)
	}
}

func TestConfigOfOtherFamilies(t *testing.T) {
	for _, tt := range []struct {
		family, domain                  string
		pods, services, ips, advertised string
		endpoint                        string
	}{
		{
			netplan.Dual, "corp.example", "10.114.0.0/16,fd6b:7262:2:100::/56", "10.98.0.0/16,fd6b:7262:2:96::/112",
			"10.64.2.11,fd6b:7262:2:64::11", "10.64.2.11", "10.64.2.11:6443",
		},
		{
			netplan.IPv6, "", "fd6b:7262:2:100::/56", "fd6b:7262:2:96::/112",
			"fd6b:7262:2:64::11", "fd6b:7262:2:64::11", "[fd6b:7262:2:64::11]:6443",
		},
	} {
		spec := Spec{Name: "x", Version: "v1.37.2", IPFamily: tt.family, ClusterDomain: tt.domain}
		text, err := initConfig(spec, netplan.For(2, tt.family), secrets{token: "t"}, false)
		if err != nil {
			t.Fatal(err)
		}
		found := documentsOf(t, text)
		domain, _ := field(found["ClusterConfiguration"], "networking.dnsDomain").(string)
		if domain != tt.domain {
			t.Errorf("%s: domain %q, want %q", tt.family, domain, tt.domain)
		}
		for path, want := range map[string]string{
			"ClusterConfiguration networking.podSubnet":           tt.pods,
			"ClusterConfiguration networking.serviceSubnet":       tt.services,
			"ClusterConfiguration controlPlaneEndpoint":           tt.endpoint,
			"InitConfiguration localAPIEndpoint.advertiseAddress": tt.advertised,
		} {
			kind, path, _ := strings.Cut(path, " ")
			if got := field(found[kind], path); got != want {
				t.Errorf("%s: %s: got %v, want %s", tt.family, path, got, want)
			}
		}
		extra := fmt.Sprint(field(found["InitConfiguration"], "nodeRegistration.kubeletExtraArgs"))
		if want := "[map[name:node-ip value:" + tt.ips + "]]"; extra != want {
			t.Errorf("%s: the kubelet is told %s, want %s", tt.family, extra, want)
		}
	}
}

func TestAddressesOfAPIServersInBothFamilies(t *testing.T) {
	c := Cluster{State: State{Spec: Spec{ControlPlanes: 2}, Plan: netplan.For(2, netplan.Dual)}}
	want := "[10.64.2.11 10.64.2.12 10.64.2.1 fd6b:7262:2:64::11 fd6b:7262:2:64::12 fd6b:7262:2:64::1]"
	if got := fmt.Sprint(c.APIAddresses()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestConflist(t *testing.T) {
	for want, ranges := range map[string][]string{
		`"ranges": [[{"subnet": "10.112.1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]`: {"10.112.1.0/24"},
		`"ranges": [[{"subnet": "10.112.1.0/24"}], [{"subnet": "fd6b:7262:0:101::/64"}]], "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]`: {
			"10.112.1.0/24", "fd6b:7262:0:101::/64",
		},
	} {
		if got := conflist(ranges); !strings.Contains(got, want) || yaml.Unmarshal([]byte(got), &object{}) != nil {
			t.Errorf("%v: got %s", ranges, got)
		}
	}
}

func TestJoinConfig(t *testing.T) {
	text, err := joinConfig(node.Config{Name: "w1"}, false, "10.64.0.11:6443", secrets{token: "abcdef.0123456789abcdef", certificateKey: "00"}, "sha256:00")
	if err != nil {
		t.Fatal(err)
	}
	join := documentsOf(t, text)["JoinConfiguration"]
	for path, want := range map[string]any{
		"discovery.bootstrapToken.apiServerEndpoint": "10.64.0.11:6443",
		"nodeRegistration.name":                      "w1",
		"patches.directory":                          patchesDir,
	} {
		if got := field(join, path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestSeveralControlPlanes(t *testing.T) {
	spec := Spec{Name: "x", ControlPlanes: 3, Workers: 1}
	if got, want := fmt.Sprint(spec.NodeNames()), "[cp1 cp2 cp3 w1]"; got != want {
		t.Errorf("nodes: got %s, want %s", got, want)
	}
	if !spec.IsControlPlane("cp3") || spec.IsControlPlane("w1") || spec.IsControlPlane("cp4") {
		t.Error("cp3 alone of the three belongs to the control plane")
	}
	c := Cluster{State: State{Spec: spec, Plan: netplan.For(2, netplan.IPv4)}}
	if got, want := fmt.Sprint(c.APIAddresses()), "[10.64.2.11 10.64.2.12 10.64.2.13 10.64.2.1]"; got != want {
		t.Errorf("addresses: got %s, want %s", got, want)
	}
	s := secrets{token: "abcdef.0123456789abcdef", certificateKey: "00"}
	text, err := initConfig(spec, c.State.Plan, s, false)
	if err != nil {
		t.Fatal(err)
	}
	found := documentsOf(t, text)
	for _, test := range []struct {
		kind, path string
		want       any
	}{
		{"ClusterConfiguration", "controlPlaneEndpoint", "10.64.2.1:6443"},
		{"InitConfiguration", "localAPIEndpoint.advertiseAddress", "10.64.2.11"},
		{"InitConfiguration", "certificateKey", "00"},
	} {
		if got := field(found[test.kind], test.path); got != test.want {
			t.Errorf("%s %s: got %v, want %v", test.kind, test.path, got, test.want)
		}
	}
	if text, err = joinConfig(node.Config{Name: "cp2", IP: "10.64.2.12"}, true, "10.64.2.1:6443", s, "sha256:00"); err != nil {
		t.Fatal(err)
	}
	join := documentsOf(t, text)["JoinConfiguration"]
	if field(join, "controlPlane.localAPIEndpoint.advertiseAddress") != "10.64.2.12" || field(join, "controlPlane.certificateKey") != "00" {
		t.Errorf("cp2 joins with %v", join["controlPlane"])
	}
}

func TestEveryNodeHasAGroupOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range []node.Config{
		{Name: "w1", Cluster: "dev", Shared: "/a"},
		{Name: "w2", Cluster: "dev", Shared: "/a"},
		{Name: "w1", Cluster: "ci", Shared: "/a"},
		{Name: "w1", Cluster: "dev", Shared: "/b"},
	} {
		patch, err := kubeletPatch(n)
		if err != nil || seen[patch] || !strings.HasPrefix(patch, "cgroupRoot: /kubectl-runbooks/") ||
			!strings.HasSuffix(patch, "/"+n.Cluster+"/"+n.Name+"\n") {
			t.Errorf("%+v: got %q, %v", n, patch, err)
		}
		seen[patch] = true
	}
}

func TestNewSecrets(t *testing.T) {
	token, key := regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`), regexp.MustCompile(`^[a-f0-9]{64}$`)
	first, second := newSecrets(), newSecrets()
	if first == second || !token.MatchString(first.token) || !key.MatchString(first.certificateKey) {
		t.Errorf("got %q and %q", first, second)
	}
}

func TestHashCA(t *testing.T) {
	authority, err := pki.NewAuthority("x")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hashCA(authority.CertPEM)
	if err != nil || !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(hash) {
		t.Errorf("got %q, %v", hash, err)
	}
	if _, err := hashCA([]byte("nothing")); err == nil {
		t.Error("what is no certificate was hashed")
	}
}

func TestAUserIsNamedAfterItsContext(t *testing.T) {
	in := `apiVersion: v1
kind: Config
preferences: {}
current-context: kubernetes-admin@a
clusters: [{name: a, cluster: {server: "https://10.64.0.11:6443", certificate-authority-data: QQ==}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: Qg==, client-key-data: Qw==}}]
contexts: [{name: kubernetes-admin@a, context: {cluster: a, user: kubernetes-admin}}]
`
	out, err := ownUser([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(got["users"], got["contexts"])
	if want := "[map[name:kubernetes-admin@a user:map[client-certificate-data:Qg== client-key-data:Qw==]]] [map[context:map[cluster:a user:kubernetes-admin@a] name:kubernetes-admin@a]]"; text != want {
		t.Errorf("got %s", text)
	}
	if !strings.Contains(string(out), "server: https://10.64.0.11:6443") || !strings.Contains(string(out), "current-context: kubernetes-admin@a") {
		t.Errorf("lost: %s", out)
	}
	if _, err := ownUser([]byte("kind: Config\n")); err == nil {
		t.Error("a kubeconfig without users is taken")
	}
}
