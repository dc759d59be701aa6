// Package subject is what a check of a node looks at, the form of a rule, and how findings, evidence and next steps are put.
package subject

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// Case is what a check looks at: a node, and what builds the commands that come next.
type Case struct {
	*facts.Node

	Kubectl finding.Kubectl
}

// Rule is a finding with its code, its catalog entry, its causes and its check.
type Rule = finding.Rule[Case]

// Found is a finding about the node; severity and title are the catalog's where a check does not say otherwise.
func (c *Case) Found(message string, evidence []finding.Evidence, next ...finding.Next) finding.Finding {
	return finding.Finding{
		Message: message, Object: &finding.ObjectRef{Kind: "Node", Name: c.Object.Name}, Evidence: evidence, Next: next,
	}
}

// One is the list of a finding that can be there once.
func (c *Case) One(message string, evidence []finding.Evidence, next ...finding.Next) []finding.Finding {
	return []finding.Finding{c.Found(message, evidence, next...)}
}

// About makes a pod the object of a finding.
func About(f finding.Finding, p *facts.Pod) finding.Finding {
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
	return f
}

// Ago is the age of a moment, as "3m".
func (c *Case) Ago(t time.Time) string { return output.Age(c.Age(t)) }

// ConditionEvidence is a condition as it is posted.
func ConditionEvidence(c *corev1.NodeCondition) finding.Evidence {
	value := string(c.Status)
	if c.Reason != "" {
		value += " (" + c.Reason + ")"
	}
	if c.Message != "" {
		value += ": " + c.Message
	}
	return finding.Evidence{
		Source: "Node", Path: "status.conditions[" + string(c.Type) + "]", Value: value, Time: facts.Time(c.LastTransitionTime.Time),
	}
}

// Beginning dates findings.
func Beginning(at time.Time, list []finding.Finding) []finding.Finding {
	for i := range list {
		list[i].Began = at
	}
	return list
}

// Look is a command that changes nothing.
func (c *Case) Look(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: c.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}
}

// Change is a command that changes what can be changed back.
func (c *Case) Change(why string, args ...string) finding.Next {
	return finding.Next{Command: c.Kubectl.Command("", args...), Why: why, Risk: finding.Change}
}

// OnNode is a command for the node itself, where kubectl cannot help.
func OnNode(command, why string, answers ...string) finding.Next {
	return finding.Next{Command: command, Why: why, Answers: answers, Risk: finding.Read}
}

// Answered adds what the answers of a step mean.
func Answered(step finding.Next, answers ...string) finding.Next {
	step.Answers = answers
	return step
}

// Describe reads the node as kubectl describes it.
func (c *Case) Describe(why string) finding.Next {
	return c.Look(why, "", "describe", "node", c.Object.Name)
}

// RecheckStep looks once more.
func (c *Case) RecheckStep() finding.Next {
	return c.Look("Check again in 30 seconds", "", "nodeinfo", c.Object.Name)
}

// KubeletLog leads on where the events of the node, which the report lists, name what the kubelet met.
func KubeletLog() finding.Next {
	return OnNode("journalctl -u kubelet -n 100 --no-pager", "On the node, read the log of the kubelet")
}

// PodsHere lists the pods on the node.
func (c *Case) PodsHere(why string) finding.Next {
	return c.Look(why, "", "get", "pods", "-A", "-o", "wide", "--field-selector", "spec.nodeName="+c.Object.Name)
}
