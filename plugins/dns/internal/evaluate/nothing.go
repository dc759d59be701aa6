package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of what is judged here.
const (
	NameNotFound  finding.Code = "NameNotFound"
	NoAddress     finding.Code = "NoAddress"
	RecordsDiffer finding.Code = "RecordsDiffer"
)

// nothing makes the finding for a name that gave no address: one that the servers deny (NXDOMAIN), or know without an
// address (NODATA). The first that holds is the cause: a zone that nobody serves; servers that do not say what the API
// does; what is wrong with the Service behind the name; the target of its CNAME. Only then it may be misspelt.
func (w *world) nothing(fqdn string, denied bool) finding.Finding {
	fqdn = corefile.Fqdn(fqdn)
	if f := w.zoneElsewhere(fqdn); f != nil {
		return *f
	}
	x, typ := w.address(fqdn)
	if len(x.Data) > 0 {
		return w.existsAllTheSame(fqdn, typ, x, denied)
	}
	svc, labels := w.serviceOf(fqdn)
	if svc != nil && len(labels) == 2 {
		if list := w.serviceRules(svc); len(list) > 0 {
			return list[0]
		}
	}
	if target := w.cname(fqdn); target != "" {
		return w.deadTarget(fqdn, target, svc)
	}
	switch {
	case denied && x.Outcome == records.NoData:
		return w.existsAllTheSame(fqdn, typ, x, denied)
	case !denied:
		return w.withoutAddress(fqdn, svc)
	case svc != nil:
		return w.withoutRecords(fqdn, svc, len(labels) > 2)
	case labels != nil:
		return w.misspelt(fqdn, labels)
	}
	return w.deniedOutside(fqdn)
}

// serviceOf gives the Service that a name leads to, whether the Corefile lets DNS have it or not, and the labels before
// .svc.ZONE; no labels for any other name.
func (w *world) serviceOf(fqdn string) (*corev1.Service, []string) {
	base, ok := strings.CutSuffix(corefile.Fqdn(fqdn), ".svc."+w.zone)
	labels := strings.Split(base, ".")
	if !ok || len(labels) < 2 {
		return nil, nil
	}
	i := slices.IndexFunc(w.Services, func(s corev1.Service) bool {
		return s.Namespace == labels[len(labels)-1] && s.Name == labels[len(labels)-2]
	})
	if i < 0 {
		return nil, labels
	}
	return &w.Services[i], labels
}

// expect is what the API says a question must be answered with; open where what that depends on could not be read.
func (w *world) expect(fqdn, typ string) records.Expected {
	x := w.engine.Lookup(fqdn, typ)
	svc, _ := w.serviceOf(fqdn)
	switch {
	case x.Open != "":
	case !w.Sources.Get("services").Readable():
		return records.Expected{Open: "Services could not be read"}
	case len(x.Data) == 0 && svc != nil && !w.Sources.Get("endpointslices").Readable():
		return records.Expected{Open: "EndpointSlices could not be read"}
	}
	return x
}

// address is what the API says of a name's addresses, and the type that it has them of.
func (w *world) address(fqdn string) (records.Expected, string) {
	if x := w.expect(fqdn, "AAAA"); len(x.Data) > 0 && len(w.expect(fqdn, "A").Data) == 0 {
		return x, "AAAA"
	}
	return w.expect(fqdn, "A"), "A"
}

// answers gives the answers to a name as evidence, one for each type.
func (w *world) answers(fqdn string) []finding.Evidence {
	var list []finding.Evidence
	types := map[string]bool{}
	for _, a := range w.allAnswers() {
		if strings.EqualFold(a.Name, fqdn) && a.Rcode != "" && !types[a.Type] {
			types[a.Type] = true
			list = append(list, seen("answer of "+a.Viewpoint, a.Name+" "+a.Type, "%s", said(sorted(a))))
		}
	}
	return list
}

func (w *world) allAnswers() []report.Answer {
	var list []report.Answer
	for _, p := range w.Probes {
		list = append(list, p.Answers...)
	}
	if w.From != nil {
		list = append(list, w.From.Answers...)
	}
	return list
}

// cname is where a name leads at last, by the answers or else by the API; empty for a name that is no CNAME.
func (w *world) cname(fqdn string) string {
	next := map[string]string{}
	for _, a := range w.allAnswers() {
		for _, r := range a.Records {
			if r.Type == "CNAME" {
				next[corefile.Fqdn(r.Name)] = corefile.Fqdn(r.Data)
			}
		}
	}
	if data := w.engine.Lookup(fqdn, "CNAME").Data; len(data) == 1 {
		next[fqdn] = data[0]
	}
	at := fqdn
	for range len(next) { // a loop ends somewhere
		if next[at] == "" {
			break
		}
		at = next[at]
	}
	if at == fqdn {
		return ""
	}
	return at
}

