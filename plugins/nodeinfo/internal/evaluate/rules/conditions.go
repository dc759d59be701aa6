package rules

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Conditions but Ready whose status is trouble.
const (
	DiskPressure       finding.Code = "DiskPressure"
	MemoryPressure     finding.Code = "MemoryPressure"
	PIDPressure        finding.Code = "PIDPressure"
	NetworkUnavailable finding.Code = "NetworkUnavailable"
	ConditionProblem   finding.Code = "ConditionProblem"
)

var diskPressure = rule{
	Entry: finding.Entry{
		Code:     DiskPressure,
		Severity: finding.Critical,
		Title:    "Node has disk pressure",
		Meaning: "Free space or inodes of the node's or the images' filesystem are below an eviction threshold: the kubelet deletes " +
			"images, evicts pods and takes no new ones. It stays set five minutes after the space is back.",
		Evidence: "Node condition DiskPressure=True; eviction events.",
		Next:     "Find who fills the disk.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(DiskPressure, checkDiskPressure),
}

func checkDiskPressure(c *Case) []finding.Finding {
	return c.pressure(corev1.NodeDiskPressure, "Node has disk pressure")
}

var pidPressure = rule{
	Entry: finding.Entry{
		Code:     PIDPressure,
		Severity: finding.Critical,
		Title:    "Node has PID pressure",
		Meaning:  "Too many processes: the kubelet evicts pods.",
		Evidence: "Node condition PIDPressure=True.",
		Next:     "Find the pod that forks without end.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(PIDPressure, checkPIDPressure),
}

func checkPIDPressure(c *Case) []finding.Finding {
	return c.pressure(corev1.NodePIDPressure, "Node has PID pressure")
}

var memoryPressure = rule{
	Entry: finding.Entry{
		Code:     MemoryPressure,
		Severity: finding.Warning,
		Title:    "Node has memory pressure",
		Meaning:  "Available memory is below an eviction threshold: the kubelet evicts pods and takes no best-effort ones.",
		Evidence: "Node condition MemoryPressure=True.",
		Next:     "Find the biggest users.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(MemoryPressure, checkMemoryPressure),
}

func checkMemoryPressure(c *Case) []finding.Finding {
	return c.pressure(corev1.NodeMemoryPressure, "Node has memory pressure")
}

func (c *Case) pressure(kind corev1.NodeConditionType, message string) []finding.Finding {
	condition := c.raised(kind)
	if condition == nil {
		return nil
	}
	if since := condition.LastTransitionTime; !since.IsZero() {
		message += fmt.Sprintf(" (%s=True for %s); it stays five minutes after the cause is gone", kind, c.ago(since.Time))
	}
	return c.one(message, []finding.Evidence{conditionEvidence(condition)}, c.nodeEvents(),
		c.look("free space by the kubelet's own figures (needs get nodes/proxy), and the biggest pods",
			"", "nodeinfo", c.Object.Name, "--kubelet", "--section=storage,pods"))
}

// raised is a condition that is True. Only that is trouble: on a silent node all are Unknown, which says nothing.
func (c *Case) raised(kind corev1.NodeConditionType) *corev1.NodeCondition {
	condition := nodefact.Condition(c.Object, kind)
	if condition == nil || condition.Status != corev1.ConditionTrue {
		return nil
	}
	return condition
}

var networkUnavailable = rule{
	Entry: finding.Entry{
		Code:     NetworkUnavailable,
		Severity: finding.Critical,
		Title:    "Node network is not configured",
		Meaning:  "The network plugin or the cloud's route controller says that this node has no pod network.",
		Evidence: "Node condition NetworkUnavailable=True.",
		Next:     "Look at the CNI's pod on this node, or the cloud controller's routes.",
	},
	Check: giving(NetworkUnavailable, checkNetworkUnavailable),
}

func checkNetworkUnavailable(c *Case) []finding.Finding {
	condition := c.raised(corev1.NodeNetworkUnavailable)
	if condition == nil {
		return nil
	}
	return c.one("the node's pod network is not set up: "+said(condition), []finding.Evidence{conditionEvidence(condition)},
		c.podsHere("find the network plugin's pod on this node"))
}

var conditionProblem = rule{
	Entry: finding.Entry{
		Code:     ConditionProblem,
		Severity: finding.Warning,
		Title:    "Node condition reports a problem",
		Meaning:  "A condition set by another program (node-problem-detector, a cloud's agent) has its bad status.",
		Evidence: "The condition, its reason and message.",
		Next:     "Follow its message.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(ConditionProblem, checkConditionProblem),
}

// checkConditionProblem is about the conditions of add-ons: those of the kubelet have codes of their own.
func checkConditionProblem(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, condition := range c.Conditions {
		if nodefact.Standard(condition.Type) || condition.Problem == nil || !*condition.Problem {
			continue
		}
		list = append(list, c.found("condition "+string(condition.Type)+" is "+string(condition.Status)+": "+said(condition.NodeCondition),
			[]finding.Evidence{conditionEvidence(condition.NodeCondition)}, c.nodeEvents()))
	}
	return list
}

func said(c *corev1.NodeCondition) string { return cmp.Or(c.Message, c.Reason, "no message") }
