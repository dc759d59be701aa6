package verdict

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/lookup"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
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

// rollback decides whether a rollback would fix the root cause, and says why not where it would not.
func rollback(e *model.Evaluation, w *model.Workload, root *report.Finding, shared bool) {
	if root == nil || !rollbackPossible(e, w, root) {
		return
	}
	u := &report.Rollback{}
	w.Report.Rollback = u
	if root.Code == kinds.StatefulSetPodNotReplaced {
		u.Why = "a rollback alone has no effect: the broken pod must be deleted"
		return
	}
	if onlyOld(w, root) {
		u.Why = "the failing pod already has an old revision: a rollback would not fix it"
		return
	}
	to := w.RollbackTarget()
	if to == nil {
		u.Why = "no older revision exists"
		return
	}
	u.Revision, u.Name = to.Number, to.Name
	if u.Why = rollbackInVain(e, w, root, to, shared); u.Why != "" {
		return
	}
	if to != w.Previous() {
		w.Report.Changes = changes(w, to)
	}
	d := w.Report.Changes
	var relevant []report.Change
	if d != nil {
		relevant = diff.Mark(d.Changes, root, pods.Bears(e, root))
	}
	if d != nil && len(relevant) == 0 && root.Code != kinds.ReplicaSetCreateError && root.Code != kinds.ProgressDeadlineExceeded {
		u.Why = fmt.Sprintf("no change since %s is related: after a rollback, the next rollout would meet the same problem", model.Label(to))
		return
	}
	if manager := managerOf(w); manager != "" {
		u.Why = fmt.Sprintf("%s manages this %s and would apply its own template again: revert the change in %[1]s, to the template of %[3]s",
			manager, w.Kind, model.Label(to))
		return
	}
	adviseRollback(e, w, root, to, relevant)
}

// rollbackPossible says whether a rollback is possible at all: for a cause that may come of the template and is past waiting.
func rollbackPossible(e *model.Evaluation, w *model.Workload, root *report.Finding) bool {
	if w.Kind == "Job" || w.Kind == model.KindArgo {
		return false
	}
	ofController := root.Code == kinds.ReplicaSetCreateError || root.Code == kinds.ProgressDeadlineExceeded ||
		root.Code == kinds.StatefulSetPodNotReplaced
	if e.Rules.Of(root.Code).Bears == nil && !ofController {
		return false
	}
	unready := root.Code == pods.ReadinessProbeFailing || root.Code == pods.PodReadinessFlapping
	if !e.Rules.IsPersistent(root) && !unready && w.Report.Verdict != report.Degraded {
		return false
	}
	return root.Code == kinds.StatefulSetPodNotReplaced || w.RevisionsKnown(e)
}

// rollbackInVain is why a rollback to a revision would not help, whatever changed since; empty: nothing says so.
func rollbackInVain(e *model.Evaluation, w *model.Workload, root *report.Finding, to *model.Revision, shared bool) string {
	switch {
	case w.Has(kinds.DeploymentPaused):
		return "a paused Deployment cannot be rolled back"
	case shared:
		return "old pods have the same problem, so this change is not the cause: a rollback would not help"
	case w.AllBroken(to):
		return fmt.Sprintf("no pod of %s is ready either: both revisions share the cause (such as a dependency, a node or a ConfigMap)",
			model.Label(to))
	}
	if p, times := crashedAlike(e, w, root, to); p != nil {
		return fmt.Sprintf("pod %s of %s ended in the same way before (%s): a rollback would not fix it", p.Name, model.Label(to),
			plain.Plural(int(times), "restart", "restarts"))
	}
	return ""
}

// crashedAlike gives a pod of an older revision whose container of the same name ended as those of the root cause do: with
// their exit code and reason, however ready it is now.
func crashedAlike(e *model.Evaluation, w *model.Workload, root *report.Finding, to *model.Revision) (*model.Pod, int32) {
	if !e.Rules.Of(root.Code).Crashes || root.Container == "" {
		return nil, 0
	}
	ends := func(p *model.Pod) (*corev1.ContainerStateTerminated, int32) {
		for _, s := range podfact.Containers(p.Pod) {
			if s.Name == root.Container {
				return podfact.End(&s), s.RestartCount
			}
		}
		return nil, 0
	}
	for _, p := range model.Select(w.NewPods(), func(p *model.Pod) bool { return slices.Contains(root.Pods, p.Name) }) {
		end, _ := ends(p)
		for _, q := range model.Select(w.Pods, func(q *model.Pod) bool { return q.Revision == to }) {
			before, times := ends(q)
			if end != nil && before != nil && before.ExitCode == end.ExitCode && before.Reason == end.Reason && times > 0 {
				return q, times
			}
		}
	}
	return nil, 0
}

func adviseRollback(e *model.Evaluation, w *model.Workload, root *report.Finding, to *model.Revision, relevant []report.Change) {
	u := w.Report.Rollback
	u.Advised = true
	u.Command = e.Kubectl.Command(w.Meta.Namespace, "rollout", "undo", w.Slash(), fmt.Sprintf("--to-revision=%d", to.Number))
	good := w.Describe(to)
	u.Why = "Roll back to " + model.Label(to)
	if good.KnownGoodReason != "" {
		u.Why += ", of which " + good.KnownGoodReason
	} else {
		u.Why += "; unknown whether that revision works"
	}
	if relevant = report.Fold(relevant); len(relevant) > 0 {
		words := make([]string, 0, 3)
		for _, c := range relevant[:min(3, len(relevant))] {
			words = append(words, diff.Say(c))
		}
		root.Evidence = append(root.Evidence,
			finding.Evidence{Source: "Template change from " + model.Label(to) + " to " + model.Label(w.Target), Value: strings.Join(words, "; ")})
	}
	root.Next = slices.Clone(root.Next) // the cause that the finding was made of has the same ones
	steps := dnsFirst(root)
	root.Next = slices.Insert(root.Next, steps, finding.Next{Command: u.Command, Why: u.Why, Risk: finding.Change})
	if w.KeepsBroken() {
		broken := model.Select(model.CountedPods(w.NewPods()), func(p *model.Pod) bool { return !p.Ready })
		if len(broken) > 0 {
			u.Why += "; then delete the broken pod"
			next := e.Next(w, finding.Destructive, "After the rollback, delete the broken pod; the controller does not replace it",
				append([]string{"delete", "pod"}, model.Names(broken)...)...)
			root.Next = slices.Insert(root.Next, steps+1, next)
		}
	}
}

// dnsFirst puts the check of DNS first where a container got no answer for a name, and gives how many steps come before a rollback: with
// servers that do not answer, it would change nothing.
func dnsFirst(root *report.Finding) int {
	i := slices.IndexFunc(root.Next, func(n finding.Next) bool { return n.Risk == finding.Read && strings.Contains(n.Command, " dns check") })
	if i < 0 {
		return 0
	}
	check := root.Next[i]
	ofProbe := strings.Contains(check.Command, " --from ")
	if !ofProbe && (root.Log == nil || !lookup.In(root.Log.Lines...).Unanswered) {
		return 0
	}
	root.Next = slices.Insert(slices.Delete(root.Next, i, i+1), 0, check)
	return 1
}
