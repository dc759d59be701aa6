package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// What keeps pods away: a cordon, and taints of those that bring nodes in and take them away.
const (
	Cordoned              finding.Code = "Cordoned"
	NodeNotInitialized    finding.Code = "NodeNotInitialized"
	NodeRemovalInProgress finding.Code = "NodeRemovalInProgress"
	NodeRemovalStuck      finding.Code = "NodeRemovalStuck"
	OutOfService          finding.Code = "OutOfService"
)

// Patience with those that should take a taint away again.
const (
	initializing = 10 * time.Minute
	removing     = 30 * time.Minute // a drain may take its pods' grace periods and disruption budgets
)

var cordoned = rule{
	Entry: finding.Entry{
		Code:     Cordoned,
		Severity: finding.Info,
		Title:    "Node is cordoned",
		Meaning:  "Somebody or something closed the node to new pods. That is no illness.",
		Evidence: "spec.unschedulable, its taint's time, and the field manager that set it.",
		Next:     "kubectl uncordon, when it is done.",
	},
	Check: giving(Cordoned, checkCordoned),
}

func checkCordoned(c *Case) []finding.Finding {
	cordon := c.Scheduling.Cordon
	if cordon == nil {
		return nil
	}
	message := "the node is cordoned: no new pods are placed on it"
	evidence := []finding.Evidence{{Source: "Node", Path: "spec.unschedulable", Value: "true", Time: cordon.Since}}
	if cordon.Since != nil {
		message += ", since " + c.ago(*cordon.Since)
	}
	if cordon.By != "" {
		message += ", by " + cordon.By
		evidence = append(evidence, finding.Evidence{
			Source: "Node", Path: "metadata.managedFields", Value: cordon.By + " set spec.unschedulable", Time: cordon.Written,
		})
	}
	return c.one(message, evidence, c.change("opens it again, when the work on it is done", "uncordon", c.Object.Name))
}

var cloudNotInitialized = rule{
	Entry: finding.Entry{
		Code:     NodeNotInitialized,
		Severity: finding.Warning,
		Title:    "Cloud provider has not initialized the node",
		Meaning: "The taint node.cloudprovider.kubernetes.io/uninitialized is older than ten minutes: the cloud-controller-manager does " +
			"not see this node or does not run.",
		Evidence: "The taint and the node's age.",
		Next:     "Look at the cloud-controller-manager.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(NodeNotInitialized, checkCloudNotInitialized),
}

func checkCloudNotInitialized(c *Case) []finding.Finding {
	old := c.Age(c.Object.CreationTimestamp.Time)
	if old <= initializing {
		return nil
	}
	return c.tainted(facts.TaintUninitialized, func(t *facts.Taint) finding.Finding {
		message := fmt.Sprintf("the cloud controller has not initialised the node since it joined %s ago; ordinary pods stay away",
			output.Age(old))
		return c.found(message, taintEvidence(t), c.look("does the cloud-controller-manager run?", "",
			"get", "pods", "-A", "-l", "k8s-app=cloud-controller-manager", "-o", "wide"))
	})
}

var autoscalerDeleting = rule{
	Entry: finding.Entry{
		Code:     NodeRemovalInProgress,
		Severity: finding.Info,
		Title:    "Node is marked for removal",
		Meaning:  "Cluster Autoscaler, Karpenter or Cluster API has marked the node for removal; pods are moved away.",
		Evidence: "Its taint.",
		Next:     "Nothing.",
	},
	Check: giving(NodeRemovalInProgress, checkAutoscalerDeleting),
}

func checkAutoscalerDeleting(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, t := range c.Scheduling.Taints {
		if t.Remover == "" || c.removalStuck(&t) {
			continue
		}
		message := t.Remover + " is removing the node"
		if t.Since != nil {
			message += ", since " + c.ago(*t.Since)
		}
		list = append(list, c.found(message, taintEvidence(&t)))
	}
	return list
}

var autoscalerDeletionStuck = rule{
	Entry: finding.Entry{
		Code:     NodeRemovalStuck,
		Severity: finding.Warning,
		Title:    "Node removal has not finished within 30 minutes",
		Meaning:  "An autoscaler marked the node for removal more than half an hour ago and it is still here, taking no pods.",
		Evidence: "The taint's age.",
		Next:     "Look at the autoscaler's log; remove the taint if it gave up.",
	},
	Check: giving(NodeRemovalStuck, checkAutoscalerDeletionStuck),
}

func checkAutoscalerDeletionStuck(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, t := range c.Scheduling.Taints {
		if t.Remover == "" || !c.removalStuck(&t) {
			continue
		}
		message := fmt.Sprintf("%s began to remove the node %s ago and has not ended; no pods are placed on it", t.Remover, c.ago(*t.Since))
		list = append(list, c.found(message, taintEvidence(&t),
			c.podsHere("what still runs there and holds it: disruption budgets, bare pods, long grace periods")))
	}
	return list
}

func (c *Case) removalStuck(t *facts.Taint) bool { return t.Since != nil && c.Age(*t.Since) > removing }

var outOfService = rule{
	Entry: finding.Entry{
		Code:     OutOfService,
		Severity: finding.Info,
		Title:    "Node is marked out of service",
		Meaning:  "An administrator set node.kubernetes.io/out-of-service: its pods are deleted by force and its volumes detached.",
		Evidence: "The taint.",
		Next:     "Remove the taint when the node is back.",
	},
	Check: giving(OutOfService, checkOutOfService),
}

func checkOutOfService(c *Case) []finding.Finding {
	return c.tainted(facts.TaintOutOfService, func(t *facts.Taint) finding.Finding {
		return c.found("an administrator declared the node out of service: its pods are deleted by force", taintEvidence(t),
			c.change("when the node is back and clean", "taint", "node", c.Object.Name, t.Key+"-"))
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
