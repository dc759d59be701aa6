package collect

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

const (
	slicePath = "/resourceslices"
	claimPath = "/namespaces/shop/resourceclaims"
)

// claiming is a server of one node with a pod that uses a claim.
func claiming(t *testing.T) *testkit.Server {
	t.Helper()
	s := fleet(t, 2)
	claim := "gpus"
	pod := secretive("p1", "w1")
	pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: &claim}}
	s.Answer(pods, corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{pod}})
	return s
}

func serve(s *testkit.Server, version string) {
	s.Answer("/apis/resource.k8s.io/"+version+slicePath, map[string]any{"items": []map[string]any{{
		"metadata": map[string]any{"name": "s"}, "spec": map[string]any{"driver": "d", "nodeName": "w1", "pool": map[string]any{"name": "w1"}},
	}}})
	s.Answer("/apis/resource.k8s.io/"+version+claimPath, map[string]any{"items": []map[string]any{{
		"metadata": map[string]any{"name": "gpus", "namespace": "shop", "annotations": map[string]any{"token": "s3cret"}},
	}}})
}

func dynamic(s *testkit.Server) []string {
	return slices.DeleteFunc(s.Requests(), func(r string) bool { return !strings.Contains(r, "resource.k8s.io") })
}

func TestDevicesAreReadInTheVersionThatIsServed(t *testing.T) {
	for version, calls := range map[string]int{"v1": 3, "v1beta2": 6, "v1beta1": 9} {
		s := claiming(t)
		serve(s, version)
		result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full})
		if err != nil {
			t.Fatal(err)
		}
		in := result.Input
		if len(in.DeviceClaims) != 1 || in.DeviceClaims[0].Metadata.Name != "gpus" || len(in.Slices) != 2 || in.Slices[0].Spec.Driver != "d" {
			t.Errorf("%s: %+v, %+v", version, in.DeviceClaims, in.Slices)
		}
		if got := dynamic(s); len(got) != calls {
			t.Errorf("%s: %d calls: %v", version, len(got), got)
		}
		for name, list := range map[string]source.List{"resourceclaims in shop": in.Sources, evaluate.SourceSlices: in.NodeSources["w1"]} {
			if !list.Get(name).Readable() {
				t.Errorf("%s: %s is %+v", version, name, list.Get(name))
			}
		}
	}
}

func TestDevicesAreNotReadWhereNoPodUsesAClaim(t *testing.T) {
	s := fleet(t, 2)
	serve(s, "v1")
	if _, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full}); err != nil {
		t.Fatal(err)
	}
	if got := dynamic(s); len(got) != 0 {
		t.Error(got)
	}
}

func TestDevicesThatCannotBeReadAreAGap(t *testing.T) {
	for code, state := range map[int]source.State{
		http.StatusForbidden: source.Forbidden, http.StatusNotFound: source.Absent, http.StatusInternalServerError: source.Unreachable,
	} {
		s := claiming(t)
		for _, version := range device.Versions {
			s.Refuse("/apis/resource.k8s.io/"+version+slicePath, code)
			s.Refuse("/apis/resource.k8s.io/"+version+claimPath, code)
		}
		result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full})
		if err != nil {
			t.Fatal(err)
		}
		in := result.Input
		for _, got := range []source.Source{in.Sources.Get("resourceclaims in shop"), in.NodeSources["w1"].Get(evaluate.SourceSlices)} {
			if got.State != state || state == source.Forbidden && got.Verb != "list" {
				t.Errorf("%d: %+v", code, got)
			}
		}
	}
}
