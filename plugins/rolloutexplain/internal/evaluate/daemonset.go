package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/budget"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

func (e *evaluator) daemonSet(ds *appsv1.DaemonSet) *workload {
	desired := ds.Status.DesiredNumberScheduled
	w := e.newWorkload("DaemonSet", &ds.ObjectMeta, &ds.Spec.Template, &desired, ds.Spec.MinReadySeconds)
	w.observed = ds.Status.ObservedGeneration
	w.revisions = e.controllerRevisions(ds.UID, &ds.Spec.Template)
	if n := len(w.revisions); n > 0 {
		w.target = w.revisions[n-1] // the newest number is the present template's
	}
	wanted := ""
	if w.target != nil {
		wanted = strings.TrimPrefix(w.target.name, ds.Name+"-")
		for _, r := range w.revisions {
			r.hash = strings.TrimPrefix(r.name, ds.Name+"-")
		}
	}
	e.attachOwned(w, ds.UID, wanted, appsv1.DefaultDaemonSetUniqueLabelKey)
	if !w.revisionsKnown(e) {
		w.undated() // only the revisions tell which pods are old
	}
	w.setCounts(ds.Status.UpdatedNumberScheduled, ds.Status.NumberReady, ds.Status.NumberAvailable)
	w.rep.Budget = budget.DaemonSet(ds)
	w.startOfOwned()

	observed := ds.Status.ObservedGeneration >= ds.Generation
	onDelete := ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
	old := selectPods(live(w.pods), func(p *pod) bool { return !p.isNew })
	all := ds.Status.NumberAvailable == desired && ds.Status.NumberReady == desired
	w.settled = observed && all && ds.Status.UpdatedNumberScheduled == desired
	// No condition says that it was complete before: only pods that have each been ready once do.
	w.completed = observed && ds.Status.UpdatedNumberScheduled == desired && len(old) == 0 && !slices.ContainsFunc(live(w.newPods()), neverReady)
	w.begun = true
	if ds.Status.CurrentNumberScheduled < desired {
		w.missing, w.missingOf = desired-ds.Status.CurrentNumberScheduled, ds.UID
	}
	if !observed {
		e.notObserving(w, fmt.Sprintf("generation %d is wanted, the controller has seen %d", ds.Generation, ds.Status.ObservedGeneration))
		return w
	}
	e.selectingAll(w)
	if onDelete && len(old) > 0 {
		e.onDelete(w, old)
	}
	e.daemonNodes(ds, w)
	e.daemonHolders(ds, w, old)
	e.daemonAction(ds, w, old, onDelete)
	return w
}

// daemonNodes says which nodes the DaemonSet leaves out: a rollout is complete without them.
func (e *evaluator) daemonNodes(ds *appsv1.DaemonSet, w *workload) {
	if ds.Status.NumberMisscheduled == 0 && ds.Status.DesiredNumberScheduled > 0 || ds.DeletionTimestamp != nil {
		return
	}
	if !e.asks.Have(Need{Kind: NeedNodes}) || len(e.in.Nodes) == 0 {
		return
	}
	var left []string
	eligible := 0
	for i := range e.in.Nodes {
		if why := daemonRefused(ds, &e.in.Nodes[i]); why != "" {
			left = append(left, e.in.Nodes[i].Name+" ("+why+")")
		} else {
			eligible++
		}
	}
	slices.Sort(left)
	if len(left) == 0 {
		return
	}
	f := e.note(codes.DaemonSetNodesLeftOut, "%d of %s eligible; left out: %s", eligible, plain.Plural(len(e.in.Nodes), "node is", "nodes are"), plain.List(left, 6))
	f.Evidence = []finding.Evidence{plain.Evidence("DaemonSet "+ds.Name, "status.numberMisscheduled", fmt.Sprint(ds.Status.NumberMisscheduled), plain.NoTime)}
	if ds.Status.NumberMisscheduled > 0 {
		f.Message += fmt.Sprintf("; %s there still, not replaced once gone", plain.Plural(int(ds.Status.NumberMisscheduled), "pod runs", "pods run"))
	}
	w.add(f)
}

