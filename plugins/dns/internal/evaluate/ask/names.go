package ask

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// Qualify completes a name: one that ends in a dot or lies in the cluster's zone is whole; SERVICE.NAMESPACE (and
// HOST.SERVICE.NAMESPACE) with a namespace that exists is one of the cluster's, and so is from a pod HOST.SERVICE with a Service of its
// own namespace; anything else is a name outside.
func Qualify(in facts.Input, name string) string {
	return Complete(facts.New(in, in.Timeless(), facts.Options{}), name)
}

// Outside says whether a name lies outside the zones that the kubernetes plugin serves.
func Outside(in facts.Input, name string) bool {
	w := facts.New(in, in.Timeless(), facts.Options{})
	return !slices.ContainsFunc(w.Records.Zones, func(z string) bool { return corefile.InZone(corefile.Fqdn(name), z) })
}

func Complete(w *facts.Snapshot, name string) string {
	zone := strings.TrimSuffix(w.Zone, ".")
	if strings.HasSuffix(name, ".") || name == zone || strings.HasSuffix(strings.ToLower(name), "."+zone) {
		return corefile.Fqdn(name)
	}
	labels := strings.Split(strings.ToLower(name), ".")
	last := labels[len(labels)-1]
	inCluster := corefile.Fqdn(name + ".svc." + zone)
	switch own := ofOwnNamespace(w, name, labels); {
	case last == "svc" || last == "pod":
		return corefile.Fqdn(name + "." + zone)
	case own != "":
		return own
	case len(labels) > 1 && w.NamespaceExists(last):
		return inCluster
	case len(labels) == 2 && len(Suggest(w, inCluster)) > 0:
		return inCluster
	case len(labels) == 1 && w.From != nil:
		return corefile.Fqdn(name + "." + w.From.Pod.Namespace + ".svc." + zone)
	}
	return corefile.Fqdn(name)
}

// ofOwnNamespace completes HOST.SERVICE (db-0.db) with the namespace of the suspect, which its search list tries first. Where there is a
// namespace of the Service's name as well, the host decides.
func ofOwnNamespace(w *facts.Snapshot, name string, labels []string) string {
	if w.From == nil || len(labels) < 2 {
		return ""
	}
	full := corefile.Fqdn(name + "." + w.From.Pod.Namespace + ".svc." + w.Zone)
	if svc, _ := ServiceOf(w, full); svc == nil || w.NamespaceExists(labels[len(labels)-1]) && !Has(w, full) {
		return ""
	}
	return full
}

// Suggest gives the nearest names that exist for one that does not: the pod that has this host name behind a Service of the namespace
// (db-0 is db-0.db) and the same Service in other namespaces first, then Services and namespaces that differ by a few letters.
func Suggest(w *facts.Snapshot, fqdn string) []string {
	base, ok := strings.CutSuffix(corefile.Fqdn(fqdn), ".svc."+w.Zone)
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
			list = append(list, near{w.Engine.ServiceName(svc), rank})
		}
	}
	for _, name := range hostNames(w, service, namespace) {
		if name != corefile.Fqdn(fqdn) {
			list = append(list, near{name, -1})
		}
	}
	sort.Slice(list, func(i, j int) bool {
		return cmp.Or(cmp.Compare(list[i].rank, list[j].rank), cmp.Compare(list[i].name, list[j].name)) < 0
	})
	var names []string
	for _, n := range list[:min(3, len(list))] {
		names = append(names, strings.TrimSuffix(n.name, "."))
	}
	return names
}

// hostNames are those that a pod of a host name has under the Services of its namespace.
func hostNames(w *facts.Snapshot, host, namespace string) []string {
	var list []string
	for i := range w.Slices {
		of := w.Slices[i].Labels[discoveryv1.LabelServiceName]
		if w.Slices[i].Namespace != namespace || of == "" {
			continue
		}
		name := host + "." + of + "." + namespace + ".svc." + w.Zone
		if slices.ContainsFunc(w.Slices[i].Endpoints, func(e discoveryv1.Endpoint) bool { return e.Hostname != nil && *e.Hostname == host }) &&
			Has(w, name) {
			list = append(list, name)
		}
	}
	return list
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

// ServiceOf gives the Service that a name leads to, whether the Corefile lets DNS have it or not, and the labels before
// .svc.ZONE; no labels for any other name.
func ServiceOf(w *facts.Snapshot, fqdn string) (*corev1.Service, []string) {
	base, ok := strings.CutSuffix(corefile.Fqdn(fqdn), ".svc."+w.Zone)
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
