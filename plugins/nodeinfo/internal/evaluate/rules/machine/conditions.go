package machine

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Conditions other than Ready whose status is a problem.
const (
	DiskPressure         finding.Code = "DiskPressure"
	MemoryPressure       finding.Code = "MemoryPressure"
	PIDPressure          finding.Code = "PIDPressure"
	NetworkUnavailable   finding.Code = "NetworkUnavailable"
	ConditionProblem     finding.Code = "ConditionProblem"
	MaintenanceScheduled finding.Code = "MaintenanceScheduled"
)

var diskPressure = rule{
	Entry: finding.Entry{
		Code:     DiskPressure,
		Severity: finding.Critical,
		Title:    "Node has disk pressure",
		Meaning: "Free space or free inodes of the node or image filesystem are below an eviction threshold: the kubelet deletes images, " +
			"evicts pods and rejects new pods. The condition stays set for five minutes after the cause is removed. Which of the two is short, " +
			"events, evicted pods and the kubelet (--kubelet) tell; df shows free space when inodes are short (df -i shows inodes).",
		Evidence: "Node condition DiskPressure=True; EvictionThresholdMet events, messages of evicted pods, and inodes in /stats/summary.",
		Next:     "Find what fills the disk, or the directory with very many files.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkDiskPressure,
}

func checkDiskPressure(c *subject.Case) []finding.Finding {
	list := pressure(c, corev1.NodeDiskPressure, "the node has disk pressure")
	if len(list) == 0 {
		return nil
	}
	f := &list[0]
	f.Evidence = append(f.Evidence, diskUsers(c)...)
	if len(c.Scarce) == 0 {
		return list
	}
	what := map[string]string{
		kubelet.Inodes: "the node is out of inodes", kubelet.Space: "the node is low on disk space",
	}[c.Scarce[0].Resource]
	if c.ScarceOf(kubelet.Inodes) && c.ScarceOf(kubelet.Space) {
		what = "the node is low on disk space and inodes"
	}
	what += " (DiskPressure)"
	for _, s := range c.Scarce {
		if s.Figures != "" {
			what += ": " + s.Figures
			break
		}
	}
	f.Message = what
	if c.ScarceOf(kubelet.Inodes) {
		f.Next = append([]finding.Next{subject.OnNode("df -i; du --inodes -xd3 / 2>/dev/null | sort -n | tail -15",
			"On the node, list inode usage and the directories with the most files")}, f.Next...)
	}
	for _, s := range c.Scarce {
		f.Evidence = append(f.Evidence, finding.Evidence{Source: s.Source, Path: s.Path, Value: s.Text, Time: facts.Time(s.At)})
	}
	return list
}

var pidPressure = rule{
	Entry: finding.Entry{
		Code:     PIDPressure,
		Severity: finding.Critical,
		Title:    "Node has PID pressure",
		Meaning:  "The number of free process IDs is below an eviction threshold: the kubelet evicts pods.",
		Evidence: "Node condition PIDPressure=True.",
		Next:     "Find the pod that creates processes without limit.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkPIDPressure,
}

func checkPIDPressure(c *subject.Case) []finding.Finding {
	return pressure(c, corev1.NodePIDPressure, "the node has PID pressure")
}

var memoryPressure = rule{
	Entry: finding.Entry{
		Code:     MemoryPressure,
		Severity: finding.Warning,
		Title:    "Node has memory pressure",
		Meaning:  "Available memory is below an eviction threshold: the kubelet evicts pods and rejects new best-effort pods.",
		Evidence: "Node condition MemoryPressure=True.",
		Next:     "Find the pods that use the most memory.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkMemoryPressure,
}

func checkMemoryPressure(c *subject.Case) []finding.Finding {
	list := pressure(c, corev1.NodeMemoryPressure, "the node has memory pressure")
	for i := range list {
		list[i].Evidence = append(list[i].Evidence, Stalls(c, "memory")...)
	}
	return list
}

func pressure(c *subject.Case, kind corev1.NodeConditionType, message string) []finding.Finding {
	condition := raised(c, kind)
	if condition == nil {
		return nil
	}
	if since := condition.LastTransitionTime; !since.IsZero() {
		message += fmt.Sprintf(": %s=True for %s; the condition stays True for five minutes after the cause is removed", kind, c.Ago(since.Time))
	}
	return subject.Beginning(condition.LastTransitionTime.Time, c.One(message, []finding.Evidence{subject.ConditionEvidence(condition)},
		c.Look("Show the free space that the kubelet reports (needs get nodes/proxy) and the largest pods",
			"", "nodeinfo", c.Object.Name, "--kubelet", "--section=storage,pods"), subject.KubeletLog()))
}

// raised is a condition that is True. Only that is a problem: on a node that does not report, all are Unknown.
func raised(c *subject.Case, kind corev1.NodeConditionType) *corev1.NodeCondition {
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
		Meaning:  "The network plugin or the cloud route controller reports that the node has no pod network.",
		Evidence: "Node condition NetworkUnavailable=True.",
		Next:     "Check the network plugin pod on the node, or the routes of the cloud controller.",
	},
	Check: checkNetworkUnavailable,
}

func checkNetworkUnavailable(c *subject.Case) []finding.Finding {
	condition := raised(c, corev1.NodeNetworkUnavailable)
	if condition == nil {
		return nil
	}
	return subject.Beginning(condition.LastTransitionTime.Time, c.One("the pod network of the node is not configured: "+said(condition),
		[]finding.Evidence{subject.ConditionEvidence(condition)}, c.PodsHere("Find the network plugin pod on the node")))
}

var conditionProblem = rule{
	Entry: finding.Entry{
		Code:     ConditionProblem,
		Severity: finding.Warning,
		Title:    "Node condition reports a problem",
		Meaning: "A condition that another program sets (node-problem-detector, a cloud agent) has the status that means a problem. Info if " +
			"its reporter used to post it regularly and no longer does: what it said is out of date.",
		Evidence: "Status, reason and message of the condition.",
		Next:     "Follow the message of the condition.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkConditionProblem,
}

// checkConditionProblem reports the conditions of add-ons: those of the kubelet have codes of their own.
func checkConditionProblem(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, condition := range c.Conditions {
		if nodefact.Standard(condition.Type) || condition.Problem == nil || !*condition.Problem {
			continue
		}
		f := c.Found("condition "+string(condition.Type)+" is "+string(condition.Status)+": "+said(condition.NodeCondition),
			[]finding.Evidence{subject.ConditionEvidence(condition.NodeCondition)},
			subject.OnNode("journalctl -k -n 100 --no-pager", "On the node, read the log of the kernel"))
		if posted := condition.LastHeartbeatTime; !posted.IsZero() && c.Age(posted.Time) > c.Limits.StatusStaleAfter {
			f.Message = fmt.Sprintf("condition %s was %s when it was last posted, %s ago: %s",
				condition.Type, condition.Status, c.Ago(posted.Time), said(condition.NodeCondition))
			if condition.Silent {
				f.Message += "; its reporter has posted nothing since"
				f.Severity = finding.Info
			}
		}
		list = append(list, f)
	}
	return list
}

var maintenanceScheduled = rule{
	Entry: finding.Entry{
		Code:     MaintenanceScheduled,
		Severity: finding.Info,
		Title:    "Cloud has announced work on the node",
		Meaning: "The cloud has scheduled maintenance, a reboot or the like for the machine of the node, or expects to take it back. The node " +
			"is healthy until then.",
		Evidence: "A condition of node-problem-detector on Azure (VMEventScheduled and others) that is True, or a taint of the AWS Node " +
			"Termination Handler.",
		Next: "Preview a drain, and move the pods in time.",
	},
	Check: checkMaintenanceScheduled,
}

func checkMaintenanceScheduled(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, n := range nodefact.Notices(c.Object) {
		list = append(list, c.Found(n.Text, []finding.Evidence{{Source: "Node", Path: n.Path, Value: n.Value}},
			c.Look("Preview what a drain of the node does", "", "nodeinfo", c.Object.Name, "--drain")))
	}
	return list
}

func said(c *corev1.NodeCondition) string { return cmp.Or(c.Message, c.Reason, "no message") }
