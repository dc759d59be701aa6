package evaluate

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// kubectl logs --all-containers fails at the first container that has not run.
func TestTheLogOfAnAttemptIsReadWhereThereIsOne(t *testing.T) {
	deadline := func(j *batchv1.Job) {
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonDeadlineExceeded, Message: "Job was active longer than specified deadline"}}
	}
	for name, c := range map[string]struct {
		statuses []corev1.ContainerStatus
		want     string
	}{
		"it runs":                   {[]corev1.ContainerStatus{running(time.Minute)}, "kubectl logs once-1 --all-containers"},
		"it has not started":        {[]corev1.ContainerStatus{waiting("ContainerCreating", "")}, "kubectl describe pod once-1"},
		"nothing is known":          {nil, "kubectl describe pod once-1"},
		"one of two has run":        {[]corev1.ContainerStatus{crashed(2, 0, "Error"), waiting("PodInitializing", "")}, "kubectl logs once-1 -c app"},
		"its sandbox is known only": {[]corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "ContainerStatusUnknown", ExitCode: 137}}}}, "kubectl describe pod once-1"},
	} {
		b := jobCase(deadline)
		p := &b.in.Pods[0]
		p.Status.ContainerStatuses = c.statuses
		for i := range c.statuses {
			c.statuses[i].Name = []string{"app", "side"}[i]
		}
		if len(c.statuses) > 1 {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side"})
		}
		var printed []string
		for _, n := range Evaluate(b.in, now, model.Options{}).Items[0].Findings[0].Next {
			printed = append(printed, n.Command)
		}
		if !strings.Contains(strings.Join(printed, "\n"), c.want) {
			t.Errorf("%s: %q, want %q", name, printed, c.want)
		}
	}
}
