package rules

import (
	"fmt"
	"strings"
	"time"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// What keeps pods off the node: a cordon, and the taints of the programs that add and remove nodes.
const (
	Cordoned              finding.Code = "Cordoned"
	NodeNotInitialized    finding.Code = "NodeNotInitialized"
	NodeRemovalInProgress finding.Code = "NodeRemovalInProgress"
	NodeRemovalStuck      finding.Code = "NodeRemovalStuck"
	OutOfService          finding.Code = "OutOfService"
	NewPodsKeptOff        finding.Code = "NewPodsKeptOff"
	NodeDeleted           finding.Code = "NodeDeleted"
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
	Check: giving(NewPodsKeptOff, checkNewPodsKeptOff),
}

func checkNewPodsKeptOff(c *Case) []finding.Finding {
	var reasons []string
	var evidence []finding.Evidence
	var next []finding.Next
	for i := range c.Scheduling.Taints {
		if t := &c.Scheduling.Taints[i]; t.OfUser() {
			e := taintEvidence(t)
			reasons, evidence = append(reasons, "taint "+e[0].Value), append(evidence, e...)
			next = append(next, c.change("Remove the taint, if the node is to take all pods", "taint", "node", c.Object.Name, e[0].Value+"-"))
		}
	}
	for _, r := range c.Full() {
		reasons = append(reasons, fmt.Sprintf("%.0f%% of %s is requested (%s free)", *r.RequestsPercent, r.Name, r.Free.Quantity))
		evidence = append(evidence, finding.Evidence{
			Source: "Pods on the node", Path: "requests." + r.Name, Value: r.Requests.Quantity + " of " + r.Allocatable.Quantity + " allocatable",
		})
	}
	if len(reasons) == 0 {
		return nil
	}
	return c.one("most new pods are kept off the node: "+strings.Join(reasons, "; "), evidence, next...)
}

var nodeDeleted = rule{
	Entry: finding.Entry{
		Code:     NodeDeleted,
		Severity: finding.Critical,
		Title:    "Node object was deleted",
		Meaning: "The Node object does not exist any more, but pods are still bound to it or events and a Lease of it remain. A kubelet that " +
			"is still running does not register itself again until it is restarted; the control plane deletes the pods after a while.",
		Evidence: "RemovingNode event of the node controller, pods with this spec.nodeName, and the Lease in kube-node-lease.",
		Next:     "If the machine is to stay in the cluster, restart its kubelet; otherwise shut the machine down.",
	},
}

// Gone is the finding about a Node object that does not exist any more.
func Gone(g *facts.Gone, kubectl finding.Kubectl) []finding.Finding {
	message, evidence := "the Node object does not exist", []finding.Evidence(nil)
	if e := g.Removed; e != nil {
		message = fmt.Sprintf("the Node object was deleted %s ago (event %s)", output.Age(g.Now.Sub(e.Last)), e.Reason)
		evidence = append(evidence, finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)})
	}
	if len(g.Pods) > 0 {
		message += fmt.Sprintf("; %s still bound to it", output.Plural(len(g.Pods), "pod is", "pods are"))
		var names []string
		for i, p := range g.Pods {
			if i == 5 {
				names = append(names, fmt.Sprintf("%d more", len(g.Pods)-i))
				break
			}
			names = append(names, p.Namespace+"/"+p.Name)
		}
		evidence = append(evidence, finding.Evidence{Source: "Pods", Path: "spec.nodeName", Value: strings.Join(names, ", ")})
	}
	if !g.Beat.Received.IsZero() {
		age := output.Age(g.Now.Sub(g.Beat.Received))
		if g.Beat.Beat == nodefact.Fresh {
			message += fmt.Sprintf("; its Lease was renewed %s ago", age)
		}
		evidence = append(evidence, finding.Evidence{
			Source: "Lease kube-node-lease/" + g.Name, Path: "spec.renewTime", Value: "renewed " + age + " ago", Time: facts.Time(g.Beat.Received),
		})
	}
	c := &Case{Kubectl: kubectl}
	f := book.New(NodeDeleted, message)
	f.Object, f.Evidence = &finding.ObjectRef{Kind: "Node", Name: g.Name}, evidence
	f.Next = []finding.Next{
		c.look("List the pods that are still bound to the node", "", "get", "pods", "-A", "-o", "wide", "--field-selector",
			"spec.nodeName="+g.Name),
		{
			Command: "systemctl restart kubelet; journalctl -u kubelet -n 50 --no-pager", Risk: finding.Change,
			Why: "On the node, restart the kubelet if the machine is to stay in the cluster",
			Answers: []string{"kubectl get nodes lists the node again: its labels, taints and cordon are those of the kubelet's " +
				"configuration, not the former ones"},
		},
	}
	return []finding.Finding{f}
}

