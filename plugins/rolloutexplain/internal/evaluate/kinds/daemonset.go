package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/budget"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	DaemonSetMaxUnavailableReached finding.Code = "DaemonSetMaxUnavailableReached"
	DaemonSetNodesExcluded         finding.Code = "DaemonSetNodesExcluded"
)

var daemonSetRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: DaemonSetMaxUnavailableReached, Severity: finding.Warning, Title: "DaemonSet has reached maxUnavailable",
		Meaning: "A node whose daemon pod is terminating or not available counts against maxUnavailable, even when the " +
			"status shows all pods ready. The controller does not update other nodes meanwhile.",
		Evidence: "Nodes without an available daemon pod, at least as many as maxUnavailable.",
		Next:     "Check why the pod on that node does not terminate or start.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: DaemonSetNodesExcluded, Severity: finding.Info, Title: "DaemonSet does not run on some nodes",
		Meaning: "Taints, labels or nodeName exclude these nodes. The DaemonSet does not run on them, and its rollout " +
			"is complete without them.",
		Evidence: "Taints and labels of the nodes against the pod template.",
		Next:     "Add a toleration or a label if these nodes should run the DaemonSet.",
	}},
}

func daemonSet(e *model.Evaluation, ds *appsv1.DaemonSet) *model.Workload {
	desired := ds.Status.DesiredNumberScheduled
	w := e.NewWorkload("DaemonSet", &ds.ObjectMeta, &ds.Spec.Template, &desired, ds.Spec.MinReadySeconds)
	w.Observed = ds.Status.ObservedGeneration
	w.Revisions = controllerRevisions(e, ds.UID, &ds.Spec.Template)
	if n := len(w.Revisions); n > 0 {
		w.Target = w.Revisions[n-1] // the newest number is the present template's
	}
	wanted := ""
	if w.Target != nil {
		wanted = strings.TrimPrefix(w.Target.Name, ds.Name+"-")
		for _, r := range w.Revisions {
			r.Hash = strings.TrimPrefix(r.Name, ds.Name+"-")
		}
	}
	attachOwned(e, w, ds.UID, wanted, appsv1.DefaultDaemonSetUniqueLabelKey)
	if !w.RevisionsKnown(e) {
		undated(w) // only the revisions tell which pods are old
	}
	w.SetCounts(ds.Status.UpdatedNumberScheduled, ds.Status.NumberReady, ds.Status.NumberAvailable)
	w.Report.UpdateStrategy = budget.DaemonSet(ds)
	startOfOwned(w)

	observed := ds.Status.ObservedGeneration >= ds.Generation
	onDelete := ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
	old := model.Select(model.CountedPods(w.Pods), func(p *model.Pod) bool { return !p.IsNew })
	all := ds.Status.NumberAvailable == desired && ds.Status.NumberReady == desired
	w.Settled = observed && all && ds.Status.UpdatedNumberScheduled == desired
	// No condition says that it was complete before: only pods that have each been ready once do.
	w.Completed = observed && ds.Status.UpdatedNumberScheduled == desired && len(old) == 0 &&
		!slices.ContainsFunc(model.CountedPods(w.NewPods()), model.NeverReady)
	w.Begun = true
	if ds.Status.CurrentNumberScheduled < desired {
		w.Missing, w.MissingOf = desired-ds.Status.CurrentNumberScheduled, ds.UID
	}
	if !observed {
		notObserving(e, w, fmt.Sprintf("metadata.generation is %d, status.observedGeneration is %d", ds.Generation, ds.Status.ObservedGeneration))
		return w
	}
	selectingAll(e, w)
	if onDelete && len(old) > 0 {
		heldByOnDelete(e, w, old)
	}
	daemonNodes(e, ds, w)
	daemonHolders(e, ds, w, old)
	daemonAction(e, ds, w, old, onDelete)
	return w
}

// daemonNodes reports which nodes the DaemonSet excludes: a rollout is complete without them.
func daemonNodes(e *model.Evaluation, ds *appsv1.DaemonSet, w *model.Workload) {
	if ds.Status.NumberMisscheduled == 0 && ds.Status.DesiredNumberScheduled > 0 || ds.DeletionTimestamp != nil {
		return
	}
	if !e.Asks.Have(model.Need{Kind: model.NeedNodes}) || len(e.In.Nodes) == 0 {
		return
	}
	var left []string
	eligible := 0
	for i := range e.In.Nodes {
		if why := placement.DaemonExcluded(ds, &e.In.Nodes[i]); why != "" {
			left = append(left, e.In.Nodes[i].Name+" ("+why+")")
		} else {
			eligible++
		}
	}
	slices.Sort(left)
	if len(left) == 0 {
		return
	}
	f := e.Note(DaemonSetNodesExcluded, "%d of %s eligible; excluded: %s", eligible,
		plain.Plural(len(e.In.Nodes), "node is", "nodes are"), plain.List(left, 6))
	f.Evidence = []finding.Evidence{plain.Evidence("DaemonSet "+ds.Name, "status.numberMisscheduled", fmt.Sprint(ds.Status.NumberMisscheduled),
		plain.NoTime)}
	if ds.Status.NumberMisscheduled > 0 {
		f.Message += fmt.Sprintf(", with %s still running there that will not be replaced",
			plain.Plural(int(ds.Status.NumberMisscheduled), "pod", "pods"))
	}
	w.Add(f)
}

