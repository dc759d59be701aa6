package build

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKeyFollowsContent(t *testing.T) {
	base := Component{Name: "x", Packages: []string{"."}, LDFlags: "-X a=b"}
	key := func(c Component, toolchain string, change func(dir string)) string {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "go.mod"), "module x\n")
		write(t, filepath.Join(dir, "sub", "main.go"), "package main\n")
		if change != nil {
			change(dir)
		}
		key, err := Key(dir, c, toolchain)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	want := key(base, "go1", nil)
	if again := key(base, "go1", nil); again != want {
		t.Fatalf("equal content in another place has another key: %s, %s", again, want)
	}
	flags, packages, other := base, base, base
	other.ModFile = "v1.1.mod"
	flags.LDFlags = "-X a=c"
	packages.Packages = []string{"./sub"}
	manifest := base
	manifest.Manifest = ModuleFile{Module: "x", Path: "sub/main.go"}
	definition := manifest
	definition.Definitions = []ModuleFile{{Module: "x", Path: "go.mod"}}
	for name, got := range map[string]string{
		"another toolchain":   key(base, "go2", nil),
		"another flag":        key(flags, "go1", nil),
		"another package":     key(packages, "go1", nil),
		"a manifest":          key(manifest, "go1", nil),
		"a definition":        key(definition, "go1", nil),
		"another module file": key(other, "go1", nil),
		"its own sums":        key(base, "go1", func(d string) { write(t, filepath.Join(d, "go.sum"), "") }),
		"a module below":      key(base, "go1", func(d string) { write(t, filepath.Join(d, "sub", "v1.1.mod"), "module y\n") }),
		"a changed file":      key(base, "go1", func(d string) { write(t, filepath.Join(d, "sub", "main.go"), "package mine\n") }),
		"a new file":          key(base, "go1", func(d string) { write(t, filepath.Join(d, "more.go"), "") }),
		"a renamed file": key(base, "go1", func(d string) {
			if err := os.Rename(filepath.Join(d, "sub", "main.go"), filepath.Join(d, "sub", "niam.go")); err != nil {
				t.Fatal(err)
			}
		}),
	} {
		if got == want {
			t.Errorf("%s has the same key", name)
		}
	}
	// A new version beside it builds nothing anew.
	if got := key(base, "go1", func(d string) {
		write(t, filepath.Join(d, "v1.1.mod"), "module x\n")
		write(t, filepath.Join(d, "v1.1.sum"), "")
	}); got != want {
		t.Error("the module file of another version changed the key")
	}
}

func TestKeyOfKeepsValuesApart(t *testing.T) {
	if KeyOf("ab", "c") == KeyOf("a", "bc") || KeyOf("a", "") == KeyOf("a") {
		t.Error("different lists of values have one key")
	}
}

// builder makes a source tree with one small component in place of pause.
func builder(t *testing.T, source string) (*Builder, *[]string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "components", Pause, "go.mod"), "module pause\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "components", Pause, "main.go"), source)
	var reports []string
	return &Builder{Root: host.Root(t.TempDir()), Source: dir, Report: func(f string, _ ...any) { reports = append(reports, f) }}, &reports
}

func TestBuildOnceForEachContent(t *testing.T) {
	b, reports := builder(t, "package main\n\nfunc main() {}\n")
	first, err := b.Build(context.Background(), []string{Pause})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(first.Path("pause")); err != nil || info.Mode()&0o111 == 0 {
		t.Fatalf("no program: %v", err)
	}
	*reports = nil
	second, err := b.Build(context.Background(), []string{Pause})
	if err != nil || second.Dir != first.Dir || len(*reports) != 0 {
		t.Fatalf("built again: %v, %v, %v", second, *reports, err)
	}
	write(t, filepath.Join(b.Source, "components", Pause, "main.go"), "package main\n\nfunc main() { println(1) }\n")
	third, err := b.Build(context.Background(), []string{Pause})
	if err != nil || third.Dir == first.Dir {
		t.Fatalf("a change was not seen: %v, %v", third, err)
	}
	if !host.Exists(first.Path("pause")) {
		t.Error("another checkout's program has gone")
	}
}

