// Package names judges what one name or one object of the cluster meets: objects whose names mean something else than they say, a name
// that gives no address.
package names

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/clients"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of this file.
const (
	NoUsableAnswer  finding.Code = "NoUsableAnswer"
	NameNotFound    finding.Code = "NameNotFound"
	NoAddressRecord finding.Code = "NoAddressRecord"
	RecordMismatch  finding.Code = "RecordMismatch"
)

// NameRules report what is wrong with the answer for one name; the commands that query a name find them.
var NameRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: NoUsableAnswer, Severity: finding.Critical, Title: "DNS query got no usable answer",
			Meaning:  "The queried server returned no usable answer at this viewpoint.",
			Evidence: "The error of the query, or an answer of SERVFAIL or REFUSED.",
			Next:     "Check the server and the network path to it.",
			Source:   servers.DebugPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: NameNotFound, Severity: finding.Warning, Title: "Name does not exist",
			Meaning:  "No object in the API has this name. The message gives the closest existing names.",
			Evidence: "The answer, and the names of Services and Namespaces.",
			Next:     "Query the closest existing name.",
			Source:   servers.SpecPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: NoAddressRecord, Severity: finding.Warning, Title: "Name has no address record",
			Meaning: "The answer is NOERROR without A and AAAA records (NODATA), so programs cannot connect to the name. An ExternalName " +
				"or CNAME whose target has no address gives this answer.",
			Evidence: "The answers for A and AAAA, and the target.",
			Next:     "Query the target.",
			Source:   servers.SpecPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: RecordMismatch, Severity: finding.Critical, Title: "DNS answers do not match",
			Meaning: "Records of a replica are missing, unexpected or wrong for longer than changes need to become visible, or the " +
				"replicas give different answers.",
			Evidence: "Every expected record, compared with the answer of each replica; a difference is read again before it counts.",
			Next:     "Check which replica differs.",
			Source:   servers.SpecPage,
		},
	},
}

// ExplainNoAddress makes the finding for a name that gave no address: one that the servers deny (NXDOMAIN), or know without an
// address (NODATA). The first that holds is the cause: a zone that CoreDNS does not serve; servers that differ from the
// API; what is wrong with the Service behind the name; the target of its CNAME. Only then it may be misspelled.
func ExplainNoAddress(w *facts.Snapshot, fqdn string, denied bool) finding.Finding {
	fqdn = corefile.Fqdn(fqdn)
	if f := servers.ZoneElsewhere(w, fqdn); f != nil {
		return *f
	}
	x, typ := ask.Address(w, fqdn)
	if len(x.Data) > 0 {
		return existsInAPI(w, fqdn, typ, x, denied)
	}
	svc, labels := ask.ServiceOf(w, fqdn)
	if svc != nil && len(labels) == 2 {
		if list := ServiceRules(w, svc); len(list) > 0 {
			return list[0]
		}
	}
	if target := ask.Cname(w, fqdn); target != "" {
		return deadTarget(w, fqdn, target, svc)
	}
	switch {
	case denied && x.Outcome == records.NoData:
		return existsInAPI(w, fqdn, typ, x, denied)
	case !denied:
		return withoutAddress(w, fqdn, svc)
	case svc != nil:
		return withoutRecords(w, fqdn, svc, len(labels) > 2)
	case labels != nil:
		return misspelled(w, fqdn, labels)
	}
	return deniedOutside(w, fqdn)
}

