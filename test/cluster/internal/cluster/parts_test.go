package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
)

func TestParseParts(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"network-policy", "argo-rollouts", "network-policy"}, "argo-rollouts,network-policy"},
	} {
		if got, err := ParseParts(tt.names); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v", tt.names, got, err)
		}
	}
	_, err := ParseParts([]string{"network-policy", "nope"})
	if err == nil || !strings.Contains(err.Error(), `"nope"`) {
		t.Fatalf("a part that is not there: %v", err)
	}
	for _, name := range PartNames() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestASpecOfAnOldStateHasNoParts(t *testing.T) {
	if got := (Spec{}).Parts(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	if got := (State{Spec: Spec{With: "argo-rollouts,network-policy"}}).parts(); len(got) != 2 || got[0].name != "network-policy" {
		t.Errorf("got %+v", got)
	}
}

// A part is built by the component of its name, with upstream's manifest.
func TestPartsAreComponents(t *testing.T) {
	for _, p := range (State{}).knownParts() {
		i := slices.IndexFunc(build.Components(), func(c build.Component) bool { return c.Name == p.name })
		if i < 0 || build.Components()[i].Manifest.Path == "" {
			t.Errorf("%q has no component with a manifest", p.name)
		}
		if len(p.programs) == 0 || p.namespace == "" || len(p.workloads) == 0 || p.ref == "" {
			t.Errorf("%q lacks something: %+v", p.name, p)
		}
	}
}

func TestAManifestThatChangedIsNotTaken(t *testing.T) {
	p := part{name: "x", partImage: partImage{ref: "a:2"}, edits: []edit{{"image: a:1\n", "image: a:2\n"}}}
	if got, err := p.manifest("- image: a:1\n- image: a:1\n"); err != nil || got != "- image: a:2\n- image: a:2\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := p.manifest("- image: b:1\n"); err == nil || !strings.Contains(err.Error(), "image: a:1") {
		t.Errorf("got %v", err)
	}
	p.ref = "a:3"
	if _, err := p.manifest("- image: a:1\n"); err == nil || !strings.Contains(err.Error(), "a:3") {
		t.Errorf("an image that nothing runs: %v", err)
	}
}

// Upstream may name an image of Docker Hub without the registry, as a person does.
func TestAManifestThatNamesNoRegistry(t *testing.T) {
	p := part{name: "x", partImage: partImage{ref: "docker.io/a/b:1"}}
	for _, upstream := range []string{"- image: a/b:1\n", "- image: docker.io/a/b:1\n"} {
		if got, err := p.manifest(upstream); err != nil || got != upstream {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := p.manifest("- image: a/b:2\n"); err == nil {
		t.Error("another version is taken")
	}
}

func TestFlannelIsToldThePodsRanges(t *testing.T) {
	for family, want := range map[string]string{
		"":           `"Network": "10.113.0.0/16",`,
		netplan.Dual: `"Network": "10.113.0.0/16", "EnableIPv6": true, "IPv6Network": "fd6b:7262:1:100::/56",`,
		netplan.IPv6: `"EnableIPv6": true, "IPv6Network": "fd6b:7262:1:100::/56", "EnableIPv4": false,`,
	} {
		s := State{Spec: Spec{IPFamily: family, With: "flannel"}, Plan: netplan.For(1, family)}
		if got := s.overlay(); got != want {
			t.Errorf("%q: got %s", family, got)
		}
	}
}

// Both programs are called flannel by their packages.
func TestProgramsOfPartsDoNotTakeEachOthersPlace(t *testing.T) {
	names := build.ForParts([]string{"flannel"})
	if !slices.Equal(names, []string{"flannel", "flannel-cni"}) {
		t.Errorf("flannel is built of %v", names)
	}
	if names := build.ForParts([]string{"karpenter"}); !slices.Equal(names, []string{"karpenter", "kwok"}) {
		t.Errorf("karpenter is built of %v", names)
	}
	seen := map[string]bool{}
	for _, p := range (State{}).knownParts() {
		for _, i := range p.images() {
			for _, program := range i.programs {
				if seen[program.name] {
					t.Errorf("two programs are called %q", program.name)
				}
				seen[program.name] = true
			}
		}
	}
}

func TestTheNodeCacheServesTheClustersDomain(t *testing.T) {
	state := State{Spec: Spec{With: "node-cache", ClusterDomain: "corp.example"}}
	p := state.parts()[0]
	got, err := p.manifest("__PILLAR__DNS__DOMAIN__ __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__,__PILLAR__DNS__SERVER__ " + p.ref)
	if err != nil || !strings.HasPrefix(got, "corp.example "+nodeCacheIP) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestKubeletsGiveTheNodeCacheToPods(t *testing.T) {
	if got := kubeletConfig(Spec{With: "local-path"}, false)["clusterDNS"]; got != nil {
		t.Errorf("without a cache: %v", got)
	}
	if got := kubeletConfig(Spec{With: "local-path,node-cache"}, false)["clusterDNS"]; fmt.Sprint(got) != "["+nodeCacheIP+"]" {
		t.Errorf("got %v", got)
	}
}
