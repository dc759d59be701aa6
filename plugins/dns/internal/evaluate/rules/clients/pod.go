package clients

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
)

// The codes of this file.
const (
	DNSPolicyDefault        finding.Code = "DNSPolicyDefault"
	DNSPolicyNone           finding.Code = "DNSPolicyNone"
	HostNetworkClusterFirst finding.Code = "HostNetworkClusterFirst"
	LoopbackNameserver      finding.Code = "LoopbackNameserver"
	MixedNameservers        finding.Code = "MixedNameservers"
	MuslSearchListTooLong   finding.Code = "MuslSearchListTooLong"
	ResolverLimitsExceeded  finding.Code = "ResolverLimitsExceeded"
	WildcardSearchDomain    finding.Code = "WildcardSearchDomain"
)

// PodRules report resolver settings of one pod that bypass or break cluster DNS.
var PodRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSPolicyDefault, Severity: finding.Warning, Title: "Pod with dnsPolicy Default bypasses cluster DNS",
			Meaning: "The pod uses the resolver of its node, which does not know cluster names. Default is not the default value; " +
				"ClusterFirst is. DNS itself is healthy.",
			Evidence: "spec.dnsPolicy of the pod.",
			Next:     "Set dnsPolicy to ClusterFirst.",
			Source:   PodPage,
		},
		Check: CheckPodConfig,
	},
	{
		Entry: finding.Entry{
			Code: DNSPolicyNone, Severity: finding.Warning, Title: "Pod with dnsPolicy None bypasses cluster DNS",
			Meaning:  "The pod queries only servers outside the cluster.",
			Evidence: "spec.dnsConfig.nameservers of the pod, compared with the addresses of the DNS Services and node caches.",
			Next:     "Add the address of the DNS Service, or set dnsPolicy to ClusterFirst.",
			Source:   PodPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: HostNetworkClusterFirst, Severity: finding.Warning, Title: "Pod with hostNetwork uses the node's resolver",
			Meaning:  "The kubelet treats dnsPolicy ClusterFirst as Default for a pod on the host network.",
			Evidence: "spec.hostNetwork and spec.dnsPolicy of the pod.",
			Next:     "Set dnsPolicy to ClusterFirstWithHostNet.",
			Source:   PodPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: LoopbackNameserver, Severity: finding.Critical, Title: "Pod uses a loopback nameserver",
			Meaning:  "The address of the node's stub resolver was copied into a pod, where no server listens on it.",
			Evidence: "A nameserver in 127.0.0.0/8 or ::1 in a pod that is not on the host network.",
			Next:     "Set resolvConf of the kubelet to the file with the real upstream servers.",
			Source:   servers.DebugPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: MixedNameservers, Severity: finding.Warning, Title: "Pod mixes cluster DNS with other nameservers",
			Meaning:  "Resolvers use the first usable answer of any server, and the other server answers NXDOMAIN for cluster names.",
			Evidence: "The nameservers in resolv.conf of the pod.",
			Next:     "Keep only the nameserver of cluster DNS, and forward the other domain in the Corefile.",
			Source:   "https://github.com/gliderlabs/docker-alpine/issues/8",
		},
	},
	{
		Entry: finding.Entry{
			Code: MuslSearchListTooLong, Severity: finding.Warning, Title: "Search list is too long for musl",
			Meaning:  "The C library musl reads the search line into a buffer of 256 bytes and ignores a longer line completely.",
			Evidence: "A search line of 256 characters or more, for images with musl or an unknown C library.",
			Next:     "Shorten the search list.",
			Source:   "https://git.musl-libc.org/cgit/musl/tree/src/network/resolvconf.c",
		},
	},
	{
		Entry: finding.Entry{
			Code: ResolverLimitsExceeded, Severity: finding.Warning, Title: "Pod resolver settings exceed the limits",
			Meaning:  "The kubelet drops nameservers after the third, and search domains beyond 32 domains or 2048 characters.",
			Evidence: "spec.dnsConfig of the pod and the computed resolv.conf.",
			Next:     "Shorten the lists of nameservers and search domains.",
			Source:   PodPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: WildcardSearchDomain, Severity: finding.Warning, Title: "Search domain resolves every name",
			Meaning: "Names outside the cluster usually have fewer than five dots, so the resolver first appends each search domain. A " +
				"wildcard record in such a domain answers all of these names.",
			Evidence: "An address in the answer for a nonsense label under a search domain outside the cluster.",
			Next:     "Remove the search domain.",
			Source:   "https://github.com/kubernetes/kubernetes/issues/64924",
		},
	},
}