// deadTarget: a CNAME is followed by the servers, and what it leads to gives no address.
func deadTarget(w *facts.Snapshot, fqdn, target string, svc *corev1.Service) finding.Finding {
	short := strings.TrimSuffix(target, ".")
	next := []finding.Next{resolveNext(w, "Query the target", target)}
	if svc == nil {
		return w.Make(NoAddressRecord, finding.Warning, nil, fmt.Sprintf("%s refers to %s, which has no address", strings.TrimSuffix(fqdn, "."),
			short), ask.Answers(w, fqdn), next...)
	}
	message := fmt.Sprintf("ExternalName Service %s/%s refers to %s, which has no address", svc.Namespace, svc.Name, short)
	// DNS takes the target as it stands: no search list completes it
	if full := ask.Complete(w, short); full != target && ask.Has(w, full) {
		message += "; closest existing name: " + strings.TrimSuffix(full, ".")
		next = append(next, w.Change("Correct spec.externalName", svc.Namespace, "edit", "service", svc.Name))
	}
	evidence := append(ask.Answers(w, fqdn), facts.NewEvidence("Service", "spec.externalName", "%s", svc.Spec.ExternalName))
	return w.Make(NoAddressRecord, finding.Warning, facts.Ref("Service", svc.Namespace, svc.Name), message, evidence, next...)
}

// withoutAddress: the name of a namespace, one that has records of other types alone, or of another family.
func withoutAddress(w *facts.Snapshot, fqdn string, svc *corev1.Service) finding.Finding {
	next := w.Read("List the Services", "", "get", "services", "-A")
	switch {
	case svc != nil:
		next = w.Read("List every name of the Service", svc.Namespace, "dns", "names", "svc/"+svc.Name)
	case !corefile.InZone(fqdn, w.Zone):
		next = resolveNext(w, "Query records of other types", fqdn, "--type", "MX,TXT,SRV,NS")
	}
	return w.Make(NoAddressRecord, finding.Warning, serviceRef(svc), strings.TrimSuffix(fqdn, ".")+" exists but has no address record",
		ask.Evidence(w, fqdn), next)
}

func serviceRef(svc *corev1.Service) *finding.ObjectRef {
	if svc == nil {
		return nil
	}
	return facts.Ref("Service", svc.Namespace, svc.Name)
}

// withoutRecords: the Service is there, and the name is not.
func withoutRecords(w *facts.Snapshot, fqdn string, svc *corev1.Service, below bool) finding.Finding {
	what := fmt.Sprintf("Service %s/%s", svc.Namespace, svc.Name)
	message := strings.TrimSuffix(fqdn, ".") + " does not exist: "
	evidence := append(ask.Evidence(w, fqdn), facts.NewEvidence("Service", svc.Namespace+"/"+svc.Name, "exists"))
	next := w.Read("List every name of the Service", svc.Namespace, "dns", "names", "svc/"+svc.Name)
	readable := w.Sources.Get("endpointslices").Readable()
	switch {
	case !readable && (below || records.Headless(svc)):
		message += what + " exists, but its endpoints could not be read"
	case below && podNotReady(w, fqdn, svc) != nil:
		return *podNotReady(w, fqdn, svc)
	case below && podElsewhere(w, fqdn, svc) != nil:
		return *podElsewhere(w, fqdn, svc)
	case below:
		message += what + " has no ready endpoint or port of that name"
	case records.Headless(svc):
		message += "headless " + what + " has no ready endpoints"
	default:
		message += what + " exists, but the Corefile excludes it"
		next = w.Read("Check the options of the kubernetes plugin", "", "dns", "config")
	}
	if readable && w.ReadyEndpoints(svc) == 0 {
		evidence = append(evidence, facts.NewEvidence("EndpointSlice", "endpoints", "%s", endpointWords(w, svc)))
	}
	return w.Make(NameNotFound, finding.Warning, serviceRef(svc), message, evidence, next)
}

