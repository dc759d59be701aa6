package refusal

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const NamespaceTerminating finding.Code = "NamespaceTerminating"

var namespaceRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: NamespaceTerminating, Severity: finding.Critical, Title: "Namespace is terminating",
		Meaning: "The namespace is being deleted, so no new object can be created in it. Controllers do not report the " +
			"rejections that follow.",
		Evidence: "Namespace status.phase Terminating.",
		Next:     "Check what the deletion of the namespace waits for.",
	}},
}

// EndingNamespace reports a namespace that is being deleted: controllers do not report the rejections that follow.
func EndingNamespace(e *model.Evaluation, w *model.Workload) bool {
	e.Asks.Have(model.Need{Kind: model.NeedNamespace, Name: w.Meta.Namespace})
	for i := range e.In.Namespaces {
		ns := &e.In.Namespaces[i]
		if ns.Name != w.Meta.Namespace || ns.Status.Phase != corev1.NamespaceTerminating {
			continue
		}
		if w.Has(NamespaceTerminating) {
			return true
		}
		f := e.Finding(NamespaceTerminating, report.Fatal,
			"namespace %q is being deleted: no new object can be created", ns.Name)
		f.SelfHealing, f.Confidence = "no", "high"
		if ns.DeletionTimestamp != nil {
			f.FirstSeen = plain.TimePtr(ns.DeletionTimestamp.Time)
		}
		f.Evidence = []finding.Evidence{plain.Evidence("Namespace "+ns.Name, "status.phase", "Terminating", plain.Or(f.FirstSeen, time.Time{}))}
		for _, c := range ns.Status.Conditions {
			if c.Status == corev1.ConditionTrue {
				f.Evidence = append(f.Evidence,
					plain.Evidence("Namespace "+ns.Name, "status.conditions["+string(c.Type)+"]", c.Message, c.LastTransitionTime.Time))
			}
		}
		f.Next = []finding.Next{e.NextCluster(finding.Read, "Show what the deletion of the namespace waits for", "get", "namespace",
			ns.Name, "-o",
			"jsonpath={.status.conditions}")}
		w.Add(f)
		return true
	}
	return false
}
