package corefile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Fqdn gives a name in lower case with its final dot.
func Fqdn(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || name == "." {
		return "."
	}
	return strings.TrimSuffix(name, ".") + "."
}

// InZone says whether name (or the zone itself) lies under zone. Both are names with a final dot.
//
//go:noinline
func InZone(name, zone string) bool {
	return zone == "." || name == zone || strings.HasSuffix(name, "."+zone)
}

// ReverseZones gives the in-addr.arpa or ip6.arpa zones of a CIDR, several where its length lies within a label, and nil
// for what is not a CIDR.
func ReverseZones(cidr string) []string {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil
	}
	prefix = prefix.Masked()
	step := 8
	if prefix.Addr().Is6() {
		step = 4
	}
	whole := (prefix.Bits() + step - 1) / step * step
	var zones []string
	for i := range 1 << (whole - prefix.Bits()) {
		zones = append(zones, reverseOf(prefix.Addr(), whole, step, i))
	}
	return zones
}

func reverseOf(addr netip.Addr, bits, step, add int) string {
	var labels []string
	if addr.Is4() {
		b := addr.As4()
		for i := range bits / 8 {
			labels = append(labels, fmt.Sprint(b[i]))
		}
	} else {
		for _, b := range addr.As16() {
			labels = append(labels, fmt.Sprintf("%x", b>>4), fmt.Sprintf("%x", b&15))
		}
		labels = labels[:bits/4]
	}
	if n := len(labels); n > 0 && add > 0 {
		base := 16
		if step == 8 {
			base = 10
		}
		if last, err := strconv.ParseInt(labels[n-1], base, 32); err == nil {
			labels[n-1] = strconv.FormatInt(last+int64(add), base)
		}
	}
	slices.Reverse(labels)
	suffix := "in-addr.arpa."
	if step == 4 {
		suffix = "ip6.arpa."
	}
	return strings.Join(append(labels, suffix), ".")
}

// BlockFor finds the server block that CoreDNS chooses for a name: of those on the port, the longest zone that the name
// lies in (https://github.com/coredns/coredns/blob/master/core/dnsserver/server.go).
func (f File) BlockFor(name, port string) (Block, bool) {
	name = Fqdn(name)
	best, length := Block{}, -1
	for _, b := range f.Blocks {
		for _, z := range b.Zones {
			if z.Port == port && z.Scheme == "dns" && InZone(name, z.Name) && len(z.Name) > length {
				best, length = b, len(z.Name)
			}
		}
	}
	return best, length >= 0
}

// Port is where a block serves plain DNS.
func (b Block) Port() string {
	for _, z := range b.Zones {
		if z.Scheme == "dns" {
			return z.Port
		}
	}
	return "53"
}

// Find gives the directives of a block with a name.
func (b Block) Find(name string) []Directive { return find(b.Directives, name) }

// Find gives the options of a directive with a name.
func (d Directive) Find(name string) []Directive { return find(d.Body, name) }

func find(list []Directive, name string) []Directive {
	var out []Directive
	for _, d := range list {
		if d.Name == name {
			out = append(out, d)
		}
	}
	return out
}

// ZoneNames gives the names of the block's zones.
func (b Block) ZoneNames() []string {
	names := make([]string, 0, len(b.Zones))
	for _, z := range b.Zones {
		names = append(names, z.Name)
	}
	return names
}

// order is the order in which CoreDNS 1.14 runs its plugins, whatever order the file has: it is fixed when the server
// is built (https://github.com/coredns/coredns/blob/master/plugin.cfg).
var order = []string{
	"metadata", "geoip", "cancel", "proxyproto", "quic", "grpc_server", "https", "https3", "timeouts", "multisocket", "reload",
	"nsid", "bufsize", "bind",
	"debug", "trace", "ready", "health", "pprof", "shed", "prometheus", "errors", "log", "dnstap", "local", "dns64", "siit", "any", "chaos",
	"loadbalance", "tsig", "rewrite", "autopath", "acl", "cache", "header", "dnssec", "tls", "minimal", "template", "transfer",
	"dynupdate", "hosts",
	"route53", "azure", "clouddns", "k8s_external", "kubernetes", "file", "auto", "secondary", "etcd", "loop", "forward",
	"grpc", "erratic", "whoami", "on", "sign", "view", "nomad", "root", "startup", "shutdown",
}

// Known says whether a stock CoreDNS has a plugin of that name.
func Known(plugin string) bool { return slices.Contains(order, plugin) || plugin == "multicluster" }

// Effective gives the block's directives in the order in which they run. Plugins that stock CoreDNS does not have come
// last, in the order written: where they run depends on how that binary was built.
func (b Block) Effective() []Directive {
	rank := func(d Directive) int {
		if i := slices.Index(order, d.Name); i >= 0 {
			return i
		}
		return len(order)
	}
	out := slices.Clone(b.Directives)
	sorting.Stable(out, func(a, c Directive) int { return rank(a) - rank(c) })
	return out
}

// Before says whether plugin a runs before plugin b.
func Before(a, b string) bool {
	i, j := slices.Index(order, a), slices.Index(order, b)
	return i >= 0 && j >= 0 && i < j
}