// podNotReady: the name is that of a pod which is not Ready, and has none until it is, unless the Service publishes it
// (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-hostname-and-subdomain-fields).
func podNotReady(w *facts.Snapshot, fqdn string, svc *corev1.Service) *finding.Finding {
	label, _, _ := strings.Cut(fqdn, ".")
	endpoints := w.EndpointsOf(svc)
	i := slices.IndexFunc(endpoints, func(e discoveryv1.Endpoint) bool {
		return e.Hostname != nil && *e.Hostname == label && !records.Ready(e)
	})
	if i < 0 {
		return nil
	}
	pod := label
	if ref := endpoints[i].TargetRef; ref != nil {
		pod = ref.Name
	}
	f := w.Make(NameNotFound, finding.Warning, serviceRef(svc),
		fmt.Sprintf("%s does not exist: pod %s is not Ready, and has no name until it is", strings.TrimSuffix(fqdn, "."), pod),
		append(ask.Evidence(w, fqdn),
			facts.NewEvidence("EndpointSlices of Service "+svc.Name, "endpoints[].conditions.ready", "false: %s", label),
			facts.NewEvidence("Service "+svc.Name, "spec.publishNotReadyAddresses", "false; true gives names to pods that are not Ready")),
		w.Read("Read why the pod is not Ready", svc.Namespace, "describe", "pod", pod))
	return &f
}

// podElsewhere: the name begins with that of a pod, which has its name under another Service: spec.subdomain of the pod decides,
// which a StatefulSet sets to its serviceName
// (https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-network-id).
func podElsewhere(w *facts.Snapshot, fqdn string, svc *corev1.Service) *finding.Finding {
	label, _, _ := strings.Cut(fqdn, ".")
	behind, named := false, ""
	for i := range w.Slices {
		slice := &w.Slices[i]
		service := slice.Labels[discoveryv1.LabelServiceName]
		if slice.Namespace != svc.Namespace {
			continue
		}
		for _, e := range slice.Endpoints {
			isPod := e.TargetRef != nil && e.TargetRef.Kind == "Pod" && e.TargetRef.Name == label
			behind = behind || isPod && service == svc.Name
			if e.Hostname != nil && *e.Hostname == label && service != svc.Name && (named == "" || service < named) {
				named = service
			}
		}
	}
	evidence := append(ask.Evidence(w, fqdn), facts.NewEvidence("EndpointSlices of Service "+svc.Name, "endpoints[].hostname",
		"none is %s", label))
	message := fmt.Sprintf("%s does not exist: ", strings.TrimSuffix(fqdn, "."))
	var next finding.Next
	switch {
	case named != "":
		name := fmt.Sprintf("%s.%s.%s.svc.%s", label, named, svc.Namespace, w.Zone)
		message += fmt.Sprintf("pod %s has its name under Service %s (serviceName of its StatefulSet), not under Service %s", label, named,
			svc.Name)
		evidence = append(evidence, facts.NewEvidence("EndpointSlices of Service "+named, "endpoints[].hostname", "%s", label))
		next = resolveNext(w, "Query the name that the pod has", strings.TrimSuffix(name, "."))
	case behind:
		message += fmt.Sprintf("pod %s belongs to Service %s, but spec.subdomain of the pod (serviceName of a StatefulSet) is not %s", label,
			svc.Name, svc.Name)
		next = w.Read("Read the host name and the subdomain of the pod", svc.Namespace, "get", "pod", label, "-o",
			"jsonpath={.spec.hostname}{\" \"}{.spec.subdomain}{\"\\n\"}")
	default:
		return nil
	}
	f := w.Make(NameNotFound, finding.Warning, serviceRef(svc), message, evidence, next)
	return &f
}

// misspelled: no Service has the name.
func misspelled(w *facts.Snapshot, fqdn string, labels []string) finding.Finding {
	service, namespace := labels[len(labels)-2], labels[len(labels)-1]
	evidence := []finding.Evidence{facts.NewEvidence("Service", namespace+"/"+service, "does not exist")}
	switch {
	case !w.Sources.Get("services").Readable():
		evidence = ask.Evidence(w, fqdn)
	case w.NamespaceMissing(namespace):
		evidence = []finding.Evidence{facts.NewEvidence("Namespace", namespace, "does not exist")}
	}
	return notFound(w, strings.TrimSuffix(fqdn, ".")+" does not exist", evidence, ask.Suggest(w, fqdn),
		w.Read("List the Services", "", "get", "services", "-A"))
}

