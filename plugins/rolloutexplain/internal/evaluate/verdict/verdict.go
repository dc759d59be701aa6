package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const NoCauseFound finding.Code = "NoCauseFound"

var verdictRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: NoCauseFound, Severity: finding.Warning, Title: "Rollout is not complete and no cause was found",
		Meaning:  "The rollout is not complete and has made no progress, and no check of this command explains why.",
		Evidence: "Updated and available replicas below the desired number, without progress for more than 60s.",
		Next:     "Run kubectl describe for the object.",
	}},
}

// judge gives the verdict, and a root cause to each rollout that makes no progress.
func judge(e *model.Evaluation, w *model.Workload) *report.Finding {
	root := w.Root()
	r := w.Report
	switch {
	case w.Meta.DeletionTimestamp != nil && w.Kind != "Pod":
		beingDeleted(e, w)
		return nil
	case e.Opts.Revision != 0 && w.Target != nil && w.Target.Number != e.Opts.Revision:
		r.Verdict, r.Summary = report.Superseded,
			fmt.Sprintf("revision %d is no longer the updated revision: that is now %s", e.Opts.Revision, model.Label(w.Target))
		return nil
	case !e.In.Sources.Get(model.SourcePods).Readable() && !w.Settled && root == nil:
		unread(e, w)
		return nil
	case w.Settled:
		return judgeSettled(e, w, root)
	case root == nil:
		return judgeWithoutCause(e, w)
	}
	r.Summary = root.Message
	r.Verdict = verdictOf(e, w, root)
	if r.Verdict == report.Progressing && e.Rules.Of(root.Code).Slow {
		root.Severity = finding.Info
	}
	if r.Verdict == report.Degraded {
		brokeAfter(e, w)
	}
	return root
}

// verdictOf is what the root makes of a rollout that is not complete.
func verdictOf(e *model.Evaluation, w *model.Workload, root *report.Finding) report.Verdict {
	switch {
	case root.Class == report.PausedClass:
		return report.OnHold
	case w.Completed && root.Code != pods.ExecFormatError && (crashes(e, root) && begun(w) || wasUp(e, w)):
		return report.Degraded
	case root.Class == report.Fatal, w.Has(kinds.ProgressDeadlineExceeded), w.Has(kinds.ArgoDegraded):
		return report.Failed
	case e.Rules.IsPersistent(root), overdue(e, w, root):
		return report.Stuck
	}
	return report.Progressing
}

func crashes(e *model.Evaluation, root *report.Finding) bool {
	return e.Rules.IsPersistent(root) && e.Rules.Of(root.Code).Crashes
}

// begun says whether a rollout that its counters call completed was. The condition of a Deployment says so. The other kinds
// have none, and their first rollout counts as completed before any pod has worked: there a pod must have been ready, or be so
// much younger than its revision that another has been in its place.
func begun(w *model.Workload) bool {
	return w.Kind == "Deployment" || slices.ContainsFunc(model.CountedPods(w.NewPods()), func(p *model.Pod) bool {
		return !model.NeverReady(p) || w.Target != nil && p.CreationTimestamp.Sub(w.Target.Created) > replacedAfter
	})
}

// replacedAfter is how much younger than its revision a pod may be and still be the first of it.
const replacedAfter = 10 * time.Minute

// stuckAfter is how long a cause that may heal by itself can last before the rollout is called stuck. --wait does not
// fail on it: it only stops calling it progress.
const stuckAfter = 2 * time.Minute

func overdue(e *model.Evaluation, w *model.Workload, root *report.Finding) bool {
	if root.SelfHealing == "yes" || root.FirstSeen == nil || e.Now.Sub(*root.FirstSeen) < stuckAfter || progressedWithin(e, w, stuckAfter) {
		return false
	}
	return !e.Rules.Of(root.Code).Slow || e.Now.Sub(*root.FirstSeen) > 10*time.Minute
}

// progressedWithin says whether a pod of the wanted revision has become ready lately.
func progressedWithin(e *model.Evaluation, w *model.Workload, d time.Duration) bool {
	return slices.ContainsFunc(w.NewPods(), func(p *model.Pod) bool { return p.Ready && e.Now.Sub(p.ReadySince) < d })
}

// wasUp says whether a pod that is not available now has been ready before: its Ready condition changed long after the
// pod began.
func wasUp(e *model.Evaluation, w *model.Workload) bool {
	return slices.ContainsFunc(model.CountedPods(w.NewPods()), func(p *model.Pod) bool { return !p.Ready && !model.NeverReady(p) })
}

