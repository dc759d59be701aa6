// Package rules holds the findings about a node: for each its code, what the catalog says of it, what it follows from, and
// the check. A check goes by the facts alone, and none depends on another's having run.
package rules

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

// found is a finding about the node; severity and title are the catalog's where a check does not say otherwise.
func (c *Case) found(message string, evidence []finding.Evidence, next ...finding.Next) finding.Finding {
	return finding.Finding{
		Message: message, Object: &finding.ObjectRef{Kind: "Node", Name: c.Object.Name}, Evidence: evidence, Next: next,
	}
}

// one is the list of a finding that can be there once.
func (c *Case) one(message string, evidence []finding.Evidence, next ...finding.Next) []finding.Finding {
	return []finding.Finding{c.found(message, evidence, next...)}
}

// about makes a pod the object of a finding.
func about(f finding.Finding, p *facts.Pod) finding.Finding {
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
	return f
}

// ago is the age of a moment, as "3m".
func (c *Case) ago(t time.Time) string { return output.Age(c.Age(t)) }

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

// look is a command that changes nothing.
func (c *Case) look(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: c.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}
}

// change is a command that changes what can be changed back.
func (c *Case) change(why string, args ...string) finding.Next {
	return finding.Next{Command: c.Kubectl.Command("", args...), Why: why, Risk: finding.Change}
}

// onNode is a command for the node itself, where kubectl cannot help.
func onNode(command, why string, answers ...string) finding.Next {
	return finding.Next{Command: command, Why: why, Answers: answers, Risk: finding.Read}
}

// answered adds what the answers of a step mean.
func answered(step finding.Next, answers ...string) finding.Next {
	step.Answers = answers
	return step
}

func (c *Case) describe(why string) finding.Next {
	return c.look(why, "", "describe", "node", c.Object.Name)
}

func (c *Case) recheckStep() finding.Next {
	return c.look("Check again in 30 seconds", "", "nodeinfo", c.Object.Name)
}

// kubeletLog leads on where the events of the node, which the report lists, name what the kubelet met.
func kubeletLog() finding.Next {
	return onNode("journalctl -u kubelet -n 100 --no-pager", "On the node, read the log of the kubelet")
}

func (c *Case) podsHere(why string) finding.Next {
	return c.look(why, "", "get", "pods", "-A", "-o", "wide", "--field-selector", "spec.nodeName="+c.Object.Name)
}