// deniedOutside: a name outside the zone of the cluster, or one that pods take for such.
func deniedOutside(w *facts.Snapshot, fqdn string) finding.Finding {
	short := strings.TrimSuffix(fqdn, ".")
	evidence := ask.Evidence(w, fqdn)
	if corefile.InZone(fqdn, w.Zone) {
		var names []string
		if full := strings.TrimSuffix(fqdn, "."+w.Zone) + ".svc." + w.Zone; ask.Has(w, full) {
			names = []string{strings.TrimSuffix(full, ".")} // svc is what is missing
		}
		return notFound(w, short+" does not exist", evidence, names, w.Read("List the Services", "", "get", "services", "-A"))
	}
	if f := otherDomain(w, short, evidence); f != nil {
		return *f
	}
	if ip := records.AddressOf(fqdn); ip != "" {
		return nameOfAddress(w, fqdn, ip, evidence)
	}
	message := short + " does not exist outside the cluster"
	if list := servers.CheckNotReloaded(w); len(list) > 0 && inCorefile(w, fqdn) {
		f := list[0]
		f.Message = short + " does not exist, though the Corefile has it: " + f.Message
		f.Evidence = append(f.Evidence, evidence...)
		return f
	}
	next := w.Read("List the upstream servers for names outside the cluster", "", "dns", "upstream")
	labels := strings.Split(short, ".")
	last := labels[len(labels)-1]
	var names []string
	switch full := ask.Complete(w, short); {
	case full != fqdn && ask.Has(w, full):
		names = []string{strings.TrimSuffix(full, ".")}
	case len(labels) == 1:
		names = ask.Suggest(w, short+"..svc."+w.Zone)
	case !w.Sources.Get("namespaces").Readable():
		message += fmt.Sprintf("; unknown whether namespace %s exists: Namespaces could not be read", last)
		next = resolveNext(w, "Query the name in such a namespace", fqdn+"svc."+w.Zone)
	case w.NamespaceMissing(last):
		message += ", and namespace " + last + " does not exist"
		evidence = append(evidence, facts.NewEvidence("Namespace", last, "does not exist"))
	}
	return notFound(w, message, evidence, names, next)
}

// inCorefile says whether a server block for a domain above the name, or a line of a hosts plugin, is about a name outside.
func inCorefile(w *facts.Snapshot, fqdn string) bool {
	for _, b := range w.Conf.Blocks {
		for _, z := range b.ZoneNames() {
			if z = corefile.Fqdn(z); z != "." && corefile.InZone(fqdn, z) {
				return true
			}
		}
		for _, d := range b.Find("hosts") {
			if slices.ContainsFunc(d.Body, func(line corefile.Directive) bool {
				return slices.ContainsFunc(line.Args, func(host string) bool { return corefile.Fqdn(host) == fqdn })
			}) {
				return true
			}
		}
	}
	return false
}

// notFound makes the finding for a name that does not exist; the nearest names that do come before any other next step.
func notFound(w *facts.Snapshot, message string, evidence []finding.Evidence, names []string, next finding.Next) finding.Finding {
	if len(names) > 0 {
		message += "; closest existing " + facts.Plural(len(names), "name") + ": " + strings.Join(names, ", ")
		next = resolveNext(w, "Query the closest existing name", names[0])
	}
	return w.Make(NameNotFound, finding.Warning, nil, message, evidence, next)
}

// resolveNext queries a name at the same viewpoint.
func resolveNext(w *facts.Snapshot, why, name string, more ...string) finding.Next {
	args, namespace := append([]string{"dns", "resolve", name}, more...), ""
	if w.From != nil {
		args, namespace = append(args, "--from", w.From.Pod.Name), w.From.Pod.Namespace
	}
	return w.Read(why, namespace, args...)
}

