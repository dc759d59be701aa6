package workload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// What is wrong with those that add and remove nodes. That a node is not removed is not wrong: the section of the report says why.
const (
	NodeClaimNotInitialized       finding.Code = "NodeClaimNotInitialized"
	ClusterAutoscalerNotReporting finding.Code = "ClusterAutoscalerNotReporting"
	NodeGroupScaleUpFailing       finding.Code = "NodeGroupScaleUpFailing"
)

const statusMap = "ConfigMap kube-system/cluster-autoscaler-status"

var nodeClaimNotInitialized = rule{
	Entry: finding.Entry{
		Code:     NodeClaimNotInitialized,
		Severity: finding.Warning,
		Title:    "Karpenter does not count the node as ready for pods",
		Meaning: "The machine joined more than 10 minutes ago, but the NodeClaim of the node is not Initialized: the node is not Ready, has " +
			"a startup taint that nothing removes, or lacks a resource that was requested. Karpenter does not remove such a node to save " +
			"cost, and may add another one for the pods that wait.",
		Evidence: "NodeClaim status.conditions: Registered=True for more than 10 minutes, Initialized not True.",
		Next:     "Correct what the message of the condition names.",
		Source:   "https://karpenter.sh/docs/concepts/nodeclaims/",
	},
	CausedBy: machine.PressureCodes,
	Check:    checkNodeClaimNotInitialized,
}

func checkNodeClaimNotInitialized(c *subject.Case) []finding.Finding {
	if c.Scaler == nil || c.Scaler.Claim == nil {
		return nil
	}
	claim := c.Scaler.Claim
	lack, why, since := claim.Lacks(c.Now)
	if lack != autoscaler.NotInitialized {
		return nil
	}
	message := fmt.Sprintf("NodeClaim %s is not Initialized %s after the machine joined", claim.Metadata.Name, c.Ago(since))
	if why != nil && why.Message != "" {
		message += ": " + why.Message
	}
	return subject.Beginning(since, c.One(message, subject.ClaimEvidence(claim, autoscaler.Registered, autoscaler.Initialized),
		c.Look("Read the conditions and events of the NodeClaim", "", "describe", "nodeclaim", claim.Metadata.Name)))
}

var clusterAutoscalerNotReporting = rule{
	Entry: finding.Entry{
		Code:     ClusterAutoscalerNotReporting,
		Severity: finding.Warning,
		Title:    "Cluster Autoscaler does not report",
		Meaning: "Cluster Autoscaler writes its status with every round, and has not done so for more than 10 minutes, after which it " +
			"restarts itself: it is not running, or cannot reach the API server or the cloud. Nodes are neither added nor removed. For " +
			"information where the status is older than a day: the autoscaler may have been removed, which leaves its ConfigMap.",
		Evidence: "The time at which the ConfigMap kube-system/cluster-autoscaler-status was last written, by the API server's clock where " +
			"the object tells it. Not reported for nodes of Karpenter and of the control plane.",
		Next:   "Check the pod of Cluster Autoscaler and its log.",
		Source: "https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/FAQ.md",
	},
	Check: checkClusterAutoscalerNotReporting,
}

// own says whether Cluster Autoscaler may manage the node.
func own(c *subject.Case) *autoscaler.Status {
	if c.Scaler == nil || c.Scaler.Status == nil || slices.Contains(c.Roles, "control-plane") && c.Scaler.Group == nil {
		return nil
	}
	return c.Scaler.Status
}

func checkClusterAutoscalerNotReporting(c *subject.Case) []finding.Finding {
	s := own(c)
	if s == nil {
		return nil
	}
	stopped, left := s.Stopped(c.Now)
	if !stopped {
		return nil
	}
	at := s.Updated()
	message := fmt.Sprintf("Cluster Autoscaler has not updated its status for %s: nodes are neither added nor removed", c.Ago(at))
	if left {
		message = fmt.Sprintf("Cluster Autoscaler has not updated its status for %s: it is not running, or was removed", c.Ago(at))
	}
	list := c.One(message, []finding.Evidence{{
		Source: statusMap, Path: "data.status", Value: "last written " + c.Ago(at) + " ago", Time: facts.Time(at),
	}}, c.Look("Find the pod of Cluster Autoscaler, and read its log", "kube-system", "get", "pods", "-o", "wide"),
		c.Look("Read what the autoscaler reported last", "kube-system", "get", "configmap", "cluster-autoscaler-status", "-o", "yaml"))
	if left {
		list[0].Severity = finding.Info
	}
	return list
}

