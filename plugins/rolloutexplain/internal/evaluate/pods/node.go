package pods

import (
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	NodeNotReady finding.Code = "NodeNotReady"
	NodeNotFound finding.Code = "NodeNotFound"
)

var nodeRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"nodeName"}, Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "Node is not ready",
		Meaning: "The node of the pod is not ready or has not reported. This does not indicate a fault of the " +
			"application.",
		Evidence: "Node condition Ready not True, or the node Lease in kube-node-lease not renewed.",
		Next:     "Run kubectl nodeinfo for the node.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"nodeName"}, Entry: finding.Entry{
		Code: NodeNotFound, Severity: finding.Warning, Title: "Node of the pod does not exist",
		Meaning: "The pod is bound to a node that does not exist. Such a pod never starts and is deleted by the control " +
			"plane; where spec.nodeName in the pod template names the node, each new pod meets the same problem.",
		Evidence: "Pod spec.nodeName, and no Node of that name.",
		Next:     "Correct or remove spec.nodeName in the pod template, or wait until the pod is replaced.",
	}},
}

// askNode asks for one node; a table of many asks for all of them once.
func askNode(e *model.Evaluation, name string) {
	if e.Opts.Wide {
		e.Asks.Have(model.Need{Kind: model.NeedNodes})
		return
	}
	e.Asks.Have(model.Need{Kind: model.NeedNode, Name: name})
}

// nodeCause: a pod on a node that does not report says nothing about the application.
func nodeCause(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	askNode(e, p.Spec.NodeName)
	if e.Node(p.Spec.NodeName) == nil {
		return nodeAbsent(e, w, p)
	}
	t := troubleOf(e, p.Spec.NodeName)
	if t == nil {
		return nil
	}
	found := e.Cause(p, model.StageNode, NodeNotReady, report.Transient, "node %s %s%s", p.Spec.NodeName, t.text, t.detail)
	return found.WithKey(p.Spec.NodeName).Since(t.since).WithEvidence(t.evidence).
		WithNext(e.NextCluster(finding.Read, "Find out why the node is not ready", "nodeinfo", p.Spec.NodeName))
}

// nodeTrouble is why a node cannot be relied on.
type nodeTrouble struct {
	text     string // "is not ready (KubeletNotReady)"
	detail   string // what the kubelet says: ": container runtime is down"
	evidence finding.Evidence
	since    time.Time
}

// troubleOf gives nil for a node that is not known, or well. Only with its lease is a dead node known whose Ready nobody
// has taken back; a table of many goes by Ready alone, because a lease for each node is too much to ask.
func troubleOf(e *model.Evaluation, name string) *nodeTrouble {
	askNode(e, name)
	n := e.Node(name)
	if n == nil {
		return nil
	}
	r := nodefact.ReadinessOf(n, nodeLease(e, name), e.Now, nodefact.Patience)
	c := r.Condition
	switch {
	case c == nil, r.State == nodefact.Ready:
		return nil
	case r.State == nodefact.Silent && c.Status != corev1.ConditionUnknown:
		quiet := plain.Age(r.Heartbeat.Age)
		return &nodeTrouble{
			text:     fmt.Sprintf("has not reported for %s, but its Ready condition is still %s", quiet, c.Status),
			evidence: plain.Evidence("Lease "+corev1.NamespaceNodeLease+"/"+name, "spec.renewTime", "renewed "+quiet+" ago", r.Heartbeat.Received),
			since:    r.Heartbeat.Received,
		}
	}
	return &nodeTrouble{
		text: fmt.Sprintf("is not ready (%s)", c.Reason), detail: ": " + strings.TrimSuffix(plain.OneLine(c.Message), "."),
		since:    c.LastTransitionTime.Time,
		evidence: plain.Evidence("Node "+name, "status.conditions[Ready]", string(c.Status)+" "+c.Reason, c.LastTransitionTime.Time),
	}
}

// nodeLease is the heartbeat of a node, nil where it is not known.
func nodeLease(e *model.Evaluation, name string) *coordinationv1.Lease {
	if e.Opts.Wide || !e.Asks.Have(model.Need{Kind: model.NeedLease, Namespace: corev1.NamespaceNodeLease, Name: name}) {
		return nil
	}
	for i := range e.In.Leases {
		if l := &e.In.Leases[i]; l.Namespace == corev1.NamespaceNodeLease && l.Name == name {
			return l
		}
	}
	return nil
}

// nodeAbsent: a pod that is bound to a node that does not exist, as by a slip in the template's nodeName. Such pods are
// deleted within a minute and recreated, so that none of them ever looks old.
func nodeAbsent(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	state := e.In.Sources.Get("nodes").State
	read := e.Asks.Made(model.Need{Kind: model.NeedNode, Name: p.Spec.NodeName}) || e.Asks.Made(model.Need{Kind: model.NeedNodes})
	if !read || state != source.OK && state != source.Absent {
		return nil
	}
	c := e.Cause(p, model.StageNode, NodeNotFound, report.Transient,
		"the pod is bound to node %s, which does not exist", p.Spec.NodeName).
		WithKey(p.Spec.NodeName).Since(p.CreationTimestamp.Time).
		WithEvidence(plain.Evidence("Pod "+p.Name, "spec.nodeName", p.Spec.NodeName, p.CreationTimestamp.Time))
	if w.Template != nil && w.Template.Spec.NodeName == p.Spec.NodeName {
		c.Class, c.Severity, c.SelfHealing = report.LikelyFatal, finding.Critical, "no"
		c.Message += "; the pod template sets nodeName, which bypasses the scheduler"
	}
	return c.WithNext(e.NextCluster(finding.Read, "List the existing nodes", "get", "nodes"))
}
