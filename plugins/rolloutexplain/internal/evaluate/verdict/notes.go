package verdict

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	OldPodsTerminating      finding.Code = "OldPodsTerminating"
	NoRevisionHistory       finding.Code = "NoRevisionHistory"
	StaleChangeCause        finding.Code = "StaleChangeCause"
	DegradedAfterCompletion finding.Code = "DegradedAfterCompletion"
)

var noteRules = []rule.Rule{
	{Layer: rule.LayerNote, Entry: finding.Entry{
		Code: OldPodsTerminating, Severity: finding.Info, Title: "Old pods are still terminating",
		Meaning:  "The rollout is complete by its counters, but terminating pods still use node capacity and quota.",
		Evidence: "Old pods with metadata.deletionTimestamp.",
		Next:     "Wait until the pods are deleted.",
	}},
	{Layer: rule.LayerNote, Entry: finding.Entry{
		Code: NoRevisionHistory, Severity: finding.Info, Title: "No older revision is kept",
		Meaning:  "spec.revisionHistoryLimit is 0, so there is no revision to roll back to.",
		Evidence: "spec.revisionHistoryLimit 0.",
		Next:     "Apply an earlier manifest.",
	}},
	{Layer: rule.LayerNote, Entry: finding.Entry{
		Code: StaleChangeCause, Severity: finding.Info, Title: "Change-cause repeats an earlier revision",
		Meaning: "Two revisions have the same change-cause. Annotations are copied to each new revision, so the text " +
			"probably describes the earlier one.",
		Evidence: "Annotation kubernetes.io/change-cause, equal in the current and the previous revision.",
		Next:     "Set the annotation with each change.",
	}},
	{Layer: rule.LayerNote, Bears: []string{""}, Entry: finding.Entry{
		Code: DegradedAfterCompletion, Severity: finding.Info, Title: "Pods failed after the rollout completed",
		Meaning: "The rollout had completed before its pods failed. No progress deadline runs for failures after " +
			"completion.",
		Evidence: "Deployment condition Progressing with reason NewReplicaSetAvailable, or pods that have been ready " +
			"before; pods that are not available or keep crashing.",
		Next: "Correct the root cause of the report.",
	}},
}

// brokeAfter says that the rollout had finished before: no deadline runs any more.
func brokeAfter(e *model.Evaluation, w *model.Workload) {
	f := e.Note(DegradedAfterCompletion, "the rollout was complete before its pods failed; no progress deadline is running")
	f.Stance = finding.Follows
	w.Findings = append(w.Findings, f)
	place(e, w)
}

// afterwards adds what is worth knowing beside the cause.
func afterwards(e *model.Evaluation, w *model.Workload, root *report.Finding) {
	if w.Settled && w.Report.Verdict == report.Complete && w.Kind != "Job" {
		if ending := model.Select(w.Pods, func(p *model.Pod) bool { return p.Terminating }); len(ending) > 0 {
			f := e.Note(OldPodsTerminating, "%s still terminating: the rollout is complete, but these pods still use node capacity and quota",
				plain.Plural(len(ending), "old pod is", "old pods are"))
			f.Pods = model.Names(ending)
			w.Add(f)
		}
	}
	if w.Report.Verdict != report.Complete && root != nil && w.Kind == "Deployment" && len(w.Revisions) > 0 && w.Previous() == nil &&
		w.Template != nil && historyOff(e, w) {
		w.Add(e.Note(NoRevisionHistory, "revisionHistoryLimit is 0: no older revision exists for a rollback"))
	}
	if w.Target != nil && w.Target.ChangeLog != "" {
		if p := w.Previous(); p != nil && p.ChangeLog == w.Target.ChangeLog && w.Report.Verdict != report.Complete {
			w.Add(e.Note(StaleChangeCause, "change-cause %q is the same as that of %s: probably not rewritten",
				plain.OneLine(w.Target.ChangeLog), model.Label(p)))
		}
	}
	place(e, w)
}

func historyOff(e *model.Evaluation, w *model.Workload) bool {
	d := e.Deployments[w.Meta.UID]
	return len(d) > 0 && d[0].Spec.RevisionHistoryLimit != nil && *d[0].Spec.RevisionHistoryLimit == 0
}
