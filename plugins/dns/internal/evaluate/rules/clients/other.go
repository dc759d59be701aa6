package clients

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
	f := notFound(w, fmt.Sprintf("%s does not exist: the domain of this cluster is %s, not %s", short, strings.TrimSuffix(w.Zone, "."), domain),
		evidence, names, w.Read("List the Services", "", "get", "services", "-A"))
	return &f
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
		strings.TrimSuffix(name, "."), typ, what, ask.FamilyOf(x.Data[0]), strings.Join(x.Data, ", ")), evidence,
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