// existsInAPI judges a name for which the servers differ from the API: a rule of the Corefile, a change of this
// moment, or servers that do not follow.
func existsInAPI(w *facts.Snapshot, fqdn, typ string, x records.Expected, denied bool) finding.Finding {
	outcome, result := records.NoData, "return no address for it"
	if denied {
		outcome, result = records.NXDomain, "answer that it does not exist"
	}
	short := strings.TrimSuffix(fqdn, ".")
	evidence := append([]finding.Evidence{facts.NewEvidence("API", fqdn+" "+typ, "%s", x)}, ask.Answers(w, fqdn)...)
	if f := asksElsewhere(w); f != nil {
		f.Evidence = append(f.Evidence, evidence...)
		return *f
	}
	if a, ok := w.Records.AlteredBy(fqdn, outcome); ok {
		return servers.Altered(w, fmt.Sprintf("%s exists in the API, but %s in line %d of the Corefile overrides its answer", short, a.Plugin,
			a.Line), a, evidence)
	}
	if f := servers.ZoneTaken(w); f != nil {
		return *f
	}
	next := w.Read("Check whether the servers receive changes from the API", "", "dns", "check")
	if w.Settling(fqdn, w.Changes()) {
		return w.Make(NameNotFound, finding.Warning, nil, fmt.Sprintf("%s was created or changed less than %s ago: DNS may need that "+
			"long to return it", short, w.SettleTime()), evidence, next)
	}
	return w.Make(RecordMismatch, finding.Critical, nil, fmt.Sprintf("%s exists in the API, but the DNS servers %s", short, result), evidence,
		next)
}

