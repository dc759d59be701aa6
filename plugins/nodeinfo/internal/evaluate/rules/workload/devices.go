package workload

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Devices of the node that cannot be used, and devices of its pods that are not healthy.
const (
	DevicesNotAllocatable finding.Code = "DevicesNotAllocatable"
	DeviceUnhealthy       finding.Code = "DeviceUnhealthy"
)

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
	Check:    checkDevicesNotAllocatable,
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

var deviceUnhealthy = rule{
	Entry: finding.Entry{
		Code:     DeviceUnhealthy,
		Severity: finding.Warning,
		Title:    "Device that a pod uses is unhealthy",
		Meaning: "The kubelet reports a device (such as a GPU) that a container of the pod uses as unhealthy: work on that device can fail or " +
			"stop. For information where the health is unknown, because the device plugin is not registered.",
		Evidence: "Pod status.containerStatuses: allocatedResourcesStatus, which kubelets with the feature ResourceHealthStatus write. " +
			"Unknown is no evidence for a device of a ResourceClaim: many drivers report no health.",
		Next: "Check the device plugin or driver pod on the node; recreate the pod so that it gets another device.",
	},
	CausedBy: machine.StoppedCodes,
	Check:    checkDeviceUnhealthy,
}

// used is a device that is not healthy, and the pod that uses it.
type used struct {
	device.Trouble
	pod *facts.Pod
}

// checkDeviceUnhealthy makes one finding of the devices of a resource that are in the same state.
func checkDeviceUnhealthy(c *subject.Case) []finding.Finding {
	type key struct {
		resource corev1.ResourceName
		health   corev1.ResourceHealthStatus
	}
	groups, keys := map[key][]used{}, []key{}
	for _, p := range c.Pods {
		if p.Ends() {
			continue
		}
		for _, t := range device.Troubles(p.Pod) {
			k := key{t.Resource, t.Health}
			if groups[k] == nil {
				keys = append(keys, k)
			}
			groups[k] = append(groups[k], used{t, p})
		}
	}
	var list []finding.Finding
	for _, k := range keys {
		list = append(list, unhealthyFinding(c, groups[k]))
	}
	return list
}

func unhealthyFinding(c *subject.Case, group []used) finding.Finding {
	first := group[0]
	what := fmt.Sprintf("device %s of %s is %s (pod %s, container %s)",
		first.ID, first.Resource, healthWord(first.Health), subject.Name(first.pod), first.Container)
	if len(group) > 1 {
		var names []string
		for i, u := range group {
			if i == 3 {
				names = append(names, fmt.Sprintf("%d more", len(group)-i))
				break
			}
			names = append(names, fmt.Sprintf("%s (%s)", u.ID, subject.Name(u.pod)))
		}
		what = fmt.Sprintf("pods use devices of %s that are %s: %s", first.Resource, healthWord(first.Health), strings.Join(names, ", "))
	}
	var evidence []finding.Evidence
	for _, u := range group[:min(len(group), 5)] {
		value := fmt.Sprintf("%s: %s", u.ID, u.Health)
		if u.Message != "" {
			value += ": " + u.Message
		}
		evidence = append(evidence, finding.Evidence{
			Source: "Pod " + subject.Name(u.pod),
			Path:   fmt.Sprintf("status.containerStatuses[%s].allocatedResourcesStatus[%s]", u.Container, u.Resource), Value: value,
		})
	}
	plugin := c.PodsHere("Find the pod of the device plugin or driver on the node")
	f := subject.About(c.Found(what, evidence, plugin, c.DescribePod(first.pod)), first.pod)
	for i, u := range group {
		if i > 0 && u.pod != group[i-1].pod {
			f.Covers = append(f.Covers, finding.ObjectRef{Kind: "Pod", Namespace: u.pod.Namespace, Name: u.pod.Name})
		}
	}
	if first.Health == corev1.ResourceHealthStatusUnknown {
		f.Severity, f.Title = finding.Info, "Health of a device that a pod uses is unknown"
	}
	return f
}

func healthWord(h corev1.ResourceHealthStatus) string {
	if h == corev1.ResourceHealthStatusUnknown {
		return "of unknown health"
	}
	return "unhealthy"
}

// unhealthyDevice is the first device of a pod that is unhealthy; nil: none is.
func unhealthyDevice(p *facts.Pod) *device.Trouble {
	for _, t := range device.Troubles(p.Pod) {
		if t.Health == corev1.ResourceHealthStatusUnhealthy {
			return &t
		}
	}
	return nil
}
