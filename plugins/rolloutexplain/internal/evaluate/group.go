package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// group is one cause over all the pods that have it.
type group struct {
	*cause
	pods  []*pod
	isNew bool
}

// groupCauses joins equal causes, the gravest and widest first. New and old pods stay apart: only pods of the wanted
// revision can be what the rollout fails of.
func groupCauses(causes []*cause) []*group {
	byKey := map[string]*group{}
	var groups []*group
	for _, c := range causes {
		key := fmt.Sprintf("%v|%s|%s|%s|%v", c.pod.isNew, c.Code, c.Finding.Container, c.key, c.pod.terminating)
		g := byKey[key]
		if g == nil {
			g = &group{cause: c, isNew: c.pod.isNew}
			byKey[key] = g
			groups = append(groups, g)
		} else {
			g.merge(c)
		}
		g.pods = append(g.pods, c.pod)
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(
			plain.Int(b.isNew)-plain.Int(a.isNew),
			gravity(&a.Finding)-gravity(&b.Finding),
			len(b.pods)-len(a.pods),
			a.stage-b.stage,
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Finding.Container, b.Finding.Container), cmp.Compare(a.key, b.key), cmp.Compare(a.pods[0].Name, b.pods[0].Name),
		)
	})
	return groups
}

// gravity orders causes within a rollout: what cannot heal before what can.
func gravity(f *report.Finding) int {
	switch {
	case f.Class == report.Fatal:
		return 0
	case codes.HoldsFast(f):
		return 1
	case f.Class == report.HeldClass:
		return 2
	case f.Class == report.Likely:
		return 3
	case f.Class == report.Transient && f.Heals != "yes":
		return 4
	}
	return 5
}

