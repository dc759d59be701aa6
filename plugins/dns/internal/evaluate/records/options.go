package records

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
)

// The values of the plugin's "pods" option.
const (
	PodsDisabled = "disabled"
	PodsInsecure = "insecure"
	PodsVerified = "verified"
)

// Options are those of the kubernetes plugin that change answers.
type Options struct {
	Zones           []string
	Namespaces      []string
	NamespaceLabels labels.Selector
	Labels          labels.Selector
	NoEndpoints     bool
	IgnoreEmpty     bool
	PodNames        bool
	Pods            string
	TTL             uint32
	Fallthrough     []string
	Line            int
	Altered         []Altered
}

// Altered is a plugin that runs before the kubernetes plugin and may change or take its answers.
type Altered struct {
	Plugin string
	Line   int
	Zones  []string
}

// Default is what a kubeadm cluster has; it serves as the assumption where no Corefile can be read.
func Default(zone string) Options {
	return Options{
		Zones: []string{corefile.Fqdn(zone), "in-addr.arpa.", "ip6.arpa."},
		Pods:  PodsInsecure, TTL: 30,
		Fallthrough: []string{"in-addr.arpa.", "ip6.arpa."},
	}
}

// FromCorefile reads the options of the kubernetes plugin that serves a forward zone, and false without one. Of several, it is
// the one in the server block that CoreDNS chooses for the names of Services, or else the first.
func FromCorefile(f corefile.File) (Options, bool) {
	for _, block := range f.Blocks {
		for _, d := range block.Find("kubernetes") {
			o := fromDirective(block, d)
			if o.Primary() == "" {
				continue
			}
			if chosen, ok := f.BlockFor("svc."+o.Primary(), block.Port()); ok {
				for _, d := range chosen.Find("kubernetes") {
					if other := fromDirective(chosen, d); other.Primary() == o.Primary() {
						return other, true
					}
				}
			}
			return o, true
		}
	}
	return Options{}, false
}

// TakenBy gives the server block that CoreDNS chooses for the names of Services, where that block lacks the kubernetes plugin
// which another block has for them.
func TakenBy(f corefile.File) (corefile.Block, bool) {
	for _, block := range f.Blocks {
		for _, d := range block.Find("kubernetes") {
			o := fromDirective(block, d)
			if o.Primary() == "" {
				continue
			}
			chosen, ok := f.BlockFor("svc."+o.Primary(), block.Port())
			return chosen, ok && len(chosen.Find("kubernetes")) == 0
		}
	}
	return corefile.Block{}, false
}

// Serves says whether any kubernetes plugin of the Corefile serves this very zone.
func Serves(f corefile.File, zone string) bool {
	for _, block := range f.Blocks {
		for _, d := range block.Find("kubernetes") {
			if slices.Contains(fromDirective(block, d).Zones, corefile.Fqdn(zone)) {
				return true
			}
		}
	}
	return false
}

func fromDirective(block corefile.Block, d corefile.Directive) Options {
	o := Options{Pods: PodsDisabled, TTL: 5, Line: d.Line}
	for _, arg := range d.Args {
		if zones := corefile.ReverseZones(arg); zones != nil {
			o.Zones = append(o.Zones, zones...)
		} else {
			o.Zones = append(o.Zones, corefile.Fqdn(arg))
		}
	}
	if len(o.Zones) == 0 {
		o.Zones = block.ZoneNames()
	}
	for _, option := range d.Body {
		o.set(option)
	}
	for _, p := range block.Effective() {
		if alters[p.Name] && corefile.Before(p.Name, "kubernetes") {
			o.Altered = append(o.Altered, Altered{p.Name, p.Line, alteredZones(block, p)})
		}
	}
	return o
}

func (o *Options) set(d corefile.Directive) {
	first := ""
	if len(d.Args) > 0 {
		first = d.Args[0]
	}
	switch d.Name {
	case "pods":
		o.Pods = first
	case "namespaces":
		o.Namespaces = append(o.Namespaces, d.Args...)
	case "labels":
		o.Labels, _ = labels.Parse(strings.Join(d.Args, " "))
	case "namespace_labels":
		o.NamespaceLabels, _ = labels.Parse(strings.Join(d.Args, " "))
	case "noendpoints":
		o.NoEndpoints = true
	case "endpoint_pod_names":
		o.PodNames = true
	case "ignore":
		o.IgnoreEmpty = o.IgnoreEmpty || first == "empty_service"
	case "ttl":
		if n, err := strconv.ParseUint(first, 10, 32); err == nil {
			o.TTL = uint32(n)
		}
	case "fallthrough":
		if len(d.Args) == 0 {
			o.Fallthrough = []string{"."}
		}
		for _, zone := range d.Args {
			o.Fallthrough = append(o.Fallthrough, corefile.Fqdn(zone))
		}
	}
}

// alters are the plugins whose rules can change what the kubernetes plugin would answer. cache is not among them: it
// delays, and the tolerance for settling covers it.
var alters = map[string]bool{
	"rewrite": true, "acl": true, "template": true, "hosts": true, "k8s_external": true, "dns64": true, "view": true, "any": true,
	"minimal": false,
}

// alteredZones gives the zones that a rule of such a plugin can touch, as far as its arguments say.
func alteredZones(block corefile.Block, d corefile.Directive) []string {
	args := d.Args
	switch d.Name {
	case "template":
		args = args[min(2, len(args)):]
	case "hosts":
		if names := hostsNames(d); len(names) > 0 {
			return names
		}
		args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.Contains(a, "/") })
	case "rewrite":
		return rewriteZones(d)
	case "dns64":
		return nil // adds AAAA to names that have none; compared as such
	}
	var zones []string
	for _, a := range args {
		zones = append(zones, corefile.Fqdn(a))
	}
	if len(zones) == 0 {
		return block.ZoneNames()
	}
	return zones
}

