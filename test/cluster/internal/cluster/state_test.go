package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/image"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
)

func silent(string, ...any) {}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"runbooks": true, "a": true, "a-1": true, strings.Repeat("a", 20): true,
		"": false, "-a": false, "a-": false, "A": false, "../x": false, "a/b": false, strings.Repeat("a", 21): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOpen(t *testing.T) {
	root := host.Root(t.TempDir())
	if _, err := Open(root, "x", silent); !errors.Is(err, ErrAbsent) {
		t.Fatalf("a cluster that is not there: %v", err)
	}
	c := &Cluster{Root: root, State: State{Spec: Spec{Name: "x", Mode: ModeNodes, Workers: 1}, Plan: netplan.For(1, netplan.IPv4), Ready: true}}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(root, "x", silent)
	if err != nil || again.State.Spec != c.State.Spec || again.State.Plan != c.State.Plan || !again.State.Ready {
		t.Fatalf("got %+v, %v", again, err)
	}
	// A ruin has a directory and no state: it must open, to be taken down.
	if err := os.MkdirAll(root.Join("clusters", "ruin", "nodes"), 0o755); err != nil {
		t.Fatal(err)
	}
	ruin, err := Open(root, "ruin", silent)
	if err != nil || ruin.State.Ready || ruin.State.Name != "ruin" {
		t.Fatalf("got %+v, %v", ruin, err)
	}
	names, err := Names(root)
	if err != nil || !slices.Equal(names, []string{"ruin", "x"}) {
		t.Errorf("got %v, %v", names, err)
	}
}

func TestNode(t *testing.T) {
	c := &Cluster{Root: host.Root("/cache"), State: State{Spec: Spec{Name: "x", Mode: ModeNodes, Workers: 2}, Plan: netplan.For(1, netplan.IPv4)}}
	if got, want := c.State.NodeNames(), []string{"cp1", "w1", "w2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	n, err := c.Node("w2")
	if err != nil || n.IP != "10.64.1.13" || n.Dir != "/cache/clusters/x/nodes/w2" || n.Shared != "/cache" {
		t.Errorf("got %+v, %v", n, err)
	}
	if _, err := c.Node("w3"); err == nil || !strings.Contains(err.Error(), "cp1, w1, w2") {
		t.Errorf("a node that is not there: %v", err)
	}
	c.State.Mode = ModePlain
	if _, err := c.Node("w1"); err == nil || !strings.Contains(err.Error(), "needs a real node") {
		t.Errorf("a node of kwok's: %v", err)
	}
}

func TestParseRoutes(t *testing.T) {
	got := parseRoutes("default via 192.0.2.1 dev eth0\n10.64.0.0/24 dev krb0 proto kernel scope link src 10.64.0.1\n" +
		"local 127.0.0.1 dev lo table local\nunreachable 10.9.0.0/16\n\n")
	want := []netip.Prefix{netip.MustParsePrefix("10.64.0.0/24"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.9.0.0/16")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestArchiveKeyFollowsWhatIsInIt(t *testing.T) {
	program := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(program, []byte("1"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := func(change func(*image.Spec)) []image.Spec {
		s := image.Spec{Refs: []string{"a:1"}, Layers: [][]image.File{{{Path: "/p", Source: program}, {Path: "/l", Target: "p"}}}}
		if change != nil {
			change(&s)
		}
		return []image.Spec{s}
	}
	key := func(specs []image.Spec) string {
		k, err := archiveKey(specs)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	seen := map[string]string{}
	add := func(name, k string) {
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[k] = name
	}
	want := key(spec(nil))
	add("the first", want)
	if key(spec(nil)) != want {
		t.Error("the same has another key")
	}
	add("another name", key(spec(func(s *image.Spec) { s.Refs = []string{"a:2"} })))
	add("another entry point", key(spec(func(s *image.Spec) { s.Entrypoint = []string{"/p"} })))
	add("another link", key(spec(func(s *image.Spec) { s.Layers[0][1].Target = "q" })))
	add("the files in two layers", key(spec(func(s *image.Spec) {
		s.Layers = [][]image.File{s.Layers[0][:1], s.Layers[0][1:]}
	})))
	if err := os.WriteFile(program, []byte("22"), 0o755); err != nil {
		t.Fatal(err)
	}
	add("a changed program", key(spec(nil)))
}

func TestPollEndsAtOnceWhenItIsHopeless(t *testing.T) {
	tries := 0
	cause := errors.New("dead")
	err := poll(t.Context(), 0, func() error {
		tries++
		return fmt.Errorf("node: %w", hopeless{cause})
	})
	if !errors.Is(err, cause) || tries != 1 {
		t.Errorf("got %v after %d tries", err, tries)
	}
}

func TestPlainArgumentsPointIntoTheCluster(t *testing.T) {
	c := &Cluster{Root: host.Root("/cache"), State: State{Spec: Spec{Name: "x", Mode: ModePlain}, Plan: netplan.For(0, netplan.IPv4), Ports: []int{1, 2, 3}}}
	for _, part := range plainParts {
		args := strings.Join(c.plainArgs(part), " ")
		if args == "" || strings.Contains(args, "0.0.0.0") {
			t.Errorf("%s: %q", part, args)
		}
		if part != "kube-apiserver" && part != "etcd" && !strings.Contains(args, "--kubeconfig=/cache/clusters/x/") {
			t.Errorf("%s: no kubeconfig of the cluster's in %q", part, args)
		}
	}
}

func TestWorkersCanHaveProgramsOfTheirOwn(t *testing.T) {
	c := &Cluster{Root: host.Root("/cache"), State: State{Spec: Spec{Name: "x", Mode: ModeNodes, ControlPlanes: 2, Workers: 1}, Plan: netplan.For(1, netplan.IPv4), Bin: "/own"}}
	want := map[string]string{"cp1": "/own", "cp2": "/own", "w1": "/own"}
	for range 2 {
		for name, dir := range want {
			n, err := c.Node(name)
			if err != nil || n.Bin != dir {
				t.Errorf("%s: got %q, %v, want %q", name, n.Bin, err, dir)
			}
			if path := fmt.Sprint(c.nsenter(name, host.Process{}, nil)); !strings.Contains(path, "PATH="+dir+":") {
				t.Errorf("%s finds its programs by %s", name, path)
			}
		}
		c.State.WorkerBin, want["w1"] = "/older", "/older"
	}
}