var nodeGroupScaleUpFailing = rule{
	Entry: finding.Entry{
		Code:     NodeGroupScaleUpFailing,
		Severity: finding.Warning,
		Title:    "Cluster Autoscaler cannot add nodes to a node group",
		Meaning: "A scale-up of a node group failed (such as quota, no capacity, or machines that did not join in time), and Cluster " +
			"Autoscaler does not try again for a while. Pods that need a node of the group wait. For information where it is unknown whether " +
			"the node is of that group: the node itself is not affected.",
		Evidence: "Status Backoff of the group in the ConfigMap kube-system/cluster-autoscaler-status, with the error where it is given " +
			"there (1.30 and later), and FailedToScaleUpGroup and ScaleUpTimedOut events.",
		Next:   "Correct what the error names, at the cloud provider or in the configuration of the node group.",
		Source: "https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/FAQ.md",
	},
	CausedBy: []finding.Code{ClusterAutoscalerNotReporting},
	Check:    checkNodeGroupScaleUpFailing,
}

// mostGroups bounds the groups that one message names.
const mostGroups = 3

func checkNodeGroupScaleUpFailing(c *subject.Case) []finding.Finding {
	s := own(c)
	if s == nil {
		return nil
	}
	if stopped, _ := s.Stopped(c.Now); stopped {
		return nil // what it said last is not so any more
	}
	groups := s.InBackoff()
	if len(groups) == 0 {
		return nil
	}
	var names []string
	var evidence []finding.Evidence
	severity, began := finding.Info, time.Time{}
	for i, g := range groups {
		if g == c.Scaler.Group {
			severity = finding.Warning
		}
		if i < mostGroups {
			names = append(names, g.Name)
			evidence = append(evidence, groupEvidence(c, g)...)
		}
		if at := g.ScaleUp.Since; !at.IsZero() && (began.IsZero() || at.Before(began)) {
			began = at
		}
	}
	if severity == finding.Warning {
		names, evidence = []string{c.Scaler.Group.Name}, groupEvidence(c, c.Scaler.Group)
	} else if more := len(groups) - mostGroups; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	message := fmt.Sprintf("Cluster Autoscaler cannot add nodes to node %s %s for now: the last scale-up failed",
		map[bool]string{true: "group", false: "groups"}[len(names) == 1], strings.Join(names, ", "))
	list := subject.Beginning(began, c.One(message, evidence,
		c.Look("Read the errors of the node groups", "kube-system", "get", "configmap", "cluster-autoscaler-status", "-o", "yaml"),
		c.Look("List the events of the autoscaler", "kube-system", "get", "events", "--field-selector",
			"involvedObject.name=cluster-autoscaler-status")))
	list[0].Severity = severity
	return list
}

func groupEvidence(c *subject.Case, g *autoscaler.Group) []finding.Evidence {
	value := g.ScaleUp.Status
	if g.ScaleUp.Error != "" {
		value += ": " + g.ScaleUp.Error
	}
	if !g.ScaleUp.Since.IsZero() {
		value += " (for " + output.Age(c.Age(g.ScaleUp.Since)) + ")"
	}
	list := []finding.Evidence{{
		Source: statusMap, Path: "nodeGroups[" + g.Name + "].scaleUp", Value: value, Time: facts.Time(g.ScaleUp.Since),
	}}
	if failed := c.Scaling.FailedScaleUps(g); len(failed) > 0 {
		e := &failed[0]
		list = append(list, finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)})
	}
	return list
}
