package workload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// What keeps pods off the node: a cordon, and the taints of the programs that add and remove nodes.
const (
	Cordoned              finding.Code = "Cordoned"
	NodeNotInitialized    finding.Code = "NodeNotInitialized"
	NodeRemovalInProgress finding.Code = "NodeRemovalInProgress"
	NodeRemovalStuck      finding.Code = "NodeRemovalStuck"
	OutOfService          finding.Code = "OutOfService"
	NewPodsKeptOff        finding.Code = "NewPodsKeptOff"
)

var newPodsKeptOff = rule{
	Entry: finding.Entry{
		Code:     NewPodsKeptOff,
		Severity: finding.Info,
		Title:    "Most new pods are kept off the node",
		Meaning: "The node has a taint that a user set, or nearly all of its allocatable CPU or memory is requested. New pods that lack the " +
			"toleration, or request more than is free, are not scheduled to it; the node itself is healthy.",
		Evidence: "Node spec.taints with effect NoSchedule or NoExecute that no component sets, or requests above 95% of allocatable.",
		Next:     "Nothing, if that is intended; otherwise remove the taint or move pods.",
	},
	Check: checkNewPodsKeptOff,
}

func checkNewPodsKeptOff(c *subject.Case) []finding.Finding {
	var reasons []string
	var evidence []finding.Evidence
	var next []finding.Next
	for i := range c.Scheduling.Taints {
		if t := &c.Scheduling.Taints[i]; t.OfUser() {
			e := taintEvidence(t)
			reasons, evidence = append(reasons, "taint "+e[0].Value), append(evidence, e...)
			next = append(next, c.Change("Remove the taint, if the node is to take all pods", "taint", "node", c.Object.Name, e[0].Value+"-"))
		}
	}
	for _, r := range c.Full() {
		if r.Free.Value < 0 {
			continue // Overcommitted
		}
		reasons = append(reasons, fmt.Sprintf("%.0f%% of %s is requested (%s free)", *r.RequestsPercent, r.Name, r.Free.Quantity))
		evidence = append(evidence, finding.Evidence{
			Source: "Pods on the node", Path: "requests." + r.Name, Value: r.Requests.Quantity + " of " + r.Allocatable.Quantity + " allocatable",
		})
	}
	if len(reasons) == 0 {
		return nil
	}
	return c.One("most new pods are kept off the node: "+strings.Join(reasons, "; "), evidence, next...)
}

var cordoned = rule{
	Entry: finding.Entry{
		Code:     Cordoned,
		Severity: finding.Info,
		Title:    "Node is cordoned",
		Meaning:  "The node is closed to new pods. A cordon alone does not make a node unhealthy.",
		Evidence: "Node spec.unschedulable, the time of its taint, and the field manager that set it.",
		Next:     "Run kubectl uncordon when the work on the node is done.",
	},
	Check: checkCordoned,
}

func checkCordoned(c *subject.Case) []finding.Finding {
	cordon := c.Scheduling.Cordon
	if cordon == nil {
		return nil
	}
	message := "the node is cordoned"
	evidence := []finding.Evidence{{Source: "Node", Path: "spec.unschedulable", Value: "true", Time: cordon.Since}}
	if cordon.By != "" {
		message += " by " + cordon.By
		evidence = append(evidence, finding.Evidence{
			Source: "Node", Path: "metadata.managedFields", Value: cordon.By + " set spec.unschedulable", Time: cordon.Written,
		})
	}
	return c.One(message+": no new pods are scheduled to it", evidence,
		c.Change("Uncordon the node when the work on it is done", "uncordon", c.Object.Name))
}

var nodeNotInitialized = rule{
	Entry: finding.Entry{
		Code:     NodeNotInitialized,
		Severity: finding.Warning,
		Title:    "Cloud provider has not initialized the node",
		Meaning: "The taint node.cloudprovider.kubernetes.io/uninitialized is still set ten minutes after the node joined: the " +
			"cloud-controller-manager does not find the node or is not running.",
		Evidence: "Node spec.taints, and a node age above ten minutes.",
		Next:     "Check the cloud-controller-manager.",
	},
	CausedBy: machine.NotReportingCodes,
	Check:    checkNodeNotInitialized,
}

