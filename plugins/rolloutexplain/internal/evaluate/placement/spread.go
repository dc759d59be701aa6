package placement

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const TopologySpreadUnsatisfied finding.Code = "TopologySpreadUnsatisfied"

var spreadRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"topologySpread"}, Entry: finding.Entry{
		Code: TopologySpreadUnsatisfied, Severity: finding.Critical, Title: "Topology spread constraints exclude every node",
		Meaning:  "The topology spread constraints with whenUnsatisfiable DoNotSchedule exclude every node.",
		Evidence: "\"topology spread\" in the pod condition PodScheduled.",
		Next:     "Check the node labels of the topology key and the skew of its domains.",
	}},
}

// classBySpread counts again what the scheduler counts for a hard spread. A node whose taint the pod does not tolerate is a
// domain all the same, and an empty one, unless nodeTaintsPolicy is Honor; old pods count as well as new ones.
// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#topologyspreadconstraints-field
func classBySpread(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, fits []nodeFit) {
	for i := range p.Spec.TopologySpreadConstraints {
		t := &p.Spec.TopologySpreadConstraints[i]
		if t.WhenUnsatisfiable != corev1.DoNotSchedule {
			continue
		}
		all := model.CountedPods(w.Pods)
		if !spreadExcludes(t, p, all, fits) {
			continue
		}
		if node := emptyByTaint(t, p, all, fits); node != nil && cannotMove(w) {
			c.Class, c.SelfHealing = report.LikelyFatal, "no"
			c.Says("the topology spread by %s counts node %s as an empty domain, although the pod does not tolerate its %s "+
				"(nodeTaintsPolicy Ignore)", t.TopologyKey, node.node.Name, node.static)
			c.Message += fmt.Sprintf("; maxSkew %d then excludes every other node", t.MaxSkew)
			c.WithNext(honorTaints(e, w, i)...)
			return
		}
		if !spreadExcludes(t, p, model.CountedPods(w.NewPods()), fits) {
			heldByOld(e, w, c, model.CountedPods(w.OldPods()), "topology spread by "+t.TopologyKey)
		}
		return
	}
}

func honorTaints(e *model.Evaluation, w *model.Workload, constraint int) []finding.Next {
	if w.Kind == "Pod" || w.Kind == "Job" || w.Kind == model.KindArgo {
		return nil // a template that cannot be changed, or not by a patch of this path
	}
	return []finding.Next{e.Next(w, finding.Change, "Count only nodes whose taints the pod tolerates", "patch", w.Slash(), "--type=json", "-p",
		fmt.Sprintf(`[{"op":"add","path":"/spec/template/spec/topologySpreadConstraints/%d/nodeTaintsPolicy","value":"Honor"}]`, constraint))}
}

// spreadExcludes says whether a constraint alone keeps a pod off every node that is for it, with these pods placed.
func spreadExcludes(t *corev1.TopologySpreadConstraint, p *model.Pod, placed []*model.Pod, fits []nodeFit) bool {
	count, ok := domains(t, p, placed, fits)
	if !ok {
		return false
	}
	least := slices.Min(slices.Collect(maps.Values(count)))
	if t.MinDomains != nil && len(count) < int(*t.MinDomains) {
		least = 0
	}
	return !slices.ContainsFunc(fits, func(f nodeFit) bool {
		value, has := f.node.Labels[t.TopologyKey]
		return has && f.static == "" && count[value]+1-least <= int(t.MaxSkew)
	})
}

// emptyByTaint gives a node that keeps the least domain down and takes no pod for its taint; nil: none, or another does, too.
func emptyByTaint(t *corev1.TopologySpreadConstraint, p *model.Pod, placed []*model.Pod, fits []nodeFit) *nodeFit {
	count, ok := domains(t, p, placed, fits)
	if !ok || plain.Or(t.NodeTaintsPolicy, corev1.NodeInclusionPolicyIgnore) == corev1.NodeInclusionPolicyHonor {
		return nil
	}
	least := slices.Min(slices.Collect(maps.Values(count)))
	var found *nodeFit
	for i := range fits {
		f := &fits[i]
		value, has := f.node.Labels[t.TopologyKey]
		switch {
		case !has || count[value] != least:
		case !f.tainted:
			return nil
		case found == nil || f.node.Name < found.node.Name:
			found = f
		}
	}
	return found
}

// domains counts the pods of each value of the topology key among nodes that the constraint counts; false: it counts by what
// is not known here.
func domains(t *corev1.TopologySpreadConstraint, p *model.Pod, placed []*model.Pod, fits []nodeFit) (map[string]int, bool) {
	selector, err := metav1.LabelSelectorAsSelector(t.LabelSelector)
	if err != nil {
		return nil, false
	}
	count, of := map[string]int{}, map[string]string{}
	for _, f := range fits {
		value, has := f.node.Labels[t.TopologyKey]
		unwanted := f.static != "" && !f.tainted && !f.node.Spec.Unschedulable &&
			plain.Or(t.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor) == corev1.NodeInclusionPolicyHonor
		refused := f.tainted && plain.Or(t.NodeTaintsPolicy, corev1.NodeInclusionPolicyIgnore) == corev1.NodeInclusionPolicyHonor
		if has && !unwanted && !refused {
			count[value] += 0
			of[f.node.Name] = value
		}
	}
	for _, q := range placed {
		value, counted := of[q.Spec.NodeName]
		if counted && selector.Matches(labels.Set(q.Labels)) && sameKeys(t.MatchLabelKeys, p, q) {
			count[value]++
		}
	}
	return count, len(count) > 0
}

func sameKeys(keys []string, p, q *model.Pod) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { return p.Labels[key] != q.Labels[key] })
}
