package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// group is one cause over all the pods that have it.
type group struct {
	*model.Cause
	pods  []*model.Pod
	isNew bool
}

// groupCauses joins equal causes, the widest first. New and old pods stay apart: only pods of the wanted revision can be
// what the rollout fails of.
func groupCauses(causes []*model.Cause) []*group {
	byKey := map[string]*group{}
	var groups []*group
	for _, c := range causes {
		key := fmt.Sprintf("%v|%s|%s|%s|%v", c.Pod.IsNew, c.Code, c.Finding.Container, c.Key, c.Pod.Terminating)
		g := byKey[key]
		if g == nil {
			g = &group{Cause: c, isNew: c.Pod.IsNew}
			byKey[key] = g
			groups = append(groups, g)
		} else {
			g.merge(c)
		}
		g.pods = append(g.pods, c.Pod)
	}
	sorting.Func(groups, func(a, b *group) int {
		return cmp.Or(
			plain.Int(b.isNew)-plain.Int(a.isNew),
			len(b.pods)-len(a.pods),
			a.Stage-b.Stage,
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Finding.Container, b.Finding.Container), cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.pods[0].Name, b.pods[0].Name),
		)
	})
	return groups
}

// merge keeps the example that has been tried most, with a log if any has one.
func (g *group) merge(c *model.Cause) {
	log, first := g.Log, g.FirstSeen
	if c.Attempts > g.Attempts || c.Attempts == g.Attempts && c.Log != nil && g.Log == nil {
		g.Cause = c
	}
	if g.Log == nil {
		g.Log = log
	}
	if first != nil && (g.FirstSeen == nil || first.Before(*g.FirstSeen)) {
		g.FirstSeen = first
	} else if c.FirstSeen != nil && (g.FirstSeen == nil || c.FirstSeen.Before(*g.FirstSeen)) {
		g.FirstSeen = c.FirstSeen
	}
}

// finding puts the pods before the cause: "all 2 new pods: container …".
func (g *group) finding(w *model.Workload) report.Finding {
	f := g.Finding
	f.Message, f.Pods = g.Sentence(), model.Names(g.pods)
	if w.Settled && allDead(g) && !evictedAgain(g) {
		f.Severity = finding.Info // others have taken their place
	}
	slices.Sort(f.Pods)
	all := model.CountedPods(w.NewPods())
	which := "new"
	if !g.isNew {
		all, which = model.CountedPods(w.OldPods()), "old"
	}
	if w.Settled || w.Kind == "Job" || len(w.OldPods()) == 0 {
		which = ""
	}
	switch word := strings.TrimSpace(which + " pod"); {
	case g.Many != "" && len(g.pods) > 1:
		f.Message = fmt.Sprintf("%ss %s and %d more %s", word, g.Cause.Pod.Name, len(g.pods)-1, g.Many)
	case g.Many != "": // the message begins with the pod
	case len(g.pods) == 1:
		f.Message = word + " " + g.pods[0].Name + g.onNodes() + ": " + f.Message
	case len(g.pods) >= len(all):
		f.Message = fmt.Sprintf("all %d %ss%s: %s", len(g.pods), word, g.onNodes(), f.Message)
	default:
		f.Message = fmt.Sprintf("%d of %d %ss%s: %s", len(g.pods), len(all), word, g.onNodes(), f.Message)
	}
	if node := onlyNode(g.pods, all); node != "" && !strings.Contains(f.Message, node) {
		f.Message += "; all of these pods are on node " + node
	}
	if len(f.At) == 0 {
		f.At = nodesOf(g.pods)
	}
	if len(g.pods) > 0 {
		p := g.Cause.Pod
		f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
	}
	return f
}

// nodesOf are the nodes of pods, each once; none where a pod has no node yet.
func nodesOf(pods []*model.Pod) []finding.ObjectRef {
	var list []finding.ObjectRef
	for _, p := range pods {
		if p.Spec.NodeName == "" {
			return nil
		}
		if node := (finding.ObjectRef{Kind: "Node", Name: p.Spec.NodeName}); !slices.Contains(list, node) {
			list = append(list, node)
		}
	}
	sorting.Func(list, func(a, b finding.ObjectRef) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// onNodes names the only nodes on which the pods can run.
func (g *group) onNodes() string {
	if g.Target == "" {
		return ""
	}
	nodes := targetNodes(g.pods)
	if len(nodes) == 1 {
		return " cannot run on node " + nodes[0]
	}
	return " cannot run on nodes " + plain.List(nodes, 6)
}

// targetNodes are the nodes that daemon pods are for.
func targetNodes(pods []*model.Pod) []string {
	nodes := make([]string, 0, len(pods))
	for _, p := range pods {
		nodes = append(nodes, model.TargetNode(p))
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// onlyNode names the node that tells sick pods from healthy ones.
func onlyNode(sick, all []*model.Pod) string {
	if len(sick) < 2 || len(sick) >= len(all) {
		return ""
	}
	node := sick[0].Spec.NodeName
	for _, p := range all {
		if (p.Spec.NodeName == node) != slices.ContainsFunc(sick, func(s *model.Pod) bool { return s == p }) {
			return ""
		}
	}
	return node
}
