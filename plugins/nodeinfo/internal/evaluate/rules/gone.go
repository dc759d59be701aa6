package rules

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// NodeDeleted is the one code of a node that does not exist: no check can look at it.
const NodeDeleted finding.Code = "NodeDeleted"

var nodeDeleted = subject.Rule{
	Entry: finding.Entry{
		Code:     NodeDeleted,
		Severity: finding.Critical,
		Title:    "Node object was deleted",
		Meaning: "The Node object does not exist any more, but pods are still bound to it or events and a Lease of it remain. A kubelet that " +
			"is still running does not register itself again until it is restarted; the control plane deletes the pods after a while.",
		Evidence: "RemovingNode event of the node controller, pods with this spec.nodeName, and the Lease in kube-node-lease.",
		Next:     "If the machine is to stay in the cluster, restart its kubelet; otherwise shut the machine down.",
	},
}

// Gone are the findings about a Node object that does not exist: what is left of it, and the request of a machine that joins.
func Gone(g *facts.Gone, kubectl finding.Kubectl) []finding.Finding {
	var list []finding.Finding
	if g.Left() {
		list = append(list, deleted(g, kubectl))
	}
	if g.Request != nil {
		object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: g.Name}}
		message, evidence, next := machine.Joins(&subject.Case{Node: &facts.Node{Now: g.Now, Object: object}, Kubectl: kubectl}, g.Request)
		f := book.New(machine.KubeletCertificateNotIssued, message)
		f.Severity, f.Object = finding.Critical, &finding.ObjectRef{Kind: "Node", Name: g.Name}
		f.Evidence, f.Next = []finding.Evidence{evidence}, next
		list = append(list, f)
	}
	return list
}

func deleted(g *facts.Gone, kubectl finding.Kubectl) finding.Finding {
	message, evidence := "the Node object does not exist", []finding.Evidence(nil)
	if e := g.Removed; e != nil {
		message = fmt.Sprintf("the Node object was deleted %s ago (event %s)", output.Age(g.Now.Sub(e.Last)), e.Reason)
		evidence = append(evidence, finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)})
	}
	if len(g.Pods) > 0 {
		message += fmt.Sprintf("; %s still bound to it", output.Plural(len(g.Pods), "pod is", "pods are"))
		var names []string
		for i, p := range g.Pods {
			if i == 5 {
				names = append(names, fmt.Sprintf("%d more", len(g.Pods)-i))
				break
			}
			names = append(names, p.Namespace+"/"+p.Name)
		}
		evidence = append(evidence, finding.Evidence{Source: "Pods", Path: "spec.nodeName", Value: strings.Join(names, ", ")})
	}
	if !g.Beat.Received.IsZero() {
		age := output.Age(g.Now.Sub(g.Beat.Received))
		if g.Beat.Beat == nodefact.Fresh {
			message += fmt.Sprintf("; its Lease was renewed %s ago", age)
		}
		evidence = append(evidence, finding.Evidence{
			Source: "Lease kube-node-lease/" + g.Name, Path: "spec.renewTime", Value: "renewed " + age + " ago", Time: facts.Time(g.Beat.Received),
		})
	}
	c := &subject.Case{Kubectl: kubectl}
	f := book.New(NodeDeleted, message)
	f.Object, f.Evidence = &finding.ObjectRef{Kind: "Node", Name: g.Name}, evidence
	f.Next = []finding.Next{
		c.Look("List the pods that are still bound to the node", "", "get", "pods", "-A", "-o", "wide", "--field-selector",
			"spec.nodeName="+g.Name),
		{
			Command: "systemctl restart kubelet; journalctl -u kubelet -n 50 --no-pager", Risk: finding.Change,
			Why: "On the node, restart the kubelet if the machine is to stay in the cluster",
			Answers: []string{"kubectl get nodes lists the node again: its labels, taints and cordon are those of the kubelet's " +
				"configuration, not the former ones"},
		},
	}
	return f
}
