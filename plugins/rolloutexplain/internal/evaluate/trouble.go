package evaluate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// nodesInTrouble: every node that is wanted is cordoned or ill, so the pod waits for those, whatever the others lack.
func (e *evaluator) nodesInTrouble(c *cause, fits []nodeFit) {
	var names []string
	cordoned := true
	for _, f := range fits {
		if f.fault {
			names = append(names, f.node.Name+" ("+f.static+")")
			cordoned = cordoned && f.node.Spec.Unschedulable
		}
	}
	c.recode(codes.TaintNotTolerated)
	if cordoned {
		c.recode(codes.NodesCordoned)
	}
	c.Message = fmt.Sprintf("it waits for nodes in trouble, the only ones that may take it: %s; %s", plain.List(names, 5), c.Message)
	c.then(e.cluster(finding.Read, "what is wrong with the first of them", "nodeinfo", firstFault(fits)))
}

func firstFault(fits []nodeFit) string {
	return fits[slices.IndexFunc(fits, func(f nodeFit) bool { return f.fault })].node.Name
}

// absentTopology is the label by which a pod must be spread and that no node has.
func absentTopology(p *pod, fits []nodeFit) string {
	for _, t := range p.Spec.TopologySpreadConstraints {
		has := func(f nodeFit) bool { _, ok := f.node.Labels[t.TopologyKey]; return ok }
		if t.WhenUnsatisfiable == corev1.DoNotSchedule && !slices.ContainsFunc(fits, has) {
			return t.TopologyKey
		}
	}
	return ""
}

func (c *cause) recode(code string) { c.Code, c.Title, c.key = code, codes.Title(code), code }