// daemonHolders names the nodes by which maxUnavailable is reached: a node whose only pod is terminating or not available counts, even
// where the status reads all ready. https://github.com/kubernetes/kubernetes/issues/117204
func daemonHolders(e *model.Evaluation, ds *appsv1.DaemonSet, w *model.Workload, old []*model.Pod) {
	b := w.Report.UpdateStrategy
	if b.MaxUnavailable == nil || b.MaxUnavailable.Pods == 0 || w.Settled ||
		len(model.Select(old, func(p *model.Pod) bool { return p.Available })) == 0 {
		return
	}
	byNode := map[string][]*model.Pod{}
	for _, p := range w.Pods {
		if p.Terminating && p.Dead {
			continue // the controller has done with it, whatever finalizer keeps the object
		}
		if node := model.TargetNode(p); node != "" {
			byNode[node] = append(byNode[node], p)
		}
	}
	var holders []*model.Pod
	for _, pods := range byNode {
		if !slices.ContainsFunc(pods, func(p *model.Pod) bool { return p.Available && !p.Terminating }) {
			sorting.Func(pods, func(a, b *model.Pod) int {
				return cmp.Or(plain.Int(a.IsNew)-plain.Int(b.IsNew), cmp.Compare(a.Name, b.Name))
			})
			holders = append(holders, pods[len(pods)-1])
		}
	}
	if int32(len(holders)) < b.MaxUnavailable.Pods { //nolint:gosec // pods
		return
	}
	sorting.Func(holders, func(a, b *model.Pod) int { return cmp.Compare(a.Name, b.Name) })
	nodes := make([]string, 0, len(holders))
	for _, p := range holders {
		nodes = append(nodes, model.TargetNode(p))
	}
	which := "node " + nodes[0] + " has"
	if len(nodes) > 1 {
		which = "nodes " + plain.List(nodes, 4) + " have"
	}
	f := e.Finding(DaemonSetMaxUnavailableReached, report.Transient,
		"no other node is updated: %s no available pod (%s), and maxUnavailable is %s",
		which, plain.List(model.Names(holders), 4), b.MaxUnavailable.Spec)
	f.Stance, f.Confidence, f.SelfHealing, f.Pods = finding.Follows, "high", "maybe", model.Names(holders)
	f.Evidence = []finding.Evidence{plain.Evidence("DaemonSet "+ds.Name, "status.updatedNumberScheduled",
		fmt.Sprintf("%d of %d", ds.Status.UpdatedNumberScheduled, ds.Status.DesiredNumberScheduled), plain.NoTime)}
	w.Add(f)
}

func daemonAction(e *model.Evaluation, ds *appsv1.DaemonSet, w *model.Workload, old []*model.Pod, onDelete bool) {
	b := w.Report.UpdateStrategy
	switch {
	case w.Settled, !e.In.Sources.Get(model.SourcePods).Readable(), !w.RevisionsKnown(e):
	case onDelete && len(old) > 0:
		w.Report.NextAction = []string{"replace a pod only after the pod is deleted (OnDelete)"}
	case w.Has(DaemonSetMaxUnavailableReached):
		w.Report.NextAction = []string{fmt.Sprintf("nothing: the maximum of %d of %d nodes without an available pod is reached",
			b.MaxUnavailable.Pods, w.Desired)}
	case len(old) > 0 && b.MaxSurge != nil && b.MaxSurge.Pods > 0 && len(surging(w)) >= int(b.MaxSurge.Pods):
		w.Report.NextAction = []string{fmt.Sprintf("nothing until a new pod is available: the surge of %s is used by %s",
			plain.Plural(int(b.MaxSurge.Pods), "node", "nodes"), plain.List(surging(w), 4))}
	case len(old) > 0 && b.MaxSurge != nil && b.MaxSurge.Pods > 0:
		w.Report.NextAction = []string{fmt.Sprintf("create new pods next to old ones on up to %s, and remove an old pod when the new one "+
			"is available",
			plain.Plural(int(b.MaxSurge.Pods), "node", "nodes"))}
	case len(old) > 0 && b.MaxUnavailable != nil:
		w.Report.NextAction = []string{fmt.Sprintf("replace old pods on up to %s at a time",
			plain.Plural(int(b.MaxUnavailable.Pods), "node", "nodes"))}
	case w.Missing > 0:
		w.Report.NextAction = []string{fmt.Sprintf("create %s", plain.Plural(int(w.Missing), "pod", "pods"))}
	}
}

// surging names the new pods next to an old one that wait to become available, each of which uses up a pod of maxSurge.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/daemon/update.go (rollingUpdate)
func surging(w *model.Workload) []string {
	beside := func(node string) bool {
		return slices.ContainsFunc(model.CountedPods(w.OldPods()), func(p *model.Pod) bool { return p.Spec.NodeName == node })
	}
	waiting := model.Select(model.CountedPods(w.NewPods()), func(p *model.Pod) bool { return !p.Available && beside(model.TargetNode(p)) })
	names := model.Names(waiting)
	slices.Sort(names)
	return names
}
