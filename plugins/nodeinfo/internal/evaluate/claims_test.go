package evaluate

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
)

// A pod that waits for its claim has one cause, the claim; one that waits for something else has its own.
func TestAPodThatWaitsForItsClaimIsAConsequence(t *testing.T) {
	const claim = workload.ResourceClaimNotReady
	event := func(reason, message string) func(in *Input, p *corev1.Pod) {
		return func(in *Input, p *corev1.Pod) {
			in.Events = append(in.Events, corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{Namespace: p.Namespace, Name: "e"},
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
				Type:           corev1.EventTypeWarning, Reason: reason, Message: message, Count: 5,
				FirstTimestamp: before(in, 3*time.Minute), LastTimestamp: before(in, 10*time.Second),
			})
		}
	}
	waiting := func(reason, message string) func(in *Input, p *corev1.Pod) {
		return func(_ *Input, p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
		}
	}
	const prepare = "Failed to prepare dynamic resources: prepare dynamic resources: ResourceClaim empty-gpu has no allocation"
	for name, tt := range map[string]struct {
		pod    string
		change func(in *Input, p *corev1.Pod)
		folded bool
	}{
		"the kubelet says so":             {"empty", event("FailedPrepareDynamicResources", prepare), true},
		"nobody says why":                 {"empty", func(*Input, *corev1.Pod) {}, true},
		"the claim was not created":       {"uncreated", event("FailedPrepareDynamicResources", prepare), true},
		"a volume comes before its claim": {"empty", event("FailedMount", `MountVolume.SetUp failed for volume "v" : configmap "gone" not found`), false},
		"an image comes after it":         {"empty", waiting("ErrImagePull", "not found"), false},
		"another pod's claim": {"empty", func(in *Input, p *corev1.Pod) {
			p.Spec.ResourceClaims = nil
			event("FailedPrepareDynamicResources", prepare)(in, p)
		}, false},
	} {
		in := load(t, string(claim))
		at := slices.IndexFunc(in.Pods, func(p corev1.Pod) bool { return p.Name == tt.pod })
		p := &in.Pods[at]
		p.CreationTimestamp = before(&in, 5*time.Minute)
		for i := range p.Status.Conditions {
			p.Status.Conditions[i].LastTransitionTime = p.CreationTimestamp
		}
		tt.change(&in, p)
		n := node(t, judge(in), "fires")
		var by finding.Code
		for _, c := range n.Consequences {
			if c.Code == workload.PodNotStarting && c.Object.Name == tt.pod {
				by = c.CausedBy
			}
		}
		alone := slices.ContainsFunc(n.Findings, func(f finding.Finding) bool { return f.Code == workload.PodNotStarting && f.Object.Name == tt.pod })
		if alone == tt.folded || (by == claim) != tt.folded {
			t.Errorf("%s: folded under %q, alone %t: %v", name, by, alone, codes(n))
		}
	}
}

// The kubelet ends no pod whose devices it cannot unprepare: the pod stays, and with it what it has.
func TestAPodThatCannotEndWithoutTheDriverOfItsDevices(t *testing.T) {
	const gone = workload.DeviceDriverNotPublishing
	for name, tt := range map[string]struct {
		node   string
		change func(p *corev1.Pod)
		folded bool
	}{
		"its driver is gone":            {"fires", func(*corev1.Pod) {}, true},
		"a finalizer holds it, as well": {"fires", func(p *corev1.Pod) { p.Finalizers = []string{"example.test/hold"} }, false},
		"its driver is there":           {"near-miss", func(*corev1.Pod) {}, false},
	} {
		in := load(t, string(gone))
		at := slices.IndexFunc(in.Pods, func(p corev1.Pod) bool { return p.Spec.NodeName == tt.node && device.Claims(&p) })
		p := &in.Pods[at]
		deleted := before(&in, 5*time.Minute)
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &deleted, new(int64)
		tt.change(p)
		n := node(t, judge(in), tt.node)
		folded := slices.ContainsFunc(n.Consequences, func(c finding.Consequence) bool {
			return c.Code == workload.PodStuckTerminating && c.CausedBy == gone && c.Object.Name == p.Name
		})
		alone := slices.ContainsFunc(n.Findings, func(f finding.Finding) bool { return f.Code == workload.PodStuckTerminating })
		if folded != tt.folded || alone == tt.folded {
			t.Errorf("%s: folded %t, alone %t: %v", name, folded, alone, codes(n))
		}
	}
}
