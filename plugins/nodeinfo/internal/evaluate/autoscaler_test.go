package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// severity is that of a code's finding; empty: there is none.
func severity(n report.Node, code finding.Code) finding.Severity {
	for _, f := range n.Findings {
		if f.Code == code {
			return f.Severity
		}
	}
	return ""
}

func TestClusterAutoscalerIsJudgedForNodesThatMayBeIts(t *testing.T) {
	stale, backoff := string(workload.ClusterAutoscalerNotReporting), string(workload.NodeGroupScaleUpFailing)
	for _, tt := range []struct {
		name, fixture string
		change        func(*Input)
		want          finding.Severity
	}{
		{"a worker", stale, func(*Input) {}, finding.Warning},
		{"for two days", stale, func(in *Input) { in.ClusterAutoscaler.Written = in.Now.Add(-48 * time.Hour) }, finding.Info},
		{"no time is known", stale, func(in *Input) { in.ClusterAutoscaler.Written, in.ClusterAutoscaler.Time = time.Time{}, time.Time{} }, ""},
		{"the control plane", stale, func(in *Input) { in.Nodes[0].Labels["node-role.kubernetes.io/control-plane"] = "" }, ""},
		{"a node of Karpenter", stale, func(in *Input) { in.Nodes[0].Labels["karpenter.sh/nodepool"] = "default" }, ""},
		{"its own group", backoff, func(*Input) {}, finding.Warning},
		{"another group", backoff, func(in *Input) { in.Nodes[0].Labels["eks.amazonaws.com/nodegroup"] = "web" }, finding.Info},
		{"a group that is not told", backoff, func(in *Input) { delete(in.Nodes[0].Labels, "eks.amazonaws.com/nodegroup") }, finding.Info},
		{"what was so before it stopped", backoff, func(in *Input) { in.ClusterAutoscaler.Written = in.Now.Add(-time.Hour) }, ""},
	} {
		in := load(t, tt.fixture)
		tt.change(&in)
		if got := severity(judge(in).Items[0], finding.Code(tt.fixture)); got != tt.want {
			t.Errorf("%s: %s is %q, want %q", tt.name, tt.fixture, got, tt.want)
		}
	}
}

// A node that is not Ready is not Initialized either: that is no cause of its own.
func TestANodeThatIsNotReadyExplainsItsNodeClaim(t *testing.T) {
	in := load(t, string(workload.NodeClaimNotInitialized))
	for i := range in.Nodes[0].Status.Conditions {
		if c := &in.Nodes[0].Status.Conditions[i]; c.Type == corev1.NodeReady {
			c.Status, c.Reason, c.Message = corev1.ConditionFalse, "KubeletNotReady",
				"container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized"
		}
	}
	n := node(t, judge(in), "fires")
	if slices.Contains(codes(n), workload.NodeClaimNotInitialized) || !slices.Contains(codes(n), machine.NetworkPluginNotReady) ||
		!slices.ContainsFunc(n.Consequences, func(c finding.Consequence) bool { return c.Code == workload.NodeClaimNotInitialized }) {
		t.Errorf("%v, %+v", codes(n), n.Consequences)
	}
}

// The real drain of Karpenter waits for a pod that a budget keeps: its warning is of the removal, and the removal names the pod. Its taint
// tells no time, so that a removal that does not end is known by the deletion of the Node.
func TestADrainOfKarpenterExplainsItsWarning(t *testing.T) {
	in := load(t, "karpenter-draining")
	n := judge(in).Items[0]
	if n.Verdict != report.Healthy || len(n.Findings) != 1 || n.Findings[0].Code != workload.NodeRemovalInProgress ||
		!strings.Contains(n.Findings[0].Message, "waits for pods that are kept: shop/web-649db8b855-254ck (PodDisruptionBudget web)") {
		t.Errorf("%s: %s %+v", n.Verdict, n.Summary, n.Findings)
	}
	in.Nodes[0].Spec.Taints, in.Nodes[0].DeletionTimestamp = nil, nil
	if n := judge(in).Items[0]; n.Verdict == report.Healthy {
		t.Errorf("a warning that no removal explains: %s", n.Summary)
	}
	in = load(t, "karpenter-draining")
	in.Nodes[0].DeletionTimestamp.Time = in.Now.Add(-31 * time.Minute)
	if f := judge(in).Items[0].Findings; f[0].Code != workload.NodeRemovalStuck || !strings.Contains(f[0].Message, "31m ago and waits for pods that are kept") {
		t.Errorf("%+v", f)
	}
	in.Budgets = nil
	in.Events = slices.DeleteFunc(in.Events, func(e corev1.Event) bool { return e.Reason == "FailedDraining" })
	if f := judge(in).Items[0].Findings; f[0].Code != workload.NodeRemovalStuck || strings.Contains(f[0].Message, "waits") {
		t.Errorf("%+v", f)
	}
}

