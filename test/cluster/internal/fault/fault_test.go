package fault

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cluster"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

func TestEveryFaultIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All() {
		if seen[f.Name] {
			t.Errorf("%q is there twice", f.Name)
		}
		seen[f.Name] = true
		if f.Inject == nil || f.Heal == nil || f.Summary == "" || f.Symptom == "" {
			t.Errorf("%q lacks something: %+v", f.Name, f)
		}
		if found, err := Find(f.Name); err != nil || found.Name != f.Name {
			t.Errorf("%q is not found: %v", f.Name, err)
		}
	}
	if _, err := Find("nonsense"); err == nil || !strings.Contains(err.Error(), "stop-kubelet") {
		t.Errorf("an unknown fault: %v", err)
	}
}

func clusterOf(workers int) *cluster.Cluster {
	c := &cluster.Cluster{Root: "/cache"}
	c.State.Spec = cluster.Spec{Name: "x", Mode: cluster.ModeNodes, Workers: workers}
	c.State.Plan = netplan.For(0, netplan.IPv4)
	return c
}

func TestTarget(t *testing.T) {
	nodeFault, controlFault := Fault{Name: "n"}, Fault{Name: "c", ControlPlane: true}
	for name, test := range map[string]struct {
		fault Fault
		node  string
		want  string // empty: an error
	}{
		"a worker":                            {nodeFault, "w1", "w1"},
		"the control plane's node":            {nodeFault, "cp1", "cp1"},
		"no node given":                       {nodeFault, "", ""},
		"a node that is not there":            {nodeFault, "w9", ""},
		"the control plane need not be named": {controlFault, "", "cp1"},
		"the control plane named":             {controlFault, "cp1", "cp1"},
		"a worker has no part of the control": {controlFault, "w1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := target(clusterOf(1), test.fault, test.node)
			if (err == nil) != (test.want != "") || err == nil && got.Node.Name != test.want {
				t.Errorf("got %q, %v", got.Node.Name, err)
			}
		})
	}
}

// What was never injected leaves no record that nothing could heal.
func TestAFaultOfAPartThatTheClusterLacks(t *testing.T) {
	c := clusterOf(1)
	c.Root = host.Root(t.TempDir())
	f, err := Find("stop-node-cache")
	if err != nil {
		t.Fatal(err)
	}
	if err := Inject(t.Context(), c, f, "w1", Options{}); err == nil || !strings.Contains(err.Error(), "without --with node-cache") {
		t.Errorf("got %v", err)
	}
	if n, err := c.Node("w1"); err != nil || len(n.Faults()) > 0 {
		t.Errorf("recorded: %v, %v", n.Faults(), err)
	}
}

func TestBlockDNS(t *testing.T) {
	where := Target{Cluster: clusterOf(1)}
	for name, test := range map[string]struct {
		options  Options
		has, not []string
		fails    bool
	}{
		"everything":         {Options{}, []string{"{ tcp, udp } th dport 53 drop", "hook prerouting priority -250", "hook output"}, []string{"daddr"}, false},
		"the Service, UDP":   {Options{Proto: "udp", Dest: "vip"}, []string{"ip daddr { 10.96.0.10 } udp dport 53 drop", "priority -250"}, []string{"tcp"}, false},
		"the pods, TCP":      {Options{Proto: "tcp", Dest: "pods"}, []string{"ip daddr { 10.112.0.0/16 } tcp dport 53 drop", "hook forward priority 0"}, []string{"udp", "prerouting"}, false},
		"an unknown proto":   {options: Options{Proto: "sctp"}, fails: true},
		"an unknown address": {options: Options{Dest: "moon"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := blockDNS(where, test.options)
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			for _, part := range test.has {
				if !strings.Contains(got, part) {
					t.Errorf("no %q in %s", part, got)
				}
			}
			for _, part := range test.not {
				if strings.Contains(got, part) {
					t.Errorf("%q in %s", part, got)
				}
			}
		})
	}
}