// ShowPod is the next step that shows the suspect's resolver settings.
func ShowPod(w *facts.Snapshot) finding.Next {
	pod := &w.From.Pod
	return w.Read("Read resolv.conf of the pod, with the source of each line", pod.Namespace, "dns", "pod", pod.Name)
}

// CheckPodConfig judges the suspect pod's resolver settings: computed ones, and the real file where it was read.
func CheckPodConfig(w *facts.Snapshot) []finding.Finding {
	if w.From == nil || w.Service == nil {
		return nil
	}
	pod := &w.From.Pod
	computed := resolver.Compute(pod.Namespace, pod.Spec, w.KubeletFor(pod.Spec.NodeName))
	show := ShowPod(w)
	actual, read := w.ActualConf()
	return slices.Concat(PolicyOf(w, computed, show), serversOf(w, computed, show), limitRules(w, pod, computed, actual, read, show))
}

// PolicyOf judges the pod's dnsPolicy: one that keeps cluster DNS from it.
func PolicyOf(w *facts.Snapshot, computed resolver.Computed, show finding.Next) []finding.Finding {
	pod := &w.From.Pod
	spec := pod.Spec
	var list []finding.Finding
	add := func(code finding.Code, severity finding.Severity, message string, evidence ...finding.Evidence) {
		list = append(list, w.Make(code, severity, facts.Ref("Pod", pod.Namespace, pod.Name), message, evidence, show))
	}
	if w.IsServer(pod) { // which must not query itself
		return nil
	}
	usesCluster := slices.ContainsFunc(computed.Nameservers, knowsCluster(w))
	switch {
	case usesCluster && !spec.HostNetwork:
	case spec.HostNetwork && spec.DNSPolicy == corev1.DNSClusterFirst && !usesCluster:
		add(HostNetworkClusterFirst, finding.Warning, fmt.Sprintf("pod %s/%s has hostNetwork and dnsPolicy ClusterFirst; the pod uses the "+
			"node's resolver, which does not know cluster names", pod.Namespace, pod.Name),
			facts.NewEvidence("Pod", "spec.hostNetwork", "true"), facts.NewEvidence("Pod", "spec.dnsPolicy",
				"ClusterFirst; ClusterFirstWithHostNet would use cluster DNS"))
	case spec.DNSPolicy == corev1.DNSNone && !usesCluster:
		add(DNSPolicyNone, finding.Warning, fmt.Sprintf("pod %s/%s has dnsPolicy None, and none of its nameservers (%s) is cluster DNS",
			pod.Namespace, pod.Name, facts.OrNone(strings.Join(computed.Nameservers, ", "))),
			facts.NewEvidence("Pod", "spec.dnsConfig.nameservers", "%s", facts.OrNone(strings.Join(computed.Nameservers, ", "))),
			facts.NewEvidence("Service", "spec.clusterIPs", "%s", strings.Join(discover.ClusterIPs(w.Service), ", ")))
	case spec.DNSPolicy == corev1.DNSDefault && !usesCluster:
		add(DNSPolicyDefault, finding.Warning, fmt.Sprintf("pod %s/%s has dnsPolicy Default; the pod uses the node's resolver, which does "+
			"not know cluster names", pod.Namespace, pod.Name), facts.NewEvidence("Pod", "spec.dnsPolicy", "Default"))
	}
	return list
}

