package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// byNumber gives the revisions newest first. ControllerRevisions and ReplicaSets are renumbered by a rollback, so the
// name stands beside the number everywhere.
func (w *workload) byNumber() []*revision {
	sorted := slices.Clone(w.revisions)
	slices.SortStableFunc(sorted, func(a, b *revision) int { return int(b.number - a.number) })
	return sorted
}

func (w *workload) describeRevision(r *revision) report.Revision {
	out := report.Revision{Number: r.number, Name: r.name, CreatedAt: plain.TimePtr(r.created), Cause: r.changeLog, Role: "old"}
	if r == w.target {
		out.Role = "wanted"
	}
	if r.template != nil {
		for _, c := range r.template.Spec.Containers {
			out.Images = append(out.Images, c.Image)
		}
		slices.Sort(out.Images)
	}
	mine := selectPods(live(w.pods), func(p *pod) bool { return p.rev == r })
	available := selectPods(mine, func(p *pod) bool { return p.available })
	out.Pods, out.Available = plain.Count(len(mine)), plain.Count(len(available))
	if r.rs != nil {
		out.Pods, out.Available = plain.Ptr(r.rs.Status.Replicas), plain.Ptr(r.rs.Status.AvailableReplicas)
	}
	if *out.Available > 0 {
		out.KnownGood, out.GoodBecause = plain.Ptr(true), fmt.Sprintf("%s available now", plain.Plural(int(*out.Available), "pod of it is", "pods of it are"))
	}
	return out
}

// history lists the revisions, newest first. All annotations of a Deployment are copied to each new ReplicaSet, so a
// change-cause that nobody rewrote labels later revisions with an old reason.
func (w *workload) history() []report.Revision {
	sorted := w.byNumber()
	list := make([]report.Revision, 0, len(sorted))
	for i, r := range sorted {
		d := w.describeRevision(r)
		d.CauseStale = r.changeLog != "" && i+1 < len(sorted) && sorted[i+1].changeLog == r.changeLog
		list = append(list, d)
	}
	return list
}

// previous is the revision before the wanted one.
func (w *workload) previous() *revision {
	for _, r := range w.byNumber() {
		if r != w.target && (w.target == nil || r.number < w.target.number) && r.template != nil {
			return r
		}
	}
	return nil
}

func (w *workload) revisionNumber(n int64) *revision {
	for _, r := range w.revisions {
		if r.number == n {
			return r
		}
	}
	return nil
}

func label(r *revision) string {
	if r == nil {
		return "the present template"
	}
	return fmt.Sprintf("revision %d (%s)", r.number, r.name)
}

// rollbackTarget is the revision to go back to: the newest older one of which pods are available now. The revision before
// may be a rollout that failed as well. Where none is available, it is the one before.
func (w *workload) rollbackTarget() *revision {
	for _, r := range w.byNumber() {
		if r != w.target && (w.target == nil || r.number < w.target.number) && r.template != nil && *w.describeRevision(r).Available > 0 {
			return r
		}
	}
	return w.previous()
}

// changes compares the wanted template with an older revision.
func (w *workload) changes(before *revision) *report.Diff {
	if before == nil || w.template == nil {
		return nil
	}
	return &report.Diff{From: label(before), To: label(w.target), Changes: diff.Templates(before.template, w.template)}
}

// explicitDiff answers --diff=A..B.
func (e *evaluator) explicitDiff(w *workload) *report.Diff {
	if e.opts.DiffFrom == 0 && e.opts.DiffTo == 0 {
		d := w.changes(w.previous())
		if d == nil {
			d = &report.Diff{From: "nothing", To: label(w.target), Changes: []report.Change{}}
		}
		return d
	}
	to, toTemplate := w.target, w.template
	if e.opts.DiffTo != 0 {
		to = w.revisionNumber(e.opts.DiffTo)
		if to == nil {
			return &report.Diff{From: fmt.Sprintf("revision %d", e.opts.DiffFrom), To: fmt.Sprintf("revision %d, which does not exist", e.opts.DiffTo), Changes: []report.Change{}}
		}
		toTemplate = to.template
	}
	from := w.revisionNumber(e.opts.DiffFrom)
	if from == nil {
		return &report.Diff{From: fmt.Sprintf("revision %d, which does not exist", e.opts.DiffFrom), To: label(to), Changes: []report.Change{}}
	}
	return &report.Diff{From: label(from), To: label(to), Changes: diff.Templates(from.template, toTemplate)}
}