func TestBuildTellsWhatFailed(t *testing.T) {
	b, _ := builder(t, "package main\n\nfunc main() { nonsense }\n")
	_, err := b.Build(context.Background(), []string{Pause})
	if err == nil || !strings.Contains(err.Error(), `"pause"`) || !strings.Contains(err.Error(), "nonsense") {
		t.Fatalf("got %v", err)
	}
	left, _ := filepath.Glob(b.Root.Join("components", "*"))
	hidden, _ := filepath.Glob(b.Root.Join("components", ".*"))
	if len(left)+len(hidden) != 0 {
		t.Errorf("half a build was left: %v %v", left, hidden)
	}
}

func TestAManifestIsKeptBesideThePrograms(t *testing.T) {
	b, _ := builder(t, "package main\n\nfunc main() {}\n")
	source, final := filepath.Join(b.Source, "components", Pause), filepath.Join(t.TempDir(), "made")
	write(t, filepath.Join(source, "deploy", "install.yaml"), "kind: Deployment\n")
	c := Component{Name: "tool", Packages: []string{"."}, Manifest: ModuleFile{Module: "pause", Path: "deploy/install.yaml"}}
	if err := b.compile(t.Context(), c, source, final); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(final, "tool.yaml")); err != nil || string(data) != "kind: Deployment\n" {
		t.Errorf("got %q, %v", data, err)
	}
	if !host.Exists(filepath.Join(final, "tool")) {
		t.Error("no program")
	}
	write(t, filepath.Join(source, "kinds.yaml"), "kind: CustomResourceDefinition\n")
	c.Definitions = []ModuleFile{{Module: "pause", Path: "kinds.yaml"}}
	whole := filepath.Join(t.TempDir(), "made")
	if err := b.compile(t.Context(), c, source, whole); err != nil {
		t.Fatal(err)
	}
	want := "kind: CustomResourceDefinition\n\n---\nkind: Deployment\n"
	if data, err := os.ReadFile(filepath.Join(whole, "tool.yaml")); err != nil || string(data) != want {
		t.Errorf("with definitions: got %q, %v", data, err)
	}
	c.Manifest.Path = "deploy/other.yaml"
	if err := b.compile(t.Context(), c, source, filepath.Join(t.TempDir(), "made")); err == nil {
		t.Error("a manifest that is not there is not missed")
	}
}

func TestProgramsAreNamedAfterTheirPackages(t *testing.T) {
	if got := programName(Component{Name: "tool-v1", Source: "tool"}, "."); got != "tool" {
		t.Errorf("a version of a tool: got %q", got)
	}
	c := Component{Name: "tool"}
	for pkg, want := range map[string]string{".": "tool", "example.test/tool/cmd": "tool", "example.test/tool/cmd/ctl": "ctl", "./queue": "queue"} {
		if got := programName(c, pkg); got != want {
			t.Errorf("%s: got %q, want %q", pkg, got, want)
		}
	}
}

func TestComponentsAreWhole(t *testing.T) {
	source, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range Components() {
		names = append(names, c.Name)
		if !host.Exists(filepath.Join(source, "components", c.source(), c.modFile())) {
			t.Errorf("component %q has no %s", c.Name, c.modFile())
		}
	}
	for _, name := range append(ForNodes(DefaultVersion), ForPlain(DefaultVersion)...) {
		if !slices.Contains(names, name) {
			t.Errorf("%q is needed and is no component", name)
		}
	}
	// Versions are told twice: to the build, and in names of images.
	for name, want := range map[string]string{
		CoreDNS:       "github.com/coredns/coredns " + CoreDNSVersion,
		MetricsServer: "sigs.k8s.io/metrics-server " + MetricsServerVersion,
		NetworkPolicy: "sigs.k8s.io/kube-network-policies " + NetworkPolicyVersion,
		ArgoRollouts:  "github.com/argoproj/argo-rollouts " + ArgoRolloutsVersion,
		LocalPath:     "github.com/rancher/local-path-provisioner " + LocalPathVersion,
		Karpenter:     "sigs.k8s.io/karpenter " + KarpenterVersion,
		Kwok:          "sigs.k8s.io/kwok " + KwokVersion,
	} {
		data, err := os.ReadFile(filepath.Join(source, "components", name, "go.mod"))
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("go.mod of %q does not require %q (%v)", name, want, err)
		}
	}
}

