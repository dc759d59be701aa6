package sections

import (
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
