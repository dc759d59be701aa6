package servers

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// The codes of this file.
const (
	AnswersOverridden           finding.Code = "AnswersOverridden"
	AutopathWithoutPodsVerified finding.Code = "AutopathWithoutPodsVerified"
	ForwardsToItself            finding.Code = "ForwardsToItself"
	HostsWithoutFallthrough     finding.Code = "HostsWithoutFallthrough"
	NamespacesFiltered          finding.Code = "NamespacesFiltered"
	TemplateOverridesCluster    finding.Code = "TemplateOverridesCluster"
	UnknownPlugin               finding.Code = "UnknownPlugin"
)

// AlteredRules report answers that the Corefile overrides.
var AlteredRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: AnswersOverridden, Severity: finding.Warning, Title: "Corefile overrides answers for cluster names",
			Meaning: "A plugin that runs before the kubernetes plugin (hosts, rewrite, template, acl and others) gives answers for " +
				"Service names that differ from the API. This may be intended.",
			Evidence: "Answers that differ from the API for names that such a rule covers, with the rule's line.",
			Next:     "Run kubectl dns config to read the rules in the order in which CoreDNS applies them.",
			Source:   "https://github.com/coredns/coredns/blob/master/plugin.cfg",
		},
		Check: CheckAltered,
	},
}

// CorefileRules report a Corefile that loads but does not do what it appears to do.
var CorefileRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: AutopathWithoutPodsVerified, Severity: finding.Warning, Title: "Corefile uses autopath without pods verified",
			Meaning: "The autopath plugin derives the namespace of a client from its IP address. Without pods verified, it may use the " +
				"namespace of another pod.",
			Evidence: "The autopath plugin without pods verified in one server block of the Corefile.",
			Next:     "Add pods verified to the kubernetes plugin.",
			Source:   "https://coredns.io/plugins/autopath/",
		},
		Check: CheckCorefileLints,
	},
	{
		Entry: finding.Entry{
			Code: ForwardsToItself, Severity: finding.Critical, Title: "Corefile forwards queries back to CoreDNS",
			Meaning: "The Corefile forwards queries back to CoreDNS, where they loop until they time out.",
			Evidence: "An upstream in the Corefile that is the address of the DNS Service, or a loopback address on the port of its own " +
				"server block.",
			Next:   "Forward to a real upstream server.",
			Source: "https://coredns.io/plugins/loop/",
		},
	},
	{
		Entry: finding.Entry{
			Code: HostsWithoutFallthrough, Severity: finding.Critical, Title: "Corefile hosts plugin blocks cluster names",
			Meaning:  "The hosts plugin runs before the kubernetes plugin, and answers SERVFAIL for names that it does not have.",
			Evidence: "A hosts directive without fallthrough, whose zones include the cluster domain.",
			Next:     "Add fallthrough to the hosts directive.",
			Source:   "https://coredns.io/plugins/hosts/",
		},
		Explains: []finding.Code{ClusterNamesFailing, ReplicaWrongAnswer, AnswersOverridden},
	},
	{
		Entry: finding.Entry{
			Code: NamespacesFiltered, Severity: finding.Info, Title: "CoreDNS serves only some namespaces",
			Meaning:  "The namespaces option limits the kubernetes plugin, so only objects in the listed namespaces have names.",
			Evidence: "The namespaces option of the kubernetes plugin in the Corefile.",
			Next:     "Remove the option, unless it is intended.",
			Source:   "https://coredns.io/plugins/kubernetes/",
		},
	},
	{
		Entry: finding.Entry{
			Code: TemplateOverridesCluster, Severity: finding.Critical, Title: "Corefile template answers all cluster names",
			Meaning:  "A template answers every cluster name. Plugins run in a fixed order, and template runs before kubernetes.",
			Evidence: "A template directive for every name, whose zones include the cluster domain.",
			Next:     "Give the template a zone, a match or fallthrough.",
			Source:   "https://github.com/coredns/coredns/blob/master/plugin.cfg",
		},
		Explains: []finding.Code{ClusterNamesFailing, ReplicaWrongAnswer, AnswersOverridden},
	},
	{
		Entry: finding.Entry{
			Code: UnknownPlugin, Severity: finding.Info, Title: "Corefile uses a plugin not in stock CoreDNS",
			Meaning:  "The Corefile names a plugin that stock CoreDNS does not have. This is correct for a binary that includes the plugin.",
			Evidence: "A directive in the Corefile that is not a plugin of stock CoreDNS.",
			Next:     "Check that an image includes the plugin before you change to it.",
			Source:   "https://github.com/coredns/coredns/blob/master/plugin.cfg",
		},
	},
}