// managerOf names a GitOps or package tool that would apply its own template again.
func (w *workload) managerOf() string {
	a, l := w.meta.Annotations, w.meta.Labels
	switch {
	case a["argocd.argoproj.io/tracking-id"] != "" || l["argocd.argoproj.io/instance"] != "":
		return "Argo CD"
	case l["kustomize.toolkit.fluxcd.io/name"] != "" || l["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux"
	case a["meta.helm.sh/release-name"] != "" || l["app.kubernetes.io/managed-by"] == "Helm":
		return "Helm"
	}
	for _, f := range w.meta.ManagedFields {
		switch {
		case strings.HasPrefix(f.Manager, "argocd"):
			return "Argo CD"
		case strings.HasPrefix(f.Manager, "kustomize-controller"), strings.HasPrefix(f.Manager, "helm-controller"):
			return "Flux"
		}
	}
	return ""
}

// onlyOld says whether a cause is about pods of old revisions alone.
func onlyOld(w *workload, f *report.Finding) bool {
	return len(f.Pods) > 0 && !slices.ContainsFunc(w.pods, func(p *pod) bool { return p.isNew && slices.Contains(f.Pods, p.Name) })
}

// allBroken says that a revision has pods, and none of them is ready now.
func (w *workload) allBroken(r *revision) bool {
	pods := selectPods(live(w.pods), func(p *pod) bool { return p.rev == r })
	return len(pods) > 0 && !slices.ContainsFunc(pods, func(p *pod) bool { return p.ready || p.available })
}

// undo decides whether a rollback would cure the root cause, and says why not where it would not.
func (e *evaluator) undo(w *workload, root *report.Finding, shared bool) {
	if root == nil || w.kind == "Job" || w.kind == kindArgo || !diff.Bears(root.Code) && root.Code != codes.ReplicaSetCreateError && root.Code != codes.DeadlineExceeded && root.Code != codes.StatefulSetTrap {
		return
	}
	if !codes.HoldsFast(root) && root.Code != codes.ReadinessFailing && root.Code != codes.Flapping && w.rep.Verdict != report.Degraded {
		return
	}
	if root.Code != codes.StatefulSetTrap && !w.revisionsKnown(e) {
		return
	}
	u := &report.Undo{}
	w.rep.Undo = u
	if root.Code != codes.StatefulSetTrap && onlyOld(w, root) {
		u.Why = "the pod in trouble is of an old revision already: going back would not cure it"
		return
	}
	to := w.rollbackTarget()
	if to != nil {
		u.Revision, u.Name = to.number, to.name
	}
	switch {
	case root.Code == codes.StatefulSetTrap:
		u.Revision, u.Name = 0, ""
		u.Why = "a rollback alone changes nothing: the broken pod has to be deleted"
		return
	case to == nil:
		u.Why = "there is no older revision to go back to"
		return
	case w.has(codes.Paused):
		u.Why = "a paused Deployment cannot be rolled back: resume it first"
		return
	case shared:
		u.Why = "old pods have the same trouble, so the cause is not this change: a rollback would not help"
		return
	case w.allBroken(to):
		u.Why = fmt.Sprintf("no pod of %s is ready either: look first at what both revisions share (a dependency, a node, a ConfigMap)", label(to))
		return
	}
	if to != w.previous() {
		w.rep.Changes = w.changes(to)
	}
	d := w.rep.Changes
	var relevant []report.Change
	if d != nil {
		relevant = diff.Mark(d.Changes, root)
	}
	if d != nil && len(relevant) == 0 && root.Code != codes.ReplicaSetCreateError && root.Code != codes.DeadlineExceeded {
		u.Why = fmt.Sprintf("nothing that changed since %s bears on this: going back would leave it to the next rollout", label(to))
		return
	}
	if manager := w.managerOf(); manager != "" {
		u.Why = fmt.Sprintf("%s manages this %s and would apply its own template again: revert it there, to what %s had", manager, w.kind, label(to))
		return
	}
	e.adviseUndo(w, root, to, relevant)
}

func (e *evaluator) adviseUndo(w *workload, root *report.Finding, to *revision, relevant []report.Change) {
	u := w.rep.Undo
	u.Advised = true
	u.Command = e.kubectl.Command(w.meta.Namespace, "rollout", "undo", w.slash(), fmt.Sprintf("--to-revision=%d", to.number))
	good := w.describeRevision(to)
	u.Why = fmt.Sprintf("back to %s", label(to))
	if good.GoodBecause != "" {
		u.Why += ": " + good.GoodBecause
	} else {
		u.Why += "; that it works is not proven"
	}
	if relevant = report.Fold(relevant); len(relevant) > 0 {
		words := make([]string, 0, 3)
		for _, c := range relevant[:min(3, len(relevant))] {
			words = append(words, diff.Say(c))
		}
		root.Evidence = append(root.Evidence, finding.Evidence{Source: "change", Path: label(to) + " to " + label(w.target), Value: strings.Join(words, "; ")})
	}
	root.Next = append([]finding.Next{{Command: u.Command, Why: u.Why, Risk: finding.Change}}, root.Next...)
	if w.keepsBroken() {
		broken := selectPods(live(w.newPods()), func(p *pod) bool { return !p.ready })
		if len(broken) > 0 {
			u.Why += "; the broken pod must be deleted afterwards, the controller does not replace it"
			next := e.next(w, finding.Destructive, "after the undo: delete the broken pod: the controller does not replace it", append([]string{"delete", "pod"}, podNames(broken)...)...)
			root.Next = append(root.Next[:1:1], append([]finding.Next{next}, root.Next[1:]...)...)
		}
	}
}
