package netplan

import (
	"net/netip"
	"strings"
	"testing"
)

func TestPlansOfAllIndexesAreApart(t *testing.T) {
	owner := map[netip.Prefix]int{}
	for index := range maxIndex {
		for _, p := range For(index, Dual).Families() {
			for _, text := range []string{p.Nodes, p.Pods, p.Services} {
				prefix := netip.MustParsePrefix(text)
				if prefix != prefix.Masked() {
					t.Errorf("index %d: %q is no network", index, text)
				}
				for other, of := range owner {
					if prefix.Overlaps(other) {
						t.Errorf("%s of index %d overlaps %s of index %d", prefix, index, other, of)
					}
				}
				owner[prefix] = index
			}
		}
	}
	if want := 6 * maxIndex; len(owner) != want {
		t.Errorf("%d networks, want %d", len(owner), want)
	}
}

func TestChoose(t *testing.T) {
	prefixes := func(texts ...string) (list []netip.Prefix) {
		for _, text := range texts {
			list = append(list, netip.MustParsePrefix(text))
		}
		return list
	}
	var all []int
	for i := range maxIndex {
		all = append(all, i)
	}
	for name, test := range map[string]struct {
		taken  []int
		routed []netip.Prefix
		family string
		want   int // -1: an error
	}{
		"a lone cluster gets the well-known range":  {want: 0},
		"a taken index is passed over":              {taken: []int{0, 1}, want: 2},
		"a gap is used again":                       {taken: []int{0, 2}, want: 1},
		"a routed pod range is passed over":         {routed: prefixes("10.112.3.0/24"), want: 1},
		"a single routed address is enough":         {routed: prefixes("10.64.0.7/32"), want: 1},
		"a default route says nothing":              {routed: prefixes("0.0.0.0/0"), want: 0},
		"a machine that routes 10.0.0.0/8 has none": {routed: prefixes("10.0.0.0/8"), want: -1},
		"all taken":                                      {taken: all, want: -1},
		"a routed range of IPv6 is passed over":          {routed: prefixes("fd6b:7262:0:100::/64"), family: IPv6, want: 1},
		"both families have to be free":                  {routed: prefixes("fd6b:7262:0:64::7/128", "10.97.0.0/24"), family: Dual, want: 2},
		"the other family says nothing":                  {routed: prefixes("10.0.0.0/8", "fd00::/64"), family: IPv6, want: 0},
		"a cluster of IPv4 needs no IPv6":                {routed: prefixes("fd00::/8"), want: 0},
		"a machine that routes all unique ones has none": {routed: prefixes("fd00::/8"), family: Dual, want: -1},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := Choose(test.taken, test.routed, test.family)
			if test.want < 0 {
				if err == nil {
					t.Fatalf("got %+v, want an error", plan)
				}
				return
			}
			if err != nil || plan.Index != test.want {
				t.Fatalf("got index %d, %v, want %d", plan.Index, err, test.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	p := For(3, IPv4)
	for what, pair := range map[string][2]string{
		"gateway":       {p.Gateway(), "10.64.3.1"},
		"control plane": {p.ControlPlane(), "10.64.3.11"},
		"second worker": {p.NodeIP(2), "10.64.3.13"},
		"cluster DNS":   {p.ClusterDNS(), "10.99.0.10"},
		"dead Service":  {p.DeadServiceIP(), "10.99.255.253"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
}

func TestAddressesOfBothFamilies(t *testing.T) {
	six, dual := For(11, IPv6), For(11, Dual)
	for what, pair := range map[string][2]string{
		"gateway":                   {six.Gateway(), "fd6b:7262:b:64::1"},
		"second worker":             {six.NodeIP(2), "fd6b:7262:b:64::13"},
		"the last node":             {six.NodeIP(56), "fd6b:7262:b:64::67"},
		"cluster DNS":               {six.ClusterDNS(), "fd6b:7262:b:96::a"},
		"dead Service":              {six.DeadServiceIP(), "fd6b:7262:b:96::fffd"},
		"on the bridge":             {six.WithLength(six.Gateway()), "fd6b:7262:b:64::1/64"},
		"both of a worker":          {dual.NodeIPs(1), "10.64.11.12,fd6b:7262:b:64::12"},
		"the first of a worker":     {dual.NodeIP(1), "10.64.11.12"},
		"both ranges of pods":       {dual.PodRanges(), "10.123.0.0/16,fd6b:7262:b:100::/56"},
		"both ranges of Services":   {dual.ServiceRanges(), "10.107.0.0/16,fd6b:7262:b:96::/112"},
		"one range of pods":         {six.PodRanges(), "fd6b:7262:b:100::/56"},
		"both gateways":             {dual.Gateways(), "10.64.11.1,fd6b:7262:b:64::1"},
		"the gateway of IPv4 alone": {For(11, "").Gateways(), "10.64.11.1"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
}

// The kernel refuses longer names of links.
func TestLinkNamesFit(t *testing.T) {
	p := For(maxIndex-1, Dual)
	for _, name := range []string{p.Bridge, p.Veth("cp1"), p.Veth("w50")} {
		if len(name) > 15 || strings.ContainsAny(name, "/ ") {
			t.Errorf("%q is no name for a link", name)
		}
	}
}