// A manifest may be of a module that another component requires: then that one's versions belong to the key.
func TestAManifestOfAnotherComponentsModule(t *testing.T) {
	b, _ := builder(t, "package main\n\nfunc main() {}\n")
	source, other := filepath.Join(b.Source, "components", Pause), filepath.Join(b.Source, "components", "other")
	write(t, filepath.Join(other, "go.mod"), "module other\n\ngo 1.26.0\n")
	write(t, filepath.Join(other, "install.yaml"), "kind: DaemonSet\n")
	c := Component{Name: "tool", Packages: []string{"."}, Manifest: ModuleFile{Module: "other", Path: "install.yaml", Of: "other"}}
	final := filepath.Join(t.TempDir(), "made")
	if err := b.compile(t.Context(), c, source, final); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(final, "tool.yaml")); err != nil || string(data) != "kind: DaemonSet\n" {
		t.Errorf("got %q, %v", data, err)
	}
	before, err := Key(source, c, "go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(other, "go.mod"), "module other\n\ngo 1.26.1\n")
	if after, err := Key(source, c, "go"); err != nil || after == before {
		t.Errorf("another version has the same key: %v", err)
	}
}

func TestAvailableMemoryIsRead(t *testing.T) {
	for text, want := range map[string]uint64{
		"MemTotal:       24628040 kB\nMemFree:         2001000 kB\nMemAvailable:   20971520 kB\n": 20 << 30,
		"MemTotal: 1 kB\n":          0,
		"MemAvailable:   some kB\n": 0,
	} {
		if got := available(text); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// A directory of programs can have one of another version: that of a later component, as an older kubelet.
func TestALaterComponentsProgramTakesTheOthersPlace(t *testing.T) {
	b := &Builder{Root: host.Root(t.TempDir())}
	cluster, workers := Of(DefaultVersion).Kube(), kubelets(Of(DefaultVersion))[0].Kubelet()
	write(t, b.Root.Join("components", cluster+"-1", "kubelet"), "own")
	write(t, b.Root.Join("components", cluster+"-1", "kubectl"), "own")
	write(t, b.Root.Join("components", workers+"-2", "kubelet"), "older")
	dir, err := b.link(map[string]string{workers: "2", cluster: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{"kubelet": "older", "kubectl": "own"} {
		if data, err := os.ReadFile(filepath.Join(dir, program)); err != nil || string(data) != want {
			t.Errorf("%s: got %q, %v", program, data, err)
		}
	}
	if own, err := b.link(map[string]string{cluster: "1"}); err != nil || own == dir {
		t.Errorf("the cluster's own programs are in %q as well: %v", own, err)
	}
}

// What is shared is compiled once only if it is of one version: metrics-server has 1,095 of its 1,124 packages in common with Kubernetes.
func TestComponentsOfEveryClusterHaveWhatTheyShareInOneVersion(t *testing.T) {
	required := regexp.MustCompile(`(?m)^(?:require )?\s*(\S+) (v\S+)`)
	files := []string{"../../../../go.mod", "../../go.mod"}
	for _, c := range Components() {
		if slices.Contains(append(ForNodes(DefaultVersion), NodeCache), c.Name) {
			files = append(files, filepath.Join("../../components", c.source(), c.modFile()))
		}
	}
	versions := map[string]map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ = bytes.Cut(text, []byte("\nreplace"))
		for _, m := range required.FindAllStringSubmatch(string(text), -1) {
			if versions[m[1]] == nil {
				versions[m[1]] = map[string][]string{}
			}
			versions[m[1]][m[2]] = append(versions[m[1]][m[2]], file)
		}
	}
	if len(versions) < 300 {
		t.Fatalf("only %d modules were read", len(versions))
	}
	for path, of := range versions {
		if len(of) > 1 {
			t.Errorf("%s has several versions; the highest is right for all: %v", path, of)
		}
	}
}
