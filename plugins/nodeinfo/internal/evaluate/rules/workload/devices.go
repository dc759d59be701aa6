package workload

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Devices of the node that cannot be used.
const DevicesNotAllocatable finding.Code = "DevicesNotAllocatable"

var devicesNotAllocatable = rule{
	Entry: finding.Entry{
		Code:     DevicesNotAllocatable,
		Severity: finding.Warning,
		Title:    "Node devices are not allocatable",
		Meaning: "The node has devices (such as GPUs) of which none, not all, or fewer than requested can be allocated: the device plugin is " +
			"not running, devices are unhealthy, or the resource was removed from the node while pods still request it. For information " +
			"where the node does not list the resource at all, since a scheduler extender can manage such a resource for the whole cluster.",
		Evidence: "Node status.capacity against status.allocatable, in which the kubelet counts only healthy devices, and against what pods " +
			"on the node request.",
		Next: "Check the device plugin pod on the node.",
	},
	CausedBy: machine.StoppedCodes,
	Check:    subject.Giving(DevicesNotAllocatable, checkDevicesNotAllocatable),
}

func checkDevicesNotAllocatable(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for i := range c.Devices {
		r := &c.Devices[i]
		message := deviceMessage(r)
		if message == "" {
			continue
		}
		evidence := []finding.Evidence{
			{Source: "Node", Path: "status.allocatable[" + string(r.Name) + "]", Value: deviceCount(r.Allocatable)},
			{Source: "Node", Path: "status.capacity[" + string(r.Name) + "]", Value: deviceCount(r.Capacity)},
		}
		if len(r.Holders) > 0 {
			evidence = append(evidence, finding.Evidence{
				Source: "Pods on the node", Path: "requests[" + string(r.Name) + "]", Value: holders(r),
			})
		}
		f := c.Found(message, evidence, c.PodsHere("Find the device plugin pod on the node"))
		if r.State() == device.Unlisted {
			f.Severity = finding.Info
		}
		list = append(list, f)
	}
	return list
}

// deviceMessage says what is wrong with a resource; empty: nothing.
func deviceMessage(r *device.Resource) string {
	requested := ""
	if r.Requested != nil && r.Allocatable != nil && *r.Requested > *r.Allocatable {
		requested = fmt.Sprintf(", but pods request %d", *r.Requested)
	}
	switch r.State() {
	case device.SomeUnhealthy:
		return fmt.Sprintf("%d of %d %s can be allocated%s: the kubelet counts %d as unhealthy",
			*r.Allocatable, *r.Capacity, r.Name, requested, *r.Capacity-*r.Allocatable)
	case device.NoneUsable:
		return fmt.Sprintf("0 of %d %s can be allocated: no running device plugin, or unhealthy devices", *r.Capacity, r.Name)
	case device.Removed:
		return fmt.Sprintf("the node no longer has %s, but pods request %d: the device plugin is not registered", r.Name, *r.Requested)
	case device.Unlisted:
		return fmt.Sprintf("pods request %d %s, which the node does not list: the device plugin was removed, or a scheduler extender "+
			"manages the resource", *r.Requested, r.Name)
	case device.Short:
		return fmt.Sprintf("pods request %d %s, but the node has %d: the device plugin may report fewer than before",
			*r.Requested, r.Name, *r.Allocatable)
	case device.Whole:
	}
	return ""
}

func deviceCount(n *int64) string {
	if n == nil {
		return "not listed"
	}
	return strconv.FormatInt(*n, 10)
}

// holders names at most three pods that request a resource, and counts the others.
func holders(r *device.Resource) string {
	var names []string
	for i, h := range r.Holders {
		if i == 3 {
			return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(r.Holders)-i)
		}
		names = append(names, fmt.Sprintf("%s/%s (%d)", h.Namespace, h.Name, h.Count))
	}
	return strings.Join(names, ", ")
}
