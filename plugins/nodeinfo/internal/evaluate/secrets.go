package evaluate

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// quoted are texts that were masked already, and what is shown of them: the nodes of a fleet say the same.
type quoted map[string]string

func (q quoted) hide(text string) string {
	hidden, ok := q[text]
	if !ok {
		hidden = short(text)
		q[text] = hidden
	}
	return hidden
}

// hideNode masks what a report quotes: kubelets, registries, webhooks and drivers may repeat a password in what they say. It is
// the last step, so that everything is judged by the real text. Only fields that quote are looked at: a fleet has millions of
// texts.
func (q quoted) hideNode(n *report.Node) {
	n.Summary = q.hide(n.Summary)
	for k := range n.Findings {
		hideFinding(&n.Findings[k])
	}
	for k := range n.Consequences {
		n.Consequences[k].Message = short(n.Consequences[k].Message)
	}
	if n.Events != nil {
		for k := range n.Events.Items {
			n.Events.Items[k].Message = short(n.Events.Items[k].Message)
		}
	}
	if n.Health != nil {
		n.Health.Kubelet = short(n.Health.Kubelet)
		for k := range n.Health.Conditions {
			n.Health.Conditions[k].Message = q.hide(n.Health.Conditions[k].Message)
		}
	}
	if n.Pods != nil {
		for k := range n.Pods.Problems {
			n.Pods.Problems[k].Message = short(n.Pods.Problems[k].Message)
		}
	}
	if n.Autoscaler != nil {
		q.hideAutoscaler(n.Autoscaler)
	}
	for k := range n.Sources {
		n.Sources[k].Message = q.hide(n.Sources[k].Message)
	}
}

// hideAutoscaler masks what clouds and controllers say of machines.
func (q quoted) hideAutoscaler(a *report.Autoscaler) {
	if a.NodeClaim != nil {
		for k := range a.NodeClaim.Conditions {
			a.NodeClaim.Conditions[k].Message = q.hide(a.NodeClaim.Conditions[k].Message)
		}
	}
	if a.Reported != nil {
		a.Reported.Message = q.hide(a.Reported.Message)
	}
	if a.NodeGroup != nil {
		a.NodeGroup.ScaleUp = q.hide(a.NodeGroup.ScaleUp)
	}
	if a.Waiting != nil {
		a.Waiting.Message = q.hide(a.Waiting.Message)
	}
}

// hide is hideNode for what every report of the whole cluster quotes.
func hide(summary *string, findings []finding.Finding, consequences []finding.Consequence, sources source.List) {
	*summary = short(*summary)
	for i := range findings {
		hideFinding(&findings[i])
	}
	for i := range consequences {
		consequences[i].Message = short(consequences[i].Message)
	}
	for i := range sources {
		sources[i].Message = short(sources[i].Message)
	}
}

func short(text string) string { return mask.Short(text, mask.Longest) }

func hideFinding(f *finding.Finding) {
	f.Message = short(f.Message)
	for i := range f.Evidence {
		f.Evidence[i].Value = short(f.Evidence[i].Value)
	}
	for i := range f.Next {
		f.Next[i].Command = mask.Text(f.Next[i].Command)
	}
}
