package workload

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/thresholds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Resources that the node has too little of.
const (
	Overcommitted   finding.Code = "Overcommitted"
	HighMemoryUsage finding.Code = "HighMemoryUsage"
	MaxPodsReached  finding.Code = "MaxPodsReached"
	PodIPsExhausted finding.Code = "PodIPsExhausted"
)

var overcommitted = rule{
	Entry: finding.Entry{
		Code:     Overcommitted,
		Severity: finding.Warning,
		Title:    "Pod requests exceed allocatable resources",
		Meaning: "The pods request more than the node can allocate: static pods, a node whose capacity was reduced, or pods bound without the " +
			"scheduler. The scheduler places no more pods on the node.",
		Evidence: "Sum of the pod requests, as the scheduler counts, against Node status.allocatable.",
		Next:     "Find the largest requests.",
	},
	Check: checkOvercommitted,
}

func checkOvercommitted(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, r := range c.Resources {
		if r.Unit == facts.UnitCount || r.Free == nil || r.Free.Value >= 0 {
			continue
		}
		message := fmt.Sprintf("pods request %s %s, but %s is allocatable: the scheduler places no more pods on the node",
			r.Requests.Quantity, r.Name, r.Allocatable.Quantity)
		list = append(list, c.Found(message, []finding.Evidence{
			{Source: "Pods on the node", Path: "requests." + r.Name, Value: r.Requests.Quantity},
			{Source: "Node", Path: "status.allocatable." + r.Name, Value: r.Allocatable.Quantity},
		}, c.Look("Show the largest requests", "", "nodeinfo", c.Object.Name, "--section=resources,pods")))
	}
	return list
}

var highMemoryUsage = rule{
	Entry: finding.Entry{
		Code:     HighMemoryUsage,
		Severity: finding.Warning,
		Title:    "Node memory usage is high",
		Meaning:  "The working set is above 95% of the memory capacity: eviction or an out-of-memory kill is near.",
		Evidence: "NodeMetrics usage.memory above 95% of Node status.capacity.memory.",
		Next:     "Find the pods that use the most memory.",
	},
	CausedBy: append([]finding.Code{machine.MemoryPressure}, machine.NotReportingCodes...),
	Check:    checkHighMemoryUsage,
}

func checkHighMemoryUsage(c *subject.Case) []finding.Finding {
	r := resource(c, corev1.ResourceMemory)
	if r == nil || r.Usage == nil || r.Capacity == nil || r.Capacity.Value <= 0 {
		return nil
	}
	if float64(r.Usage.Value) <= float64(c.Limits.MemoryUsagePercent)/100*float64(r.Capacity.Value) {
		return nil
	}
	message := fmt.Sprintf("memory usage is %.1f%%: eviction or an out-of-memory kill is near", *r.UsagePercent)
	if c.Limits.MemoryUsagePercent < thresholds.Default().MemoryUsagePercent { // the operator's own limit
		message = fmt.Sprintf("memory usage is %.1f%%, above the threshold of %d%%", *r.UsagePercent, c.Limits.MemoryUsagePercent)
	}
	evidence := append([]finding.Evidence{
		{Source: "NodeMetrics", Path: "usage.memory", Value: r.Usage.Quantity},
		{Source: "Node", Path: "status.capacity.memory", Value: r.Capacity.Quantity},
	}, machine.Stalls(c, "memory")...)
	return c.One(message, evidence, c.BiggestUsers())
}

func resource(c *subject.Case, name corev1.ResourceName) *report.Resource {
	for i := range c.Resources {
		if c.Resources[i].Name == string(name) {
			return &c.Resources[i]
		}
	}
	return nil
}

var maxPodsReached = rule{
	Entry: finding.Entry{
		Code:     MaxPodsReached,
		Severity: finding.Info,
		Title:    "Node has reached its maximum number of pods",
		Meaning:  "As many pods as the node allows are bound to it: the scheduler places no more pods there, whatever their size.",
		Evidence: "Number of non-terminated pods against Node status.allocatable.pods.",
		Next:     "Do nothing if other nodes have free capacity; otherwise raise maxPods or add nodes.",
	},
	Check: checkMaxPodsReached,
}

func checkMaxPodsReached(c *subject.Case) []finding.Finding {
	r := resource(c, corev1.ResourcePods)
	if r == nil || r.Requests == nil || r.Allocatable == nil || r.Allocatable.Value <= 0 || r.Requests.Value < r.Allocatable.Value {
		return nil
	}
	return c.One(fmt.Sprintf("the node has reached its maximum number of pods: %d of %d", r.Requests.Value, r.Allocatable.Value),
		[]finding.Evidence{{Source: "Node", Path: "status.allocatable.pods", Value: r.Allocatable.Quantity}},
		c.PodsHere("List the pods on the node"))
}

var podIPsExhausted = rule{
	Entry: finding.Entry{
		Code:     PodIPsExhausted,
		Severity: finding.Warning,
		Title:    "No address is free for new pods",
		Meaning: "The network plugin has no address left for pods of the node: new pods stay in ContainerCreating. Either every address of " +
			"the pod CIDR belongs to a pod, or addresses are still reserved on the node for pods that no longer exist.",
		Evidence: "FailedCreatePodSandBox event of a pod in which the network plugin says so, or the number of pod IPs within Node spec.podCIDR.",
		Next: "If few pods have an address, remove the leaked reservations on the node (/var/lib/cni/networks for host-local); otherwise lower " +
			"maxPods to the size of the CIDR, or configure larger CIDRs for nodes.",
	},
	Check: checkPodIPsExhausted,
}

func checkPodIPsExhausted(c *subject.Case) []finding.Finding {
	n := &c.Network
	for _, p := range c.Pods {
		if p.Wait.NoAddress() {
			return []finding.Finding{noAddress(c, p)}
		}
	}
	if !n.Exhausted() {
		return nil
	}
	return c.One(fmt.Sprintf("pod CIDR %s has no free address: %d of %d are in use", n.First, *n.Used, *n.Total),
		[]finding.Evidence{{Source: "Node", Path: "spec.podCIDR", Value: n.First.String()}},
		c.PodsHere("List the pods on the node and their addresses"))
}

// noAddress goes by the words of the network plugin; where the pods that are listed have few addresses, the others are reserved
// for pods that are gone.
func noAddress(c *subject.Case, p *facts.Pod) finding.Finding {
	n, evidence := &c.Network, subject.PodEvidence(p)
	message := "the node has no free address for new pods: " + p.Wait.Cause
	next := []finding.Next{c.PodsHere("List the pods on the node and their addresses")}
	leaked := n.Used != nil && n.Total != nil && *n.Used < *n.Total
	if leaked {
		message = fmt.Sprintf("the node has no free pod address, but only %d of %d are in use by pods: %s", *n.Used, *n.Total, p.Wait.Cause)
		evidence = append(evidence, finding.Evidence{
			Source: "Pods on the node", Path: "status.podIP",
			Value: fmt.Sprintf("%d of %s in use; others are reserved for pods that no longer exist", *n.Used, n.First),
		})
	}
	if event.HostLocal(p.Wait.Message) {
		next = append(next, subject.OnNode("ls /var/lib/cni/networks/*/ | grep -c '^[0-9]'; crictl pods -q | wc -l; "+
			"head -n1 /var/lib/cni/networks/*/*.*.*.* | tail -20",
			"On the node, count the reserved addresses and the pod sandboxes, and show which sandbox holds each address",
			"more addresses than sandboxes: a file whose sandbox does not exist (crictl pods) is a leaked reservation; remove that file"))
	}
	return c.Found(message, evidence, next...)
}
