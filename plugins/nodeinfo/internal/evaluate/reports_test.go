package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// unrenewed stops the renewal of Leases, all or one, five minutes ago; statuses are posted as before.
func unrenewed(in *Input, only string) {
	for i := range in.Leases {
		if at := in.Now.Add(-5 * time.Minute); only == "" || in.Leases[i].Name == only {
			in.Leases[i].Spec.RenewTime = new(metav1.NewMicroTime(at))
			in.Leases[i].ManagedFields = []metav1.ManagedFieldsEntry{{Time: new(metav1.NewTime(at))}}
		}
	}
	for i := range in.Nodes {
		for k := range in.Nodes[i].Status.Conditions {
			in.Nodes[i].Status.Conditions[k].LastHeartbeatTime = metav1.NewTime(in.Now.Add(-8 * time.Second))
		}
	}
}

// Situations that users reported in public, with the answer that would have helped them.
func TestPublicReports(t *testing.T) {
	for _, tt := range []struct {
		link    string
		verdict report.Verdict
		code    finding.Code // the only one
		says    string
		make    func(in *Input, n *corev1.Node)
	}{
		{"https://github.com/llmos-ai/llmos/issues/21", report.Degraded, machine.KubeletError, "only found 0 bytes eligible to free", func(in *Input, n *corev1.Node) {
			for _, reason := range []string{"FreeDiskSpaceFailed", "ImageGCFailed"} {
				in.Events = append(in.Events, warning(n, reason, "Failed to garbage collect required amount of images. Attempted to free 4783028633 bytes, but only found 0 bytes eligible to free.", in.Now.Add(-2*time.Minute)))
			}
		}},
		{"https://github.com/clastix/kamaji/issues/232", report.Unhealthy, machine.LeaseNotRenewed, "the kubelet is running (status posted 8s ago)", func(in *Input, _ *corev1.Node) { unrenewed(in, "") }},
		{"https://github.com/kubesphere/kubesphere/issues/1657", report.Unhealthy, machine.LeaseNotRenewed, "the kubelet is running (status posted 8s ago)", func(in *Input, n *corev1.Node) { unrenewed(in, n.Name) }},
		{"https://github.com/aws/amazon-vpc-cni-k8s/issues/668", report.Degraded, workload.PodIPsExhausted, "failed to assign an IP address to container", func(in *Input, n *corev1.Node) {
			for _, name := range []string{"a", "b"} {
				meta := metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID(name), CreationTimestamp: metav1.NewTime(in.Now.Add(-6 * time.Minute))}
				in.Pods = append(in.Pods, corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: "c"}}}, Status: corev1.PodStatus{
					Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}},
				}})
				in.Events = append(in.Events, corev1.Event{
					ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: name, UID: types.UID(name)},
					Type: corev1.EventTypeWarning, Reason: "FailedCreatePodSandBox", LastTimestamp: metav1.NewTime(in.Now.Add(-time.Minute)), Count: 9,
					Message: `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to set up sandbox container "92" network for pod "a": networkPlugin cni failed to set up pod "a_shop" network: add cmd: failed to assign an IP address to container`,
				})
			}
		}},
		{"https://github.com/kubernetes/kubernetes/issues/94029", report.Unhealthy, machine.APIWritesStopped, "", func(in *Input, _ *corev1.Node) {
			unrenewed(in, "")
			stopped := in.Now.Add(-5 * time.Minute)
			for i := range in.Nodes {
				for k := range in.Nodes[i].Status.Conditions {
					in.Nodes[i].Status.Conditions[k].LastHeartbeatTime = metav1.NewTime(stopped)
				}
			}
			in.SystemLeases = nil
			for _, name := range []string{facts.Scheduler, facts.ControllerManager} {
				in.SystemLeases = append(in.SystemLeases, coordinationv1.Lease{
					ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system", ManagedFields: []metav1.ManagedFieldsEntry{{Time: new(metav1.NewTime(stopped))}}},
					Spec:       coordinationv1.LeaseSpec{RenewTime: new(metav1.NewMicroTime(stopped)), HolderIdentity: new("cp1_x")},
				})
			}
		}},
	} {
		t.Run(tt.link, func(t *testing.T) {
			n := one(t, tt.make)
			if n.Verdict != tt.verdict || !slices.Equal(codes(n), []finding.Code{tt.code}) || !strings.Contains(n.Summary, tt.says) {
				t.Errorf("%s %v: %s\nwant %s %s: …%s…", n.Verdict, codes(n), n.Summary, tt.verdict, tt.code, tt.says)
			}
		})
	}
}
