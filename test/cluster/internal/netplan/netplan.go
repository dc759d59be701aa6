// Package netplan gives every cluster of a machine networks of its own.
package netplan

import (
	"fmt"
	"net/netip"
)

// Plan is the addresses of one cluster, all derived from its index.
type Plan struct {
	Index    int    `json:"index"`
	Bridge   string `json:"bridge"`
	Nodes    string `json:"nodes"`    // the network that the nodes share with this machine
	Pods     string `json:"pods"`     // one /24 of it for each node
	Services string `json:"services"` // virtual addresses, known inside the cluster only
}

// maxIndex bounds the clusters of one machine: 16 each of the ranges below fit
// side by side in 10.0.0.0/8.
const maxIndex = 16

// For computes the plan with an index. Index 0 has Kubernetes' well-known
// service range, so that a lone cluster looks like any other.
func For(index int) Plan {
	return Plan{
		Index:    index,
		Bridge:   fmt.Sprintf("krb%d", index),
		Nodes:    fmt.Sprintf("10.64.%d.0/24", index),
		Pods:     fmt.Sprintf("10.%d.0.0/16", 112+index),
		Services: fmt.Sprintf("10.%d.0.0/16", 96+index),
	}
}

// Choose picks the first index that no other cluster has and whose networks
// overlap none that the machine already routes.
func Choose(taken []int, routed []netip.Prefix) (Plan, error) {
	used := map[int]bool{}
	for _, index := range taken {
		used[index] = true
	}
	for index := range maxIndex {
		plan := For(index)
		if !used[index] && !plan.overlaps(routed) {
			return plan, nil
		}
	}
	return Plan{}, fmt.Errorf("no free network: %d clusters run, or the machine routes their ranges elsewhere", len(taken))
}

func (p Plan) overlaps(routed []netip.Prefix) bool {
	for _, own := range []string{p.Nodes, p.Pods, p.Services} {
		prefix := netip.MustParsePrefix(own)
		for _, other := range routed {
			// A default route overlaps everything and means nothing.
			if other.Bits() > 0 && prefix.Overlaps(other) {
				return true
			}
		}
	}
	return false
}

// Gateway is this machine's address on the bridge.
func (p Plan) Gateway() string { return p.host(1) }

// ControlPlane is the address of the API server's node.
func (p Plan) ControlPlane() string { return p.NodeIP(0) }

// firstNode leaves room below for the gateway and what a test may add.
const firstNode = 11

// NodeIP is the address of a node; number 0 is the control plane.
func (p Plan) NodeIP(number int) string { return p.host(firstNode + number) }

func (p Plan) host(n int) string {
	base := netip.MustParsePrefix(p.Nodes).Addr().As4()
	base[3] = byte(n)
	return netip.AddrFrom4(base).String()
}

// ClusterDNS is the address of the cluster's DNS service, the tenth of the
// range, which is where kubeadm puts it.
func (p Plan) ClusterDNS() string {
	base := netip.MustParsePrefix(p.Services).Addr().As4()
	base[3] = 10
	return netip.AddrFrom4(base).String()
}

// Veth names this machine's end of a node's link; names of links are at most 15
// bytes long.
func (p Plan) Veth(node string) string { return fmt.Sprintf("kr%d-%s", p.Index, node) }

// DeadServiceIP is an address of the service range that no Service gets: the
// last but one, far from both ends where addresses are given out.
func (p Plan) DeadServiceIP() string {
	base := netip.MustParsePrefix(p.Services).Addr().As4()
	base[2], base[3] = 255, 253
	return netip.AddrFrom4(base).String()
}
