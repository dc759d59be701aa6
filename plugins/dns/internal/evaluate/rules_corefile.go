package evaluate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// ruleCorefileLints judges a Corefile that loads and does not do what it seems to.
func ruleCorefileLints(w *world) []finding.Finding {
	if !w.confRead || !w.conf.Valid() {
		return nil
	}
	var list []finding.Finding
	lint := func(code string, severity finding.Severity, d corefile.Directive, message string) {
		evidence := []finding.Evidence{seen("Corefile", fmt.Sprintf("line %d", d.Line), "%s", strings.TrimSpace(d.Name+" "+strings.Join(d.Args, " ")))}
		next := []finding.Next{w.read("see the order in which plugins run", "", "dns", "config")}
		if severity == finding.Critical && w.confRef != nil {
			next = append(next, w.change("correct the line", w.confRef.Namespace, "edit", "configmap", w.confRef.Name))
		}
		list = append(list, w.make(code, severity, w.confRef, message, evidence, next...))
	}
	for _, block := range w.conf.Blocks {
		serves := len(block.Find("kubernetes")) > 0
		for _, d := range block.Directives {
			switch {
			case d.Name == "template" && serves && w.coversZone(block, d.Args[min(2, len(d.Args)):]) && len(d.Find("fallthrough")) == 0 && broad(d):
				lint("TemplateShadowsCluster", finding.Critical, d, fmt.Sprintf("the template in line %d answers every name of the cluster: it runs before the kubernetes plugin, wherever it is written", d.Line))
			case d.Name == "hosts" && serves && len(d.Find("fallthrough")) == 0 && w.coversZone(block, hostsZones(d)):
				lint("HostsWithoutFallthrough", finding.Critical, d, fmt.Sprintf("the hosts plugin in line %d has no fallthrough: names of the cluster never get past it", d.Line))
			case d.Name == "forward" && w.forwardsToItself(block, d):
				lint("ForwardsToItself", finding.Critical, d, fmt.Sprintf("line %d forwards to %s, which is this DNS server itself", d.Line, strings.Join(d.Args[1:], ", ")))
			case d.Name == "autopath" && serves && !podsVerified(block):
				lint("AutopathWithoutVerified", finding.Warning, d, fmt.Sprintf("autopath in line %d needs pods verified: without it pods get names of another namespace", d.Line))
			case !corefile.Known(d.Name):
				lint("UnknownPlugin", finding.Info, d, fmt.Sprintf("%s in line %d is no plugin of stock CoreDNS: a binary without it does not start", d.Name, d.Line))
			}
		}
	}
	if o, ok := records.FromCorefile(w.conf); ok && len(o.Namespaces) > 0 {
		list = append(list, w.make("NamespacesFiltered", finding.Info, w.confRef, fmt.Sprintf("only the namespaces %s have names: the kubernetes plugin in line %d is limited to them", strings.Join(o.Namespaces, ", "), o.Line),
			[]finding.Evidence{seen("Corefile", fmt.Sprintf("line %d", o.Line), "namespaces %s", strings.Join(o.Namespaces, " "))}))
	}
	return list
}

// broad: a template for every name of its zone (no match, or one that matches everything) and for address types.
func broad(d corefile.Directive) bool {
	if len(d.Args) > 1 && !slices.Contains([]string{"ANY", "A"}, strings.ToUpper(d.Args[1])) {
		return false
	}
	matches := d.Find("match")
	return len(matches) == 0 || slices.ContainsFunc(matches, func(m corefile.Directive) bool {
		return slices.ContainsFunc(m.Args, func(a string) bool { return a == ".*" || a == "^.*$" || a == "." })
	})
}

func (w *world) coversZone(block corefile.Block, zones []string) bool {
	if len(zones) == 0 {
		zones = block.ZoneNames()
	}
	return slices.ContainsFunc(zones, func(z string) bool { return corefile.InZone(w.zone, corefile.Fqdn(z)) })
}

func hostsZones(d corefile.Directive) []string {
	return slices.DeleteFunc(slices.Clone(d.Args), func(a string) bool { return strings.Contains(a, "/") })
}

func podsVerified(block corefile.Block) bool {
	for _, k := range block.Find("kubernetes") {
		for _, p := range k.Find("pods") {
			if slices.Contains(p.Args, records.PodsVerified) {
				return true
			}
		}
	}
	return false
}

// forwardsToItself: to the DNS Service's own address, or to a loopback address on a port that this server block serves.
func (w *world) forwardsToItself(block corefile.Block, d corefile.Directive) bool {
	if w.service == nil || len(d.Args) < 2 {
		return false
	}
	return slices.ContainsFunc(d.Args[1:], func(to string) bool {
		host, port, plain := upstreamAddress(to)
		switch {
		case !plain:
			return false
		case slices.Contains(clusterIPsOf(w.service), host):
			return port == "53"
		}
		address, err := netip.ParseAddr(host)
		return (host == "localhost" || err == nil && address.IsLoopback()) && len(block.Find("bind")) == 0 &&
			slices.ContainsFunc(block.Zones, func(z corefile.Zone) bool { return cmp.Or(z.Port, "53") == port })
	})
}

// upstreamAddress takes what forward names apart: an address with a scheme and a port of which both may be missing
// (https://coredns.io/plugins/forward/#syntax). Plain is DNS without TLS.
func upstreamAddress(to string) (host, port string, plain bool) {
	bare, tls := strings.CutPrefix(strings.TrimPrefix(to, "dns://"), "tls://")
	host, port = strings.Trim(bare, "[]"), "53"
	if tls {
		port = "853"
	}
	if at := strings.LastIndex(bare, ":"); at >= 0 && (strings.Count(bare, ":") == 1 || strings.Contains(bare, "]:")) {
		host, port = strings.Trim(bare[:at], "[]"), bare[at+1:]
	}
	host, _, _ = strings.Cut(host, "%")
	return host, port, !tls
}

// Config explains the Corefile.
func Config(in Input, w *world) report.Config {
	out := report.Config{Header: w.header("DNSConfig"), Blocks: []report.ConfigBlock{}}
	if w.confRef != nil {
		out.Source = w.confRef.String()
	}
	for _, b := range w.conf.Blocks {
		block := report.ConfigBlock{File: b.File, Line: b.Line}
		for _, z := range b.Zones {
			block.Zones = append(block.Zones, z.String())
		}
		for i, d := range b.Effective() {
			p := report.ConfigPlugin{Order: i + 1, Name: d.Name, Args: strings.Join(d.Args, " "), File: d.File, Line: d.Line}
			for _, o := range d.Body {
				p.Options = append(p.Options, corefile.HideSecrets(strings.TrimSpace(o.Name+" "+strings.Join(o.Args, " "))))
			}
			block.Plugins = append(block.Plugins, p)
		}
		out.Blocks = append(out.Blocks, block)
	}
	return out
}

// Masked gives a copy of the input for a file, with the secrets hidden that look like one or stand in a Corefile.
func Masked(in Input) Input {
	in = mask.Copy(in)
	for _, m := range in.ConfigMaps {
		for key := range m.Data {
			m.Data[key] = corefile.HideSecrets(m.Data[key])
		}
	}
	return in
}
