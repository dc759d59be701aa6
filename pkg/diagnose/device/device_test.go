package device

import (
	"iter"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const gpu = corev1.ResourceName("example.com/gpu")

func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func pod(name string) *corev1.Pod {
	p := &corev1.Pod{}
	p.Namespace, p.Name = "shop", name
	return p
}

func taking(pods map[*corev1.Pod]corev1.ResourceList) iter.Seq2[*corev1.Pod, corev1.ResourceList] {
	return maps.All(pods)
}

func TestExtendedResourcesAreUpstreams(t *testing.T) {
	for name, want := range map[corev1.ResourceName]bool{
		"cpu": false, "hugepages-2Mi": false, "kubernetes.io/batch-cpu": false, "requests.example.com/gpu": false, gpu: true,
	} {
		if got := Extended(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestStateOfTheCounts(t *testing.T) {
	for _, c := range []struct {
		name                  string
		capacity, allocatable string // empty: not stated
		requested             string // empty: nobody
		want                  State
	}{
		{"all can be used", "4", "4", "", Whole},
		{"all are in use", "4", "4", "4", Whole},
		{"some are unhealthy", "4", "3", "", SomeUnhealthy},
		{"some are unhealthy, and more are in use than are healthy", "4", "3", "4", SomeUnhealthy},
		{"none is healthy", "4", "0", "", NoneUsable},
		{"none is healthy, and some are in use", "4", "0", "2", NoneUsable},
		{"the plugin was removed, and nobody requests it", "0", "0", "", Whole},
		{"the plugin was removed, and a pod requests it", "0", "0", "1", Removed},
		{"the node never listed it", "", "", "1", Unlisted},
		{"the plugin reports fewer than before", "2", "2", "3", Short},
		{"the kubelet has not copied the capacity yet", "4", "", "", Whole},
		{"no capacity is stated", "", "4", "5", Whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			var capacity, allocatable corev1.ResourceList
			pods := map[*corev1.Pod]corev1.ResourceList{}
			if c.capacity != "" {
				capacity = amounts(string(gpu), c.capacity)
			}
			if c.allocatable != "" {
				allocatable = amounts(string(gpu), c.allocatable)
			}
			if c.requested != "" {
				pods[pod("a")] = amounts(string(gpu), c.requested, "cpu", "1")
			}
			list := Of(capacity, allocatable, taking(pods))
			if len(list) != 1 || list[0].State() != c.want {
				t.Errorf("%+v, state %d, want %d", list, list[0].State(), c.want)
			}
		})
	}
}

func TestHoldersAreNamed(t *testing.T) {
	claim := pod("claims")
	claim.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{
		RequestMappings: []corev1.ContainerExtendedResourceRequest{{ContainerName: "app", ResourceName: string(gpu), RequestName: "r"}},
	}
	node := amounts(string(gpu), "4", "cpu", "8", "example.com/nic", "1")
	pods := map[*corev1.Pod]corev1.ResourceList{
		pod("b"): amounts(string(gpu), "1"), pod("a"): amounts(string(gpu), "2"), pod("none"): amounts("cpu", "1", string(gpu), "0"),
		claim: amounts(string(gpu), "1"),
	}
	four, three, one, zero := int64(4), int64(3), int64(1), int64(0)
	want := []Resource{
		{Name: gpu, Capacity: &four, Allocatable: &four, Requested: &three, Holders: []Holder{{"shop", "a", 2}, {"shop", "b", 1}}},
		{Name: "example.com/nic", Capacity: &one, Allocatable: &one, Requested: &zero},
	}
	if diff := cmp.Diff(want, Of(node, node, taking(pods))); diff != "" {
		t.Error(diff)
	}
	// Of pods that were not read nothing is said.
	if list := Of(node, node, nil); len(list) != 2 || list[0].Requested != nil || list[0].Holders != nil {
		t.Errorf("%+v", list)
	}
}

// What a ResourceClaim serves is not missing on the node.
func TestAClaimedResourceIsNotTheNodes(t *testing.T) {
	p := pod("claims")
	p.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{
		RequestMappings: []corev1.ContainerExtendedResourceRequest{{ContainerName: "app", ResourceName: string(gpu), RequestName: "r"}},
	}
	if list := Of(nil, nil, taking(map[*corev1.Pod]corev1.ResourceList{p: amounts(string(gpu), "1")})); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
