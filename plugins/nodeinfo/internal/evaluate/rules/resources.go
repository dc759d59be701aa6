package rules

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// What the node has too little of.
const (
	DevicesNotAllocatable finding.Code = "DevicesNotAllocatable"
	Overcommitted         finding.Code = "Overcommitted"
	HighMemoryUsage       finding.Code = "HighMemoryUsage"
	MaxPodsReached        finding.Code = "MaxPodsReached"
	PodIPsExhausted       finding.Code = "PodIPsExhausted"
)

// memoryFull is the share of memory from which eviction or the OOM killer is near.
const memoryFull = 0.95

var devicePluginLost = rule{
	Entry: finding.Entry{
		Code:     DevicesNotAllocatable,
		Severity: finding.Warning,
		Title:    "Node devices are not allocatable",
		Meaning: "The node has devices (GPUs) of which none, or fewer than requested, can be allocated: the device plugin died or " +
			"devices are unhealthy.",
		Evidence: "Node capacity, allocatable, and what pods requested.",
		Next:     "Look at the device plugin's pod on this node.",
	},
	CausedBy: stoppedCodes,
	Check:    giving(DevicesNotAllocatable, checkDevicePluginLost),
}

// checkDevicePluginLost: a kubelet sets the allocatable count of a device plugin that went away to zero
// (https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/cm/devicemanager/manager.go, GetCapacity).
func checkDevicePluginLost(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, r := range c.Resources {
		if r.Unit != facts.UnitCount || !strings.Contains(r.Name, "/") || r.Capacity == nil || r.Allocatable == nil {
			continue
		}
		lost := r.Capacity.Value > 0 && r.Allocatable.Value == 0
		short := r.Requests != nil && r.Requests.Value > r.Allocatable.Value
		if !lost && !short {
			continue
		}
		message := fmt.Sprintf("%s: the node has %s, and %s can be allocated", r.Name, r.Capacity.Quantity, r.Allocatable.Quantity)
		if r.Requests != nil && r.Requests.Value > 0 {
			message += fmt.Sprintf(", while pods here hold %s", r.Requests.Quantity)
		}
		list = append(list, c.found(message+": its device plugin is gone or devices are unhealthy", []finding.Evidence{
			{Source: "Node", Path: "status.allocatable[" + r.Name + "]", Value: r.Allocatable.Quantity},
			{Source: "Node", Path: "status.capacity[" + r.Name + "]", Value: r.Capacity.Quantity},
		}, c.podsHere("find the device plugin's pod on this node")))
	}
	return list
}

var overcommitted = rule{
	Entry: finding.Entry{
		Code:     Overcommitted,
		Severity: finding.Warning,
		Title:    "Pod requests exceed allocatable resources",
		Meaning: "More is requested than allocatable: static pods, a shrunk node, or pods bound by hand. The scheduler places nothing " +
			"more here.",
		Evidence: "Sum of the pods' requests, as the scheduler counts.",
		Next:     "Find the biggest requests.",
	},
	Check: giving(Overcommitted, checkOvercommitted),
}

func checkOvercommitted(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, r := range c.Resources {
		if r.Unit == facts.UnitCount || r.Free == nil || r.Free.Value >= 0 {
			continue
		}
		message := fmt.Sprintf("pods request %s %s and the node can give %s: nothing more is placed here",
			r.Requests.Quantity, r.Name, r.Allocatable.Quantity)
		list = append(list, c.found(message, []finding.Evidence{
			{Source: "Pods on the node", Path: "requests." + r.Name, Value: r.Requests.Quantity},
			{Source: "Node", Path: "status.allocatable." + r.Name, Value: r.Allocatable.Quantity},
		}, c.look("the biggest requests", "", "nodeinfo", c.Object.Name, "--section=resources,pods")))
	}
	return list
}

var memoryAlmostFull = rule{
	Entry: finding.Entry{
		Code:     HighMemoryUsage,
		Severity: finding.Warning,
		Title:    "Node memory usage is above 95%",
		Meaning:  "The working set is above 95 % of capacity: eviction or the OOM killer is near.",
		Evidence: "metrics.k8s.io.",
		Next:     "Find the biggest users.",
	},
	CausedBy: append([]finding.Code{MemoryPressure}, notReportingCodes...),
	Check:    giving(HighMemoryUsage, checkMemoryAlmostFull),
}

func checkMemoryAlmostFull(c *Case) []finding.Finding {
	r := c.resource(corev1.ResourceMemory)
	if r == nil || r.Usage == nil || r.Capacity == nil || r.Capacity.Value <= 0 {
		return nil
	}
	if float64(r.Usage.Value) <= memoryFull*float64(r.Capacity.Value) {
		return nil
	}
	return c.one(fmt.Sprintf("%.1f%% of the memory is in use: eviction or the OOM killer is near", *r.UsagePercent), []finding.Evidence{
		{Source: "NodeMetrics", Path: "usage.memory", Value: r.Usage.Quantity},
		{Source: "Node", Path: "status.capacity.memory", Value: r.Capacity.Quantity},
	}, c.biggestUsers())
}

func (c *Case) resource(name corev1.ResourceName) *report.Resource {
	for i := range c.Resources {
		if c.Resources[i].Name == string(name) {
			return &c.Resources[i]
		}
	}
	return nil
}

func (c *Case) biggestUsers() finding.Next {
	return c.look("the biggest users in the cluster", "", "top", "pods", "-A", "--sort-by=memory")
}

var podSlotsFull = rule{
	Entry: finding.Entry{
		Code:     MaxPodsReached,
		Severity: finding.Info,
		Title:    "Node has reached its maximum number of pods",
		Meaning:  "As many pods as the node's maximum are bound to it; no further pod is placed here whatever its size.",
		Evidence: "Pods that are not finished, against allocatable pods.",
		Next:     "Nothing, if others have room; otherwise raise maxPods or add nodes.",
	},
	Check: giving(MaxPodsReached, checkPodSlotsFull),
}

func checkPodSlotsFull(c *Case) []finding.Finding {
	r := c.resource(corev1.ResourcePods)
	if r == nil || r.Requests == nil || r.Allocatable == nil || r.Allocatable.Value <= 0 || r.Requests.Value < r.Allocatable.Value {
		return nil
	}
	return c.one(fmt.Sprintf("no pod slot is left: %d of %d are taken", r.Requests.Value, r.Allocatable.Value),
		[]finding.Evidence{{Source: "Node", Path: "status.allocatable.pods", Value: r.Allocatable.Quantity}},
		c.podsHere("what takes the slots"))
}

var podIPsExhausted = rule{
	Entry: finding.Entry{
		Code:     PodIPsExhausted,
		Severity: finding.Warning,
		Title:    "Pod CIDR has no free addresses",
		Meaning:  "Every address of the node's pod CIDR is in use although pod slots are left: further pods stay in ContainerCreating.",
		Evidence: "Pod IPs within spec.podCIDR.",
		Next:     "Lower maxPods to what the CIDR holds, or give nodes larger CIDRs.",
	},
	Check: giving(PodIPsExhausted, checkPodIPsExhausted),
}

func checkPodIPsExhausted(c *Case) []finding.Finding {
	n := &c.Network
	if !n.Exhausted() {
		return nil
	}
	return c.one(fmt.Sprintf("no pod address is left: %d of %d in %s are taken", *n.Used, *n.Total, n.First),
		[]finding.Evidence{{Source: "Node", Path: "spec.podCIDR", Value: n.First.String()}}, c.podsHere("which pods hold addresses"))
}
