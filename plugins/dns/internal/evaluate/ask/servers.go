package ask

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// PodServers gives the addresses that a pod asks: the one chosen by at (an address, the name of a DNS pod), or an empty one,
// which stands for those of its own resolv.conf.
func PodServers(in facts.Input, at string) []string {
	if _, err := netip.ParseAddr(at); err == nil {
		return []string{at}
	}
	for i := range in.Pods {
		if in.Pods[i].Name == at {
			return []string{in.Pods[i].Status.PodIP}
		}
	}
	return []string{""}
}

// ServersOf gives the addresses that the suspect is asked to reach besides those of its own resolv.conf, and the question.
func ServersOf(in facts.Input) (servers []string, q records.Question) {
	w := facts.New(in, in.Timeless(), facts.Options{})
	q = records.Question{Name: w.Control(), Type: "A"}
	if w.Service == nil {
		return nil, q
	}
	servers = discover.ClusterIPs(w.Service)
	families := Families(w)
	for i := range w.Pods {
		if !podfact.Serves(&w.Pods[i]) || len(servers) >= 8 {
			continue
		}
		for _, ip := range facts.Addresses(&w.Pods[i]) {
			if slices.Contains(families, FamilyOf(ip)) {
				servers = append(servers, ip)
			}
		}
	}
	if w.From != nil {
		for _, ip := range w.KubeletFor(w.From.Pod.Spec.NodeName).ClusterDNS {
			if (facts.LinkLocal(ip) || CloudMayServe(w, ip)) && !slices.Contains(servers, ip) {
				servers = append(servers, ip) // a cache of the node, or the cloud's, which only its pods can ask
			}
		}
	}
	return servers, q
}

// FamilyOf is the family of an address as a person calls it.
func FamilyOf(ip string) string {
	if strings.Contains(ip, ":") {
		return "IPv6"
	}
	return "IPv4"
}

// Families are those in which pods can query the DNS Service: of its addresses, in their order.
func Families(w *facts.Snapshot) []string {
	var list []string
	for _, ip := range discover.ClusterIPs(w.Service) {
		if family := FamilyOf(ip); !slices.Contains(list, family) {
			list = append(list, family)
		}
	}
	if len(list) == 0 { // a headless one: its pods are queried themselves
		list = append(list, "IPv4", "IPv6")
	}
	return list
}

// Serves says whether cluster DNS may answer at an address. A link-local one is the node's own: what answers there (a
// DaemonSet, or a service of the node that the API does not show) is known to be nothing only when it does not answer.
func Serves(w *facts.Snapshot, ip string) bool {
	return slices.Contains(w.ClusterServers(), ip) || facts.LinkLocal(ip) && !localSilent(w, ip)
}

// answeredAt says whether the suspect asked an address, and whether it got an answer.
func answeredAt(w *facts.Snapshot, ip string) (asked, answered bool) {
	if w.From == nil {
		return false, false
	}
	for _, a := range w.From.Answers {
		asked, answered = asked || a.Server == ip, answered || a.Server == ip && a.Rcode != ""
	}
	return asked, answered
}

// CloudMayServe says whether an address in the range of the cloud may serve cluster names. It is wrong only when the pod queried
// it for a cluster name and did not get that.
func CloudMayServe(w *facts.Snapshot, ip string) bool {
	address, err := netip.ParseAddr(ip)
	if err != nil || !facts.CloudRange.Contains(address) {
		return false
	}
	asked, right := false, false
	if w.From != nil {
		for _, a := range w.From.Answers {
			mine := a.Server == ip && a.Name == w.Control()
			asked, right = asked || mine, right || mine && Right(w, a)
		}
	}
	return right || !asked
}

// localSilent: no DaemonSet is a cache at the address, and the suspect asked it in vain.
func localSilent(w *facts.Snapshot, ip string) bool {
	asked, answered := answeredAt(w, ip)
	return w.Sources.Get("daemonsets").Readable() && asked && !answered
}

// LocalUnseen says whether nothing shows what answers at a link-local address, and the pod was not made to query it.
func LocalUnseen(w *facts.Snapshot, ip string) bool {
	asked, _ := answeredAt(w, ip)
	return facts.LinkLocal(ip) && !asked && !slices.Contains(w.ClusterServers(), ip)
}

// Zone gives the cluster's zone as far as the Input says.
func Zone(in facts.Input) string { return facts.New(in, time.Time{}, facts.Options{}).Zone }

// Corefile gives the parsed Corefile of the Input.
func Corefile(in facts.Input) (corefile.File, bool) {
	w := facts.New(in, time.Time{}, facts.Options{})
	return w.Conf, w.ConfRead
}

// UpstreamsOf gives the addresses to which a server forwards on port 53: those that its metrics name, which hold what
// its node's resolv.conf says, and those that the Corefile does.
func UpstreamsOf(in facts.Input, pod string) []string {
	w := facts.New(in, in.Timeless(), facts.Options{})
	var list []string
	add := func(to string) {
		to = strings.TrimPrefix(to, "dns://")
		if at, err := netip.ParseAddrPort(to); err == nil && at.Port() == 53 {
			to = at.Addr().String()
		}
		if _, err := netip.ParseAddr(to); err == nil && !slices.Contains(list, to) {
			list = append(list, to)
		}
	}
	if p := w.ProbeOf(pod); p != nil {
		for _, s := range p.Metrics {
			if strings.HasPrefix(s.Name, "coredns_proxy_") || strings.HasPrefix(s.Name, "coredns_forward_") {
				add(s.Labels["to"])
			}
		}
	}
	for _, r := range w.Routes() {
		if r.Via == "forward" {
			for _, to := range r.To {
				add(to)
			}
		}
	}
	slices.Sort(list)
	return list
}

// Ports gives, for each DNS pod of an Input, where it answers DNS over TCP, and where its metrics are.
func Ports(in facts.Input) func(corev1.Pod) (dns, metrics int32) {
	return facts.New(in, in.Timeless(), facts.Options{}).Ports
}
