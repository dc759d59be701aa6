package evaluate_test

import (
	"os"
	"testing"

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
			p := load(t, folder.Name()).plan()
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
