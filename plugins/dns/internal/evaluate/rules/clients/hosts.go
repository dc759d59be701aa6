package clients

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
)

// The codes of this file.
const (
	HostsFileOverridesDNS finding.Code = "HostsFileOverridesDNS"
)

// HostsRules report names that the hosts file of a pod answers instead of DNS.
var HostsRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: HostsFileOverridesDNS, Severity: finding.Warning, Title: "Hosts file of the pod overrides DNS",
			Meaning: "The hosts file of the pod, which hostAliases fills, has the name with another address than DNS. Programs read the " +
				"file before they query DNS; tools such as nslookup and dig query DNS alone. DNS is right.",
			Evidence: "The lines of /etc/hosts in the pod, or spec.hostAliases, and the answer of DNS or the API.",
			Next:     "Remove the entry from hostAliases, unless it is intended.",
			Source:   "https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/",
		},
		Check: checkHosts,
	},
}

// checkHosts looks for Services whose names the hosts file of the suspect gives another address. Other names stand in such files
// on purpose.
func checkHosts(w *facts.Snapshot) []finding.Finding {
	if w.From == nil || !w.Sources.Get("services").Readable() {
		return nil
	}
	var list []finding.Finding
	for _, name := range resolver.HostsNames(w.HostsFile()) {
		full := ask.Complete(w, name)
		if svc, labels := ask.ServiceOf(w, full); svc == nil || len(labels) != 2 {
			continue
		}
		x, _ := ask.Address(w, full)
		if f := HostsOverride(w, x.Data, name); f != nil {
			list = append(list, *f)
		}
	}
	return list
}

// HostsOverride makes the finding for a name, in any of its spellings, to which the hosts file of the suspect gives other
// addresses than these; for information where both say the same.
func HostsOverride(w *facts.Snapshot, dns []string, spellings ...string) *finding.Finding {
	var addresses []string
	name := ""
	for _, spelling := range spellings {
		if addresses = resolver.HostsFile(w.HostsFile(), strings.TrimSuffix(spelling, ".")); len(addresses) > 0 {
			name = strings.TrimSuffix(spelling, ".")
			break
		}
	}
	pod := &w.From.Pod
	own := name == "localhost" || strings.HasPrefix(name, "ip6-") ||
		slices.ContainsFunc(facts.Addresses(pod), func(ip string) bool { return slices.Contains(addresses, ip) })
	if len(addresses) == 0 || own { // what every such file has
		return nil
	}
	severity, but := finding.Warning, "DNS has no address for it"
	switch {
	case !slices.ContainsFunc(addresses, func(a string) bool { return !slices.Contains(dns, a) }):
		severity, but = finding.Info, "DNS has the same"
	case len(dns) > 0:
		but = "DNS has " + strings.Join(dns, ", ")
	}
	where := "written in the pod"
	evidence := []finding.Evidence{facts.NewEvidence("file in the pod", "/etc/hosts", "%s %s", strings.Join(addresses, ", "), name)}
	next := w.Read("Read the hosts file of the pod", pod.Namespace, "exec", pod.Name, "--", "cat", "/etc/hosts")
	if aliased(pod, name) {
		where = "hostAliases"
		evidence = append(evidence, facts.NewEvidence("Pod", "spec.hostAliases", "%s %s", strings.Join(addresses, ", "), name))
		next = w.Read("Read hostAliases of the pod", pod.Namespace, "get", "pod", pod.Name, "-o", "jsonpath={.spec.hostAliases}")
	} else if v := w.MountedAt("/etc/hosts"); v != nil {
		where, next = facts.VolumeWords(v), mountStep(w, v)
	}
	f := w.Make(HostsFileOverridesDNS, severity, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("/etc/hosts of pod %s/%s (%s) has %s for %s, and programs read it before DNS; %s", pod.Namespace, pod.Name, where,
			strings.Join(addresses, ", "), name, but), evidence, next)
	return &f
}

func aliased(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.HostAliases, func(a corev1.HostAlias) bool {
		return slices.ContainsFunc(a.Hostnames, func(h string) bool { return strings.EqualFold(h, name) })
	})
}

// addressesIn gives the addresses among the answers to a name.
func addressesIn(w *facts.Snapshot, name string) []string {
	var list []string
	for _, data := range ask.AnswerData(w, name) {
		if _, err := netip.ParseAddr(data); err == nil && !slices.Contains(list, data) {
			list = append(list, data)
		}
	}
	return list
}

// HostsOf judges the hosts file of the suspect for the name that was queried.
func HostsOf(w *facts.Snapshot, name string) []finding.Finding {
	if w.From == nil {
		return nil
	}
	if f := HostsOverride(w, addressesIn(w, name), w.Options.Typed, name); f != nil {
		return []finding.Finding{*f}
	}
	return nil
}
