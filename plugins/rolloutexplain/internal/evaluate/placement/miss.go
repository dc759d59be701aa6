package placement

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// selectorMiss names a required label that no node has, and the values that nodes have instead.
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
			return fmt.Sprintf("the pod requires node label %s=%s; no node has label %s", key, want, key)
		}
		values := make([]string, 0, len(have))
		for v := range have {
			values = append(values, v)
		}
		slices.Sort(values)
		return fmt.Sprintf("the pod requires node label %s=%s; the nodes have %s", key, want, plain.List(values, 5))
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
				return fmt.Sprintf("the node affinity requires %s in (%s); no node has label %s", x.Key, plain.List(x.Values, 5), x.Key)
			}
			return fmt.Sprintf("the node affinity requires %s in (%s); no node has such a value", x.Key, plain.List(x.Values, 5))
		}
	}
	return ""
}