// merge keeps the example that has been tried most, with a log if any has one.
func (g *group) merge(c *cause) {
	log, first := g.Log, g.FirstSeen
	if c.Attempts > g.Attempts || c.Attempts == g.Attempts && c.Log != nil && g.Log == nil {
		g.cause = c
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
func (g *group) finding(w *workload) report.Finding {
	f := g.Finding
	f.Pods = podNames(g.pods)
	slices.Sort(f.Pods)
	if g.target != "" && len(g.pods) > 1 {
		f.Message = strings.Replace(f.Message, "node "+g.target+" does not take it", "nodes "+plain.List(targetNodes(g.pods), 6)+" do not take them", 1)
	}
	all := live(w.newPods())
	which := "new"
	if !g.isNew {
		all, which = live(w.oldPods()), "old"
	}
	if w.settled || w.kind == "Job" || len(w.oldPods()) == 0 {
		which = ""
	}
	switch word := strings.TrimSpace(which + " pod"); {
	case g.stage == stageEnd:
		if len(g.pods) > 1 {
			one, many := "pod "+g.cause.pod.Name+" ", fmt.Sprintf("%ss %s and %d more ", word, g.cause.pod.Name, len(g.pods)-1)
			f.Message = strings.NewReplacer(one+"is ", many+"are ", one+"does ", many+"do ", one, many).Replace(f.Message)
		}
	case len(g.pods) == 1:
		f.Message = word + " " + g.pods[0].Name + ": " + f.Message
	case len(g.pods) >= len(all):
		f.Message = fmt.Sprintf("all %d %ss: %s", len(g.pods), word, f.Message)
	default:
		f.Message = fmt.Sprintf("%d of %d %ss: %s", len(g.pods), len(all), word, f.Message)
	}
	if node := onlyNode(g.pods, all); node != "" && !strings.Contains(f.Message, node) {
		f.Message += "; all of them on node " + node
	}
	if len(g.pods) > 0 {
		p := g.cause.pod
		f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
	}
	return f
}

// targetNodes are the nodes that daemon pods are for.
func targetNodes(pods []*pod) []string {
	nodes := make([]string, 0, len(pods))
	for _, p := range pods {
		nodes = append(nodes, targetNode(p))
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// onlyNode names the node that tells sick pods from healthy ones.
func onlyNode(sick, all []*pod) string {
	if len(sick) < 2 || len(sick) >= len(all) {
		return ""
	}
	node := sick[0].Spec.NodeName
	for _, p := range all {
		if (p.Spec.NodeName == node) != slices.ContainsFunc(sick, func(s *pod) bool { return s == p }) {
			return ""
		}
	}
	return node
}

// causesOf diagnoses the pods. Of pods in an equal state only some are asked for events and logs.
func (e *evaluator) causesOf(w *workload) []*cause {
	seen, example := map[string]int{}, map[string]*cause{}
	var causes []*cause
	for _, p := range oldestFirst(w.pods) {
		full := e.opts.Wide
		key := stateKey(p)
		seen[key]++
		if c := example[key]; c != nil && seen[key] > representatives && !full && c.target == "" { // each daemon pod has a node of its own
			same := *c // without its own events and log the same state would get a vaguer cause
			same.pod, same.Log = p, nil
			causes = append(causes, &same)
			continue
		}
		look := e
		if seen[key] > representatives && !full {
			look = e.quiet()
		}
		if c := look.diagnose(w, p); c != nil {
			example[key] = c
			causes = append(causes, c)
		}
	}
	slices.SortFunc(causes, func(a, b *cause) int { return cmp.Compare(a.pod.Name, b.pod.Name) })
	return causes
}

// representatives is how many pods of one state are looked at with events and logs of their own.
const representatives = 3

// oldestFirst is a fixed order, so that each round of lookups asks for the same pods.
func oldestFirst(pods []*pod) []*pod {
	sorted := slices.Clone(pods)
	slices.SortFunc(sorted, func(a, b *pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

func stateKey(p *pod) string {
	var b strings.Builder
	if c := podCondition(p.Pod, corev1.PodScheduled); c != nil && p.Spec.NodeName == "" && targetNode(p) != "" {
		b.WriteString(c.Message) // daemon pods differ in their nodes alone
	}
	fmt.Fprintf(&b, "%v %v %v %v %s %s", p.isNew, p.terminating, p.dead, p.ready, p.Status.Reason, map[bool]string{true: "", false: "bound"}[p.Spec.NodeName == ""])
	for _, s := range append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...) {
		state := "-"
		switch {
		case s.State.Waiting != nil:
			state = s.State.Waiting.Reason
		case s.State.Terminated != nil:
			state = s.State.Terminated.Reason
		case s.State.Running != nil:
			state = fmt.Sprint("running ", s.Ready)
		}
		fmt.Fprintf(&b, "|%s %s", s.Name, state)
	}
	return b.String()
}

// podGroups is the one-line picture of the pods.
func podGroups(w *workload, now time.Time) []report.PodGroup {
	byKey := map[string]*report.PodGroup{}
	var keys []string
	for _, p := range w.pods {
		role := "new"
		switch {
		case w.ageless:
			role = ""
		case !p.isNew:
			role = "old"
		}
		state := podState(p, now)
		key := role + "|" + state
		if byKey[key] == nil {
			byKey[key] = &report.PodGroup{Role: role, State: state}
			keys = append(keys, key)
		}
		byKey[key].Pods = append(byKey[key].Pods, p.Name)
	}
	slices.Sort(keys)
	groups := make([]report.PodGroup, 0, len(keys))
	for _, k := range keys {
		slices.Sort(byKey[k].Pods)
		groups = append(groups, *byKey[k])
	}
	return groups
}

func podState(p *pod, now time.Time) string {
	switch {
	case p.terminating && p.DeletionTimestamp.After(now):
		return "ending"
	case p.terminating:
		return "ending, overdue"
	case p.dead:
		return strings.ToLower(string(p.Status.Phase)) + suffixed(p.Status.Reason)
	case p.available:
		return "available"
	case p.ready:
		return "ready, not yet available"
	case p.Spec.NodeName == "":
		return "not scheduled"
	}
	for _, s := range append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...) {
		if s.State.Waiting != nil && s.State.Waiting.Reason != "" && s.State.Waiting.Reason != "PodInitializing" {
			return s.State.Waiting.Reason
		}
		if s.State.Terminated != nil && s.State.Terminated.ExitCode != 0 {
			return s.State.Terminated.Reason + fmt.Sprintf(" (exit %d)", s.State.Terminated.ExitCode)
		}
	}
	return "not ready"
}

func suffixed(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