// Altered makes the finding for answers that a plugin before the kubernetes one gives.
func Altered(w *facts.Snapshot, message string, by records.Altered, evidence []finding.Evidence) finding.Finding {
	evidence = append(evidence, facts.NewEvidence("Corefile", fmt.Sprintf("line %d", by.Line), "%s runs before the kubernetes "+
		"plugin", by.Plugin))
	next := []finding.Next{w.Read("Read the rules in the order in which CoreDNS applies them", "", "dns", "config")}
	if w.ConfRef != nil {
		next = append(next, w.Change("Change the rule, if it is not intended", w.ConfRef.Namespace, "edit", "configmap", w.ConfRef.Name))
	}
	return w.Make(AnswersOverridden, finding.Warning, w.ConfRef, message, evidence, next...)
}

// CheckAltered reports queried cluster names whose answers the Corefile overrides, so that they differ from the API; one finding
// for each rule.
func CheckAltered(w *facts.Snapshot) []finding.Finding {
	return AlteredAnswers(w, func(string) bool { return true })
}

func AlteredAnswers(w *facts.Snapshot, asked func(name string) bool) []finding.Finding {
	if !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return nil
	}
	type changed struct {
		by       records.Altered
		names    map[string]bool
		evidence []finding.Evidence
	}
	var rules []*changed
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			by, ok := w.Records.AlteredBy(a.Name, records.Outcome(a))
			if !ok || a.Rcode == "" || a.Type == "SOA" || a.Name == w.External || !asked(a.Name) {
				continue
			}
			x := w.Engine.Lookup(a.Name, a.Type)
			if records.Compare(x, a) == records.Same || x.Outcome == records.NXDomain {
				continue
			}
			i := slices.IndexFunc(rules, func(r *changed) bool { return r.by.Plugin == by.Plugin && r.by.Line == by.Line })
			if i < 0 {
				i, rules = len(rules), append(rules, &changed{by: by, names: map[string]bool{}})
			}
			r := rules[i]
			if !r.names[a.Name+a.Type] && len(r.evidence) < 4 {
				r.evidence = append(r.evidence, facts.NewEvidence("answer of "+p.Pod, a.Name+" "+a.Type, "%s; expected from the "+
					"API: %s", ask.AnswerText(ask.Sorted(a)), x))
			}
			r.names[a.Name+a.Type] = true
		}
	}
	sorting.Func(rules, func(a, b *changed) int { return cmp.Compare(a.by.Line, b.by.Line) })
	var list []finding.Finding
	for _, r := range rules {
		list = append(list, Altered(w, fmt.Sprintf("%s in line %d of the Corefile overrides the answers for %d cluster %s",
			r.by.Plugin, r.by.Line, len(r.names), facts.Plural(len(r.names), "name")), r.by, r.evidence))
	}
	return list
}

// CheckCorefileLints judges a Corefile that loads and does not do what it seems to.
func CheckCorefileLints(w *facts.Snapshot) []finding.Finding {
	if !w.ConfRead || !w.Conf.Valid() {
		return nil
	}
	var list []finding.Finding
	for _, block := range w.Conf.Blocks {
		for _, d := range block.Directives {
			list = append(list, lintOf(w, block, d)...)
		}
	}
	if o, ok := records.FromCorefile(w.Conf); ok && len(o.Namespaces) > 0 {
		list = append(list, w.Make(NamespacesFiltered, finding.Info, w.ConfRef,
			fmt.Sprintf("only namespaces %s have DNS names: the kubernetes plugin in line %d is limited to them",
				strings.Join(o.Namespaces, ", "), o.Line),
			[]finding.Evidence{facts.NewEvidence("Corefile", fmt.Sprintf("line %d", o.Line), "namespaces %s", strings.Join(o.Namespaces, " "))}))
	}
	return list
}