// Timeouts for the programs that should remove a taint again.
const (
	initializing = 10 * time.Minute
	removing     = 30 * time.Minute // a drain may take its pods' grace periods and disruption budgets
)

var cordoned = rule{
	Entry: finding.Entry{
		Code:     Cordoned,
		Severity: finding.Info,
		Title:    "Node is cordoned",
		Meaning:  "The node is closed to new pods. A cordon alone does not make a node unhealthy.",
		Evidence: "Node spec.unschedulable, the time of its taint, and the field manager that set it.",
		Next:     "Run kubectl uncordon when the work on the node is done.",
	},
	Check: giving(Cordoned, checkCordoned),
}

func checkCordoned(c *Case) []finding.Finding {
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
	return c.one(message+": no new pods are scheduled to it", evidence,
		c.change("Uncordon the node when the work on it is done", "uncordon", c.Object.Name))
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
	CausedBy: notReportingCodes,
	Check:    giving(NodeNotInitialized, checkNodeNotInitialized),
}

func checkNodeNotInitialized(c *Case) []finding.Finding {
	old := c.Age(c.Object.CreationTimestamp.Time)
	if old <= initializing {
		return nil
	}
	return c.tainted(facts.TaintUninitialized, func(t *facts.Taint) finding.Finding {
		message := fmt.Sprintf("the cloud provider has not initialized the node, which joined %s ago; "+
			"pods without a toleration are not scheduled to it", output.Age(old))
		return c.found(message, taintEvidence(t), c.look("Check whether the cloud-controller-manager is running", "",
			"get", "pods", "-A", "-l", "k8s-app=cloud-controller-manager", "-o", "wide"))
	})
}

var nodeRemovalInProgress = rule{
	Entry: finding.Entry{
		Code:     NodeRemovalInProgress,
		Severity: finding.Info,
		Title:    "Node is marked for removal",
		Meaning:  "Cluster Autoscaler or Karpenter has marked the node for removal; its pods are moved to other nodes.",
		Evidence: "Taint of Cluster Autoscaler or Karpenter in Node spec.taints.",
		Next:     "Do nothing; the removal is in progress.",
	},
	Check: giving(NodeRemovalInProgress, checkNodeRemovalInProgress),
}

func checkNodeRemovalInProgress(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, t := range c.Scheduling.Taints {
		if t.Remover == "" || c.removalStuck(&t) {
			continue
		}
		list = append(list, c.found(t.Remover+" is removing the node", taintEvidence(&t)))
	}
	return list
}

var nodeRemovalStuck = rule{
	Entry: finding.Entry{
		Code:     NodeRemovalStuck,
		Severity: finding.Warning,
		Title:    "Node removal has not finished within 30 minutes",
		Meaning:  "An autoscaler marked the node for removal more than 30 minutes ago, but the node still exists and takes no new pods.",
		Evidence: "Age of the autoscaler's taint above 30 minutes.",
		Next:     "Read the log of the autoscaler; remove the taint if the removal was abandoned.",
	},
	Check: giving(NodeRemovalStuck, checkNodeRemovalStuck),
}

func checkNodeRemovalStuck(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, t := range c.Scheduling.Taints {
		if t.Remover == "" || !c.removalStuck(&t) {
			continue
		}
		message := fmt.Sprintf("%s started to remove the node %s ago and has not finished; no new pods are scheduled to it",
			t.Remover, c.ago(*t.Since))
		list = append(list, c.found(message, taintEvidence(&t),
			answered(c.podsHere("List the pods that are still on the node"),
				"pods remain: a PodDisruptionBudget, a pod without a controller or a long grace period can block the removal")))
	}
	return list
}

func (c *Case) removalStuck(t *facts.Taint) bool { return t.Since != nil && c.Age(*t.Since) > removing }

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
	Check: giving(OutOfService, checkOutOfService),
}

func checkOutOfService(c *Case) []finding.Finding {
	return c.tainted(facts.TaintOutOfService, func(t *facts.Taint) finding.Finding {
		return c.found("an administrator marked the node out of service: its pods are force-deleted", taintEvidence(t),
			c.change("Remove the taint when the node has recovered and its old pods are deleted", "taint", "node", c.Object.Name, t.Key+"-"))
	})
}

// tainted makes a finding of each taint with the key.
func (c *Case) tainted(key string, of func(t *facts.Taint) finding.Finding) []finding.Finding {
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