// daemonRefused is why the DaemonSet controller leaves a node out.
func daemonRefused(ds *appsv1.DaemonSet, n *corev1.Node) string {
	spec := &ds.Spec.Template.Spec
	why, fits := schedule.DaemonFits(spec, n)
	switch {
	case fits:
		return ""
	case why.Reason == schedule.OtherNode:
		return "not nodeName " + spec.NodeName
	case why.Reason == schedule.Untolerated:
		return "taint " + taintText(&why.Taint)
	}
	return "labels do not match"
}

// daemonHolders names the nodes that use up maxUnavailable: a node whose only pod is ending or not available counts, even
// where the status reads all ready. https://github.com/kubernetes/kubernetes/issues/117204
func (e *evaluator) daemonHolders(ds *appsv1.DaemonSet, w *workload, old []*pod) {
	b := w.rep.Budget
	if b.Unavailable == nil || b.Unavailable.Pods == 0 || w.settled || len(selectPods(old, func(p *pod) bool { return p.available })) == 0 {
		return
	}
	byNode := map[string][]*pod{}
	for _, p := range w.pods {
		if p.terminating && p.dead {
			continue // the controller has done with it, whatever finalizer keeps the object
		}
		if node := targetNode(p); node != "" {
			byNode[node] = append(byNode[node], p)
		}
	}
	var holders []*pod
	for _, pods := range byNode {
		if !slices.ContainsFunc(pods, func(p *pod) bool { return p.available && !p.terminating }) {
			slices.SortFunc(pods, func(a, b *pod) int { return cmp.Or(plain.Int(a.isNew)-plain.Int(b.isNew), cmp.Compare(a.Name, b.Name)) })
			holders = append(holders, pods[len(pods)-1])
		}
	}
	if int32(len(holders)) < b.Unavailable.Pods { //nolint:gosec // pods
		return
	}
	slices.SortFunc(holders, func(a, b *pod) int { return cmp.Compare(a.Name, b.Name) })
	nodes := make([]string, 0, len(holders))
	for _, p := range holders {
		nodes = append(nodes, targetNode(p))
	}
	f := e.finding(codes.DaemonSetNodeHolds, report.Transient, finding.Warning, "no other node is updated: %s uses up maxUnavailable %s (%s)",
		"node "+plain.List(nodes, 4), b.Unavailable.Spec, plain.List(podNames(holders), 4))
	f.Role, f.Confidence, f.Heals, f.Pods = report.Consequence, "high", "maybe", podNames(holders)
	f.Evidence = []finding.Evidence{plain.Evidence("DaemonSet "+ds.Name, "status.updatedNumberScheduled", fmt.Sprintf("%d of %d", ds.Status.UpdatedNumberScheduled, ds.Status.DesiredNumberScheduled), plain.NoTime)}
	w.add(f)
}

// targetNode is the node that a daemon pod is for, bound or not: its affinity names it.
func targetNode(p *pod) string {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName
	}
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range t.MatchFields {
			if f.Key == "metadata.name" && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

func (e *evaluator) daemonAction(ds *appsv1.DaemonSet, w *workload, old []*pod, onDelete bool) {
	b := w.rep.Budget
	switch {
	case w.settled, !e.in.Sources.Get(SourcePods).Readable(), !w.revisionsKnown(e):
	case onDelete && len(old) > 0:
		w.rep.Action = "replace a pod only when somebody deletes it"
	case w.has(codes.DaemonSetNodeHolds):
		w.rep.Action = fmt.Sprintf("nothing: %d of %d nodes may be without an available pod, and they are", b.Unavailable.Pods, w.desired)
	case len(old) > 0 && b.Surge != nil && b.Surge.Pods > 0:
		w.rep.Action = fmt.Sprintf("start new pods beside old ones on up to %s, and remove an old one when the new one is available", plain.Plural(int(b.Surge.Pods), "node", "nodes"))
	case len(old) > 0 && b.Unavailable != nil:
		w.rep.Action = fmt.Sprintf("replace old pods on up to %s at a time", plain.Plural(int(b.Unavailable.Pods), "node", "nodes"))
	case w.missing > 0:
		w.rep.Action = fmt.Sprintf("create %s", plain.Plural(int(w.missing), "pod", "pods"))
	}
}