func limitRules(w *facts.Snapshot, pod *corev1.Pod, computed resolver.Computed, actual resolver.Conf, read bool,
	show finding.Next,
) []finding.Finding {
	var list []finding.Finding
	object := facts.Ref("Pod", pod.Namespace, pod.Name)
	if len(computed.Dropped) > 0 {
		list = append(list, w.Make(ResolverLimitsExceeded, finding.Warning, object,
			fmt.Sprintf("the resolver settings of pod %s/%s exceed the limits: the kubelet drops %s", pod.Namespace, pod.Name,
				strings.Join(computed.Dropped, ", ")),
			[]finding.Evidence{facts.NewEvidence("Pod", "spec.dnsConfig", "at most %d nameservers, %d search domains, %d "+
				"characters", resolver.MaxNameservers,
				resolver.MaxSearches, resolver.MaxSearchChars)}, show))
	}
	conf := computed.Conf
	if read {
		conf = actual
	}
	if len(conf.SearchLine()) >= resolver.MuslSearchLine && (w.From.Musl == nil || *w.From.Musl) {
		list = append(list, w.Make(MuslSearchListTooLong, finding.Warning, object,
			fmt.Sprintf("the search line of pod %s/%s has %d characters; images with musl (Alpine) ignore it, so short names do not resolve",
				pod.Namespace, pod.Name, len(conf.SearchLine())),
			[]finding.Evidence{facts.NewEvidence("resolv.conf", "search", "%d characters; musl reads fewer than %d", len(conf.SearchLine()),
				resolver.MuslSearchLine)}, show))
	}
	foreign := slices.DeleteFunc(slices.Clone(conf.Nameservers), knowsCluster(w))
	if len(foreign) > 0 && len(foreign) < len(conf.Nameservers) {
		list = append(list, w.Make(MixedNameservers, finding.Warning, object,
			fmt.Sprintf("pod %s/%s queries cluster DNS and %s; the first answer wins, and the other server does not know cluster names",
				pod.Namespace, pod.Name, strings.Join(foreign, ", ")),
			[]finding.Evidence{facts.NewEvidence("resolv.conf", "nameserver", "%s", strings.Join(conf.Nameservers, ", "))}, show))
	}
	list = append(list, loopback(w, pod, conf, show)...)
	return append(list, wildcards(w, pod)...)
}

// knowsCluster says of a nameserver whether it is cluster DNS, or has rightly answered the pod a name of the cluster: a server beside
// the program in its pod, or one of the node's.
func knowsCluster(w *facts.Snapshot) func(server string) bool {
	right := ownOf(w).right
	return func(server string) bool { return ask.Serves(w, server) || slices.Contains(right, server) }
}

// loopback: a pod has a loopback interface of its own. Nothing listens there where the kubelet copied the file of a node with a stub
// resolver; where the pod's own spec.dnsConfig has the address, a container of the pod is meant to be the server.
func loopback(w *facts.Snapshot, pod *corev1.Pod, conf resolver.Conf, show finding.Next) []finding.Finding {
	own := ownOf(w)
	var servers []string
	for _, ip := range conf.Nameservers {
		if (strings.HasPrefix(ip, "127.") || ip == "::1") && !slices.Contains(slices.Concat(own.right, own.wrong), ip) {
			servers = append(servers, ip)
		}
	}
	if len(servers) == 0 || pod.Spec.HostNetwork {
		return nil
	}
	severity, why := finding.Critical, "where no server listens; the address is the node's stub resolver"
	stub := servers[0] == "127.0.0.53" || servers[0] == "127.0.0.54" // systemd-resolved's, which no container runs
	if c := pod.Spec.DNSConfig; c != nil && slices.Contains(c.Nameservers, servers[0]) && !stub {
		why = "where no server answers; spec.dnsConfig of the pod has the address"
		if !slices.Contains(own.asked, servers[0]) {
			severity, why = finding.Info, "as its spec.dnsConfig says; unknown whether a container of the pod answers there"
		}
	}
	return []finding.Finding{w.Make(LoopbackNameserver, severity, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("pod %s/%s queries its own loopback address, %s", pod.Namespace, pod.Name, why),
		[]finding.Evidence{facts.NewEvidence("resolv.conf", "nameserver", "%s", strings.Join(conf.Nameservers, ", "))}, show)}
}

// wildcards: a search domain outside the cluster that answers for a name that does not exist answers every external name.
func wildcards(w *facts.Snapshot, pod *corev1.Pod) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			label, domain, ok := strings.Cut(a.Name, ".")
			if !ok || label != ask.WildcardLabel || len(a.Records) == 0 || a.Rcode != "NOERROR" {
				continue
			}
			f := w.Make(WildcardSearchDomain, finding.Warning, facts.Ref("Pod", pod.Namespace, pod.Name),
				fmt.Sprintf("search domain %s resolves every name; pod %s/%s gets its address instead of that of an external name",
					strings.TrimSuffix(domain, "."), pod.Namespace, pod.Name),
				[]finding.Evidence{facts.NewEvidence("answer of DNS", a.Name+" "+a.Type, "%s", ask.AnswerText(a))},
				w.Read("Check which lookup step answers a name", pod.Namespace, "dns", "explain", "www.example.com", "--from", pod.Name))
			if !slices.ContainsFunc(list, func(have finding.Finding) bool { return have.Message == f.Message }) {
				list = append(list, f)
			}
		}
	}
	return list
}
