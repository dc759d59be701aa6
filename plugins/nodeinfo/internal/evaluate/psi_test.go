package evaluate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// A kernel without PSI is said to have none: zeros, which a kubelet of 1.36 reports there, are no figures.
func TestStallsAreKnownOrNotSupported(t *testing.T) {
	waited := kubelet.Share{Total: 5, Avg60: 1}
	zeros := []kubelet.Stall{{Resource: "cpu"}, {Resource: "memory"}, {Resource: "io"}}
	for name, tt := range map[string]struct {
		kubelet kubelet.Answer
		want    *report.PSI
	}{
		"not read":        {kubelet.Answer{}, nil},
		"not reported":    {kubelet.Answer{Measured: true}, &report.PSI{}},
		"zeros":           {kubelet.Answer{Measured: true, Stalls: zeros}, &report.PSI{}},
		"no IO, and idle": {kubelet.Answer{Measured: true, Stalls: []kubelet.Stall{{Resource: "cpu", Some: kubelet.Share{Total: 5}}, {Resource: "memory"}}}, &report.PSI{Supported: true, Items: []report.Stall{{Resource: "cpu"}, {Resource: "memory"}}}},
		"reported":        {kubelet.Answer{Measured: true, Stalls: []kubelet.Stall{{Resource: "io", Full: waited}}}, &report.PSI{Supported: true, Items: []report.Stall{{Resource: "io", Full: report.Share{Avg60: 1}}}}},
	} {
		in := load(t, "healthy")
		tt.kubelet.Healthy = true
		in.Kubelets = map[string]Kubelet{"w1": tt.kubelet}
		if d := cmp.Diff(tt.want, node(t, judge(in), "w1").PSI); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Without a size of it a node has no swap only if its kubelet would say so.
func TestSwapIsKnownOrNotSaid(t *testing.T) {
	n := func(v uint64) *uint64 { return &v }
	size := func(v int64) *corev1.NodeSwapStatus { return &corev1.NodeSwapStatus{Capacity: &v} }
	for name, tt := range map[string]struct {
		version string
		node    *corev1.NodeSwapStatus
		kubelet *kubelet.Answer
		want    *report.Swap
	}{
		"nothing is known":     {"v1.36.3", nil, nil, nil},
		"the node alone":       {"v1.36.3", size(100), nil, &report.Swap{Capacity: new(int64(100))}},
		"used":                 {"v1.36.3", size(100), &kubelet.Answer{Measured: true, Swap: &kubelet.Swap{Used: n(40), Available: n(60)}, SwapBehavior: new("LimitedSwap")}, &report.Swap{Capacity: new(int64(100)), Used: new(int64(40)), Available: new(int64(60)), Behavior: "LimitedSwap"}},
		"not used":             {"v1.36.3", size(100), &kubelet.Answer{Measured: true, Swap: &kubelet.Swap{Used: n(0)}, SwapBehavior: new("")}, &report.Swap{Capacity: new(int64(100)), Used: new(int64(0)), Behavior: "NoSwap"}},
		"no size, none used":   {"v1.36.3", nil, &kubelet.Answer{Measured: true, Swap: &kubelet.Swap{Used: n(0)}}, &report.Swap{Capacity: new(int64(0))}},
		"an old kubelet":       {"v1.33.1", nil, &kubelet.Answer{Measured: true}, nil},
		"an old one with swap": {"v1.29.1", nil, &kubelet.Answer{Measured: true, Swap: &kubelet.Swap{Used: n(40)}, SwapBehavior: new("")}, &report.Swap{Used: new(int64(40))}},
		"not measured":         {"v1.36.3", nil, &kubelet.Answer{SwapBehavior: new("")}, nil},
	} {
		in := load(t, "healthy")
		in.Nodes[0].Status.NodeInfo.KubeletVersion, in.Nodes[0].Status.NodeInfo.Swap = tt.version, tt.node
		if tt.kubelet != nil {
			tt.kubelet.Healthy = true
			in.Kubelets = map[string]Kubelet{in.Nodes[0].Name: *tt.kubelet}
		}
		if d := cmp.Diff(tt.want, node(t, judge(in), in.Nodes[0].Name).Swap); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Stalls are evidence for memory that is short, and by themselves no finding.
func TestStallsAreEvidence(t *testing.T) {
	stalls := []kubelet.Stall{{Resource: "memory", Some: kubelet.Share{Total: 9, Avg60: 80}, Full: kubelet.Share{Total: 5, Avg60: 40}}}
	for _, code := range []finding.Code{machine.MemoryPressure, workload.HighMemoryUsage, machine.EvictionNear} {
		in := load(t, string(code))
		k := in.Kubelets["fires"]
		k.Healthy, k.Measured, k.Stalls = true, true, stalls
		in.Kubelets = map[string]Kubelet{"fires": k}
		if code == machine.EvictionNear {
			k.Filesystems, k.Memory, k.EvictionHard = nil, new(uint64(105<<20)), map[string]string{"memory.available": "100Mi"}
			in.Kubelets["fires"] = k
		}
		told := false
		for _, f := range node(t, judge(in), "fires").Findings {
			for _, e := range f.Evidence {
				told = told || f.Code == code && strings.Contains(e.Value, "some 80.0%, all at once 40.0% of the last 60s")
			}
		}
		if !told {
			t.Errorf("%s lacks it", code)
		}
	}
	in := load(t, "healthy")
	in.Kubelets = map[string]Kubelet{"w1": {Healthy: true, Measured: true, Stalls: stalls}}
	if found := node(t, judge(in), "w1").Findings; len(found) > 0 {
		t.Errorf("%+v", found)
	}
}
