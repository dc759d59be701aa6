// Package verdict joins the controller's side with the causes of the pods: which of them is the root, what the rollout comes
// to, and whether going back would cure it. It looks at no pod's containers and at no node.
package verdict

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Rules are the findings about a rollout as a whole.
var Rules = slices.Concat(noteRules, verdictRules)

// Give puts into a workload's report what it comes to: the findings in their order, the verdict, what changed, and whether
// to go back. Causes are those of its pods.
func Give(e *model.Evaluation, w *model.Workload, causes []*model.Cause) {
	r := w.Report
	groups := groupCauses(causes)
	shared := addGroups(e, w, groups)
	podTimers(e, w)
	r.Changes = changes(w, w.Previous())
	place(e, w)
	root := judge(e, w)
	if root != nil {
		root = w.Root() // judging may have added findings, which moves the list
	}
	rollback(e, w, root, shared)
	afterwards(e, w, root)
	r.Findings = w.Findings
	if r.Findings == nil {
		r.Findings = []report.Finding{}
	}
	hideSecrets(r)
	r.Pods = podGroups(w, e.Now)
	if e.Opts.History {
		r.History = w.History()
	}
	if e.Opts.Diff {
		r.Diff = explicitDiff(e, w)
	}
}