// lintOf judges one line of a server block.
func lintOf(w *facts.Snapshot, block corefile.Block, d corefile.Directive) []finding.Finding {
	serves := len(block.Find("kubernetes")) > 0
	severity, yet := finding.Critical, ""
	if clusterAnswers(w) {
		severity, yet = finding.Warning, " once the replicas load this Corefile"
	}
	switch {
	case d.Name == "template" && serves && swallows(block, d, w.Zone):
		return lint(w, TemplateOverridesCluster, severity, d, fmt.Sprintf("the template in line %d answers every cluster name%s; "+
			"template runs before the kubernetes plugin, wherever it is written", d.Line, yet))
	case d.Name == "hosts" && serves && swallows(block, d, w.Zone):
		return lint(w, HostsWithoutFallthrough, severity, d, fmt.Sprintf("the hosts plugin in line %d has no fallthrough: "+
			"cluster names do not reach the kubernetes plugin%s", d.Line, yet))
	case d.Name == "forward" && forwardsToItself(w, block, d):
		return lint(w, ForwardsToItself, finding.Critical, d, fmt.Sprintf("line %d of the Corefile forwards to %s, which is CoreDNS "+
			"itself", d.Line,
			strings.Join(d.Args[1:], ", ")))
	case d.Name == "autopath" && serves && !podsVerified(block):
		return lint(w, AutopathWithoutPodsVerified, finding.Warning, d, fmt.Sprintf("autopath in line %d requires pods verified: "+
			"without it, pods may get names of another namespace", d.Line))
	case !corefile.Known(d.Name):
		return lint(w, UnknownPlugin, finding.Info, d, fmt.Sprintf("%s in line %d is not a plugin of stock CoreDNS: a binary without "+
			"it does not start",
			d.Name, d.Line))
	}
	return nil
}

func lint(w *facts.Snapshot, code finding.Code, severity finding.Severity, d corefile.Directive, message string) []finding.Finding {
	evidence := []finding.Evidence{facts.NewEvidence("Corefile", fmt.Sprintf("line %d", d.Line), "%s",
		strings.TrimSpace(d.Name+" "+strings.Join(d.Args, " ")))}
	next := []finding.Next{w.Read("Read the plugins in the order in which they run", "", "dns", "config")}
	if severity != finding.Info && w.ConfRef != nil {
		next = append(next, w.Change("Correct the line", w.ConfRef.Namespace, "edit", "configmap", w.ConfRef.Name))
	}
	return []finding.Finding{w.Make(code, severity, w.ConfRef, message, evidence, next...)}
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

// swallows says whether a line answers all names like this one itself, so that no plugin that runs later gets them
// (https://coredns.io/plugins/hosts/, https://coredns.io/plugins/template/).
func swallows(block corefile.Block, d corefile.Directive, name string) bool {
	var zones []string
	switch {
	case d.Name == "hosts":
		zones = slices.DeleteFunc(slices.Clone(d.Args), func(a string) bool { return strings.Contains(a, "/") })
	case d.Name == "template" && broad(d):
		zones = d.Args[min(2, len(d.Args)):]
	default:
		return false
	}
	if len(zones) == 0 {
		zones = block.ZoneNames()
	}
	covers := func(zone string) bool { return corefile.InZone(name, corefile.Fqdn(zone)) }
	return len(d.Find("fallthrough")) == 0 && slices.ContainsFunc(zones, covers)
}

// Swallowed says whether a line of the Corefile answers a name before forward gets it: the answer says nothing of an upstream.
func Swallowed(w *facts.Snapshot, name string) bool {
	name = corefile.Fqdn(name)
	return slices.ContainsFunc(w.Conf.Blocks, func(b corefile.Block) bool {
		chosen, ok := w.Conf.BlockFor(name, b.Port())
		return ok && chosen.Line == b.Line && slices.ContainsFunc(b.Directives, func(d corefile.Directive) bool { return swallows(b, d, name) })
	})
}

// clusterAnswers says whether every replica that was asked gives the right address for the API server's own Service. What a Corefile
// would do to it, no replica does yet: a changed ConfigMap is loaded after a minute or two.
func clusterAnswers(w *facts.Snapshot) bool {
	asked := false
	for _, p := range w.Probes {
		bad, ok := ask.ControlFailure(w, p)
		if bad != nil {
			return false
		}
		asked = asked || ok
	}
	return asked
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
func forwardsToItself(w *facts.Snapshot, block corefile.Block, d corefile.Directive) bool {
	if w.Service == nil || len(d.Args) < 2 {
		return false
	}
	return slices.ContainsFunc(d.Args[1:], func(to string) bool {
		host, port, plain := facts.UpstreamAddress(to)
		switch {
		case !plain:
			return false
		case slices.Contains(discover.ClusterIPs(w.Service), host):
			return port == "53"
		}
		address, err := netip.ParseAddr(host)
		return (host == "localhost" || err == nil && address.IsLoopback()) && len(block.Find("bind")) == 0 &&
			slices.ContainsFunc(block.Zones, func(z corefile.Zone) bool { return cmp.Or(z.Port, "53") == port })
	})
}
