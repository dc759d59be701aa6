package schedule

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts gives a list from name, amount pairs.
func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func wanting(pairs ...string) corev1.Container {
	return corev1.Container{Name: "c", Resources: corev1.ResourceRequirements{Requests: amounts(pairs...)}}
}

// By hand, after the scheduler's rules.
func TestAPodIsChargedWhatItTakes(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	sidecar := wanting("cpu", "100m")
	sidecar.Name, sidecar.RestartPolicy = "s", &always
	step := wanting("cpu", "2")
	step.Name = "i"
	resize := func(reason string) corev1.PodStatus {
		return corev1.PodStatus{
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "c", AllocatedResources: amounts("cpu", "500m"), Resources: &corev1.ResourceRequirements{Requests: amounts("cpu", "500m")},
			}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: reason}},
		}
	}
	for _, tt := range []struct {
		name string
		pod  corev1.Pod
		want string
	}{
		{"containers run together", corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{wanting("cpu", "1"), wanting("cpu", "200m")}}}, "1200m"},
		{
			"a step beside the sidecar, and overhead",
			corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{sidecar, step}, Containers: []corev1.Container{wanting("cpu", "500m")}, Overhead: amounts("cpu", "50m")}},
			"2150m",
		},
		{
			"the pod's own figure is instead of the sum",
			corev1.Pod{Spec: corev1.PodSpec{Resources: &corev1.ResourceRequirements{Requests: amounts("cpu", "3")}, Containers: []corev1.Container{wanting("cpu", "1")}}},
			"3",
		},
		{"a resize upwards is charged before it is done", corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{wanting("cpu", "2")}}, Status: resize(corev1.PodReasonDeferred)}, "2"},
		{"one that the node can never do is not", corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{wanting("cpu", "2")}}, Status: resize(corev1.PodReasonInfeasible)}, "500m"},
		{
			"a resize downwards of the pod's own figure is charged until it is done",
			corev1.Pod{
				Spec:   corev1.PodSpec{Resources: &corev1.ResourceRequirements{Requests: amounts("cpu", "1")}, Containers: []corev1.Container{wanting("cpu", "1")}},
				Status: corev1.PodStatus{AllocatedResources: amounts("cpu", "4"), Resources: &corev1.ResourceRequirements{Requests: amounts("cpu", "4")}},
			},
			"4",
		},
		{
			"what a resource claim takes of the node",
			corev1.Pod{
				Spec: corev1.PodSpec{Containers: []corev1.Container{wanting("cpu", "1")}},
				Status: corev1.PodStatus{NodeAllocatableResourceClaimStatuses: []corev1.NodeAllocatableResourceClaimStatus{{
					Mapping: []corev1.NodeAllocatableMappedResources{{Name: "cpu", Quantity: ptr(resource.MustParse("2"))}},
				}}},
			},
			"3",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Requests(&tt.pod)[corev1.ResourceCPU]
			if got.Cmp(resource.MustParse(tt.want)) != 0 {
				t.Errorf("charged %s, want %s", got.String(), tt.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestALimitThatMeansNoneIsNone(t *testing.T) {
	p := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{wanting()}}}
	p.Status.Resources = &corev1.ResourceRequirements{Limits: amounts("cpu", "2", "memory", "9007199254740988Ki")}
	limits := Limits(&p)
	if _, ok := limits[corev1.ResourceMemory]; ok || len(p.Status.Resources.Limits) != 2 {
		t.Errorf("limits %v; the pod's own list now %v", limits, p.Status.Resources.Limits)
	}
	if cpu := limits[corev1.ResourceCPU]; cpu.String() != "2" {
		t.Errorf("cpu %s", cpu.String())
	}
}

func TestBoundPodsThatAreNotFinishedAreCharged(t *testing.T) {
	for phase, want := range map[corev1.PodPhase]bool{
		corev1.PodPending: true, corev1.PodRunning: true, corev1.PodUnknown: true, "": true, corev1.PodSucceeded: false, corev1.PodFailed: false,
	} {
		p := corev1.Pod{Spec: corev1.PodSpec{NodeName: "a"}, Status: corev1.PodStatus{Phase: phase}}
		if Charged(&p) != want {
			t.Errorf("%q: charged %v", phase, !want)
		}
		if p.Spec.NodeName = ""; Charged(&p) {
			t.Errorf("%q: charged without a node", phase)
		}
	}
}

// figure is a Lack as a person writes it.
type figure struct {
	name, wanted, free, whole string
	never                     bool
}

func TestANodeLacksWhatIsWantedAndNotFree(t *testing.T) {
	n := &corev1.Node{Status: corev1.NodeStatus{Allocatable: amounts("cpu", "4", "memory", "8Gi", "pods", "2")}}
	taken := corev1.ResourceList{}
	Take(taken, amounts("cpu", "3", "memory", "9Gi"))
	for _, tt := range []struct {
		name   string
		wanted corev1.ResourceList
		want   []figure
	}{
		{"fits to the last bit", amounts("cpu", "1"), nil},
		{"too little", amounts("cpu", "1001m"), []figure{{"cpu", "1001m", "1", "4", false}}},
		{"more than there ever is", amounts("cpu", "5"), []figure{{"cpu", "5", "1", "4", true}}},
		{"all there is, and not free", amounts("cpu", "4"), []figure{{"cpu", "4", "1", "4", false}}},
		{"unknown to the node", amounts("example.com/gpu", "1"), []figure{{"example.com/gpu", "1", "0", "0", true}}},
		{"nothing wanted of what is overdrawn", amounts("memory", "0"), nil},
		{"overdrawn", amounts("memory", "1"), []figure{{"memory", "1", "-1Gi", "8Gi", false}}},
		{"by name", amounts("memory", "1", "cpu", "2"), []figure{{"cpu", "2", "1", "4", false}, {"memory", "1", "-1Gi", "8Gi", false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []figure
			for _, l := range Lacks(n, taken, tt.wanted) {
				got = append(got, figure{string(l.Name), l.Wanted.String(), l.Free.String(), l.Whole.String(), l.Never()})
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(figure{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	one := corev1.ResourceList{}
	Take(one, nil)
	if lacks := Lacks(n, taken, one); len(lacks) != 0 {
		t.Errorf("the second place is refused: %v", lacks)
	}
	Take(taken, nil)
	if lacks := Lacks(n, taken, one); len(lacks) != 1 || lacks[0].Name != corev1.ResourcePods || lacks[0].Never() {
		t.Errorf("the third place is not refused: %v", lacks)
	}
}

func TestANodeWithoutAllocatableGivesItsCapacity(t *testing.T) {
	n := &corev1.Node{Status: corev1.NodeStatus{Capacity: amounts("cpu", "4")}}
	if free := Free(n, amounts("cpu", "1"), "cpu"); free.String() != "3" {
		t.Errorf("free %s", free.String())
	}
}
