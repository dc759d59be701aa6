package evaluate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func (v *view) network() {
	out := &report.Network{PodCIDRs: v.node.Spec.PodCIDRs}
	if len(out.PodCIDRs) == 0 && v.node.Spec.PodCIDR != "" {
		out.PodCIDRs = []string{v.node.Spec.PodCIDR}
	}
	for _, a := range v.node.Status.Addresses {
		out.Addresses = append(out.Addresses, report.Address{Type: string(a.Type), Address: a.Address})
	}
	slices.SortFunc(out.Addresses, func(a, b report.Address) int {
		return cmp.Or(cmp.Compare(b.Type, a.Type), cmp.Compare(a.Address, b.Address))
	})
	if c := nodefact.Condition(v.node, corev1.NodeNetworkUnavailable); c != nil && c.Status != corev1.ConditionUnknown {
		out.Unavailable = ptr(c.Status == corev1.ConditionTrue)
	}
	v.out.Network = out
	v.podIPs(out)
}

// podIPs counts the pod addresses taken from the node's first CIDR. Where pods have addresses from elsewhere (cloud
// networks, Cilium's or Calico's own pools) the CIDR says nothing and no figure is given.
func (v *view) podIPs(out *report.Network) {
	if !v.read(SourcePods) || len(out.PodCIDRs) == 0 {
		return
	}
	cidr, err := netip.ParsePrefix(out.PodCIDRs[0])
	if err != nil {
		return
	}
	used := int64(0)
	for _, p := range v.index.pods[v.node.Name] {
		if podfact.Finished(p) || p.Spec.HostNetwork {
			continue
		}
		ip, err := netip.ParseAddr(p.Status.PodIP)
		if err != nil {
			continue
		}
		if !cidr.Contains(ip) {
			return
		}
		used++
	}
	out.PodIPsUsed = &used
	if bits := cidr.Addr().BitLen() - cidr.Bits(); bits <= 20 {
		// The network's and the broadcast address, and the bridge's own.
		out.PodIPsTotal = ptr(max(0, int64(1)<<bits-3))
	}
	if out.PodIPsTotal == nil || used < *out.PodIPsTotal {
		return
	}
	v.add(PodIPsExhausted, fmt.Sprintf("no pod address is left: %d of %d in %s are taken", used, *out.PodIPsTotal, cidr),
		[]finding.Evidence{{Source: "Node", Path: "spec.podCIDR", Value: cidr.String()}}, v.podsNext("which pods hold addresses"))
}

func (v *view) storage() {
	if !v.read(SourceCSINodes) && !v.read(SourceAttachments) && len(v.in.Kubelets) == 0 {
		return
	}
	out := &report.Storage{}
	v.out.Storage = out
	attached := map[string]int64{}
	if v.read(SourceAttachments) {
		n := 0
		for _, a := range v.index.attachments[v.node.Name] {
			if a.Status.Attached {
				attached[a.Spec.Attacher]++
				n++
			}
			v.checkAttachment(a)
		}
		out.Attached = &n
	}
	if csi := v.index.csi[v.node.Name]; csi != nil {
		for _, d := range csi.Spec.Drivers {
			v.driver(out, d, attached)
		}
		slices.SortFunc(out.Drivers, func(a, b report.Driver) int { return cmp.Compare(a.Name, b.Name) })
	}
	for _, f := range v.in.Kubelets[v.node.Name].Filesystems {
		out.Filesystems = append(out.Filesystems, report.Filesystem{
			Name: f.Name, Capacity: signed(f.Capacity), Used: signed(f.Used), Available: signed(f.Available), Inodes: signed(f.Inodes), InodesFree: signed(f.InodesFree),
		})
	}
	slices.SortFunc(out.Filesystems, func(a, b report.Filesystem) int { return cmp.Compare(a.Name, b.Name) })
}

func signed(n *uint64) *int64 {
	if n == nil {
		return nil
	}
	return ptr(int64(min(*n, 1<<62)))
}

func (v *view) driver(out *report.Storage, d storagev1.CSINodeDriver, attached map[string]int64) {
	driver := report.Driver{Name: d.Name}
	if v.read(SourceAttachments) {
		driver.Attached = ptr(attached[d.Name])
	}
	if d.Allocatable != nil && d.Allocatable.Count != nil {
		driver.Limit = ptr(int64(*d.Allocatable.Count))
	}
	out.Drivers = append(out.Drivers, driver)
	if driver.Limit == nil || driver.Attached == nil || *driver.Attached < *driver.Limit {
		return
	}
	v.add(VolumeLimit, fmt.Sprintf("no further volume of %s can be attached: %d of %d are", d.Name, *driver.Attached, *driver.Limit),
		[]finding.Evidence{{Source: "CSINode/" + v.node.Name, Path: "spec.drivers[" + d.Name + "].allocatable.count", Value: fmt.Sprint(*driver.Limit)}},
		finding.Next{Command: v.kubectl("", "get", "volumeattachments"), Why: "which volumes are attached here", Risk: finding.Read})
}

func (v *view) checkAttachment(a *storagev1.VolumeAttachment) {
	problem, verb := a.Status.AttachError, "attached to"
	if a.DeletionTimestamp != nil {
		problem, verb = a.Status.DetachError, "detached from"
	}
	if problem == nil {
		return
	}
	volume := a.Name
	if a.Spec.Source.PersistentVolumeName != nil {
		volume = *a.Spec.Source.PersistentVolumeName
	}
	f := v.add(VolumeAttachError, fmt.Sprintf("volume %s cannot be %s this node: %s", volume, verb, problem.Message),
		[]finding.Evidence{{Source: "VolumeAttachment/" + a.Name, Path: "status", Value: problem.Message, Time: timeOf(problem.Time.Time)}},
		finding.Next{Command: v.kubectl("", "describe", "volumeattachment", a.Name), Why: "the driver's error", Risk: finding.Read})
	f.Object = &finding.ObjectRef{Kind: "VolumeAttachment", Name: a.Name}
}
