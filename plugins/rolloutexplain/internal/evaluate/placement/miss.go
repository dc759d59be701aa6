package placement

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// selectorMiss names a wanted label that no node has, and the values that are there instead.
func selectorMiss(p *model.Pod, fits []nodeFit) string {
	keys := make([]string, 0, len(p.Spec.NodeSelector))
	for key := range p.Spec.NodeSelector {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		want, have := p.Spec.NodeSelector[key], map[string]bool{}
		for _, f := range fits {
			if v, ok := f.node.Labels[key]; ok {
				have[v] = true
			}
		}
		if have[want] {
			continue
		}
		if len(have) == 0 {
			return fmt.Sprintf("it wants nodes with label %s=%s, and no node has the label %s", key, want, key)
		}
		values := make([]string, 0, len(have))
		for v := range have {
			values = append(values, v)
		}
		slices.Sort(values)
		return fmt.Sprintf("it wants nodes with label %s=%s; nodes have %s", key, want, plain.List(values, 5))
	}
	return affinityMiss(p, fits)
}

// affinityMiss says the same of the expressions of a required node affinity.
func affinityMiss(p *model.Pod, fits []nodeFit) string {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, x := range term.MatchExpressions {
			if x.Operator != corev1.NodeSelectorOpIn ||
				slices.ContainsFunc(fits, func(f nodeFit) bool { return slices.Contains(x.Values, f.node.Labels[x.Key]) }) {
				continue
			}
			have := map[string]bool{}
			for _, f := range fits {
				if v, ok := f.node.Labels[x.Key]; ok {
					have[v] = true
				}
			}
			if len(have) == 0 {
				return fmt.Sprintf("its affinity wants %s in (%s), and no node has that label", x.Key, plain.List(x.Values, 5))
			}
			return fmt.Sprintf("its affinity wants %s in (%s), which no node has", x.Key, plain.List(x.Values, 5))
		}
	}
	return ""
}