func TestPatchesOfOneFileAddUp(t *testing.T) {
	where := Target{Cluster: clusterOf(1), Node: node.Config{Name: "w1", Dir: t.TempDir()}}
	record := func(name string, o Options) {
		t.Helper()
		path := where.Node.FaultPath(name)
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	base := []byte("# kept\nclusterDNS: [10.96.0.10]\nevictionHard: {nodefs.available: 10%}\n")
	got, active, err := where.patchAll(base)
	if err != nil || active || string(got) != string(base) {
		t.Fatalf("without faults: %q, %t, %v", got, active, err)
	}
	record("wrong-cluster-dns", Options{})
	record("memory-pressure", Options{Evict: true})
	record("pid-pressure", Options{})
	got, active, err = where.patchAll(base)
	if err != nil || !active {
		t.Fatal(active, err)
	}
	var config settings
	if err := yaml.Unmarshal(got, &config); err != nil {
		t.Fatal(err)
	}
	hard, soft := config["evictionHard"].(settings), config["evictionSoft"].(settings)
	if hard["nodefs.available"] != "10%" || hard["memory.available"] == nil || soft["pid.available"] == nil ||
		config["clusterDNS"].([]any)[0] != "10.96.255.253" {
		t.Errorf("got %s", got)
	}
	// One is being healed: it no longer counts, the others do.
	path := where.Node.FaultPath("memory-pressure")
	if err := os.Rename(path, path+healing); err != nil {
		t.Fatal(err)
	}
	got, _, err = where.patchAll(base)
	if err != nil || strings.Contains(string(got), "memory.available") || !strings.Contains(string(got), "pid.available") {
		t.Errorf("got %s, %v", got, err)
	}
	// Cut short, the healing has to be found and done again.
	if err := where.resume("memory-pressure"); err != nil {
		t.Fatal(err)
	}
	if o, active, err := where.record("memory-pressure"); err != nil || !active || !o.Evict {
		t.Errorf("got %+v, %t, %v", o, active, err)
	}
}

func TestDropsAreOfTheFamilyOfTheirAddresses(t *testing.T) {
	for want, addresses := range map[string][]string{
		"ip daddr { 10.96.0.10 } drop":                                     {"10.96.0.10"},
		"ip daddr { 10.0.0.1, 10.0.0.2 } drop; ip6 daddr { fd00::1 } drop": {"10.0.0.1", "fd00::1", "10.0.0.2"},
		"ip6 daddr { fd00::/56 } drop":                                     {"fd00::/56"},
	} {
		if got := strings.Join(drops("daddr", "drop", addresses...), "; "); got != want {
			t.Errorf("%v: got %q", addresses, got)
		}
	}
	if got, err := cutFamily(Target{}, Options{}); err != nil || !strings.Contains(got, "meta nfproto ipv6") || strings.Contains(got, "output") {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := cutFamily(Target{}, Options{Family: "ipx"}); err == nil {
		t.Error("a family that is none is taken")
	}
}

func TestTheAddressesOfARange(t *testing.T) {
	for ranges, want := range map[string][3]string{
		"10.244.1.0/24":              {"10.244.1.1", "10.244.1.254", "254"},
		"fd00:1::/64 10.244.1.64/29": {"10.244.1.65", "10.244.1.70", "6"},
	} {
		got, err := hosts(ranges)
		if err != nil || len(got) == 0 || got[0] != want[0] || got[len(got)-1] != want[1] || strconv.Itoa(len(got)) != want[2] {
			t.Errorf("%s: got %q, %v", ranges, got, err)
		}
	}
	for _, ranges := range []string{"", "fd00:1::/64", "10.0.0.0/8", "10.244.1.0"} {
		if got, err := hosts(ranges); err == nil {
			t.Errorf("%q: got %d addresses", ranges, len(got))
		}
	}
}

func TestListening(t *testing.T) {
	const table = "  sl  local_address rem_address   st tx_queue\n" +
		"   0: 0B40400A:192B 00000000:0000 0A 00000000:00000000\n" + // 6443, listens
		"   1: 0B40400A:2814 0C40400A:0035 01 00000000:00000000\n" // 10260, connected
	for port, want := range map[int]bool{6443: true, 10260: false, 53: false, 10259: false} {
		if got := listening(table, port); got != want {
			t.Errorf("port %d: got %t", port, got)
		}
	}
}

func TestStandInKeepsWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	link, real := filepath.Join(dir, "current"), filepath.Join(dir, "real")
	if err := os.WriteFile(real, []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time must not keep the stand-in
		if err := standIn(link, []byte("bad")); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(link); err != nil || string(got) != "bad" {
		t.Fatalf("got %q, %v", got, err)
	}
	if target, err := os.Readlink(link + keptSuffix); err != nil || target != "real" {
		t.Fatalf("kept %q, %v", target, err)
	}
	if got, err := os.ReadFile(real); err != nil || string(got) != "good" {
		t.Fatalf("the real one is %q, %v", got, err)
	}
}

func TestTheDeviceThatIsBroken(t *testing.T) {
	for want, o := range map[string]Options{
		"gpu-0 - uncorrectable memory errors":         {},
		"gpu-1 NoExecute uncorrectable memory errors": {Device: "gpu-1", Effect: "NoExecute"},
	} {
		if got, err := unhealthy(o); err != nil || got != want {
			t.Errorf("%+v: got %q, %v", o, got, err)
		}
	}
	if got, err := unhealthy(Options{Effect: "Evict"}); err == nil {
		t.Errorf("an effect that is none is taken: %q", got)
	}
}

func TestAPolicyThatKeepsNodesOut(t *testing.T) {
	got, err := allBut([]string{"10.112.1.0/24", "fd00:1::/80", "10.112.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`{"cidr":"0.0.0.0/0","except":["10.112.1.0/24","10.112.2.0/24"]}`, `{"cidr":"::/0","except":["fd00:1::/80"]}`, `"k8s-app":"kube-dns"`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in %s", part, got)
		}
	}
	if got, err := allBut([]string{"moon"}); err == nil {
		t.Errorf("a range that is none: %s", got)
	}
}
