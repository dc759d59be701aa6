package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// heldByOld reports a deadlock: what the new pod lacks is used by old pods that the rollout keeps until the new one is available.
// While another new pod is on its way, an old one may still go. False: it is none, and the cause stays as it was.
func heldByOld(e *model.Evaluation, w *model.Workload, c *model.Cause, holders []*model.Pod, over string) bool {
	b := w.Report.UpdateStrategy
	if b == nil || len(holders) == 0 || b.MaxSurge == nil || b.MaxSurge.Pods == 0 || !cannotMove(w) || w.Kind == "StatefulSet" {
		return false
	}
	c.Class, c.Severity, c.SelfHealing = report.LikelyFatal, finding.Critical, "no"
	_, detail, more := strings.Cut(c.Message, "; ")
	with := "old pod " + holders[0].Name
	switch {
	case c.Target != "": // several pods may share the cause, each with the old pod of its node
		with = "the node's old pod"
	case len(holders) > 1:
		with = "old pods " + plain.List(model.Names(holders), 2)
	}
	c.Says("deadlock with %s over %s", with, over)
	if more {
		c.Message += "; " + detail
	}
	if w.Kind == "DaemonSet" {
		c.Message += fmt.Sprintf("; the old pod stays until the new pod is available (maxSurge %s)", b.MaxSurge.Spec)
		c.Next = append([]finding.Next{e.Next(w, finding.Change, "Remove the old pod before the new pod is created", "patch", w.Slash(),
			"-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`)}, c.Next...)
		return true
	}
	c.Message += fmt.Sprintf("; the old pods stay until a new pod is available (maxSurge %s = %d, maxUnavailable %s = %d of %d)",
		b.MaxSurge.Spec, b.MaxSurge.Pods, b.MaxUnavailable.Spec, b.MaxUnavailable.Pods, w.Desired)
	c.Next = append([]finding.Next{e.Next(w, finding.Change, "Remove an old pod before a new pod is created", "patch", w.Slash(), "-p",
		`{"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`)}, c.Next...)
	return true
}

// heldByNew reports more pods than nodes: each node that could run the pod has one of the same revision already, and takes no second.
func heldByNew(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, open []nodeFit, faults bool) bool {
	over := ""
	for _, f := range open {
		words := ""
		for _, q := range model.CountedPods(w.NewPods()) {
			if q != p && q.Spec.NodeName == f.node.Name {
				words = cmp.Or(words, conflict(p, q, c))
			}
		}
		if words == "" {
			return false
		}
		over = words
	}
	if over == "" || c.Target != "" {
		return false
	}
	nodes := "the only eligible node already runs a pod"
	if len(open) > 1 {
		nodes = fmt.Sprintf("each of the %d eligible nodes already runs a pod", len(open))
	}
	c.Says("%s of this %s, and %s allows one on a node", nodes, w.Kind, over)
	if faults { // a node that is mended may take it
		return true
	}
	c.Class, c.SelfHealing = report.LikelyFatal, "no"
	switch {
	case w.Autoscaled(): // which would take another number back
		c.WithNext(e.Next(w, finding.Read,
			fmt.Sprintf("Find the HorizontalPodAutoscaler that set the replicas; its maxReplicas must be at most %d", len(open)), "get", "hpa"))
	case w.Kind == "Deployment" || w.Kind == "StatefulSet" || w.Kind == "ReplicaSet":
		c.WithNext(e.Next(w, finding.Change, "Ask for as many pods as there are eligible nodes", "scale", w.Slash(),
			fmt.Sprintf("--replicas=%d", len(open))))
	}
	return true
}

// cannotMove says whether the controller's own arithmetic lets it remove no old pod, now and when the new pods that have a
// node are available.
func cannotMove(w *model.Workload) bool {
	if b := w.Report.UpdateStrategy; b == nil || plain.Or(b.MayRemove, 0) > 0 {
		return false
	}
	return w.Kind == "DaemonSet" || !slices.ContainsFunc(model.CountedPods(w.NewPods()), func(p *model.Pod) bool {
		return p.Spec.NodeName != "" && !p.Available
	})
}

// heldBy gives the old pods of the workload itself that keep a pod off by a host port or by anti-affinity, and by what. For a
// pod that is for one node alone, they are those of that node.
func heldBy(w *model.Workload, p *model.Pod, c *model.Cause) (holders []*model.Pod, over string) {
	holders = model.Select(model.CountedPods(w.OldPods()), func(old *model.Pod) bool {
		if c.Target != "" && old.Spec.NodeName != c.Target {
			return false
		}
		words := conflict(p, old, c)
		if words != "" && over == "" {
			over = words
		}
		return words != ""
	})
	return holders, over
}

// conflict is what keeps two pods of a workload from running on one node; empty: what the cause is about does not.
func conflict(p, old *model.Pod, c *model.Cause) string {
	switch c.Code {
	case HostPortConflict:
		for _, port := range hostPorts(p.Pod) {
			if slices.Contains(hostPorts(old.Pod), port) {
				return fmt.Sprintf("host port %d", port)
			}
		}
	case PodAffinityUnsatisfied:
		if repels(p.Pod, old.Pod) || repels(old.Pod, p.Pod) {
			return "anti-affinity"
		}
	}
	return ""
}

// holderWords says what a node that passes every other filter holds against a pod.
func holderWords(w *model.Workload, p *model.Pod, c *model.Cause, node string) string {
	for _, held := range []struct {
		pods []*model.Pod
		word string
	}{{w.OldPods(), "old pod"}, {w.NewPods(), "pod"}} {
		for _, q := range model.CountedPods(held.pods) {
			if words := conflict(p, q, c); words != "" && q.Spec.NodeName == node {
				return fmt.Sprintf("%s of %s %s", words, held.word, q.Name)
			}
		}
	}
	return "passes the checked filters"
}
