package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// memoryFull is the share of memory from which eviction or the OOM killer is near.
const memoryFull = 0.95

const (
	unitMillicores = "millicores"
	unitBytes      = "bytes"
	unitCount      = "count"
)

func unit(name corev1.ResourceName) string {
	switch {
	case name == corev1.ResourceCPU:
		return unitMillicores
	case name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage, name == corev1.ResourceStorage, strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		return unitBytes
	}
	return unitCount
}

func value(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

func amount(name corev1.ResourceName, list corev1.ResourceList) *report.Amount {
	q, ok := list[name]
	if !ok {
		return nil
	}
	return &report.Amount{Value: value(name, q), Quantity: q.String()}
}

// charge is what the scheduler counts for one pod.
type charge struct{ requests, limits corev1.ResourceList }

func (v *view) resources() {
	capacity, allocatable := v.node.Status.Capacity, schedule.Allocatable(v.node)
	var requests, limits corev1.ResourceList
	if v.read(SourcePods) {
		requests, limits = corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(0, resource.DecimalSI)}, corev1.ResourceList{}
		for _, p := range v.index.pods[v.node.Name] {
			if !schedule.Charged(p) {
				continue
			}
			c := charge{schedule.Requests(p), schedule.Limits(p)}
			v.charges[p] = c // the rows of the report: computed once, so that they add up to the totals
			schedule.Take(requests, c.requests)
			schedule.Add(limits, c.limits)
		}
	}
	usage := v.usage()
	names := map[corev1.ResourceName]bool{}
	for _, list := range []corev1.ResourceList{capacity, allocatable, requests} {
		for name := range list {
			names[name] = true
		}
	}
	for name := range names {
		v.out.Resources = append(v.out.Resources, v.resource(name, capacity, allocatable, requests, limits, usage))
	}
	slices.SortFunc(v.out.Resources, func(a, b report.Resource) int {
		return cmp.Or(cmp.Compare(resourceRank(a.Name), resourceRank(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for _, r := range v.out.Resources {
		v.checkResource(r)
	}
}

func resourceRank(name string) int {
	switch corev1.ResourceName(name) {
	case corev1.ResourceCPU:
		return 0
	case corev1.ResourceMemory:
		return 1
	case corev1.ResourceEphemeralStorage:
		return 2
	case corev1.ResourcePods:
		return 3
	}
	return 4
}

func (v *view) resource(name corev1.ResourceName, capacity, allocatable, requests, limits, usage corev1.ResourceList) report.Resource {
	r := report.Resource{Name: string(name), Unit: unit(name), Capacity: amount(name, capacity), Allocatable: amount(name, allocatable), Usage: amount(name, usage)}
	if r.Capacity != nil && r.Allocatable != nil {
		q := capacity[name].DeepCopy()
		q.Sub(allocatable[name])
		r.Reserved = &report.Amount{Value: value(name, q), Quantity: q.String()}
	}
	if requests != nil {
		q := requests[name]
		r.Requests = &report.Amount{Value: value(name, q), Quantity: q.String()}
		if r.Allocatable != nil {
			free := schedule.Free(v.node, requests, name)
			r.Free = &report.Amount{Value: value(name, free), Quantity: free.String()}
		}
		// Limits mean nothing for pods, and extended resources cannot be overcommitted.
		if name != corev1.ResourcePods && (r.Unit != unitCount) {
			l := limits[name]
			r.Limits = &report.Amount{Value: value(name, l), Quantity: l.String()}
		}
	}
	r.RequestsPercent, r.LimitsPercent = percent(r.Requests, r.Allocatable), percent(r.Limits, r.Allocatable)
	r.UsagePercent = percent(r.Usage, r.Capacity)
	return r
}

// percent is nil without a whole: a node may have nothing to allocate.
func percent(part, whole *report.Amount) *float64 {
	if part == nil || whole == nil || whole.Value <= 0 {
		return nil
	}
	return ptr(math.Round(float64(part.Value)/float64(whole.Value)*1000) / 10)
}

// usage is the node's sample, if it is fresh: an old or missing one is unknown, not zero.
func (v *view) usage() corev1.ResourceList {
	if !v.read(SourceMetrics) {
		return nil
	}
	gap := func(text string) corev1.ResourceList {
		v.sources = slices.DeleteFunc(v.sources, func(s source.Source) bool { return s.Name == SourceMetrics })
		v.sources = append(v.sources, source.Source{Name: SourceMetrics, State: source.Absent, Message: text})
		return nil
	}
	m := v.index.metrics[v.node.Name]
	if m == nil {
		return gap("metrics-server has no sample of this node (--kubelet shows whether its kubelet can be reached)")
	}
	window, err := time.ParseDuration(m.Window)
	if err != nil || window <= 0 {
		window = time.Minute
	}
	// metrics-server scrapes every 15 s to 1 min; a sample that is older than that and two windows is of the past.
	if old := v.now.Sub(m.Timestamp); old > time.Minute+2*window {
		return gap(fmt.Sprintf("the last sample is %s old", age(old)))
	}
	return m.Usage
}

func (v *view) checkResource(r report.Resource) {
	name := corev1.ResourceName(r.Name)
	switch {
	case name == corev1.ResourcePods:
		v.checkSlots(r)
	case r.Unit == unitCount:
		v.checkDevices(r)
	case r.Free != nil && r.Free.Value < 0:
		v.add(Overcommitted, fmt.Sprintf("pods request %s %s and the node can give %s: nothing more is placed here", r.Requests.Quantity, r.Name, r.Allocatable.Quantity),
			[]finding.Evidence{{Source: "Pods on the node", Path: "requests." + r.Name, Value: r.Requests.Quantity}, {Source: "Node", Path: "status.allocatable." + r.Name, Value: r.Allocatable.Quantity}},
			finding.Next{Command: v.kubectl("", "nodeinfo", v.node.Name, "--section=resources,pods"), Why: "the biggest requests", Risk: finding.Read})
	}
	if name == corev1.ResourceMemory && r.Usage != nil && r.Capacity != nil && r.Capacity.Value > 0 && float64(r.Usage.Value) > memoryFull*float64(r.Capacity.Value) {
		v.add(MemoryAlmostFull, fmt.Sprintf("%.1f%% of the memory is in use: eviction or the OOM killer is near", *r.UsagePercent),
			[]finding.Evidence{{Source: "NodeMetrics", Path: "usage.memory", Value: r.Usage.Quantity}, {Source: "Node", Path: "status.capacity.memory", Value: r.Capacity.Quantity}},
			finding.Next{Command: v.kubectl("", "top", "pods", "-A", "--sort-by=memory"), Why: "the biggest users in the cluster", Risk: finding.Read})
	}
}

func (v *view) checkSlots(r report.Resource) {
	if r.Requests == nil || r.Allocatable == nil || r.Allocatable.Value <= 0 || r.Requests.Value < r.Allocatable.Value {
		return
	}
	v.add(PodSlotsFull, fmt.Sprintf("no pod slot is left: %d of %d are taken", r.Requests.Value, r.Allocatable.Value),
		[]finding.Evidence{{Source: "Node", Path: "status.allocatable.pods", Value: r.Allocatable.Quantity}}, v.podsNext("what takes the slots"))
}

// checkDevices: a kubelet sets the allocatable count of a device plugin that went away to zero
// (https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/cm/devicemanager/manager.go, GetCapacity).
func (v *view) checkDevices(r report.Resource) {
	if !strings.Contains(r.Name, "/") || r.Capacity == nil || r.Allocatable == nil {
		return
	}
	lost := r.Capacity.Value > 0 && r.Allocatable.Value == 0
	short := r.Requests != nil && r.Requests.Value > r.Allocatable.Value
	if !lost && !short {
		return
	}
	message := fmt.Sprintf("%s: the node has %s, and %s can be allocated", r.Name, r.Capacity.Quantity, r.Allocatable.Quantity)
	if r.Requests != nil && r.Requests.Value > 0 {
		message += fmt.Sprintf(", while pods here hold %s", r.Requests.Quantity)
	}
	v.add(DevicePluginLost, message+": its device plugin is gone or devices are unhealthy",
		[]finding.Evidence{{Source: "Node", Path: "status.allocatable[" + r.Name + "]", Value: r.Allocatable.Quantity}, {Source: "Node", Path: "status.capacity[" + r.Name + "]", Value: r.Capacity.Quantity}},
		v.podsNext("find the device plugin's pod on this node"))
}