// deadTarget: a CNAME is followed by the servers, and what it leads to gives no address.
func (w *world) deadTarget(fqdn, target string, svc *corev1.Service) finding.Finding {
	short := strings.TrimSuffix(target, ".")
	next := []finding.Next{w.resolveNext("ask for the target", target)}
	if svc == nil {
		return w.make(NoAddress, finding.Warning, nil, fmt.Sprintf("%s leads to %s, which gives no address", strings.TrimSuffix(fqdn, "."), short), w.answers(fqdn), next...)
	}
	message := fmt.Sprintf("%s: its target %s gives no address", "ExternalName Service "+svc.Namespace+"/"+svc.Name, short)
	// DNS takes the target as it stands: no search list completes it
	if full := w.qualify(short); full != target && w.has(full) {
		message += "; did you mean " + strings.TrimSuffix(full, ".") + "?"
		next = append(next, w.change("correct spec.externalName", svc.Namespace, "edit", "service", svc.Name))
	}
	evidence := append(w.answers(fqdn), seen("Service", "spec.externalName", "%s", svc.Spec.ExternalName))
	return w.make(NoAddress, finding.Warning, ref("Service", svc.Namespace, svc.Name), message, evidence, next...)
}

// has says whether the API gives a name an address.
func (w *world) has(fqdn string) bool {
	x, _ := w.address(fqdn)
	return len(x.Data) > 0
}

// withoutAddress: the name of a namespace, one that has records of other types alone, or of another family.
func (w *world) withoutAddress(fqdn string, svc *corev1.Service) finding.Finding {
	next := w.read("see which Services there are", "", "get", "services", "-A")
	switch {
	case svc != nil:
		next = w.read("see every name that it has", svc.Namespace, "dns", "names", "svc/"+svc.Name)
	case !corefile.InZone(fqdn, w.zone):
		next = w.resolveNext("see whether it has records of other types", fqdn, "--type", "MX,TXT,SRV,NS")
	}
	return w.make(NoAddress, finding.Warning, serviceRef(svc), strings.TrimSuffix(fqdn, ".")+" exists and has no address", w.evidence(fqdn), next)
}

func serviceRef(svc *corev1.Service) *finding.ObjectRef {
	if svc == nil {
		return nil
	}
	return ref("Service", svc.Namespace, svc.Name)
}

// evidence is what was answered for a name, or else what the API says of it.
func (w *world) evidence(fqdn string) []finding.Evidence {
	if list := w.answers(fqdn); len(list) > 0 {
		return list
	}
	x, typ := w.address(fqdn)
	return []finding.Evidence{seen("API", fqdn+" "+typ, "%s", x)}
}

// withoutRecords: the Service is there, and the name is not.
func (w *world) withoutRecords(fqdn string, svc *corev1.Service, below bool) finding.Finding {
	what := fmt.Sprintf("Service %s/%s", svc.Namespace, svc.Name)
	message := strings.TrimSuffix(fqdn, ".") + " does not exist: "
	evidence := append(w.evidence(fqdn), seen("Service", svc.Namespace+"/"+svc.Name, "exists"))
	next := w.read("see every name that it has", svc.Namespace, "dns", "names", "svc/"+svc.Name)
	readable := w.Sources.Get("endpointslices").Readable()
	switch {
	case !readable && (below || records.Headless(svc)):
		message += what + " exists, and its endpoints could not be read"
	case below:
		message += what + " has no ready endpoint or port of that name"
	case records.Headless(svc):
		message += "headless " + what + " has no ready endpoint yet"
	default:
		message += what + " exists, and the Corefile leaves it out"
		next = w.read("see the options of the kubernetes plugin", "", "dns", "config")
	}
	if readable && w.readyEndpoints(svc) == 0 {
		evidence = append(evidence, seen("EndpointSlice", "endpoints", "%s", w.endpointWords(svc)))
	}
	return w.make(NameNotFound, finding.Warning, serviceRef(svc), message, evidence, next)
}

// misspelt: no Service has the name.
func (w *world) misspelt(fqdn string, labels []string) finding.Finding {
	service, namespace := labels[len(labels)-2], labels[len(labels)-1]
	evidence := []finding.Evidence{seen("Service", namespace+"/"+service, "does not exist")}
	switch {
	case !w.Sources.Get("services").Readable():
		evidence = w.evidence(fqdn)
	case w.namespaceMissing(namespace):
		evidence = []finding.Evidence{seen("Namespace", namespace, "does not exist")}
	}
	return w.notFound(strings.TrimSuffix(fqdn, ".")+" does not exist", evidence, w.suggest(fqdn), w.read("see which Services there are", "", "get", "services", "-A"))
}

