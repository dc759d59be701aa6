package kinds

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// notObserving reports why the controller has not acted on the latest change.
func notObserving(e *model.Evaluation, w *model.Workload, what string) {
	since := e.Now.Sub(templateWritten(w.Meta))
	if templateWritten(w.Meta).IsZero() {
		since = e.Now.Sub(w.Meta.CreationTimestamp.Time)
	}
	if since < 5*time.Second {
		w.Moving = "the controller has not observed the latest change yet"
		return
	}
	f := e.Finding(codes.SpecUpdateNotObserved, report.Transient, "the controller has not acted: %s", what)
	f.SelfHealing, f.Confidence, f.FirstSeen = "maybe", "medium", plain.TimePtr(e.Now.Add(-since))
	f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "metadata.generation", what, templateWritten(w.Meta))}
	if refusal.NamespaceTerminating(e, w) {
		return
	}
	text, lease := e.ControllerLease("kube-controller-manager")
	if text != "" {
		f.Message += "; " + text
		f.Evidence = append(f.Evidence, lease)
		f.Confidence = "high"
	}
	f.Next = []finding.Next{e.ControllerStep("kube-controller-manager", lease)}
	w.Add(f)
}
