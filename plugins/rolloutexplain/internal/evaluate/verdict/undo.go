package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// managerOf names a GitOps or package tool that would apply its own template again.
func managerOf(w *model.Workload) string {
	a, l := w.Meta.Annotations, w.Meta.Labels
	switch {
	case a["argocd.argoproj.io/tracking-id"] != "" || l["argocd.argoproj.io/instance"] != "":
		return "Argo CD"
	case l["kustomize.toolkit.fluxcd.io/name"] != "" || l["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux"
	case a["meta.helm.sh/release-name"] != "" || l["app.kubernetes.io/managed-by"] == "Helm":
		return "Helm"
	}
	for _, f := range w.Meta.ManagedFields {
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
func onlyOld(w *model.Workload, f *report.Finding) bool {
	return len(f.Pods) > 0 && !slices.ContainsFunc(w.Pods, func(p *model.Pod) bool { return p.IsNew && slices.Contains(f.Pods, p.Name) })
}

// undo decides whether a rollback would cure the root cause, and says why not where it would not.
func undo(e *model.Evaluation, w *model.Workload, root *report.Finding, shared bool) {
	if root == nil || !undoAsked(e, w, root) {
		return
	}
	u := &report.Rollback{}
	w.Report.Rollback = u
	if root.Code == codes.StatefulSetPodNotReplaced {
		u.Why = "a rollback alone changes nothing: the broken pod has to be deleted"
		return
	}
	if onlyOld(w, root) {
		u.Why = "the pod in trouble is of an old revision already: going back would not cure it"
		return
	}
	to := w.RollbackTarget()
	if to == nil {
		u.Why = "there is no older revision to go back to"
		return
	}
	u.Revision, u.Name = to.Number, to.Name
	if u.Why = undoVain(w, to, shared); u.Why != "" {
		return
	}
	if to != w.Previous() {
		w.Report.Changes = changes(w, to)
	}
	d := w.Report.Changes
	var relevant []report.Change
	if d != nil {
		relevant = diff.Mark(d.Changes, root)
	}
	if d != nil && len(relevant) == 0 && root.Code != codes.ReplicaSetCreateError && root.Code != codes.ProgressDeadlineExceeded {
		u.Why = fmt.Sprintf("nothing that changed since %s bears on this: going back would leave it to the next rollout", model.Label(to))
		return
	}
	if manager := managerOf(w); manager != "" {
		u.Why = fmt.Sprintf("%s manages this %s and would apply its own template again: revert it there, to what %s had", manager, w.Kind,
			model.Label(to))
		return
	}
	adviseUndo(e, w, root, to, relevant)
}

// undoAsked says whether going back is a question at all: for a cause that may come of the template and is past waiting.
func undoAsked(e *model.Evaluation, w *model.Workload, root *report.Finding) bool {
	if w.Kind == "Job" || w.Kind == model.KindArgo {
		return false
	}
	ofController := root.Code == codes.ReplicaSetCreateError || root.Code == codes.ProgressDeadlineExceeded || root.Code == codes.StatefulSetPodNotReplaced
	if !diff.Bears(root.Code) && !ofController {
		return false
	}
	if !codes.HoldsFast(root) && root.Code != codes.ReadinessProbeFailing && root.Code != codes.PodReadinessFlapping && w.Report.Verdict != report.Degraded {
		return false
	}
	return root.Code == codes.StatefulSetPodNotReplaced || w.RevisionsKnown(e)
}

// undoVain is why going back to a revision would not help, whatever changed since; empty: nothing says so.
func undoVain(w *model.Workload, to *model.Revision, shared bool) string {
	switch {
	case w.Has(codes.DeploymentPaused):
		return "a paused Deployment cannot be rolled back: resume it first"
	case shared:
		return "old pods have the same trouble, so the cause is not this change: a rollback would not help"
	case w.AllBroken(to):
		return fmt.Sprintf("no pod of %s is ready either: look first at what both revisions share (a dependency, a node, a ConfigMap)",
			model.Label(to))
	}
	return ""
}

func adviseUndo(e *model.Evaluation, w *model.Workload, root *report.Finding, to *model.Revision, relevant []report.Change) {
	u := w.Report.Rollback
	u.Advised = true
	u.Command = e.Kubectl.Command(w.Meta.Namespace, "rollout", "undo", w.Slash(), fmt.Sprintf("--to-revision=%d", to.Number))
	good := w.Describe(to)
	u.Why = fmt.Sprintf("back to %s", model.Label(to))
	if good.KnownGoodReason != "" {
		u.Why += ": " + good.KnownGoodReason
	} else {
		u.Why += "; that it works is not proven"
	}
	if relevant = report.Fold(relevant); len(relevant) > 0 {
		words := make([]string, 0, 3)
		for _, c := range relevant[:min(3, len(relevant))] {
			words = append(words, diff.Say(c))
		}
		root.Evidence = append(root.Evidence,
			finding.Evidence{Source: "change", Path: model.Label(to) + " to " + model.Label(w.Target), Value: strings.Join(words, "; ")})
	}
	root.Next = append([]finding.Next{{Command: u.Command, Why: u.Why, Risk: finding.Change}}, root.Next...)
	if w.KeepsBroken() {
		broken := model.Select(model.Live(w.NewPods()), func(p *model.Pod) bool { return !p.Ready })
		if len(broken) > 0 {
			u.Why += "; the broken pod must be deleted afterwards, the controller does not replace it"
			next := e.Next(w, finding.Destructive, "after the undo: delete the broken pod: the controller does not replace it",
				append([]string{"delete", "pod"}, model.Names(broken)...)...)
			root.Next = append(root.Next[:1:1], append([]finding.Next{next}, root.Next[1:]...)...)
		}
	}
}
