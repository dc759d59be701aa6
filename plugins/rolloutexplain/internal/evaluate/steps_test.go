package evaluate

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// reportsOfEveryFixture are the rollouts of all fixtures. The events of a workload, of what it owns and of its claims are
// read for every report.
func reportsOfEveryFixture() []testkit.Report {
	var list []testkit.Report
	for _, x := range fixtures() {
		for _, r := range Evaluate(x.hit().in, now, model.Options{LogLines: 5}).Items {
			object := strings.ToLower(r.Object.Kind) + "/" + r.Object.Name
			one := testkit.Report{Fixture: string(x.code), Command: "kubectl rollout-explain " + object + " -n " + r.Object.Namespace, Events: []string{object, "pod/", "replicaset/"}}
			for _, f := range r.Findings {
				one.Findings = append(one.Findings, f.Finding)
			}
			list = append(list, one)
		}
	}
	return list
}

func TestNextStepsLeadSomewhereNew(t *testing.T) {
	testkit.CheckSteps(t, reportsOfEveryFixture())
}

func TestFindingsHaveOneForm(t *testing.T) {
	long := map[finding.Code]string{
		codes.ReadinessProbeFailing:     "names the probe and quotes its failure",
		codes.LivenessProbeFailed:       "names the times of the probe and quotes its failure",
		codes.ReplicaSetCreateError:     "quotes the figures of the quota",
		codes.StatefulSetPodNotReplaced: "holds the fault of the pod and that of the controller",
		codes.TerminatingOnNotReadyNode: "names the risk to the data before a command that takes it",
	}
	testkit.CheckWords(t, codes.Book.Catalog(), long, reportsOfEveryFixture())
}
