package placement

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// What the scheduler of 1.36 and those before it write.
func TestSchedulingMessagesAreSplitIntoTheirTerms(t *testing.T) {
	tests := []struct {
		message string
		total   int
		want    []schedulingTerm
	}{
		{
			"0/3 nodes are available: 3 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
			3,
			[]schedulingTerm{{3, "node(s) had untolerated taint(s)"}},
		},
		{
			"0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
			3,
			[]schedulingTerm{{2, "Insufficient cpu"}, {1, "node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"}},
		},
		{
			"0/12 nodes are available: 1 node(s) were unschedulable, 11 node(s) didn't match Pod's node affinity/selector.",
			12,
			[]schedulingTerm{{11, "node(s) didn't match Pod's node affinity/selector"}, {1, "node(s) were unschedulable"}},
		},
		{`0/3 nodes are available: persistentvolumeclaim "nope" not found. not found`, 3, []schedulingTerm{{3, `persistentvolumeclaim "nope" not found`}}},
		{"0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found", 3, []schedulingTerm{{3, "pod has unbound immediate PersistentVolumeClaims"}}},
		{"something else entirely", 0, nil},
	}
	for _, tt := range tests {
		total, terms := parseScheduling(tt.message)
		if total != tt.total || len(terms) != len(tt.want) {
			t.Errorf("%s\n got %d %v", tt.message, total, terms)
			continue
		}
		for i := range terms {
			if terms[i] != tt.want[i] {
				t.Errorf("%s\n got %+v, want %+v", tt.message, terms[i], tt.want[i])
			}
		}
	}
}

func TestSchedulingReasonsHaveTheirCodes(t *testing.T) {
	for text, want := range map[string]finding.Code{
		"Insufficient cpu": InsufficientResources, "Insufficient nvidia.com/gpu": InsufficientResources, "Too many pods": TooManyPods,
		"node(s) had untolerated taint(s)": UntoleratedTaint, "node(s) had taint {a: b}, that the pod didn't tolerate": UntoleratedTaint,
		"node(s) didn't match Pod's node affinity/selector": NodeAffinityUnsatisfied, "node(s) didn't match pod anti-affinity rules": PodAffinityUnsatisfied,
		"node(s) didn't match pod topology spread constraints (missing required label)": TopologySpreadUnsatisfied, "node(s) didn't have free ports for the requested pod ports": HostPortConflict,
		"node(s) were unschedulable": NodesCordoned, "node(s) had volume node affinity conflict": VolumeNodeAffinityConflict, "node(s) didn't match PersistentVolume's node affinity": VolumeNodeAffinityConflict, "node(s) exceed max volume count": VolumeLimitReached,
		"pod has unbound immediate PersistentVolumeClaims": PVCNotBound, `persistentvolumeclaim "x" not found`: PVCNotFound,
		"node(s) didn't find available persistent volumes to bind": NoPersistentVolumeAvailable, "node(s) had no available volume zone": VolumeNodeAffinityConflict, "cannot allocate all claims": ResourceClaimUnsatisfied, "a reason of tomorrow": Unschedulable,
	} {
		if got := schedulingCode(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
