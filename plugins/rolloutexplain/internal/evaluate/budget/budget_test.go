package budget

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func rolling(surge, unavailable string) *appsv1.DeploymentStrategy {
	s, u := intstr.Parse(surge), intstr.Parse(unavailable)
	return &appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &s, MaxUnavailable: &u}}
}

// The table of the documented defaults and of the rule for both bounds at zero.
func TestDeploymentBoundsAreRoundedAsTheControllerDoes(t *testing.T) {
	tests := []struct {
		surge, unavailable string
		want               map[int32][2]int32 // n: surge, unavailable
	}{
		{"25%", "25%", map[int32][2]int32{1: {1, 0}, 2: {1, 0}, 3: {1, 0}, 4: {1, 1}, 5: {2, 1}, 6: {2, 1}, 7: {2, 1}, 8: {2, 2}, 10: {3, 2}, 20: {5, 5}}},
		{"0", "25%", map[int32][2]int32{1: {0, 1}, 2: {0, 1}, 3: {0, 1}, 4: {0, 1}, 7: {0, 1}, 8: {0, 2}}},
		{"10%", "0", map[int32][2]int32{1: {1, 0}, 10: {1, 0}, 11: {2, 0}}},
		{"1", "100%", map[int32][2]int32{1: {1, 1}, 3: {1, 3}}},
		{"3", "5", map[int32][2]int32{2: {3, 2}}},
	}
	for _, tt := range tests {
		for n, want := range tt.want {
			s, u := resolveDeployment(rolling(tt.surge, tt.unavailable), n)
			if s != want[0] || u != want[1] {
				t.Errorf("surge %s, unavailable %s of %d: got %d/%d, want %d/%d", tt.surge, tt.unavailable, n, s, u, want[0], want[1])
			}
		}
	}
}

// With new pods that never become available the controller comes to rest where neither move is left. The end-to-end grid
// compares this with the real controller.
func TestRolloutOfBrokenPodsRestsAtTheBounds(t *testing.T) {
	for n := int32(1); n <= 10; n++ {
		for _, pair := range [][2]string{{"25%", "25%"}, {"1", "0"}, {"0", "1"}, {"0", "25%"}, {"50%", "50%"}, {"100%", "0"}, {"2", "3"}} {
			strategy := rolling(pair[0], pair[1])
			surge, unavailable := resolveDeployment(strategy, n)
			fresh, old := restOf(n, surge, unavailable)
			if fresh+old > n+surge || old < n-unavailable {
				t.Errorf("n %d %v: rests at %d new, %d old: outside the bounds", n, pair, fresh, old)
			}
			if fresh == 0 {
				t.Errorf("n %d %v: no new pod at all", n, pair)
			}
		}
	}
}

// restOf plays the controller's two moves until none is left.
func restOf(n, surge, unavailable int32) (fresh, old int32) {
	old = n
	for range 100 {
		if k := grow(n, surge, Set{Spec: fresh}, []Set{{old, old}}); k > 0 {
			fresh += k
			continue
		}
		k := sum(shrink(n, unavailable, Set{Spec: fresh}, []Set{{old, old}}))
		if k == 0 {
			return fresh, old
		}
		old -= k
	}
	return -1, -1
}

func TestShrinkTakesUnavailableOldPodsFirst(t *testing.T) {
	tests := []struct {
		name           string
		n, unavailable int32
		fresh          Set
		old            []Set
		want           []int32
	}{
		{"nothing while the floor is reached", 3, 0, Set{1, 0}, []Set{{3, 3}}, []int32{0}},
		{"one for each available new pod", 3, 0, Set{1, 1}, []Set{{3, 3}}, []int32{1}},
		{"the broken middle revision goes before the good first", 3, 1, Set{1, 0}, []Set{{2, 2}, {1, 0}}, []int32{0, 1}},
		{"new pods that are not available yet count against it", 4, 1, Set{2, 0}, []Set{{3, 3}}, []int32{0}},
		{"broken floor: unavailable old pods may go, available ones may not", 4, 1, Set{1, 1}, []Set{{4, 1}}, []int32{2}},
	}
	for _, tt := range tests {
		if got := shrink(tt.n, tt.unavailable, tt.fresh, tt.old); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