func checkNodeNotInitialized(c *subject.Case) []finding.Finding {
	old := c.Age(c.Object.CreationTimestamp.Time)
	if old <= c.Limits.CloudInitialization {
		return nil
	}
	return tainted(c, facts.TaintUninitialized, func(t *facts.Taint) finding.Finding {
		message := fmt.Sprintf("the cloud provider has not initialized the node, which joined %s ago; "+
			"pods without a toleration are not scheduled to it", output.Age(old))
		return c.Found(message, taintEvidence(t), c.Look("Check whether the cloud-controller-manager is running", "",
			"get", "pods", "-A", "-l", "k8s-app=cloud-controller-manager", "-o", "wide"))
	})
}

var nodeRemovalInProgress = rule{
	Entry: finding.Entry{
		Code:     NodeRemovalInProgress,
		Severity: finding.Info,
		Title:    "Node is marked for removal",
		Meaning: "Cluster Autoscaler, Karpenter or the cloud has marked the node for removal; its pods are moved to other nodes. Where " +
			"Karpenter reports that it waits for pods, the message names those that a PodDisruptionBudget or an annotation keeps. Or the " +
			"Node object was deleted and waits for its finalizers.",
		Evidence: "Taint of Cluster Autoscaler, Karpenter or a cloud's notice of termination in Node spec.taints; FailedDraining event of " +
			"Karpenter; Node metadata.deletionTimestamp and finalizers.",
		Next: "Do nothing if the removal is in progress; if it waits for pods, run kubectl nodeinfo --drain for the node.",
	},
	Check: checkNodeRemovalInProgress,
}

func checkNodeRemovalInProgress(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, t := range c.Scheduling.Taints {
		if t.Remover == "" || removalStuck(c, &t) {
			continue
		}
		waits, evidence := drainWaits(c, &t)
		f := c.Found(t.Remover+" is removing the node"+waits, slices.Concat(taintEvidence(&t), evidence))
		if waits != "" {
			f.Next = append(f.Next, whatBlocks(c))
		}
		list = append(list, f)
	}
	if held, evidence := deletionHeld(c); held != "" && !deletionStuck(c) {
		list = append(list, c.Found(held, evidence, whatBlocks(c)))
	}
	return list
}

// finalizersTake is the time in which a controller that runs removes its finalizer from a deleted Node. Karpenter drains the node
// first, which has the time of a removal.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
const finalizersTake = time.Minute

// ofKarpenter is the finalizer with which Karpenter holds a Node until it has drained it.
// https://karpenter.sh/docs/concepts/disruption/#termination-controller
const ofKarpenter = "karpenter.sh/termination"

// deletionHeld is what a deleted Node waits for, where no taint says who removes it; empty: it is not deleted. Its pods are deleted
// once the Node is gone; a kubelet that runs registers it again only when it starts.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/podgc/gc_controller.go (gcOrphaned)
func deletionHeld(c *subject.Case) (text string, evidence []finding.Evidence) {
	o := c.Object
	if o.DeletionTimestamp == nil || len(o.Finalizers) == 0 || c.Scheduling.RemovedBy != "" {
		return "", nil
	}
	at, names := o.DeletionTimestamp.Time, strings.Join(o.Finalizers, ", ")
	text = fmt.Sprintf("the Node was deleted %s ago and waits until its finalizers are removed (%s); "+
		"after that the Node is gone and its pods are deleted", c.Ago(at), names)
	return text, []finding.Evidence{
		{Source: "Node", Path: "metadata.deletionTimestamp", Value: at.UTC().Format(time.RFC3339), Time: facts.Time(at)},
		{Source: "Node", Path: "metadata.finalizers", Value: names},
	}
}

func deletionStuck(c *subject.Case) bool {
	limit := finalizersTake
	if slices.Contains(c.Object.Finalizers, ofKarpenter) {
		limit = c.Limits.NodeRemoval
	}
	return c.Age(c.Object.DeletionTimestamp.Time) > limit
}

// mostKept bounds the pods that one message names.
const mostKept = 3

// drainWaits is what the drain of Karpenter waits for, by its event and by what keeps the pods of the node; empty: it does not wait.
func drainWaits(c *subject.Case, t *facts.Taint) (text string, evidence []finding.Evidence) {
	i := slices.IndexFunc(c.Events.Current, func(e event.Event) bool { return e.Reason == autoscaler.FailedDraining })
	if i < 0 || t.Remover != "Karpenter" {
		return "", nil
	}
	e := &c.Events.Current[i]
	evidence = []finding.Evidence{{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)}}
	var kept []string
	if c.Scaler != nil {
		for k := range c.Scaler.Holds {
			h := &c.Scaler.Holds[k]
			switch {
			case h.Pod == nil:
			case len(h.Budgets) > 0:
				kept = append(kept, h.Pod.Namespace+"/"+h.Pod.Name+" (PodDisruptionBudget "+strings.Join(h.Budgets, ", ")+")")
			default:
				kept = append(kept, h.Pod.Namespace+"/"+h.Pod.Name+" ("+h.Value+")")
			}
		}
	}
	text = " and waits for pods to end"
	if n := len(kept); n > 0 {
		text = " and waits for pods that are kept: " + strings.Join(kept[:min(n, mostKept)], ", ")
		if n > mostKept {
			text += fmt.Sprintf(" and %d more", n-mostKept)
		}
	}
	return text, evidence
}