// asksElsewhere is why the pod that asked did not ask cluster DNS, of which its answers then say nothing; nil: it did.
func asksElsewhere(w *facts.Snapshot) *finding.Finding {
	if w.From == nil {
		return nil
	}
	pod := &w.From.Pod
	list := clients.PolicyOf(w, resolver.Compute(pod.Namespace, pod.Spec, w.KubeletFor(pod.Spec.NodeName)), clients.ShowPod(w))
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// CannotAskInside is no verdict: the image or a permission prevents the queries, which says nothing about DNS.
func CannotAskInside(w *facts.Snapshot) finding.Finding {
	pod := &w.From.Pod
	next := []finding.Next{w.Read("Read the state and the events of the pod", pod.Namespace, "describe", "pod", pod.Name)}
	if facts.Runs(pod) {
		next = []finding.Next{
			w.Change("Query from an ephemeral container in the pod (its entry stays in the pod)", pod.Namespace, "dns", "check", "--from",
				pod.Name, "--probe", "ephemeral"),
			w.Change("Query from a temporary pod on the same node, which is deleted afterwards", pod.Namespace, "dns", "check", "--from",
				pod.Name, "--probe", "pod"),
			w.Read("Show the queries that the pod would send, without sending them", pod.Namespace, "dns", "explain", "kubernetes.default",
				"--from", pod.Name),
		}
	}
	return w.Make(NoUsableAnswer, finding.Info, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("DNS could not be queried from inside pod %s/%s: %s", pod.Namespace, pod.Name, w.From.Error),
		[]finding.Evidence{facts.NewEvidence("exec", pod.Name, "%s", w.From.Error)}, next...)
}

// ResolveFindings judges the answers at every viewpoint to one query.
func ResolveFindings(w *facts.Snapshot, answers []report.Answer, name string) []finding.Finding {
	var all []finding.Finding
	g := gather(w, answers)
	if f := servers.ByTCPAlone(w, name, g.silent); len(g.silent) > 0 && f != nil {
		all = append(all, *f)
	} else if len(g.silent) > 0 {
		all = append(all, clients.BlameCache(w, w.Make(NoUsableAnswer, finding.Critical, nil, fmt.Sprintf("%d of %d queries for %s got no "+
			"usable answer",
			g.failed, g.asked, strings.TrimSuffix(name, ".")), g.silent, CheckNext(w)), g.servers...))
	}
	if g.missing && !g.exists {
		all = append(all, ExplainNoAddress(w, name, true))
	}
	// one family without an address is usual; both are a name that nobody can connect to
	if !g.missing && !g.address && len(g.silent) == 0 && g.empty["A"] && g.empty["AAAA"] {
		return append(all, ExplainNoAddress(w, name, false))
	}
	if f := otherFamily(w, g, answers, name); f != nil {
		all = append(all, *f)
	}
	if g.exists && (!g.missing || g.cached) {
		// the same rules as for the answers of a check: what a plugin changes, and what differs from the API
		all = append(all, servers.CheckAltered(w)...)
		all = append(all, differing(w, answers, name)...)
	}
	if g.missing && g.exists && !g.cached {
		var evidence []finding.Evidence
		for _, key := range facts.SortedKeys(g.outcomes) {
			evidence = append(evidence, facts.NewEvidence(strings.Join(g.outcomes[key], ", "), "", "%s", key))
		}
		all = append(all, w.Make(RecordMismatch, finding.Critical, nil, "the replicas give different answers for "+strings.TrimSuffix(name, "."),
			evidence, w.Read("Find the replica that serves outdated records", "", "dns", "check")))
	}
	return all
}

// gathered is what answers from several points of view have in common.
type gathered struct {
	exists, missing, address bool
	cached                   bool // records came from a node cache alone, whose answers are of different ages
	silent                   []finding.Evidence
	servers                  []string            // that were silent
	asked, failed            int                 // queries
	empty                    map[string]bool     // types that some answer had nothing of
	outcomes                 map[string][]string // what was said, by whom of the replicas
}

func gather(w *facts.Snapshot, answers []report.Answer) gathered {
	g := gathered{cached: true, empty: map[string]bool{}, outcomes: map[string][]string{}}
	for _, a := range answers {
		g.asked += max(1, a.Asked)
		if ask.Unusable(a) {
			g.failed += max(1, a.Asked)
		}
		switch {
		case a.Error != "":
			g.silent = append(g.silent, facts.NewEvidence(a.Viewpoint, a.Server+" "+a.Transport, "%s", ask.AnswerText(a)))
			g.servers = append(g.servers, a.Server)
		case a.Rcode == "NXDOMAIN":
			g.missing = true
		case a.Rcode == "NOERROR":
			g.exists = g.exists || len(a.Records) > 0 || a.Truncated
			g.cached = g.cached && (len(a.Records) == 0 || w.ServedBy(a.Server) != "")
			g.address = g.address || (a.Truncated || len(records.Data(a)) > 0) && (a.Type == "A" || a.Type == "AAAA")
			g.empty[a.Type] = g.empty[a.Type] || len(records.Data(a)) == 0 && !a.Truncated
		}
		if a.Rcode != "" && strings.HasPrefix(a.Viewpoint, "port-forward:") {
			key := a.Type + " " + ask.AnswerText(ask.Sorted(a))
			g.outcomes[key] = append(g.outcomes[key], strings.TrimPrefix(a.Viewpoint, "port-forward:"))
		}
		if a.Rcode == "SERVFAIL" || a.Rcode == "REFUSED" {
			g.silent = append(g.silent, facts.NewEvidence(a.Viewpoint, a.Name+" "+a.Type, "%s", a.Rcode))
		}
	}
	return g
}

// CheckNext is the check from the same point of view.
func CheckNext(w *facts.Snapshot) finding.Next {
	if w.From == nil {
		return w.Read("Find the cause", "", "dns", "check")
	}
	return w.Read("Find the cause", w.From.Pod.Namespace, "dns", "check", "--from", w.From.Pod.Name)
}
