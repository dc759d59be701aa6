package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
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
	if got := (Spec{With: "argo-rollouts,network-policy"}).parts(); len(got) != 2 || got[0].name != "network-policy" {
		t.Errorf("got %+v", got)
	}
}

// A part is built by the component of its name, with upstream's manifest.
func TestPartsAreComponents(t *testing.T) {
	for _, p := range knownParts() {
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
	p := part{name: "x", ref: "a:2", edits: []edit{{"image: a:1\n", "image: a:2\n"}}}
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

func TestKubeletsGiveTheNodeCacheToPods(t *testing.T) {
	if got := kubeletConfig(Spec{With: "local-path"}, false)["clusterDNS"]; got != nil {
		t.Errorf("without a cache: %v", got)
	}
	if got := kubeletConfig(Spec{With: "local-path,node-cache"}, false)["clusterDNS"]; fmt.Sprint(got) != "["+nodeCacheIP+"]" {
		t.Errorf("got %v", got)
	}
}
