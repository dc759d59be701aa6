package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// unhealthyNodes: every eligible node is cordoned or unhealthy, so the pod waits for those, whatever the others lack.
func unhealthyNodes(e *model.Evaluation, c *model.Cause, fits []nodeFit) {
	var names []string
	cordoned := true
	for _, f := range fits {
		if f.fault {
			names = append(names, f.node.Name+" ("+f.static+")")
			cordoned = cordoned && f.node.Spec.Unschedulable
		}
	}
	recode(c, codes.UntoleratedTaint)
	if cordoned {
		recode(c, codes.NodesCordoned)
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

func recode(c *model.Cause, code finding.Code) {
	c.Recode(code)
	c.Key = string(code)
}
