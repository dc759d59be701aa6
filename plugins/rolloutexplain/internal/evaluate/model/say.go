package model

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Finding makes a cause of a code, with the catalog's title and severity.
func (e *Evaluation) Finding(code finding.Code, class report.Class, format string, args ...any) report.Finding {
	return report.Finding{Finding: e.Rules.New(code, fmt.Sprintf(format, args...)), Class: class}
}

// Note makes a remark that explains and blocks nothing.
func (e *Evaluation) Note(code finding.Code, format string, args ...any) report.Finding {
	f := e.Finding(code, report.Info, format, args...)
	f.Severity, f.Stance = finding.Info, finding.Beside
	return f
}

// Next is a command for an object of the workload's namespace.
func (e *Evaluation) Next(w *Workload, risk finding.Risk, why string, args ...string) finding.Next {
	return finding.Next{Command: e.Kubectl.Command(w.Meta.Namespace, args...), Why: why, Risk: risk}
}

// NextCluster is next for objects without a namespace.
func (e *Evaluation) NextCluster(risk finding.Risk, why string, args ...string) finding.Next {
	return finding.Next{Command: e.Kubectl.Command("", args...), Why: why, Risk: risk}
}

// Mutators lists what may change objects as they are created, with the resources that each is asked about.
func (e *Evaluation) Mutators(objects string) finding.Next {
	return e.NextCluster(finding.Read, "Find the webhook or policy that changes "+objects, "get",
		"mutatingwebhookconfigurations,mutatingadmissionpolicies", "-o",
		"custom-columns=KIND:.kind,NAME:.metadata.name,HOOKS:.webhooks[*].rules[*].resources,"+
			"POLICY:.spec.matchConstraints.resourceRules[*].resources")
}
