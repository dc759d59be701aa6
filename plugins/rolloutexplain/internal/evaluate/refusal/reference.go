package refusal

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ServiceAccountNotFound finding.Code = "ServiceAccountNotFound"
	PriorityClassNotFound  finding.Code = "PriorityClassNotFound"
	RuntimeClassNotFound   finding.Code = "RuntimeClassNotFound"
)

var referenceRules = []rule.Rule{
	{Layer: rule.LayerCreate, Bears: []string{"serviceAccount"}, Entry: finding.Entry{
		Code: ServiceAccountNotFound, Severity: finding.Critical, Title: "ServiceAccount does not exist",
		Meaning:  "The pod template names a ServiceAccount that does not exist.",
		Evidence: "ServiceAccount name in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Create the ServiceAccount, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerCreate, Bears: []string{"priorityClassName"}, Entry: finding.Entry{
		Code: PriorityClassNotFound, Severity: finding.Critical, Title: "PriorityClass does not exist",
		Meaning:  "The pod template names a PriorityClass that does not exist.",
		Evidence: "PriorityClass name in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Create the PriorityClass, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerCreate, Bears: []string{"runtimeClassName"}, Entry: finding.Entry{
		Code: RuntimeClassNotFound, Severity: finding.Critical, Title: "RuntimeClass does not exist",
		Meaning:  "The pod template names a RuntimeClass that does not exist.",
		Evidence: "RuntimeClass name in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Create the RuntimeClass, or correct its name in the pod template.",
	}},
}

func refusalByReference(e *model.Evaluation, a *admission.Refusal, w *model.Workload) Refused {
	switch a.Kind {
	case admission.ServiceAccountMissing:
		return Refused{
			Code: ServiceAccountNotFound, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("ServiceAccount %q does not exist", a.Name),
			Next: []finding.Next{
				e.Next(w, finding.Read, "List the existing ServiceAccounts", "get", "serviceaccounts"),
				e.Next(w, finding.Change, "Create the ServiceAccount if the name is correct", "create", "serviceaccount", a.Name),
			},
		}
	case admission.PriorityClassMissing:
		return Refused{
			Code: PriorityClassNotFound, Class: report.LikelyFatal, SelfHealing: "maybe",
			What: fmt.Sprintf("PriorityClass %q does not exist", a.Name),
			Next: []finding.Next{e.NextCluster(finding.Read, "List the existing PriorityClasses", "get", "priorityclasses")},
		}
	case admission.RuntimeClassMissing:
		return Refused{
			Code: RuntimeClassNotFound, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("RuntimeClass %q does not exist", a.Name),
			Next: []finding.Next{e.NextCluster(finding.Read, "List the existing RuntimeClasses", "get", "runtimeclasses")},
		}
	}
	return Refused{}
}
