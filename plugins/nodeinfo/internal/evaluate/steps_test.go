package evaluate

import (
	"slices"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
)

// reportsOfEveryFixture are the nodes of all fixtures. A report of a node lists the events of the node itself.
func reportsOfEveryFixture(t *testing.T) []testkit.Report {
	var list []testkit.Report
	for _, name := range fixtures(t) {
		for _, n := range judge(load(t, name)).Items {
			r := testkit.Report{Fixture: name, Command: "kubectl nodeinfo " + n.Name, Findings: n.Findings}
			if n.Events != nil {
				r.Events = []string{"node/" + n.Name}
			}
			list = append(list, r)
		}
	}
	return list
}

func TestNextStepsLeadSomewhereNew(t *testing.T) {
	testkit.CheckSteps(t, reportsOfEveryFixture(t))
}

func TestFindingsHaveOneForm(t *testing.T) {
	long := map[finding.Code]string{rules.ReadyConditionStale: "names what the API alone cannot tell apart"}
	reports := slices.DeleteFunc(reportsOfEveryFixture(t), func(r testkit.Report) bool {
		return r.Fixture == "hostile-text" // what it quotes is made harmless where it is printed
	})
	testkit.CheckWords(t, Catalog(), long, reports)
}
