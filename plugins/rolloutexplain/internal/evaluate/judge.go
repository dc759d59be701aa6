package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// judge gives the verdict and makes sure that a rollout that does not move has a root.
func (e *evaluator) judge(w *workload) *report.Finding {
	root := w.root()
	r := w.rep
	switch {
	case w.meta.DeletionTimestamp != nil && w.kind != "Pod":
		r.Verdict = report.Superseded
		r.Summary = fmt.Sprintf("%s is being deleted, since %s", w.slash(), plain.Age(e.now.Sub(w.meta.DeletionTimestamp.Time)))
		return nil
	case e.opts.Revision != 0 && w.target != nil && w.target.number != e.opts.Revision:
		r.Verdict, r.Summary = report.Superseded, fmt.Sprintf("revision %d is not the wanted one any more: that is %s", e.opts.Revision, label(w.target))
		return nil
	case !e.in.Sources.Get(SourcePods).Readable() && !w.settled && root == nil:
		r.Verdict, r.Summary = report.Unknown, "it is not complete, and its pods cannot be read: "+e.in.Sources.Get(SourcePods).Gap()
		return nil
	case w.settled:
		return e.judgeSettled(w, root)
	case root == nil:
		return e.judgeWithoutCause(w)
	}
	r.Summary = root.Message
	deadline := w.has(codes.DeadlineExceeded)
	switch {
	case w.completed && (codes.HoldsFast(root) && codes.Crashes(root.Code) || e.wasUp(w)) && root.Class != report.HeldClass:
		r.Verdict = report.Degraded
		e.brokeAfter(w)
	case root.Class == report.HeldClass:
		r.Verdict = report.Held
	case root.Class == report.Fatal || deadline:
		r.Verdict = report.Failed
	case codes.HoldsFast(root):
		r.Verdict = report.Stuck
	case e.overdue(w, root):
		r.Verdict = report.Stuck
	default:
		r.Verdict = report.Progressing
	}
	return root
}

// stuckAfter is how long a cause that may heal by itself can last before the rollout is called stuck. --wait does not
// fail on it: it only stops calling it progress.
const stuckAfter = 2 * time.Minute

func (e *evaluator) overdue(w *workload, root *report.Finding) bool {
	if root.Heals == "yes" || root.FirstSeen == nil || e.now.Sub(*root.FirstSeen) < stuckAfter || e.progressedWithin(w, stuckAfter) {
		return false
	}
	return root.Code != codes.StartupPending && root.Code != codes.InitRunning && root.Code != codes.SidecarNotStarted || e.now.Sub(*root.FirstSeen) > 10*time.Minute
}

// progressedWithin says whether a pod of the wanted revision has become ready lately.
func (e *evaluator) progressedWithin(w *workload, d time.Duration) bool {
	return slices.ContainsFunc(w.newPods(), func(p *pod) bool { return p.ready && e.now.Sub(p.readySince) < d })
}

// wasUp says whether a pod that is not available now has been ready before: its Ready condition changed long after the
// pod began.
func (e *evaluator) wasUp(w *workload) bool {
	return slices.ContainsFunc(live(w.newPods()), func(p *pod) bool { return !p.ready && !neverReady(p) })
}

// neverReady says whether a pod has not been ready so far: its Ready condition is as old as the pod.
func neverReady(p *pod) bool {
	c, began := podCondition(p.Pod, "Ready"), podCondition(p.Pod, "Initialized")
	if p.ready {
		return false
	}
	return c == nil || began == nil || c.LastTransitionTime.Sub(began.LastTransitionTime.Time) <= time.Second || !c.LastTransitionTime.After(p.CreationTimestamp.Time)
}

func (w *workload) root() *report.Finding {
	if len(w.findings) > 0 && w.findings[0].Role == report.Root {
		return &w.findings[0]
	}
	return nil
}

// judgeSettled: the counters say complete; a container that keeps crashing behind them says otherwise.
func (e *evaluator) judgeSettled(w *workload, root *report.Finding) *report.Finding {
	r := w.rep
	if root != nil && (codes.Crashes(root.Code) || root.Code == codes.Evicted) && (root.Attempts >= 2 || w.kind == "Job") {
		r.Verdict, r.Summary = report.Degraded, root.Message
		e.brokeAfter(w)
		return root
	}
	r.Verdict = report.Complete
	for i := range w.findings {
		if w.findings[i].Role == report.Root {
			w.findings[i].Role = report.Unrelated
		}
	}
	of := ""
	if w.target != nil {
		of = ", " + label(w.target)
	}
	switch {
	case w.kind == "Job":
		r.Summary = fmt.Sprintf("the Job is complete: %d of %d succeeded", plain.Or(r.Counts.Updated, 0), plain.Or(r.Counts.Desired, 0))
	case w.kind == "Pod":
		r.Summary = "the pod is available"
	case w.desired == 0:
		r.Summary = "0 pods are wanted" + of
	default:
		r.Summary = fmt.Sprintf("all %d updated and available%s", w.desired, of)
	}
	return nil
}

