package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

type stsType = appsv1.StatefulSet

// Names lists every name that leads to an object, with what it must answer.
func Names(in Input, now time.Time, o Options, s Scope, fromNamespace string) report.Names {
	o.Standalone = true
	w := newWorld(in, now, o)
	out := report.Names{Header: w.header("DNSNames"), Object: s.Kind + "/" + s.Namespace + "/" + s.Name, Records: []report.NameRecord{}}
	for _, svc := range w.services(s) {
		for _, q := range w.engine.Questions(svc, 0) {
			if s.Kind == "Pod" && !w.aboutPod(q, svc, s.Name) {
				continue
			}
			x := w.engine.Lookup(q.Name, q.Type)
			r := report.NameRecord{Name: q.Name, Type: q.Type, Expected: cmp.Or(x.Outcome, "NOERROR"), Data: x.Data, Why: x.Open}
			if q.Type != "PTR" {
				r.Shortest = w.shortest(q.Name, cmp.Or(fromNamespace, s.Namespace))
			}
			out.Records = append(out.Records, r)
		}
	}
	if s.Kind == "Pod" {
		out.Records = append(out.Records, w.podNames(s)...)
	}
	w.namesVerdict(&out, s)
	return out
}

// aboutPod keeps of a Service's questions those that lead to one pod.
func (w *world) aboutPod(q records.Question, svc *corev1.Service, pod string) bool {
	var ips []string
	for i := range w.Targets {
		if w.Targets[i].Name == pod && w.Targets[i].Namespace == svc.Namespace {
			for _, ip := range w.Targets[i].Status.PodIPs {
				ips = append(ips, ip.IP)
			}
		}
	}
	switch q.Type {
	case "PTR":
		return slices.ContainsFunc(ips, func(ip string) bool { return records.ReverseName(ip) == q.Name })
	case "A", "AAAA":
		data := w.engine.Lookup(q.Name, q.Type).Data
		return slices.ContainsFunc(data, func(d string) bool { return slices.Contains(ips, d) }) || q.Name == w.engine.ServiceName(svc)
	}
	return false
}

// podNames: the name made of the address, where the pods option allows it.
func (w *world) podNames(s Scope) []report.NameRecord {
	var list []report.NameRecord
	for i := range w.Targets {
		pod := &w.Targets[i]
		if pod.Name != s.Name || pod.Namespace != s.Namespace {
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			typ := "A"
			if strings.Contains(ip.IP, ":") {
				typ = "AAAA"
			}
			name := strings.NewReplacer(".", "-", ":", "-").Replace(ip.IP) + "." + pod.Namespace + ".pod." + w.zone
			x := w.engine.Lookup(name, typ)
			list = append(list, report.NameRecord{Name: name, Type: typ, Expected: x.Outcome, Data: x.Data, Shortest: strings.TrimSuffix(name, "."+w.zone), Why: "pods " + w.records.Pods})
		}
	}
	return list
}

// shortest is what a pod of a namespace with the usual search list may type.
func (w *world) shortest(name, namespace string) string {
	for _, suffix := range []string{"." + namespace + ".svc." + w.zone, ".svc." + w.zone, "." + w.zone} {
		if base, ok := strings.CutSuffix(name, suffix); ok && base != "" {
			return base
		}
	}
	return strings.TrimSuffix(name, ".")
}

func (w *world) namesVerdict(out *report.Names, s Scope) {
	var all []finding.Finding
	switch s.Kind {
	case "Service":
		for _, svc := range w.services(s) {
			all = append(all, w.serviceRules(svc)...)
		}
	case "StatefulSet":
		for i := range w.StatefulSet {
			if w.StatefulSet[i].Name == s.Name {
				all = append(all, w.statefulSetRules(&w.StatefulSet[i])...)
			}
		}
		for _, svc := range w.services(s) {
			all = append(all, w.serviceRules(svc)...)
		}
	case "Pod":
		for i := range w.Targets {
			if pod := &w.Targets[i]; pod.Name == s.Name && pod.Namespace == s.Namespace && pod.Spec.Subdomain != "" {
				all = append(all, w.subdomainRules(pod)...)
			}
		}
	}
	w.settle(&out.Header, all)
	if len(out.Findings) == 0 {
		out.Summary = fmt.Sprintf("%d %s to %s", len(out.Records), map[bool]string{true: "name leads", false: "names lead"}[len(out.Records) == 1], out.Object)
		if len(out.Records) == 0 {
			out.Summary = "no name leads to " + out.Object
		}
	}
}

// Suggest gives the nearest names that exist for one that does not: the same Service in other namespaces first, then
// Services and namespaces that differ by a few letters.
func (w *world) suggest(fqdn string) []string {
	base, ok := strings.CutSuffix(corefile.Fqdn(fqdn), ".svc."+w.zone)
	if !ok {
		return nil
	}
	labels := strings.Split(base, ".")
	if len(labels) < 2 {
		return nil
	}
	service, namespace := labels[len(labels)-2], labels[len(labels)-1]
	type near struct {
		name string
		rank int
	}
	var list []near
	for i := range w.Services {
		svc := &w.Services[i]
		if svc.Name == service && svc.Namespace == namespace {
			continue // that it exists is no help to the one who asked for it
		}
		rank := -1
		inName, inSpace := distance(service, svc.Name), distance(namespace, svc.Namespace)
		switch {
		case svc.Name == service:
			rank = min(inSpace, 9)
		case svc.Namespace == namespace && inName <= tolerance(service):
			rank = inName
		case inName <= tolerance(service) && inSpace <= tolerance(namespace):
			rank = 5 + inName + inSpace
		}
		if rank >= 0 {
			list = append(list, near{w.engine.ServiceName(svc), rank})
		}
	}
	slices.SortFunc(list, func(a, b near) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, n := range list[:min(3, len(list))] {
		names = append(names, strings.TrimSuffix(n.name, "."))
	}
	return names
}

// tolerance is how many letters a typing mistake in a word of this length changes.
func tolerance(s string) int { return min(2, len(s)/3) }

// distance is the number of letters to insert, delete, change or swap (Damerau-Levenshtein, adjacent swaps).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

func (w *world) namespaceExists(name string) bool {
	if w.Sources.Get("namespaces").Readable() {
		return slices.ContainsFunc(w.Namespaces, func(n corev1.Namespace) bool { return n.Name == name })
	}
	return slices.ContainsFunc(w.Services, func(s corev1.Service) bool { return s.Namespace == name })
}

// namespaceMissing says that there is no such namespace, and false where that could not be read.
func (w *world) namespaceMissing(name string) bool {
	return w.Sources.Get("namespaces").Readable() && !w.namespaceExists(name)
}
