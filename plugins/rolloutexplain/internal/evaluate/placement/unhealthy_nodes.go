package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
)

const (
	UntoleratedTaint finding.Code = "UntoleratedTaint"
	NodesCordoned    finding.Code = "NodesCordoned"
)

var unhealthyNodesRules = []rule.Rule{
	{Layer: rule.LayerPod, Place: true, Bears: []string{"tolerations", "nodeSelector", "affinity"}, Entry: finding.Entry{
		Code: UntoleratedTaint, Severity: finding.Critical, Title: "Pod does not tolerate the node taints",
		Meaning:  "Each node that is left has a taint that the pod does not tolerate.",
		Evidence: "\"untolerated taint\" in the pod condition PodScheduled; taints of the nodes.",
		Next:     "Add a toleration, or repair the nodes that are not ready.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: NodesCordoned, Severity: finding.Critical, Title: "Eligible nodes are cordoned",
		Meaning:  "The nodes that could run the pod are cordoned (spec.unschedulable).",
		Evidence: "\"were unschedulable\" in the pod condition PodScheduled; spec.unschedulable of the nodes.",
		Next:     "Run kubectl uncordon for a node once its maintenance is done.",
	}},
}

// unhealthyNodes: every eligible node is cordoned or unhealthy, so the pod waits for those, whatever the others lack.
func unhealthyNodes(e *model.Evaluation, c *model.Cause, fits []nodeFit) {
	var names []string
	cordoned := true
	for _, f := range fits {
		if f.fault {
			names = append(names, f.node.Name+" ("+f.static+")")
			c.At = append(c.At, finding.ObjectRef{Kind: "Node", Name: f.node.Name})
			cordoned = cordoned && f.node.Spec.Unschedulable
		}
	}
	recode(e, c, UntoleratedTaint)
	if cordoned {
		recode(e, c, NodesCordoned)
	}
	if c.Target != "" {
		c.Message += "; cordoned or unhealthy is " + plain.List(names, 5)
	} else {
		c.Says("all eligible nodes are cordoned or unhealthy: %s", plain.List(names, 5))
	}
	c.WithNext(e.NextCluster(finding.Read, "Check the first of these nodes", "nodeinfo", firstFault(fits)))
}

func firstFault(fits []nodeFit) string {
	return fits[slices.IndexFunc(fits, func(f nodeFit) bool { return f.fault })].node.Name
}

// absentTopology is the label by which a pod must be spread and that no node has.
func absentTopology(p *model.Pod, fits []nodeFit) string {
	for _, t := range p.Spec.TopologySpreadConstraints {
		has := func(f nodeFit) bool { _, ok := f.node.Labels[t.TopologyKey]; return ok }
		if t.WhenUnsatisfiable == corev1.DoNotSchedule && !slices.ContainsFunc(fits, has) {
			return t.TopologyKey
		}
	}
	return ""
}

func recode(e *model.Evaluation, c *model.Cause, code finding.Code) {
	e.Recode(c, code)
	c.Key = string(code)
}
