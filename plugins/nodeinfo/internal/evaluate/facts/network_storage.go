package facts

import (
	"cmp"
	"net/netip"
	"slices"

	storagev1 "k8s.io/api/storage/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Network is the addresses that the node has for pods. Used and Total are of the first CIDR; nil where pods have addresses
// from elsewhere (cloud networks, Cilium's or Calico's own pools), of which the CIDR says nothing.
type Network struct {
	PodCIDRs    []string
	First       netip.Prefix
	Used, Total *int64
}

// Exhausted says whether no address is left.
func (n *Network) Exhausted() bool { return n.Used != nil && n.Total != nil && *n.Used >= *n.Total }

func network(n *Node) Network {
	out := Network{PodCIDRs: n.Object.Spec.PodCIDRs}
	if len(out.PodCIDRs) == 0 && n.Object.Spec.PodCIDR != "" {
		out.PodCIDRs = []string{n.Object.Spec.PodCIDR}
	}
	if !n.Read(SourcePods) || len(out.PodCIDRs) == 0 {
		return out
	}
	cidr, err := netip.ParsePrefix(out.PodCIDRs[0])
	if err != nil {
		return out
	}
	used, elsewhere := podIPs(n.Pods, cidr)
	if elsewhere {
		return out
	}
	out.First, out.Used = cidr, &used
	if bits := cidr.Addr().BitLen() - cidr.Bits(); bits <= 20 {
		total := max(0, int64(1)<<bits-3) // the network's and the broadcast address, and the bridge's own
		out.Total = &total
	}
	return out
}

func podIPs(pods []*Pod, cidr netip.Prefix) (used int64, elsewhere bool) {
	for _, p := range pods {
		if p.Finished() || p.Spec.HostNetwork {
			continue
		}
		ip, err := netip.ParseAddr(p.Status.PodIP)
		if err != nil {
			continue
		}
		if !cidr.Contains(ip) {
			return 0, true
		}
		used++
	}
	return used, false
}

// Storage is the volumes attached and their limits.
type Storage struct {
	Attached *int // nil: not read
	Drivers  []Driver
	Failed   []*storagev1.VolumeAttachment
	// Driverless are attachments, not those that are being removed, whose driver is not registered on the node.
	Driverless []*storagev1.VolumeAttachment
}

// Driver is a CSI driver registered on the node, how many volumes it has attached, and how many it allows.
type Driver struct {
	Name            string
	Attached, Limit *int64 // nil: not read, or none stated
}

func (c *Cluster) storage(n *Node) Storage {
	var out Storage
	attached, csi := map[string]int64{}, c.csi[n.Object.Name]
	if n.Read(SourceAttachments) {
		count := 0
		for _, a := range c.attachments[n.Object.Name] {
			if a.Status.Attached {
				attached[a.Spec.Attacher]++
				count++
			}
			if VolumeError(a) != nil {
				out.Failed = append(out.Failed, a)
			}
			if csi != nil && a.DeletionTimestamp == nil &&
				!slices.ContainsFunc(csi.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == a.Spec.Attacher }) {
				out.Driverless = append(out.Driverless, a)
			}
		}
		out.Attached = &count
	}
	if csi == nil {
		return out
	}
	for _, d := range csi.Spec.Drivers {
		driver := Driver{Name: d.Name}
		if out.Attached != nil {
			count := attached[d.Name]
			driver.Attached = &count
		}
		if d.Allocatable != nil && d.Allocatable.Count != nil {
			limit := int64(*d.Allocatable.Count)
			driver.Limit = &limit
		}
		out.Drivers = append(out.Drivers, driver)
	}
	sorting.Func(out.Drivers, func(a, b Driver) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// VolumeError is what keeps a volume from being attached, or from being detached when that is wanted.
func VolumeError(a *storagev1.VolumeAttachment) *storagev1.VolumeError {
	if a.DeletionTimestamp != nil {
		return a.Status.DetachError
	}
	return a.Status.AttachError
}
