// Package refusal reports why pods that a controller should create do not exist: it reads the errors of the API server, and
// what it means where there is none.
package refusal

import (
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Rules are the findings about pods that do not come into being.
var Rules = slices.Concat(namespaceRules, podCreationRules, quotaRules, policyRules, referenceRules, stateRules, refusalRules)

const PodCreationRejected finding.Code = "PodCreationRejected"

var refusalRules = []rule.Rule{
	{Layer: rule.LayerCreate, Entry: finding.Entry{
		Code: PodCreationRejected, Severity: finding.Critical, Title: "API server rejects the pod",
		Meaning: "The API server rejects the pod for a reason without a code of its own. The message quotes the reason " +
			"unchanged.",
		Evidence: "FailedCreate event or ReplicaSet condition ReplicaFailure.",
		Next:     "Read the error in full.",
	}},
}

// Refused is what an API server's rejection of a new object means. What is a clause for a sentence that ends in "because".
type Refused struct {
	Code              finding.Code
	What, SelfHealing string
	Class             report.Class
	Next              []finding.Next
	Quota             string // its name
}

// Read reads a rejection. An unknown text is quoted unchanged.
func Read(e *model.Evaluation, text string, w *model.Workload) Refused {
	text = plain.OneLine(text)
	a := admission.Parse(text)
	r := refusalByQuota(e, &a, w)
	if r.Code == "" {
		r = refusalByPolicy(e, &a, w)
	}
	if r.Code == "" {
		r = refusalByReference(e, &a, w)
	}
	if r.Code == "" {
		r = refusalByState(e, &a, text, w)
	}
	if r.Code == "" {
		r = Refused{
			Code: PodCreationRejected, Class: report.LikelyFatal, SelfHealing: "maybe",
			What: "the API server returned: " + afterPrefix(text),
		}
	}
	if len(r.Next) == 0 {
		r.Next = []finding.Next{e.Next(w, finding.Read, "Compare the pod template with the error",
			"get", w.Slash(), "-o", "jsonpath={.spec.template}")}
	}
	return r
}

// afterPrefix drops what the controllers put before the server's words.
func afterPrefix(text string) string {
	text = strings.TrimPrefix(text, "Error creating: ")
	if _, after, ok := strings.Cut(text, " failed error: "); ok {
		return after
	}
	return text
}
