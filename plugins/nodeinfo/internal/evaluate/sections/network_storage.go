package sections

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func network(n *facts.Node) *report.Network {
	out := &report.Network{PodCIDRs: n.Network.PodCIDRs, PodIPsUsed: n.Network.Used, PodIPsTotal: n.Network.Total}
	for _, a := range n.Object.Status.Addresses {
		out.Addresses = append(out.Addresses, report.Address{Type: string(a.Type), Address: a.Address})
	}
	sorting.Func(out.Addresses, func(a, b report.Address) int {
		return cmp.Or(cmp.Compare(b.Type, a.Type), cmp.Compare(a.Address, b.Address))
	})
	if c := nodefact.Condition(n.Object, corev1.NodeNetworkUnavailable); c != nil && c.Status != corev1.ConditionUnknown {
		out.Unavailable = ptr(c.Status == corev1.ConditionTrue)
	}
	return out
}

// storage is nil where nothing of it was read.
func storage(n *facts.Node) *report.Storage {
	if !n.Read(facts.SourceCSINodes) && !n.Read(facts.SourceAttachments) && !n.KubeletsAsked {
		return nil
	}
	out := &report.Storage{Attached: n.Storage.Attached}
	for _, d := range n.Storage.Drivers {
		out.Drivers = append(out.Drivers, report.Driver{Name: d.Name, Limit: d.Limit, Attached: d.Attached})
	}
	if n.Kubelet == nil {
		return out
	}
	for _, f := range n.Kubelet.Filesystems {
		out.Filesystems = append(out.Filesystems, report.Filesystem{
			Name: f.Name, Capacity: signed(f.Capacity), Used: signed(f.Used), Available: signed(f.Available),
			Inodes: signed(f.Inodes), InodesFree: signed(f.InodesFree),
		})
	}
	for _, u := range n.Kubelet.DiskUsers {
		out.DiskUsers = append(out.DiskUsers, report.DiskUser{Namespace: u.Namespace, Pod: u.Name, Used: *signed(&u.Used)})
	}
	sorting.Func(out.Filesystems, func(a, b report.Filesystem) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func signed(n *uint64) *int64 {
	if n == nil {
		return nil
	}
	return ptr(int64(min(*n, 1<<62)))
}
