package verdict

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// beingDeleted: an object that is being deleted rolls nothing out any more, and no apply calls the deletion back. What matters
// is the deletion and what it waits for; its pods' troubles are only told.
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion
func beingDeleted(e *model.Evaluation, w *model.Workload) {
	since, held := w.Meta.DeletionTimestamp.Time, slices.Clone(w.Meta.Finalizers)
	for i := range w.Findings {
		w.Findings[i].Stance = finding.Beside
	}
	w.Report.NextAction, w.Report.Timers = nil, nil
	words := fmt.Sprintf("the %s is being deleted (for %s), which cannot be undone", w.Kind, plain.Age(e.Now.Sub(since)))
	foreground := slices.Contains(held, metav1.FinalizerDeleteDependents)
	held = slices.DeleteFunc(held, func(f string) bool {
		return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
	})
	switch {
	case len(held) > 0:
		words = fmt.Sprintf("the %s is being deleted (for %s), and finalizer %s remains", w.Kind,
			plain.Age(e.Now.Sub(since)), plain.List(held, 3))
	case foreground:
		words += "; it goes after the objects that it owns (foreground deletion)"
	}
	w.Report.Verdict, w.Report.Summary = report.Superseded, words
	if len(held) > 0 {
		f := e.Finding(pods.FinalizerBlocksDeletion, report.Transient, "%s", words)
		f.SelfHealing, f.Confidence, f.FirstSeen = "maybe", "high", plain.TimePtr(since)
		f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "metadata.finalizers", strings.Join(held, ", "), since)}
		f.Next = []finding.Next{e.Next(w, finding.Read, "Show which client set the finalizer", "get", w.Slash(), "-o", "yaml",
			"--show-managed-fields")}
		w.Add(f)
	}
	place(e, w)
}
