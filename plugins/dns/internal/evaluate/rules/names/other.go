package names

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// otherDomain: a name as a Service has it, with another domain than this cluster's: the usual one, or one with which a Service of this
// cluster would be meant. Names of several clusters at once are none of these
// (https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/1645-multi-cluster-services-api#dns).
func otherDomain(w *facts.Snapshot, short string, evidence []finding.Evidence) *finding.Finding {
	own, domain, ok := strings.Cut(short, ".svc.")
	labels := strings.Split(own, ".")
	if !ok || len(labels) < 2 || domain == "clusterset.local" {
		return nil
	}
	full := own + ".svc." + w.Zone
	svc := w.Engine.Service(labels[len(labels)-1], labels[len(labels)-2])
	if svc == nil && domain != "cluster.local" {
		return nil
	}
	names := ask.Suggest(w, full)
	if svc != nil && ask.Has(w, full) {
		names = []string{strings.TrimSuffix(full, ".")}
	}
	evidence = append(evidence, facts.NewEvidence("cluster domain", "", "%s", strings.TrimSuffix(w.Zone, ".")))
	message := fmt.Sprintf("%s does not exist: the domain of this cluster is %s, not %s", short, strings.TrimSuffix(w.Zone, "."), domain)
	f := notFound(w, message, evidence, names, w.Read("List the Services", "", "get", "services", "-A"))
	return &f
}

// nameOfAddress: the name of an address, which queries of type PTR ask for. One of this cluster has none where CoreDNS serves no zone
// for it (https://coredns.io/plugins/kubernetes/).
func nameOfAddress(w *facts.Snapshot, fqdn, ip string, evidence []finding.Evidence) finding.Finding {
	message := strings.TrimSuffix(fqdn, ".") + " does not exist"
	next := w.Read("List the upstream servers for names outside the cluster", "", "dns", "upstream")
	known := w.Sources.Get("services").Readable() && w.Sources.Get("endpointslices").Readable()
	switch names := w.Engine.NamesOf(ip); {
	case len(names) > 0 && w.ConfRead && !slices.ContainsFunc(w.Records.Zones, func(zone string) bool { return corefile.InZone(fqdn, zone) }):
		message += fmt.Sprintf(": address %s belongs to %s, but the kubernetes plugin of CoreDNS does not serve its zone", ip,
			strings.TrimSuffix(names[0], "."))
		evidence = append(evidence, facts.NewEvidence("Corefile", fmt.Sprintf("line %d", w.Records.Line), "kubernetes %s",
			strings.Join(w.Records.Zones, " ")))
		next = w.Read("Read the configuration of CoreDNS", "", "dns", "config")
	case len(names) == 0 && known:
		message += fmt.Sprintf(": no Service or endpoint of the cluster has address %s", ip)
	}
	return w.Make(NameNotFound, finding.Warning, nil, message, evidence, next)
}

// otherFamily: an answer without records is right, and whoever queried for addresses of the other family would have got some.
func otherFamily(w *facts.Snapshot, g gathered, answers []report.Answer, name string) *finding.Finding {
	asked := func(typ string) bool {
		return slices.ContainsFunc(answers, func(a report.Answer) bool { return a.Type == typ })
	}
	typ, other := "A", "AAAA"
	if asked(other) {
		typ, other = other, typ
	}
	if g.missing || g.address || len(g.silent) > 0 || !g.empty[typ] || asked(other) || len(ask.Expect(w, name, typ).Data) > 0 {
		return nil
	}
	x := ask.Expect(w, name, other)
	if len(x.Data) == 0 {
		return nil
	}
	what, evidence := "the name", ask.Answers(w, name)
	svc, _ := ask.ServiceOf(w, corefile.Fqdn(name))
	if svc != nil {
		what = fmt.Sprintf("Service %s/%s", svc.Namespace, svc.Name)
		evidence = append(evidence, facts.NewEvidence("Service", "spec.ipFamilies", "%s", families(svc)))
	}
	f := w.Make(NoAddressRecord, finding.Info, serviceRef(svc), fmt.Sprintf("%s has no %s record: %s has addresses of %s only (%s)",
		strings.TrimSuffix(name, "."), typ, what, ask.FamilyOf(x.Data[0]), report.Listed(x.Data)), evidence,
		resolveNext(w, "Query the addresses that there are", strings.TrimSuffix(name, "."), "--type", other))
	return &f
}

func families(svc *corev1.Service) string {
	var list []string
	for _, f := range svc.Spec.IPFamilies {
		list = append(list, string(f))
	}
	return facts.OrNone(strings.Join(list, ", "))
}
