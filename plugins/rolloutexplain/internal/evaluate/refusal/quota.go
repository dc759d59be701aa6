package refusal

import (
	"fmt"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	QuotaExceeded          finding.Code = "QuotaExceeded"
	QuotaRequiresResources finding.Code = "QuotaRequiresResources"
	LimitRangeViolated     finding.Code = "LimitRangeViolated"
)

var quotaRules = []rule.Rule{
	{Layer: rule.LayerCreate, Bears: []string{".resources"}, Entry: finding.Entry{
		Code: QuotaExceeded, Severity: finding.Critical, Title: "ResourceQuota is exceeded",
		Meaning: "A ResourceQuota of the namespace rejects more pods. A rollout with maxSurge needs quota for new pods " +
			"in addition to the old ones.",
		Evidence: "\"exceeded quota\" in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Free quota, raise the quota, or lower maxSurge.",
	}},
	{Layer: rule.LayerCreate, Bears: []string{".resources"}, Entry: finding.Entry{
		Code: QuotaRequiresResources, Severity: finding.Critical, Title: "ResourceQuota requires requests or limits",
		Meaning: "A ResourceQuota on a resource rejects pods that do not set the request or limit of that resource.",
		Evidence: "\"failed quota: … must specify\" in a FailedCreate event or in the ReplicaSet condition " +
			"ReplicaFailure.",
		Next: "Set the request or limit in the pod template, or a default in a LimitRange.",
	}},
	{Layer: rule.LayerCreate, Bears: []string{".resources"}, Entry: finding.Entry{
		Code: LimitRangeViolated, Severity: finding.Critical, Title: "Pod resources violate a LimitRange",
		Meaning: "The resources of the pod are outside the range that a LimitRange of the namespace allows.",
		Evidence: "Minimum, maximum or ratio of the LimitRange in a FailedCreate event or in the ReplicaSet condition " +
			"ReplicaFailure.",
		Next: "Change the resources in the pod template.",
	}},
}

func refusalByQuota(e *model.Evaluation, a *admission.Refusal, w *model.Workload) Refused {
	switch a.Kind {
	case admission.QuotaExceeded:
		return Refused{
			Code: QuotaExceeded, Class: report.LikelyFatal, SelfHealing: "maybe", Quota: a.Name,
			What: fmt.Sprintf("ResourceQuota %q is exceeded: requested %s, used %s, limited to %s", a.Name,
				a.Quota.Requested, a.Quota.Used, a.Quota.Limited),
			Next: []finding.Next{e.Next(w, finding.Read, "Show the limits and the use of the ResourceQuota", "describe", "quota", a.Name)},
		}
	case admission.QuotaUnspecified:
		return Refused{
			Code: QuotaRequiresResources, Class: report.Fatal, SelfHealing: "no",
			What: fmt.Sprintf("ResourceQuota %q requires each pod to set %s", a.Name, strings.TrimPrefix(a.Reason, "must specify ")),
			Next: []finding.Next{
				e.Next(w, finding.Read, "Show what the ResourceQuota counts, then set it in the template or as a LimitRange default",
					"describe", "quota", a.Name),
			},
		}
	case admission.LimitRange:
		return Refused{
			Code: LimitRangeViolated, Class: report.Fatal, SelfHealing: "no", What: "the pod violates a LimitRange: " + a.Reason,
			Next: []finding.Next{e.Next(w, finding.Read, "Show the LimitRanges of the namespace, then change the resources in the template",
				"describe",
				"limitrange")},
		}
	}
	return Refused{}
}
