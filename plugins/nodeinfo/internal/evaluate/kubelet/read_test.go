package kubelet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The forms are upstream's: PSIStats and SwapStats of k8s.io/kubelet/pkg/apis/stats/v1alpha1, and memorySwap of the kubelet's
// configuration.
func TestWhatTheKubeletSaysOfStallsAndSwapIsRead(t *testing.T) {
	var k Answer
	k.ReadStalls([]byte(`{"node":{"nodeName":"w1",
		"cpu":{"time":"2026-11-20T12:00:00Z","usageNanoCores":5,"psi":{"full":{"total":0,"avg10":0,"avg60":0,"avg300":0},"some":{"total":9,"avg10":12.5,"avg60":8.25,"avg300":3}}},
		"memory":{"time":"2026-11-20T12:00:00Z","availableBytes":7,"psi":{"full":{"total":3,"avg10":1,"avg60":2,"avg300":3},"some":{"total":4,"avg10":4,"avg60":5,"avg300":6}}},
		"io":{"time":"2026-11-20T12:00:00Z","psi":{"full":{"total":0,"avg10":0,"avg60":0,"avg300":0},"some":{"total":0,"avg10":0,"avg60":0,"avg300":0}}},
		"swap":{"time":"2026-11-20T12:00:00Z","swapAvailableBytes":100,"swapUsageBytes":20}},"pods":[]}`))
	k.ReadSwapBehavior([]byte(`{"kubeletconfig":{"memorySwap":{"swapBehavior":"LimitedSwap"}}}`))
	used, available, behavior := uint64(20), uint64(100), "LimitedSwap"
	want := Answer{
		Measured: true, Swap: &Swap{Used: &used, Available: &available}, SwapBehavior: &behavior,
		Stalls: []Stall{
			{Resource: "cpu", Some: Share{Total: 9, Avg10: 12.5, Avg60: 8.25, Avg300: 3}},
			{Resource: "memory", Full: Share{Total: 3, Avg10: 1, Avg60: 2, Avg300: 3}, Some: Share{Total: 4, Avg10: 4, Avg60: 5, Avg300: 6}},
			{Resource: "io"},
		},
	}
	if d := cmp.Diff(want, k); d != "" {
		t.Error(d)
	}
}

// What is not there is not zero.
func TestAKubeletThatSaysNothingOfStallsAndSwap(t *testing.T) {
	for body, want := range map[string]Answer{
		"no JSON":                       {},
		"{}":                            {},
		`{"node":{"cpu":{},"pods":[]}}`: {Measured: true},
	} {
		var k Answer
		k.ReadStalls([]byte(body))
		k.ReadSwapBehavior([]byte(body))
		if d := cmp.Diff(want, k); d != "" {
			t.Errorf("%s: %s", body, d)
		}
	}
	var k Answer
	if k.ReadSwapBehavior([]byte(`{"kubeletconfig":{"memorySwap":{}}}`)); k.SwapBehavior == nil || *k.SwapBehavior != "" {
		t.Errorf("the default: %v", k.SwapBehavior)
	}
}
