package facts

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
)

// claims joins the pods of the node that use ResourceClaims with their claims, and with what drivers publish for the node.
func (c *Cluster) claims(n *Node) {
	var pods, staying []*corev1.Pod
	for _, p := range n.Pods {
		if p.Finished() || !device.Claims(p.Pod) || !n.Read(SourceDeviceClaims+" in "+p.Namespace) {
			continue
		}
		pods = append(pods, p.Pod) // one that is being deleted has its devices until its driver has unprepared them
		if !p.Ends() {
			staying = append(staying, p.Pod)
		}
	}
	n.Needs = device.Needs(staying, c.in.DeviceClaims)
	if !n.Read(SourceSlices) {
		return
	}
	n.Pools = device.Pools(device.SlicesOf(n.Object.Name, c.in.Slices), pods, c.in.DeviceClaims)
}

// Bound is the pod of the node that a need is of.
func (n *Node) Bound(p *corev1.Pod) *Pod {
	for _, bound := range n.Pods {
		if bound.Pod == p {
			return bound
		}
	}
	return nil
}