// judgeSettled: the counters say complete; a container that keeps crashing behind them says otherwise.
func judgeSettled(e *model.Evaluation, w *model.Workload, root *report.Finding) *report.Finding {
	r := w.Report
	if root != nil && (e.Rules.Of(root.Code).Crashes || root.Code == pods.Evicted) && (root.Attempts >= 2 || w.Kind == "Job") {
		r.Verdict, r.Summary = report.Degraded, root.Message
		brokeAfter(e, w)
		return root
	}
	r.Verdict = report.Complete
	for i := range w.Findings {
		if w.Findings[i].Stance == finding.Blocks {
			w.Findings[i].Stance = finding.Beside // nothing waits any more
		}
	}
	place(e, w)
	if f := unexplained(e, w); f != nil {
		r.Verdict, r.Summary = report.Degraded, f.Message
		return f
	}
	r.Summary = settledWords(w)
	if gaps := w.UnreadOfSettled(e); gaps != "" && looksBehind(w) {
		r.Summary += "; not checked: " + gaps
	}
	return nil
}

// settledWords says what a rollout has come to whose counters say complete.
func settledWords(w *model.Workload) string {
	r := w.Report
	of := ""
	if w.Target != nil {
		of = ", " + model.Label(w.Target)
	}
	switch {
	case w.Kind == "Job":
		return fmt.Sprintf("the Job is complete: %d of %d pods succeeded", plain.Or(r.Counts.Updated, 0), plain.Or(r.Counts.Desired, 0))
	case w.Kind == "Pod":
		return "the pod is available"
	case w.Desired == 0:
		return "scaled to 0 replicas" + of
	}
	return fmt.Sprintf("all %d replicas are updated and available%s", w.Desired, of)
}

// judgeWithoutCause: young, it moves; old, nothing that is checked explains it, and that is said.
func judgeWithoutCause(e *model.Evaluation, w *model.Workload) *report.Finding {
	r := w.Report
	waiting := model.Select(model.CountedPods(w.NewPods()), func(p *model.Pod) bool { return !p.Available })
	since := w.Started
	for _, p := range w.Pods {
		for _, t := range []time.Time{p.CreationTimestamp.Time, p.ReadySince} {
			if t.After(since) {
				since = t
			}
		}
		if p.Terminating {
			w.Moving = cmp.Or(w.Moving, "pods are terminating")
		}
	}
	if quiet := e.Now.Sub(since); quiet > unexplainedAfter && w.Moving == "" {
		for _, p := range waiting {
			e.PodEvents(p)
		}
		if unread(e, w) {
			return nil
		}
		f := e.Finding(NoCauseFound, report.Transient,
			"the rollout is not complete, and no check explains why (no progress for %s)", plain.Age(quiet))
		f.Confidence, f.SelfHealing, f.FirstSeen, f.Pods = "low", "maybe", plain.TimePtr(since), model.Names(waiting)
		counts := fmt.Sprintf("%d of %d replicas updated, %d available",
			plain.Or(r.Counts.Updated, 0), w.Desired, plain.Or(r.Counts.Available, 0))
		f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "status", counts, plain.NoTime)}
		f.Next = []finding.Next{e.Next(w, finding.Read, "Read the complete spec and status of the workload",
			"get", w.Slash(), "-o", "yaml")}
		w.Add(f)
		place(e, w)
		r.Verdict, r.Summary = report.Unknown, f.Message
		return &w.Findings[0]
	}
	r.Verdict = report.Progressing
	switch {
	case w.Moving != "":
		r.Summary = w.Moving
	case len(waiting) > 0:
		r.Summary = fmt.Sprintf("%s been starting for %s",
			plain.Plural(len(waiting), "pod has", "pods have"), plain.Age(e.Now.Sub(oldest(waiting))))
	default:
		r.Summary = fmt.Sprintf("%d of %d replicas updated, %d available", plain.Or(r.Counts.Updated, 0), plain.Or(r.Counts.Desired, 0),
			plain.Or(r.Counts.Available, 0))
	}
	return nil
}

// unread says so where a cause may be in what was not read; false: no check lacked anything.
func unread(e *model.Evaluation, w *model.Workload) bool {
	gaps := w.Unread(e)
	if gaps == "" {
		return false
	}
	w.Report.Verdict, w.Report.Summary = report.Unknown, "the rollout is not complete; unknown why: "+gaps
	return true
}

// unexplainedAfter is how long a rollout may stand still without a cause before that is called unknown.
const unexplainedAfter = 60 * time.Second

func oldest(pods []*model.Pod) time.Time {
	at := pods[0].CreationTimestamp.Time
	for _, p := range pods {
		if p.CreationTimestamp.Time.Before(at) {
			at = p.CreationTimestamp.Time
		}
	}
	return at
}
