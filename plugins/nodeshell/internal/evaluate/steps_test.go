package evaluate_test

import (
	"os"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
)

func plansOfEveryFixture(t *testing.T) []testkit.Report {
	folders, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var list []testkit.Report
	for _, folder := range folders {
		if folder.IsDir() {
			f := load(t, folder.Name())
			f.Options.Kubectl = testkit.AsUser()
			p := f.plan()
			list = append(list, testkit.Report{Fixture: folder.Name(), Command: "kubectl nodeshell " + p.Node, Findings: p.Findings})
		}
	}
	return list
}

func TestNextStepsLeadSomewhereNew(t *testing.T) {
	testkit.CheckSteps(t, plansOfEveryFixture(t))
}

func TestFindingsHaveOneForm(t *testing.T) {
	testkit.CheckWords(t, evaluate.Catalog(), nil, plansOfEveryFixture(t))
}

func TestNextStepsKeepTheUser(t *testing.T) {
	testkit.CheckCarried(t, plansOfEveryFixture(t))
}

func TestChangesAreExecuted(t *testing.T) {
	testkit.CheckChanges(t, "../../../../test/e2e/nodeshell", testkit.Changes{
		Executed: map[finding.Code]string{
			"PodSecurityViolated": "TestPodSecurity", "NodePressure": "TestANodeUnderPressure",
			"QuotaOrLimitRangeViolated": "TestTheWayOutOfANamespaceRunsTheCall", "MemoryLimitReached": "TestTheWayOutOfANamespaceRunsTheCall",
			"PodMutatedByAdmission": "TestTheWayOutOfANamespaceRunsTheCall", "PlacementRejected": "TestTheWayOutOfANamespaceRunsTheCall",
		},
		Reasons: map[finding.Code]string{"NodeOutOfResources": "the command is that of NodePressure"},
	}, plansOfEveryFixture(t))
}
