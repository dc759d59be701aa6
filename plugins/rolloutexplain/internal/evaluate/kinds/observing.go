package kinds

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const SpecUpdateNotObserved finding.Code = "SpecUpdateNotObserved"

var observingRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: SpecUpdateNotObserved, Severity: finding.Critical, Title: "Controller has not observed the latest change",
		Meaning: "The latest change is stored in the API, but the controller has not processed it. The controller is " +
			"down, delayed, or fails on this object.",
		Evidence: "metadata.generation above status.observedGeneration, or no ReplicaSet for the current pod template, " +
			"5s after the change; the controller's Lease in kube-system.",
		Next: "Check the controller's Lease and the events of the object.",
	}},
}

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
	f := e.Finding(SpecUpdateNotObserved, report.Transient, "the controller has not acted: %s", what)
	f.SelfHealing, f.Confidence, f.FirstSeen = "maybe", "medium", plain.TimePtr(e.Now.Add(-since))
	f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "metadata.generation", what, templateWritten(w.Meta))}
	if refusal.EndingNamespace(e, w) {
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
