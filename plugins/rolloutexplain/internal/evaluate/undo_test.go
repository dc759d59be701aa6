package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// An undo that is advised stands among the root's next commands: also where judging added a finding behind the root.
func TestAnAdvisedUndoIsANextCommand(t *testing.T) {
	advised := 0
	for _, f := range fixtures() {
		list := Evaluate(f.hit().in, now, model.Options{LogLines: 5})
		for _, r := range list.Items {
			if r.Rollback == nil || !r.Rollback.Advised {
				continue
			}
			advised++
			if len(r.Findings) == 0 || !slices.ContainsFunc(r.Findings[0].Next, func(n finding.Next) bool { return n.Command == r.Rollback.Command }) {
				t.Errorf("%s: %q is advised and not among the next commands of the root", f.code, r.Rollback.Command)
			}
		}
	}
	if advised < 5 {
		t.Errorf("only %d fixtures advise an undo", advised)
	}
}

// The revision before may be a rollout that failed as well: the way back is the one of which pods are available.
func TestARollbackGoesToARevisionThatWorks(t *testing.T) {
	b := deploymentCase().status(crashed(1, 4, "Error"))
	b.in.ReplicaSets = append(b.in.ReplicaSets, b.set("api-3", "rs3", "3", time.Minute, "api:2", 1, 0))
	b.in.ReplicaSets[1] = b.set("api-2", "rs2", "2", time.Hour, "api:bad", 0, 0)
	b.x().OwnerReferences[0].Name, b.x().OwnerReferences[0].UID = "api-3", "rs3"
	got := Evaluate(b.in, now, model.Options{}).Items[0]
	if got.Rollback == nil || !got.Rollback.Advised || !strings.Contains(got.Rollback.Command, "--to-revision=1") {
		t.Fatalf("undo %+v, %s", got.Rollback, codesOf(report.List{Items: []report.Rollout{got}}))
	}
	if got.Changes == nil || !strings.Contains(got.Changes.From, "revision 1") {
		t.Errorf("the changes are not those that the rollback takes back: %+v", got.Changes)
	}
}

// Old and new pods fail together, each in its own way: going back to what does not run either helps nobody.
func TestARollbackToARevisionThatIsBrokenTooIsNotAdvised(t *testing.T) {
	b := deploymentCase().status(crashed(1, 4, "Error"))
	for i := range 2 {
		b.in.Pods[i].Status.ContainerStatuses[0] = notReadyYet(time.Hour)
		b.in.Pods[i].Status.ContainerStatuses[0].Name = "api"
		b.in.Pods[i].Status.Conditions[2].Status = corev1.ConditionFalse
	}
	b.in.ReplicaSets[0].Status = appsv1.ReplicaSetStatus{Replicas: 2}
	b.d.Status.ReadyReplicas, b.d.Status.AvailableReplicas = 0, 0
	got := Evaluate(b.in, now, model.Options{}).Items[0]
	if got.Rollback == nil || got.Rollback.Advised || !strings.Contains(got.Rollback.Why, "no pod of revision 1 (api-1) is ready either") {
		t.Errorf("undo %+v, %s", got.Rollback, codesOf(report.List{Items: []report.Rollout{got}}))
	}
	for _, f := range got.Findings {
		if slices.ContainsFunc(f.Next, func(n finding.Next) bool { return strings.Contains(n.Command, "rollout undo") }) {
			t.Errorf("%s proposes a rollback: %+v", f.Code, f.Next)
		}
	}
}
