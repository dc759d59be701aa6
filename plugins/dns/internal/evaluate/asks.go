package evaluate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// SOAQuestion asks a replica when it last saw a change.
func SOAQuestion(in Input) records.Question { return records.Question{Name: Zone(in), Type: "SOA"} }

// HasReplica says whether a DNS pod of that name is known.
func HasReplica(in Input, name string) bool {
	return slices.ContainsFunc(in.Pods, func(p corev1.Pod) bool { return p.Name == name })
}

// Exists fails for a named object that is not there, when the kind could be listed.
func Exists(in Input, s Scope) error {
	found, source := true, ""
	switch s.Kind {
	case "Service":
		source = "services"
		found = slices.ContainsFunc(in.Services, func(x corev1.Service) bool { return x.Namespace == s.Namespace && x.Name == s.Name })
	case "StatefulSet":
		source = "statefulsets"
		found = slices.ContainsFunc(in.StatefulSet, func(x stsType) bool { return x.Namespace == s.Namespace && x.Name == s.Name })
	case "Pod":
		source = "targets"
		found = slices.ContainsFunc(in.Targets, func(x corev1.Pod) bool { return x.Namespace == s.Namespace && x.Name == s.Name })
	}
	switch {
	case found:
		return nil
	case !in.Sources.Get(source).Readable():
		return fmt.Errorf("%s %q in namespace %q could not be read: %s", s.Kind, s.Name, s.Namespace, in.Sources.Get(source).Gap())
	}
	return fmt.Errorf("there is no %s %q in namespace %q", s.Kind, s.Name, s.Namespace)
}

// Replace puts second's objects and answers over first's: what was asked again counts as it was answered then.
func Replace(first, second Input) Input {
	probes := slices.Clone(second.Probes)
	for i := range probes {
		again := map[records.Question]bool{}
		for _, a := range probes[i].Answers {
			again[records.Question{Name: a.Name, Type: a.Type}] = true
		}
		for _, old := range first.Probes {
			if old.Pod != probes[i].Pod {
				continue
			}
			for _, a := range old.Answers {
				if !again[records.Question{Name: a.Name, Type: a.Type}] {
					probes[i].Answers = append(probes[i].Answers, a)
				}
			}
		}
	}
	second.Probes = probes
	return second
}

// Qualify completes a name: one that ends in a dot or lies in the cluster's zone is whole; SERVICE.NAMESPACE (and
// HOST.SERVICE.NAMESPACE) with a namespace that exists is one of the cluster's; anything else is a name outside.
func Qualify(in Input, name string) string {
	return newWorld(in, in.now(), Options{}).qualify(name)
}

func (w *world) qualify(name string) string {
	zone := strings.TrimSuffix(w.zone, ".")
	if strings.HasSuffix(name, ".") || name == zone || strings.HasSuffix(strings.ToLower(name), "."+zone) {
		return corefile.Fqdn(name)
	}
	labels := strings.Split(strings.ToLower(name), ".")
	last := labels[len(labels)-1]
	switch {
	case last == "svc" || last == "pod":
		return corefile.Fqdn(name + "." + zone)
	case len(labels) > 1 && w.namespaceExists(last):
		return corefile.Fqdn(name + ".svc." + zone)
	case len(labels) == 2 && len(w.suggest(corefile.Fqdn(name+".svc."+zone))) > 0:
		return corefile.Fqdn(name + ".svc." + zone)
	case len(labels) == 1 && w.From != nil:
		return corefile.Fqdn(name + "." + w.From.Pod.Namespace + ".svc." + zone)
	}
	return corefile.Fqdn(name)
}

// PodServers gives the addresses that a pod asks: those of its resolver settings, or the one chosen by at (an address,
// the name of a DNS pod).
func PodServers(in Input, at string) []string {
	if _, err := netip.ParseAddr(at); err == nil {
		return []string{at}
	}
	for i := range in.Pods {
		if in.Pods[i].Name == at {
			return []string{in.Pods[i].Status.PodIP}
		}
	}
	w := newWorld(in, in.now(), Options{})
	if w.From == nil {
		return nil
	}
	servers := w.conf0().Nameservers
	return servers[:min(3, len(servers))]
}
