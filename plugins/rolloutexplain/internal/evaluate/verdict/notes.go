package verdict

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// brokeAfter says that the rollout had finished before: no deadline runs any more.
func brokeAfter(e *model.Evaluation, w *model.Workload) {
	f := e.Note(codes.DegradedAfterCompletion, "the rollout was complete before its pods failed; no progress deadline is running")
	f.Stance = finding.Follows
	w.Findings = append(w.Findings, f)
	place(w)
}

// afterwards adds what is worth knowing beside the cause.
func afterwards(e *model.Evaluation, w *model.Workload, root *report.Finding) {
	if w.Settled && w.Report.Verdict == report.Complete && w.Kind != "Job" {
		if ending := model.Select(w.Pods, func(p *model.Pod) bool { return p.Terminating }); len(ending) > 0 {
			f := e.Note(codes.OldPodsTerminating, "%s still terminating: the rollout is complete, but these pods still use node capacity and quota",
				plain.Plural(len(ending), "old pod is", "old pods are"))
			f.Pods = model.Names(ending)
			w.Add(f)
		}
	}
	if w.Report.Verdict != report.Complete && root != nil && w.Kind == "Deployment" && len(w.Revisions) > 0 && w.Previous() == nil &&
		w.Template != nil && historyOff(e, w) {
		w.Add(e.Note(codes.NoRevisionHistory, "revisionHistoryLimit is 0: no older revision exists for a rollback"))
	}
	if w.Target != nil && w.Target.ChangeLog != "" {
		if p := w.Previous(); p != nil && p.ChangeLog == w.Target.ChangeLog && w.Report.Verdict != report.Complete {
			w.Add(e.Note(codes.StaleChangeCause, "change-cause %q is the same as that of %s: probably not rewritten",
				plain.OneLine(w.Target.ChangeLog), model.Label(p)))
		}
	}
	place(w)
}

func historyOff(e *model.Evaluation, w *model.Workload) bool {
	for i := range e.In.Deployments {
		if d := &e.In.Deployments[i]; d.UID == w.Meta.UID {
			return d.Spec.RevisionHistoryLimit != nil && *d.Spec.RevisionHistoryLimit == 0
		}
	}
	return false
}