// judgeWithoutCause: young, it moves; old, nothing that is checked explains it, and that is said.
func (e *evaluator) judgeWithoutCause(w *workload) *report.Finding {
	r := w.rep
	waiting := selectPods(live(w.newPods()), func(p *pod) bool { return !p.available })
	since := w.started
	for _, p := range w.pods {
		for _, t := range []time.Time{p.CreationTimestamp.Time, p.readySince} {
			if t.After(since) {
				since = t
			}
		}
		if p.terminating {
			w.moving = cmp.Or(w.moving, "pods are ending")
		}
	}
	if quiet := e.now.Sub(since); quiet > unexplainedAfter && w.moving == "" {
		f := e.finding(codes.Unexplained, report.Transient, finding.Warning, "it is not complete, and nothing that was checked explains why (no progress for %s)", plain.Age(quiet))
		f.Confidence, f.Heals, f.FirstSeen, f.Pods = "low", "maybe", plain.TimePtr(since), podNames(waiting)
		f.Evidence = []finding.Evidence{plain.Evidence(w.kind+" "+w.meta.Name, "status", fmt.Sprintf("%d of %d updated, %d available", plain.Or(r.Counts.Updated, 0), w.desired, plain.Or(r.Counts.Available, 0)), plain.NoTime)}
		f.Next = []finding.Next{e.next(w, finding.Read, "everything the cluster says of it", "describe", w.slash())}
		w.findings = append([]report.Finding{f}, w.findings...)
		r.Verdict, r.Summary = report.Unknown, f.Message
		return &w.findings[0]
	}
	r.Verdict = report.Progressing
	switch {
	case w.moving != "":
		r.Summary = w.moving
	case len(waiting) > 0:
		r.Summary = fmt.Sprintf("%s starting, for %s", plain.Plural(len(waiting), "pod is", "pods are"), plain.Age(e.now.Sub(oldest(waiting))))
	default:
		r.Summary = fmt.Sprintf("%d of %d updated, %d available", plain.Or(r.Counts.Updated, 0), plain.Or(r.Counts.Desired, 0), plain.Or(r.Counts.Available, 0))
	}
	return nil
}

// unexplainedAfter is how long a rollout may stand still without a cause before that is called unknown.
const unexplainedAfter = 60 * time.Second

func oldest(pods []*pod) time.Time {
	at := pods[0].CreationTimestamp.Time
	for _, p := range pods {
		if p.CreationTimestamp.Time.Before(at) {
			at = p.CreationTimestamp.Time
		}
	}
	return at
}

// brokeAfter says that the rollout had finished before: no deadline runs any more.
func (e *evaluator) brokeAfter(w *workload) {
	f := e.note(codes.BrokeAfterCompletion, "the rollout had been complete; its pods broke afterwards, and no deadline runs for that")
	f.Role = report.Consequence
	w.findings = append(w.findings, f)
	e.rankKeepingRoot(w)
}

func (e *evaluator) rankKeepingRoot(w *workload) {
	slices.SortStableFunc(w.findings, func(a, b report.Finding) int { return roleRank(a.Role) - roleRank(b.Role) })
}

// afterwards adds what is worth knowing beside the cause.
func (e *evaluator) afterwards(w *workload, root *report.Finding) {
	if w.settled && w.rep.Verdict == report.Complete && w.kind != "Job" {
		if ending := selectPods(w.pods, func(p *pod) bool { return p.terminating }); len(ending) > 0 {
			f := e.note(codes.StillEnding, "%s still ending: complete by the counters, and still using room and quota", plain.Plural(len(ending), "old pod is", "old pods are"))
			f.Pods = podNames(ending)
			w.add(f)
		}
	}
	if w.rep.Verdict != report.Complete && root != nil && w.kind == "Deployment" && len(w.revisions) > 0 && w.previous() == nil && w.template != nil && e.historyOff(w) {
		w.add(e.note(codes.NoHistory, "revisionHistoryLimit is 0: there is no older revision to go back to"))
	}
	if w.target != nil && w.target.changeLog != "" {
		if p := w.previous(); p != nil && p.changeLog == w.target.changeLog && w.rep.Verdict != report.Complete {
			w.add(e.note(codes.StaleChangeCause, "the change-cause %q is the same as of %s: it was probably not rewritten", plain.OneLine(w.target.changeLog), label(p)))
		}
	}
	e.rankKeepingRoot(w)
}

func (e *evaluator) historyOff(w *workload) bool {
	for i := range e.in.Deployments {
		if d := &e.in.Deployments[i]; d.UID == w.meta.UID {
			return d.Spec.RevisionHistoryLimit != nil && *d.Spec.RevisionHistoryLimit == 0
		}
	}
	return false
}
