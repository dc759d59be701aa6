// Package pods tells why one pod is not where it should be: it starts, runs, becomes ready, ends. Pods that no node takes are
// placement's; the two are apart because a pod without a node has no containers to look at.
package pods

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
)

// Rules are the findings about pods that have a node, in the order of a pod's life.
var Rules = slices.Concat(nodeRules, startRules, volumesRules, imageRules, config.Rules, configRules, containersRules, startErrorRules,
	crashRules, probeKillRules, readyRules, endRules)

// Causes diagnoses the pods. Of pods in an equal state only some are asked for events and logs.
func Causes(e *model.Evaluation, w *model.Workload) []*model.Cause {
	seen, example := map[string]int{}, map[string]*model.Cause{}
	var causes []*model.Cause
	for _, p := range oldestFirst(w.Pods) {
		full := e.Opts.Wide
		key := stateKey(p)
		seen[key]++
		if c := example[key]; c != nil && seen[key] > representatives && !full && c.Target == "" { // each daemon pod has a node of its own
			same := *c // without its own events and log the same state would get a vaguer cause
			same.Pod, same.Log = p, nil
			causes = append(causes, &same)
			continue
		}
		look := e
		if seen[key] > representatives && !full {
			look = e.Quiet()
		}
		if c := Diagnose(look, w, p); c != nil {
			admitted(e, w, c)
			example[key] = c
			causes = append(causes, c)
		}
	}
	sorting.Func(causes, func(a, b *model.Cause) int { return cmp.Compare(a.Pod.Name, b.Pod.Name) })
	return causes
}

// representatives is how many pods of one state are looked at with events and logs of their own.
const representatives = 3

// oldestFirst is a fixed order, so that each round of lookups asks for the same pods.
func oldestFirst(pods []*model.Pod) []*model.Pod {
	sorted := slices.Clone(pods)
	sorting.Func(sorted, func(a, b *model.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

func stateKey(p *model.Pod) string {
	var b strings.Builder
	if c := podfact.Condition(p.Pod, corev1.PodScheduled); c != nil && p.Spec.NodeName == "" && model.TargetNode(p) != "" {
		b.WriteString(c.Message) // daemon pods differ in their nodes alone
	}
	fmt.Fprintf(&b, "%v %v %v %v %s %s", p.IsNew, p.Terminating, p.Dead, p.Ready, p.Status.Reason,
		map[bool]string{true: "", false: "bound"}[p.Spec.NodeName == ""])
	for _, s := range podfact.Containers(p.Pod) {
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

// Diagnose finds why a pod is not available; nil when nothing is wrong or it only needs time that nobody can name.
func Diagnose(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	switch {
	case p.Terminating:
		return terminatingCause(e, w, p)
	case p.Dead:
		return deadPod(e, w, p)
	case p.Spec.NodeName == "":
		return awaiting(placement.Unscheduled(e, w, p))
	}
	if c := containerCause(e, w, p); c != nil {
		return c
	}
	if p.Available {
		return nil
	}
	if c := nodeCause(e, w, p); c != nil {
		return c
	}
	if c := notStarted(e, w, p); c != nil {
		return c
	}
	return notReady(e, w, p)
}

// needNormal asks, for a table of many, which has read only warnings, for events of one normal reason: of the namespace.
func needNormal(e *model.Evaluation, p *model.Pod, reason string) {
	if e.Opts.Wide {
		e.Asks.Have(model.Need{Kind: model.NeedEvents, Namespace: p.Namespace, Name: reason})
	}
}