func whatBlocks(c *subject.Case) finding.Next {
	return c.Look("Read what blocks the drain, and what it costs", "", "nodeinfo", c.Object.Name, "--drain")
}

var nodeRemovalStuck = rule{
	Entry: finding.Entry{
		Code:     NodeRemovalStuck,
		Severity: finding.Warning,
		Title:    "Node removal has not finished in time",
		Meaning: "An autoscaler marked the node for removal more than 30 minutes ago, but the node still exists and takes no new pods. Or " +
			"the Node object was deleted more than a minute ago and finalizers hold it: what is to remove them does not run or waits.",
		Evidence: "Age of the autoscaler's taint above 30 minutes, or of the deletion of the Node where the taint tells no time; " +
			"FailedDraining event of Karpenter; Node metadata.deletionTimestamp and finalizers.",
		Next: "Read the log of the autoscaler, or of the controller that the finalizer names; remove the taint if the removal was abandoned.",
	},
	Check: checkNodeRemovalStuck,
}

func checkNodeRemovalStuck(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, t := range c.Scheduling.Taints {
		if t.Remover == "" || !removalStuck(c, &t) {
			continue
		}
		waits, evidence := drainWaits(c, &t)
		message := fmt.Sprintf("%s started to remove the node %s ago%s; the removal has not finished, and no new pods are scheduled to it",
			t.Remover, c.Ago(*t.Since), waits)
		if waits == "" {
			message = fmt.Sprintf("%s started to remove the node %s ago and has not finished; no new pods are scheduled to it",
				t.Remover, c.Ago(*t.Since))
		}
		list = append(list, c.Found(message, slices.Concat(taintEvidence(&t), evidence), whatBlocks(c),
			subject.Answered(c.PodsHere("List the pods that are still on the node"),
				"pods remain: a PodDisruptionBudget, a pod without a controller or a long grace period can block the removal")))
	}
	if held, evidence := deletionHeld(c); held != "" && deletionStuck(c) {
		remove := c.Change("Only if the controller of every finalizer is gone for good, remove them: the Node and then its pods are deleted",
			"patch", "node", c.Object.Name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		remove.Risk = finding.Destructive
		list = append(list, c.Found(held, evidence, whatBlocks(c), remove))
	}
	return list
}

func removalStuck(c *subject.Case, t *facts.Taint) bool {
	return t.Since != nil && c.Age(*t.Since) > c.Limits.NodeRemoval
}

var outOfService = rule{
	Entry: finding.Entry{
		Code:     OutOfService,
		Severity: finding.Info,
		Title:    "Node is marked out of service",
		Meaning: "An administrator set the taint node.kubernetes.io/out-of-service: the pods of the node are force-deleted and its " +
			"volumes detached.",
		Evidence: "Taint node.kubernetes.io/out-of-service in Node spec.taints.",
		Next:     "Remove the taint when the node has recovered.",
	},
	Check: checkOutOfService,
}

func checkOutOfService(c *subject.Case) []finding.Finding {
	return tainted(c, facts.TaintOutOfService, func(t *facts.Taint) finding.Finding {
		return c.Found("an administrator marked the node out of service: its pods are force-deleted", taintEvidence(t),
			c.Change("Remove the taint when the node has recovered and its old pods are deleted", "taint", "node", c.Object.Name, t.Key+"-"))
	})
}

// tainted makes a finding of each taint with the key.
func tainted(c *subject.Case, key string, of func(t *facts.Taint) finding.Finding) []finding.Finding {
	var list []finding.Finding
	for i := range c.Scheduling.Taints {
		if t := &c.Scheduling.Taints[i]; t.Key == key {
			list = append(list, of(t))
		}
	}
	return list
}

func taintEvidence(t *facts.Taint) []finding.Evidence {
	text := strings.TrimSuffix(t.Key+"="+t.Value, "=") + ":" + t.Effect
	return []finding.Evidence{{Source: "Node", Path: "spec.taints", Value: text, Time: t.Since}}
}
