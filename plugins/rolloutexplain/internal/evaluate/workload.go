package evaluate

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// undated takes every pod for one that the rollout waits for, where nothing tells which of them are old.
func undated(w *model.Workload) {
	for _, p := range w.Pods {
		p.IsNew = true
	}
	w.Report.Counts.Old, w.Report.Counts.UpdatedReady, w.Ageless = nil, nil, true
}

// startOfRevision dates the rollout: evidence that is older than this is not about it. A ReplicaSet that a rollback uses
// again is older than its rollout; then the workload's own record of writes tells.
func startOfRevision(w *model.Workload) {
	switch {
	case w.Target == nil:
		w.Started = templateWritten(w.Meta)
	case w.Target.Number > 0 && w.Target != w.Revisions[len(w.Revisions)-1]:
		w.Started = templateWritten(w.Meta)
	default:
		w.Started = w.Target.Created
	}
	if w.Started.IsZero() {
		w.Started = w.Meta.CreationTimestamp.Time
	}
}

// templateWritten is when spec.template was written last, by managedFields; zero when they do not tell.
func templateWritten(meta *metav1.ObjectMeta) time.Time {
	var at time.Time
	for _, f := range meta.ManagedFields {
		if f.Time != nil && f.FieldsV1 != nil && f.Subresource == "" && strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:template"`) && f.Time.After(at) {
			at = f.Time.Time
		}
	}
	return at
}

// notObserving asks why the controller has not acted on the newest change.
func notObserving(e *model.Evaluation, w *model.Workload, what string) {
	since := e.Now.Sub(templateWritten(w.Meta))
	if templateWritten(w.Meta).IsZero() {
		since = e.Now.Sub(w.Meta.CreationTimestamp.Time)
	}
	if since < 5*time.Second {
		w.Moving = "the controller has not seen the newest change yet"
		return
	}
	f := e.Finding(codes.ControllerNotObserving, report.Transient, finding.Critical, "the controller has not acted: %s", what)
	f.Heals, f.Confidence, f.FirstSeen = "maybe", "medium", plain.TimePtr(e.Now.Add(-since))
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
	f.Next = []finding.Next{
		{Command: e.Kubectl.Command("kube-system", "get", "lease", "kube-controller-manager", "-o", "yaml"), Why: "is the controller-manager alive: renewTime must be seconds old", Risk: finding.Read},
		e.Next(w, finding.Read, "does the object itself fail: look at its events", "describe", w.Slash()),
	}
	w.Add(f)
}
