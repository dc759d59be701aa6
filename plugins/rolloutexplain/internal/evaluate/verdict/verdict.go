package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// judge gives the verdict, and a root cause to each rollout that makes no progress.
func judge(e *model.Evaluation, w *model.Workload) *report.Finding {
	root := w.Root()
	r := w.Report
	switch {
	case w.Meta.DeletionTimestamp != nil && w.Kind != "Pod":
		r.Verdict = report.Superseded
		r.Summary = fmt.Sprintf("%s has been terminating for %s", w.Kind, plain.Age(e.Now.Sub(w.Meta.DeletionTimestamp.Time)))
		return nil
	case e.Opts.Revision != 0 && w.Target != nil && w.Target.Number != e.Opts.Revision:
		r.Verdict, r.Summary = report.Superseded,
			fmt.Sprintf("revision %d is no longer the updated revision: that is now %s", e.Opts.Revision, model.Label(w.Target))
		return nil
	case !e.In.Sources.Get(model.SourcePods).Readable() && !w.Settled && root == nil:
		r.Verdict = report.Unknown
		r.Summary = "the rollout is not complete, and the pods cannot be read: " + e.In.Sources.Get(model.SourcePods).Gap()
		return nil
	case w.Settled:
		return judgeSettled(e, w, root)
	case root == nil:
		return judgeWithoutCause(e, w)
	}
	r.Summary = root.Message
	r.Verdict = verdictOf(e, w, root)
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
	case w.Completed && (codes.IsPersistent(root) && codes.Crashes(root.Code) || wasUp(e, w)):
		return report.Degraded
	case root.Class == report.Fatal, w.Has(codes.ProgressDeadlineExceeded):
		return report.Failed
	case codes.IsPersistent(root), overdue(e, w, root):
		return report.Stuck
	}
	return report.Progressing
}

// stuckAfter is how long a cause that may heal by itself can last before the rollout is called stuck. --wait does not
// fail on it: it only stops calling it progress.
const stuckAfter = 2 * time.Minute

func overdue(e *model.Evaluation, w *model.Workload, root *report.Finding) bool {
	if root.SelfHealing == "yes" || root.FirstSeen == nil || e.Now.Sub(*root.FirstSeen) < stuckAfter || progressedWithin(e, w, stuckAfter) {
		return false
	}
	return root.Code != codes.StartupProbePending && root.Code != codes.InitContainerRunning && root.Code != codes.SidecarNotStarted ||
		e.Now.Sub(*root.FirstSeen) > 10*time.Minute
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
	if root != nil && (codes.Crashes(root.Code) || root.Code == codes.Evicted) && (root.Attempts >= 2 || w.Kind == "Job") {
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
	place(w)
	of := ""
	if w.Target != nil {
		of = ", " + model.Label(w.Target)
	}
	switch {
	case w.Kind == "Job":
		r.Summary = fmt.Sprintf("the Job is complete: %d of %d pods succeeded", plain.Or(r.Counts.Updated, 0), plain.Or(r.Counts.Desired, 0))
	case w.Kind == "Pod":
		r.Summary = "the pod is available"
	case w.Desired == 0:
		r.Summary = "scaled to 0 replicas" + of
	default:
		r.Summary = fmt.Sprintf("all %d replicas are updated and available%s", w.Desired, of)
	}
	return nil
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
		f := e.Finding(codes.NoCauseFound, report.Transient,
			"the rollout is not complete, and no check explains why (no progress for %s)", plain.Age(quiet))
		f.Confidence, f.SelfHealing, f.FirstSeen, f.Pods = "low", "maybe", plain.TimePtr(since), model.Names(waiting)
		counts := fmt.Sprintf("%d of %d replicas updated, %d available",
			plain.Or(r.Counts.Updated, 0), w.Desired, plain.Or(r.Counts.Available, 0))
		f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "status", counts, plain.NoTime)}
		f.Next = []finding.Next{e.Next(w, finding.Read, "Read the status and the events of the workload", "describe", w.Slash())}
		w.Add(f)
		place(w)
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
