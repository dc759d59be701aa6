package evaluate

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
)

// daemonPod is a pod of DaemonSet agent that is for a node and has none.
func daemonPod(node string, scheduled corev1.ConditionStatus) corev1.Pod {
	controller := true
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent-x", OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", UID: "ds-agent", Controller: &controller}}},
		Spec: corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{node}}}}},
		}}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: scheduled, Reason: "Unschedulable", Message: "0/3 nodes are available: 1 Insufficient cpu."}}},
	}
}

// A DaemonSet's pod that is missing carries the reason that the scheduler or the API server gave.
func TestAMissingDaemonPodCarriesItsReason(t *testing.T) {
	rejected := func(in *Input, uid string, age time.Duration) {
		in.Events = append(in.Events, corev1.Event{
			InvolvedObject: corev1.ObjectReference{Kind: "DaemonSet", Namespace: "kube-system", Name: "agent", UID: types.UID(uid)},
			Type:           corev1.EventTypeWarning, Reason: "FailedCreate", LastTimestamp: metav1.NewTime(in.Now.Add(-age)),
			Message: `Error creating: pods "agent-abcde" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1`,
		})
	}
	const plain = "DaemonSet kube-system/agent has no pod on this node but should have one"
	for name, tt := range map[string]struct {
		change func(*Input)
		want   string
		next   string
	}{
		"nothing is known": {func(*Input) {}, plain, "kubectl get pods --field-selector=status.phase=Pending -o wide -n kube-system"},
		"it is not scheduled": {
			func(in *Input) { in.Unscheduled = []corev1.Pod{daemonPod("fires", corev1.ConditionFalse)} },
			plain + ": pod agent-x cannot be scheduled: 0/3 nodes are available: 1 Insufficient cpu.", "kubectl describe pod agent-x -n kube-system",
		},
		"one of another node is not":    {func(in *Input) { in.Unscheduled = []corev1.Pod{daemonPod("other", corev1.ConditionFalse)} }, plain, ""},
		"the scheduler has not decided": {func(in *Input) { in.Unscheduled = []corev1.Pod{daemonPod("fires", corev1.ConditionUnknown)} }, plain, ""},
		"it is rejected": {
			func(in *Input) { rejected(in, "ds-agent", time.Minute) },
			plain + ": the API server rejects the pod: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1", "kubectl describe daemonset agent -n kube-system",
		},
		"it was rejected long ago":                  {func(in *Input) { rejected(in, "ds-agent", 2*time.Hour) }, plain, ""},
		"one of the same name was rejected, before": {func(in *Input) { rejected(in, "ds-old", time.Minute) }, plain, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, "DaemonSetPodMissing")
			tt.change(&in)
			list := node(t, judge(in), "fires").Findings
			at := slices.IndexFunc(list, func(f finding.Finding) bool {
				return f.Code == workload.DaemonSetPodMissing && f.Object.Name == "agent"
			})
			if at < 0 {
				t.Fatalf("found %+v", list)
			}
			if f := list[at]; f.Message != tt.want || tt.next != "" && f.Next[0].Command != tt.next {
				t.Errorf("%s\nnext %s", f.Message, f.Next[0].Command)
			}
		})
	}
}