// deniedOutside: a name outside the zone of the cluster, or one that pods take for such.
func (w *world) deniedOutside(fqdn string) finding.Finding {
	short := strings.TrimSuffix(fqdn, ".")
	evidence := w.evidence(fqdn)
	if corefile.InZone(fqdn, w.zone) {
		return w.notFound(short+" does not exist", evidence, nil, w.read("see which Services there are", "", "get", "services", "-A"))
	}
	message := short + " does not exist outside the cluster"
	next := w.read("see the servers that are asked for names outside the cluster", "", "dns", "upstream")
	labels := strings.Split(short, ".")
	last := labels[len(labels)-1]
	var names []string
	switch full := w.qualify(short); {
	case full != fqdn && w.has(full):
		names = []string{strings.TrimSuffix(full, ".")}
	case len(labels) == 1:
		names = w.suggest(short + "..svc." + w.zone)
	case !w.Sources.Get("namespaces").Readable():
		message += fmt.Sprintf(", and whether there is a namespace %s could not be read", last)
		next = w.resolveNext("ask for the name in such a namespace", fqdn+"svc."+w.zone)
	case w.namespaceMissing(last):
		message += ", and there is no namespace " + last
		evidence = append(evidence, seen("Namespace", last, "does not exist"))
	}
	return w.notFound(message, evidence, names, next)
}

// notFound makes the finding for a name that does not exist; the nearest names that do come before any other next step.
func (w *world) notFound(message string, evidence []finding.Evidence, names []string, next finding.Next) finding.Finding {
	if len(names) > 0 {
		message += "; did you mean " + strings.Join(names, ", or ") + "?"
		next = w.resolveNext("ask for the nearest name that exists", names[0])
	}
	return w.make(NameNotFound, finding.Warning, nil, message, evidence, next)
}

// resolveNext asks for a name from the same point of view.
func (w *world) resolveNext(why, name string, more ...string) finding.Next {
	args, namespace := append([]string{"dns", "resolve", name}, more...), ""
	if w.From != nil {
		args, namespace = append(args, "--from", w.From.Pod.Name), w.From.Pod.Namespace
	}
	return w.read(why, namespace, args...)
}

// existsAllTheSame judges a name that the API has otherwise than the servers: a rule of the Corefile, a change of this
// moment, or servers that do not follow.
func (w *world) existsAllTheSame(fqdn, typ string, x records.Expected, denied bool) finding.Finding {
	outcome, say := records.NoData, "give no address of it"
	if denied {
		outcome, say = records.NXDomain, "say that it does not"
	}
	short := strings.TrimSuffix(fqdn, ".")
	evidence := append([]finding.Evidence{seen("API", fqdn+" "+typ, "%s", x)}, w.answers(fqdn)...)
	if a, ok := w.records.AlteredBy(fqdn, outcome); ok {
		return w.altered(fmt.Sprintf("%s exists in the API, and %s in line %d of the Corefile keeps its answer away", short, a.Plugin, a.Line), a, evidence)
	}
	next := w.read("see whether the servers follow the API", "", "dns", "check")
	if w.settling(fqdn, w.changes()) {
		return w.make(NameNotFound, finding.Warning, nil, fmt.Sprintf("%s was made or changed less than %s ago: DNS may need that long to show it", short, w.settleTime()), evidence, next)
	}
	return w.make(RecordsDiffer, finding.Critical, nil, fmt.Sprintf("%s exists in the API, and the DNS servers %s", short, say), evidence, next)
}

// zoneElsewhere: a name under a domain that kubelets or the pod's search list hold for the cluster's, and that the
// kubernetes plugin does not serve.
func (w *world) zoneElsewhere(fqdn string) *finding.Finding {
	if !w.confRead || !w.conf.Valid() {
		return nil
	}
	_, served := records.FromCorefile(w.conf)
	for _, d := range w.clusterDomains() {
		if !corefile.InZone(fqdn, d.Value) || records.Serves(w.conf, d.Value) {
			continue
		}
		if list := ruleZoneNotServed(w); len(list) > 0 {
			return &list[0]
		}
		if !served {
			return nil // another plugin or another server may have the names
		}
		f := w.make(ZoneNotServed, finding.Critical, w.confRef,
			fmt.Sprintf("%s gives the domain %s, and CoreDNS serves %s: short names find nothing", d.From, strings.TrimSuffix(d.Value, "."), strings.TrimSuffix(w.zone, ".")),
			[]finding.Evidence{seen(d.From, "", "%s", d.Value), seen("Corefile", fmt.Sprintf("line %d", w.records.Line), "kubernetes %s", strings.Join(w.records.Zones, " "))},
			w.read("see the configuration", "", "dns", "config"))
		return &f
	}
	return nil
}

// clusterDomains are the domains under which pods look for Services: those of the kubelets, and of the pod's own list.
func (w *world) clusterDomains() []resolver.Value {
	var list []resolver.Value
	for _, k := range w.Kubelets {
		if k.ClusterDomain != "" {
			list = append(list, resolver.Value{Value: corefile.Fqdn(k.ClusterDomain), From: "the kubelet"})
		}
	}
	if w.From != nil {
		for _, s := range w.conf0().Searches {
			if domain, ok := strings.CutPrefix(s, "svc."); ok && slices.Contains(w.conf0().Searches, w.From.Pod.Namespace+"."+s) { // as a kubelet writes it
				list = append(list, resolver.Value{Value: corefile.Fqdn(domain), From: "the search list of pod " + w.From.Pod.Namespace + "/" + w.From.Pod.Name})
			}
		}
	}
	return list
}