// A deleted Node that finalizers hold is gone as soon as they are removed. After a minute nobody seems to remove them, but for
// Karpenter, which drains the node first. Seen with "kubectl delete node" of a node with a finalizer.
func TestADeletedNodeThatFinalizersHold(t *testing.T) {
	tests := map[string]struct {
		ago        time.Duration
		finalizers []string
		taint      string
		code       finding.Code
		verdict    report.Verdict
	}{
		"just deleted":                   {30 * time.Second, []string{"example.com/hold"}, "", workload.NodeRemovalInProgress, report.Healthy},
		"held for longer":                {2 * time.Minute, []string{"example.com/hold"}, "", workload.NodeRemovalStuck, report.Degraded},
		"Karpenter drains":               {2 * time.Minute, []string{"karpenter.sh/termination"}, "", workload.NodeRemovalInProgress, report.Healthy},
		"Karpenter drains too long":      {31 * time.Minute, []string{"karpenter.sh/termination"}, "", workload.NodeRemovalStuck, report.Degraded},
		"a taint says who removes it":    {2 * time.Minute, []string{"example.com/hold"}, "karpenter.sh/disrupted", workload.NodeRemovalInProgress, report.Healthy},
		"a finalizer without a deletion": {0, []string{"example.com/hold"}, "", "", report.Healthy},
		"a deletion that nothing delays": {2 * time.Minute, nil, "", "", report.Healthy},
	}
	for name, tt := range tests {
		in := load(t, "healthy")
		n := &in.Nodes[0]
		n.Finalizers = tt.finalizers
		if tt.ago > 0 {
			n.DeletionTimestamp = &metav1.Time{Time: in.Now.Add(-tt.ago)}
		}
		if tt.taint != "" {
			n.Spec.Taints = []corev1.Taint{{Key: tt.taint, Effect: corev1.TaintEffectNoSchedule}}
		}
		got := node(t, judge(in), n.Name)
		if got.Verdict != tt.verdict || tt.code == "" && len(got.Findings) > 0 ||
			tt.code != "" && (len(got.Findings) != 1 || got.Findings[0].Code != tt.code) {
			t.Errorf("%s: %s %+v", name, got.Verdict, got.Findings)
		}
	}
}

// What a cloud says may hold a password; and of a fleet in several clusters each NodeClaim says whose it is.
func TestNodeClaimsWithoutANode(t *testing.T) {
	in := load(t, "NodeClaimNotLaunched")
	for i := range in.NodeClaims {
		for j := range in.NodeClaims[i].Status.Conditions {
			in.NodeClaims[i].Status.Conditions[j].Message += " password=s3cret"
		}
	}
	list := judge(in)
	if len(list.Findings) != 1 || strings.Contains(list.Findings[0].Message+list.Findings[0].Evidence[0].Value, "s3cret") {
		t.Errorf("%+v", list.Findings)
	}
	if n := list.Items[0]; n.Autoscaler == nil || n.Autoscaler.NodeClaim == nil || n.Autoscaler.Checked || strings.Contains(n.Autoscaler.NodeClaim.Conditions[0].Message, "s3cret") {
		t.Errorf("%+v", n.Autoscaler)
	}
	joined := Join([]Cluster{{Context: "east", List: list}, {Context: "west", List: list}})
	if len(joined.Findings) != 2 || !strings.HasPrefix(joined.Findings[1].Message, "west: Karpenter cannot launch") {
		t.Errorf("%+v", joined.Findings)
	}
}
