// Package netplan gives every cluster of a machine networks of its own.
package netplan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Families of addresses that a cluster can have. In a dual-stack cluster IPv4 comes first.
const (
	IPv4 = "ipv4"
	IPv6 = "ipv6"
	Dual = "dual"
)

// Plan is the addresses of one cluster, all derived from its index.
type Plan struct {
	Index  int    `json:"index"`
	Bridge string `json:"bridge"`
	Ranges
	// Second is the other family's of a dual-stack cluster.
	Second Ranges `json:"second,omitzero"`
}

// Ranges are the networks of one family.
type Ranges struct {
	Nodes    string `json:"nodes"`    // the network that the nodes share with this machine
	Pods     string `json:"pods"`     // one /24 or /64 of it for each node
	Services string `json:"services"` // virtual addresses, known inside the cluster only
}

// maxIndex bounds the clusters of one machine: 16 each of the ranges below fit
// side by side in 10.0.0.0/8.
const maxIndex = 16

// For computes the plan with an index. Index 0 has Kubernetes' well-known
// service range, so that a lone cluster looks like any other.
func For(index int, family string) Plan {
	plan := Plan{Index: index, Bridge: fmt.Sprintf("krb%d", index), Ranges: ranges4(index)}
	switch family {
	case IPv6:
		plan.Ranges = ranges6(index)
	case Dual:
		plan.Second = ranges6(index)
	}
	return plan
}

func ranges4(index int) Ranges {
	return Ranges{
		Nodes:    fmt.Sprintf("10.64.%d.0/24", index),
		Pods:     fmt.Sprintf("10.%d.0.0/16", 112+index),
		Services: fmt.Sprintf("10.%d.0.0/16", 96+index),
	}
}

// ranges6 lie in a /48 of addresses that are unique to this program (RFC 4193): the letters krb in hexadecimal digits.
func ranges6(index int) Ranges {
	return Ranges{
		Nodes:    fmt.Sprintf("fd6b:7262:%x:64::/64", index),
		Pods:     fmt.Sprintf("fd6b:7262:%x:100::/56", index),
		Services: fmt.Sprintf("fd6b:7262:%x:96::/112", index),
	}
}

// Families lists the ranges of each family, those that come first first.
func (p Plan) Families() []Ranges {
	if p.Second == (Ranges{}) {
		return []Ranges{p.Ranges}
	}
	return []Ranges{p.Ranges, p.Second}
}

// IsIPv6 says whether the ranges are of IPv6.
func (r Ranges) IsIPv6() bool { return netip.MustParsePrefix(r.Nodes).Addr().Is6() }

// each writes something of each family as Kubernetes' own flags want it.
func (p Plan) each(of func(Ranges) string) string {
	var texts []string
	for _, family := range p.Families() {
		texts = append(texts, of(family))
	}
	return strings.Join(texts, ",")
}

// Networks are the nodes' networks of all families.
func (p Plan) Networks() string { return p.each(func(r Ranges) string { return r.Nodes }) }

// PodRanges are the pods' ranges of all families.
func (p Plan) PodRanges() string { return p.each(func(r Ranges) string { return r.Pods }) }

// ServiceRanges are the Services' ranges of all families.
func (p Plan) ServiceRanges() string { return p.each(func(r Ranges) string { return r.Services }) }

// Gateways are this machine's addresses on the bridge.
func (p Plan) Gateways() string { return p.each(Ranges.Gateway) }

// NodeIPs are all addresses of a node.
func (p Plan) NodeIPs(number int) string {
	return p.each(func(r Ranges) string { return r.NodeIP(number) })
}

// Choose picks the first index that no other cluster has and whose networks
// overlap none that the machine already routes.
func Choose(taken []int, routed []netip.Prefix, family string) (Plan, error) {
	used := map[int]bool{}
	for _, index := range taken {
		used[index] = true
	}
	for index := range maxIndex {
		plan := For(index, family)
		if !used[index] && !plan.overlaps(routed) {
			return plan, nil
		}
	}
	return Plan{}, fmt.Errorf("no free network: %d clusters run, or the machine routes their ranges elsewhere", len(taken))
}

func (p Plan) overlaps(routed []netip.Prefix) bool {
	for _, family := range p.Families() {
		for _, own := range []string{family.Nodes, family.Pods, family.Services} {
			prefix := netip.MustParsePrefix(own)
			for _, other := range routed {
				// A default route overlaps everything and means nothing.
				if other.Bits() > 0 && prefix.Overlaps(other) {
					return true
				}
			}
		}
	}
	return false
}

// ControlPlane is the address of the API server's node.
func (p Plan) ControlPlane() string { return p.NodeIP(0) }

// Gateway is this machine's address on the bridge.
func (r Ranges) Gateway() string { return r.host(1) }

// WithLength writes an address of the nodes' network with the length of the network.
func (r Ranges) WithLength(address string) string {
	_, length, _ := strings.Cut(r.Nodes, "/")
	return address + "/" + length
}

// firstNode leaves room below for the gateway and what a test may add.
const firstNode = 11

// NodeIP is the address of a node; number 0 is the control plane.
func (r Ranges) NodeIP(number int) string { return r.host(firstNode + number) }

// host is an address of the nodes' network whose end reads the same in both families.
func (r Ranges) host(n int) string {
	if r.IsIPv6() {
		digits, _ := strconv.ParseUint(strconv.Itoa(n), 16, 16) // fewer than 100 nodes
		n = int(digits)
	}
	return ending(r.Nodes, byte(n))
}

// ending is an address of a network with these last bytes.
func ending(network string, last ...byte) string {
	bytes := netip.MustParsePrefix(network).Addr().AsSlice()
	copy(bytes[len(bytes)-len(last):], last)
	address, _ := netip.AddrFromSlice(bytes)
	return address.String()
}

// ClusterDNS is the address of the cluster's DNS service, the tenth of the
// range, which is where kubeadm puts it.
func (r Ranges) ClusterDNS() string { return ending(r.Services, 10) }

// Veth names this machine's end of a node's link; names of links are at most 15
// bytes long.
func (p Plan) Veth(node string) string { return fmt.Sprintf("kr%d-%s", p.Index, node) }

// ClusterDNSes are the addresses that the DNS service has or can get, one of each family.
func (p Plan) ClusterDNSes() []string {
	var addresses []string
	for _, family := range p.Families() {
		addresses = append(addresses, family.ClusterDNS())
	}
	return addresses
}

// DeadServiceIP is an address of the service range that no Service gets: the
// last but one, far from both ends where addresses are given out.
func (r Ranges) DeadServiceIP() string { return ending(r.Services, 255, 253) }
