package evaluate

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
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
		pods.ReadinessProbeFailing:      "names the probe and quotes its failure",
		pods.LivenessProbeFailed:        "names the times of the probe and quotes its failure",
		kinds.ReplicaSetCreateError:     "quotes the figures of the quota",
		kinds.StatefulSetPodNotReplaced: "holds the fault of the pod and that of the controller",
		pods.TerminatingOnNotReadyNode:  "names the risk to the data before a command that takes it",
	}
	testkit.CheckWords(t, Rules.Catalog(), long, reportsOfEveryFixture())
}

func TestNextStepsKeepTheUser(t *testing.T) {
	testkit.CheckCarried(t, reportsOfEveryFixture())
}

// A rollback is executed by the first scenario that shows a code (scenario.proveHeals).
func TestChangesAreExecuted(t *testing.T) {
	executed := map[finding.Code]string{}
	for test, list := range map[string][]finding.Code{
		"TestNextCommandsHelp": {kinds.DeploymentPaused, refusal.QuotaExceeded, kinds.StatefulSetPodNotReplaced, kinds.PartitionedRollout},
		"TestScenarios": {
			refusal.AdmissionPolicyDenied, refusal.AdmissionWebhookDenied, pods.ContainerCompleted, pods.ContainerCrashing, pods.ErrImageNeverPull,
			pods.Evicted, pods.FinalizerBlocksDeletion, pods.ImageNotFound, pods.ImagePullUnauthorized, pods.InvalidImageName,
			kinds.JobSuspended, pods.LivenessProbeFailed, pods.OOMKilled, kinds.PartitionExcludesAllPods, pods.PodReadinessFlapping,
			pods.ReadinessProbeFailing, kinds.ReplicaSetCreateError, pods.RunAsNonRootCheckFailed, pods.StartupProbeFailed,
		},
	} {
		for _, code := range list {
			executed[code] = test
		}
	}
	const undo = "the fault cannot be shown on the embedded cluster; the rollback is that of InvalidImageName"
	testkit.CheckChanges(t, "../../../../test/e2e/rolloutexplain", testkit.Changes{Executed: executed, Reasons: map[finding.Code]string{
		pods.CreateContainerConfigError: undo, pods.ErrImagePull: undo, pods.ExecFormatError: undo, pods.ImageRejected: undo,
		refusal.PodInvalid: undo, pods.PodRejected: undo,
		kinds.ArgoAborted:              "the embedded cluster has no controller of Argo Rollouts",
		kinds.ArgoPaused:               "the embedded cluster has no controller of Argo Rollouts",
		pods.MultiAttachError:          "TestAVolumeThatTwoNodesWant of test/e2e/makes executes it",
		refusal.ServiceAccountNotFound: "the controller retries after its back-off, which takes minutes",
		pods.TerminatingOnNotReadyNode: "the command is for a machine that is powered off; force is no cure to be shown",
	}}, reportsOfEveryFixture())
}
