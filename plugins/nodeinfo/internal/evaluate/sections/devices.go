package sections

import (
	"cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// devices leaves out what the node once had, if no pod requests it.
func devices(n *facts.Node) []report.Device {
	var list []report.Device
	for _, r := range n.Devices {
		if (r.Capacity == nil || *r.Capacity == 0) && len(r.Holders) == 0 {
			continue
		}
		d := report.Device{Resource: string(r.Name), Capacity: r.Capacity, Allocatable: r.Allocatable, Requested: r.Requested}
		for _, h := range r.Holders {
			d.Pods = append(d.Pods, report.DevicePod{Namespace: h.Namespace, Name: h.Name, Requested: h.Count})
		}
		list = append(list, d)
	}
	return list
}

// pools are those of dynamic resource allocation.
func pools(n *facts.Node) []report.ResourcePool {
	var list []report.ResourcePool
	for i := range n.Pools {
		p := &n.Pools[i]
		out := report.ResourcePool{
			Driver: p.Driver, Pool: p.Name, Shared: p.Shared, Generation: p.Generation, Slices: p.Slices, ExpectedSlices: p.Expected,
			StaleSlices: p.Stale, Devices: p.Devices, TaintedDevices: p.Tainted,
		}
		for k := range p.Held {
			out.Allocated = append(out.Allocated, heldDevice(&p.Held[k]))
		}
		list = append(list, out)
	}
	return list
}

func heldDevice(h *device.Held) report.AllocatedDevice {
	out := report.AllocatedDevice{
		Device: h.Device, Namespace: h.Claim.Namespace, Claim: h.Claim.Name, Request: h.Request,
		AdminAccess: h.AdminAccess, Published: h.Published,
	}
	for _, p := range h.Pods {
		out.Pods = append(out.Pods, p.Name)
	}
	for _, t := range h.Taints {
		out.Taints = append(out.Taints, t.String())
	}
	if h.Status != nil {
		for _, c := range h.Status.Conditions {
			out.Conditions = append(out.Conditions, report.DeviceCondition{Type: c.Type, Status: string(c.Status), Reason: c.Reason})
		}
		sorting.Func(out.Conditions, func(a, b report.DeviceCondition) int { return cmp.Compare(a.Type, b.Type) })
	}
	return out
}
