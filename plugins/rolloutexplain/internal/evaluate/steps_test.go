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
		in := x.hit().in
		in.Context = testkit.AsUser().Flags
		for _, r := range Evaluate(in, now, model.Options{LogLines: 5}).Items {
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

func TestNextStepsKeepTheUser(t *testing.T) {
	testkit.CheckCarried(t, reportsOfEveryFixture())
}

// A rollback is executed by the first scenario that shows a code (scenario.proveHeals).
func TestChangesAreExecuted(t *testing.T) {
	executed := map[finding.Code]string{}
	for test, list := range map[string][]finding.Code{
		"TestNextCommandsHelp": {codes.DeploymentPaused, codes.QuotaExceeded, codes.StatefulSetPodNotReplaced, codes.PartitionedRollout},
		"TestScenarios": {
			codes.AdmissionPolicyDenied, codes.AdmissionWebhookDenied, codes.ContainerCompleted, codes.ContainerCrashing, codes.ErrImageNeverPull,
			codes.Evicted, codes.FinalizerBlocksDeletion, codes.ImageNotFound, codes.ImagePullUnauthorized, codes.InvalidImageName,
			codes.JobSuspended, codes.LivenessProbeFailed, codes.OOMKilled, codes.PartitionExcludesAllPods, codes.PodReadinessFlapping,
			codes.ReadinessProbeFailing, codes.ReplicaSetCreateError, codes.RunAsNonRootCheckFailed, codes.StartupProbeFailed,
		},
	} {
		for _, code := range list {
			executed[code] = test
		}
	}
	const undo = "the fault cannot be shown on the embedded cluster; the rollback is that of InvalidImageName"
	testkit.CheckChanges(t, "../../../../test/e2e/rolloutexplain", testkit.Changes{Executed: executed, Reasons: map[finding.Code]string{
		codes.CreateContainerConfigError: undo, codes.ErrImagePull: undo, codes.ExecFormatError: undo, codes.ImageRejected: undo,
		codes.PodInvalid: undo, codes.PodRejected: undo,
		codes.ArgoAborted:               "the embedded cluster has no controller of Argo Rollouts",
		codes.ArgoPaused:                "the embedded cluster has no controller of Argo Rollouts",
		codes.MultiAttachError:          "the embedded cluster has no volumes that one node holds",
		codes.ServiceAccountNotFound:    "the controller retries after its back-off, which takes minutes",
		codes.TerminatingOnNotReadyNode: "the command is for a machine that is powered off; force is no cure to be shown",
	}}, reportsOfEveryFixture())
}
