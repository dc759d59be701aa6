package evaluate

import (
	"slices"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
)

// reportsOfEveryFixture are the nodes of all fixtures. A report of a node lists the events of the node itself.
func reportsOfEveryFixture(t *testing.T) []testkit.Report {
	var list []testkit.Report
	for _, name := range fixtures(t) {
		in := load(t, name)
		for _, n := range Evaluate(in, in.Now, Options{Kubectl: testkit.AsUser()}).Items {
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
	long := map[finding.Code]string{machine.ReadyConditionStale: "names what the API alone cannot tell apart"}
	reports := slices.DeleteFunc(reportsOfEveryFixture(t), func(r testkit.Report) bool {
		return r.Fixture == "hostile-text" // what it quotes is made harmless where it is printed
	})
	testkit.CheckWords(t, rules.Catalog(), long, reports)
}

func TestNextStepsKeepTheUser(t *testing.T) {
	testkit.CheckCarried(t, reportsOfEveryFixture(t))
}

func TestChangesAreExecuted(t *testing.T) {
	testkit.CheckChanges(t, "../../../../test/e2e/nodeinfo", testkit.Changes{
		Executed: map[finding.Code]string{
			workload.Cordoned: "TestNodeFaults", workload.NewPodsKeptOff: "TestNodeFaults",
			machine.KubeletServingCertificateMissing: "TestKubeletCertificates", machine.KubeletCertificateNotIssued: "TestKubeletCertificates",
		},
		Reasons: map[finding.Code]string{
			rules.NodeDeleted:      "nodes of the embedded cluster have no systemd; TestADeletedNodeComesBack restarts the kubelet in its way",
			workload.KubeletTooOld: "the embedded cluster has one version of the kubelet",
			workload.OutOfService:  "the taint is for machines that are powered off",
		},
	}, reportsOfEveryFixture(t))
}