// hostsNames gives the names that stand in the Corefile itself, where hosts passes every other name on: with a file, or
// without fallthrough, it can touch them all.
func hostsNames(d corefile.Directive) []string {
	if slices.ContainsFunc(d.Args, func(a string) bool { return strings.Contains(a, "/") }) {
		return nil
	}
	var names []string
	passes := false
	for _, line := range d.Body {
		if line.Name == "fallthrough" && len(line.Args) == 0 {
			passes = true
		}
		if _, err := netip.ParseAddr(line.Name); err == nil {
			for _, name := range line.Args {
				names = append(names, corefile.Fqdn(name))
			}
		}
	}
	if !passes {
		return nil
	}
	return names
}

func rewriteZones(d corefile.Directive) []string {
	rules := [][]string{d.Args}
	for _, b := range d.Body {
		rules = append(rules, append([]string{b.Name}, b.Args...))
	}
	var zones []string
	for _, r := range rules {
		if i := slices.Index(r, "name"); i >= 0 && i+1 < len(r) {
			kind := r[i+1]
			switch {
			case slices.Contains([]string{"regex", "substring", "prefix"}, kind):
				zones = append(zones, ".")
			case slices.Contains([]string{"exact", "suffix"}, kind) && i+2 < len(r):
				zones = append(zones, corefile.Fqdn(strings.TrimPrefix(r[i+2], ".")))
			default:
				zones = append(zones, corefile.Fqdn(kind))
			}
		}
	}
	return zones
}

// AlteredBy gives the rule that may have changed the answer for a name into this outcome.
func (o Options) AlteredBy(name, outcome string) (Altered, bool) {
	name = corefile.Fqdn(name)
	for _, a := range o.Altered {
		if !a.gives(outcome) {
			continue
		}
		for _, zone := range a.Zones {
			if corefile.InZone(name, zone) {
				return a, true
			}
		}
	}
	return Altered{}, false
}

// gives says whether such a plugin can answer so. acl refuses, empties or drops an answer and never changes one
// (https://coredns.io/plugins/acl/): what is wrong behind it is wrong by itself.
func (a Altered) gives(outcome string) bool {
	return a.Plugin != "acl" || outcome == "REFUSED" || outcome == NoData || outcome == ""
}

// Primary is the first zone that is not a reverse zone.
func (o Options) Primary() string {
	for _, z := range o.Zones {
		if !corefile.InZone(z, "in-addr.arpa.") && !corefile.InZone(z, "ip6.arpa.") {
			return z
		}
	}
	return ""
}

func (o Options) zoneOf(name string) string {
	best := ""
	for _, z := range o.Zones {
		if corefile.InZone(name, z) && len(z) > len(best) {
			best = z
		}
	}
	return best
}

func (o Options) fallsThrough(name string) bool {
	return slices.ContainsFunc(o.Fallthrough, func(zone string) bool { return corefile.InZone(name, zone) })
}

func (o Options) objectSelected(l map[string]string) bool {
	return o.Labels == nil || o.Labels.Matches(labels.Set(l))
}

func (o Options) namespaceSelected(l map[string]string) bool {
	return o.NamespaceLabels == nil || o.NamespaceLabels.Matches(labels.Set(l))
}

// Hostname is the label under which an endpoint's address is found.
func (o Options) Hostname(e discoveryv1.Endpoint, address string) string {
	switch {
	case e.Hostname != nil && *e.Hostname != "":
		return *e.Hostname
	case o.PodNames && e.TargetRef != nil && e.TargetRef.Name != "" && len(e.TargetRef.Name) < 64:
		return e.TargetRef.Name
	case strings.Contains(address, "."):
		return strings.ReplaceAll(address, ".", "-")
	}
	dashed := strings.ReplaceAll(address, ":", "-")
	if strings.HasSuffix(dashed, "-") {
		dashed += "0"
	}
	return dashed
}

// ReverseName gives the name that a PTR question for an address asks.
func ReverseName(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	a = a.Unmap()
	var labels []string
	if a.Is4() {
		b := a.As4()
		for i := 3; i >= 0; i-- {
			labels = append(labels, strconv.Itoa(int(b[i])))
		}
		return strings.Join(labels, ".") + ".in-addr.arpa."
	}
	b := a.As16()
	for i := 15; i >= 0; i-- {
		labels = append(labels, fmt.Sprintf("%x", b[i]&15), fmt.Sprintf("%x", b[i]>>4))
	}
	return strings.Join(labels, ".") + ".ip6.arpa."
}

// AddressOf is the inverse of ReverseName, and "" for any other name.
func AddressOf(name string) string {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		labels := strings.Split(rest, ".")
		slices.Reverse(labels)
		if a, err := netip.ParseAddr(strings.Join(labels, ".")); err == nil && len(labels) == 4 {
			return a.String()
		}
		return ""
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa.")
	labels := strings.Split(rest, ".")
	if !ok || len(labels) != 32 {
		return ""
	}
	slices.Reverse(labels)
	var b strings.Builder
	for i, l := range labels {
		if i > 0 && i%4 == 0 {
			b.WriteByte(':')
		}
		b.WriteString(l)
	}
	a, err := netip.ParseAddr(b.String())
	if err != nil {
		return ""
	}
	return a.String()
}

// CommonType says whether a word is a record type as a template's arguments name it.
func CommonType(s string) bool {
	return slices.Contains([]string{"A", "AAAA", "ANY", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "TXT"}, s)
}
