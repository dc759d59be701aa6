package build

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"v1.37": "v1.37.2", "1.37": "v1.37.2", "v1.37.2": "v1.37.2", "1.37.2": "v1.37.2", "v1.36": "v1.36.3", "v1.36.3": "v1.36.3",
	} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	// v1.35 has no control plane here, and a patch release is that one and no other.
	for _, text := range []string{"", "v", "v1", "v1.3", "v1.35", "v1.37.1", "v1.37.", "vv1.37", "latest"} {
		got, err := ParseVersion(text)
		if err == nil || got != "" {
			t.Fatalf("%q: got %q, %v", text, got, err)
		}
		if want := `--version "` + text + `": no such version of Kubernetes here; there are v1.37 (v1.37.2), v1.36 (v1.36.3)`; err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}

func TestParseKubeletVersion(t *testing.T) {
	for _, tt := range []struct{ text, cluster, want string }{
		{"", "v1.37.2", ""},
		{"v1.37", "v1.37.2", ""}, // its own
		{"v1.36", "v1.36.3", ""},
		{"v1.36", "v1.37.2", "v1.36.3"},
		{"1.35.4", "v1.37.2", "v1.35.4"},
		{"v1.34", "v1.37.2", "v1.34.4"},
		{"v1.34.4", "v1.36.3", "v1.34.4"},
		{"v1.33", "v1.36.3", "v1.33.13"},
	} {
		if got, err := ParseKubeletVersion(tt.text, tt.cluster); err != nil || got != tt.want {
			t.Errorf("%q with %s: got %q, %v", tt.text, tt.cluster, got, err)
		}
	}
	for _, tt := range []struct{ text, cluster, want string }{
		{"v1.33", "v1.37.2", `--kubelet-version "v1.33": workers of a cluster of v1.37.2 can have that, or v1.36 (v1.36.3), v1.35 (v1.35.4), v1.34 (v1.34.4)`},
		{"v1.37", "v1.36.3", `--kubelet-version "v1.37": workers of a cluster of v1.36.3 can have that, or v1.35 (v1.35.4), v1.34 (v1.34.4), v1.33 (v1.33.13)`},
		{"v1.36.1", "v1.36.3", `--kubelet-version "v1.36.1": workers of a cluster of v1.36.3 can have that, or v1.35 (v1.35.4), v1.34 (v1.34.4), v1.33 (v1.33.13)`},
	} {
		if got, err := ParseKubeletVersion(tt.text, tt.cluster); err == nil || err.Error() != tt.want || got != "" {
			t.Errorf("got  %q, %v\nwant %s", got, err, tt.want)
		}
	}
}

// A version is told three times: here, and in what its module file requires and replaces.
func TestEveryReleaseHasAModuleFile(t *testing.T) {
	source, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	staging := regexp.MustCompile(`(?m)^\tk8s\.io/\S+ => k8s\.io/\S+ (\S+)$`)
	for _, r := range releases {
		path := filepath.Join(source, "components", Kube, r.modFile())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), "\tk8s.io/kubernetes "+r.Version+"\n") {
			t.Errorf("%s does not require %s", path, r.Version)
		}
		replaced := staging.FindAllStringSubmatch(string(data), -1)
		if len(replaced) < 30 {
			t.Errorf("%s replaces %d modules", path, len(replaced))
		}
		for _, line := range replaced {
			if line[1] != "v0"+strings.TrimPrefix(r.Version, "v1") {
				t.Errorf("%s: %s", path, line[0])
			}
		}
		etcd, _, _ := strings.Cut(r.Etcd, "-")
		if r.Etcd != "" && !strings.Contains(string(data), "\tgo.etcd.io/etcd/server/v3 v"+etcd+"\n") {
			t.Errorf("%s does not require etcd v%s", path, etcd)
		}
	}
}

func TestAClusterIsBuiltOfItsOwnVersionAlone(t *testing.T) {
	for version, want := range map[string]string{"v1.37.2": "kube-v1.37", "v1.36.3": "kube-v1.36"} {
		for _, names := range [][]string{ForNodes(version), ForPlain(version)} {
			kubes := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, "kube") })
			if !slices.Equal(kubes, []string{want}) {
				t.Errorf("%s is built of %q", version, kubes)
			}
		}
	}
	for _, r := range kubelets(Of(DefaultVersion)) {
		i := slices.IndexFunc(Components(), func(c Component) bool { return c.Name == r.Kubelet() })
		if i < 0 || !slices.Equal(Components()[i].Packages, []string{"k8s.io/kubernetes/cmd/kubelet"}) {
			t.Errorf("the kubelet of %s is no component of its own", r.Version)
		}
	}
}
