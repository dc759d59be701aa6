package evaluate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// A rejected pod is replaced within milliseconds: that its replacement has no fault yet proves nothing.
func TestPodsThatAreRejectedInALoopAreTheRoot(t *testing.T) {
	loop := func(desired int32, corpses int, fresh corev1.ContainerStatus) report.Rollout {
		one := intstr.FromInt32(1)
		b := deploymentCase()
		b.d.Spec.Replicas, b.d.Spec.Strategy.RollingUpdate.MaxSurge, b.rs.Spec.Replicas = &desired, &one, &desired
		b.in.Pods = b.in.Pods[:2]
		for i := range corpses {
			p := b.addPod("api-2-"+string(rune('a'+i)), "rs2", "api:2", "w1", time.Minute, running(time.Minute))
			p.Status.Phase, p.Status.Reason, p.Status.Message, p.Status.ContainerStatuses = corev1.PodFailed, "NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed", nil
			p.Status.Conditions = nil
		}
		for i := range desired {
			b.addPod("api-2-new"+string('a'+i), "rs2", "api:2", "w1", time.Second, fresh)
		}
		return Evaluate(b.in, now, model.Options{}).Items[0]
	}
	if got := loop(1, 5, waiting("ContainerCreating", "")); got.Verdict != report.Stuck || wait.RootOf(&got) == nil || wait.RootOf(&got).Code != pods.PodRejected {
		t.Errorf("in a loop: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
	if got := loop(1, 5, running(time.Second)); wait.RootOf(&got) != nil {
		t.Errorf("one got through: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
	if got := loop(1, 2, waiting("ContainerCreating", "")); wait.RootOf(&got) != nil {
		t.Errorf("not yet a loop: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
	if got := loop(3, 4, waiting("ContainerCreating", "")); wait.RootOf(&got) != nil {
		t.Errorf("turned away together: %s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
}
