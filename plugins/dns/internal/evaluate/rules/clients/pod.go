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

// PodRules are about this: what one pod is told to ask.
var PodRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSPolicyDefault, Severity: finding.Warning, Title: "Pod with dnsPolicy Default bypasses cluster DNS",
			Meaning:  "The pod uses its node's resolver, which knows no name of the cluster. DNS itself is well.",
			Evidence: "The pod's spec.dnsPolicy.",
			Next:     "Use ClusterFirst.",
			Source:   podPage,
		},
		Check: CheckPodConfig,
	},
	{
		Entry: finding.Entry{
			Code: DNSPolicyNone, Severity: finding.Warning, Title: "Pod with dnsPolicy None bypasses cluster DNS",
			Meaning:  "The pod asks only servers outside the cluster.",
			Evidence: "The pod's spec.dnsConfig.nameservers, compared with the DNS Services and node caches.",
			Next:     "Add the DNS Service's address, or use ClusterFirst.",
			Source:   podPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: HostNetworkClusterFirst, Severity: finding.Warning, Title: "Pod with hostNetwork uses the node's resolver",
			Meaning:  "The kubelet treats ClusterFirst as Default for pods on the host's network.",
			Evidence: "spec.hostNetwork and spec.dnsPolicy of the pod.",
			Next:     "Use ClusterFirstWithHostNet.",
			Source:   podPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: LoopbackNameserver, Severity: finding.Critical, Title: "Pod uses a loopback nameserver",
			Meaning:  "The node's stub resolver address was copied into a pod, where nothing listens.",
			Evidence: "A 127.0.0.0/8 or ::1 nameserver in a pod that is not on the host's network.",
			Next:     "Point the kubelet's resolvConf at the real file.",
			Source:   servers.DebugPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: MixedNameservers, Severity: finding.Warning, Title: "Pod mixes cluster DNS with other nameservers",
			Meaning:  "Resolvers take the first usable answer of any server, and the other server answers NXDOMAIN for names of the cluster.",
			Evidence: "The nameservers of the resolv.conf.",
			Next:     "Keep the cluster's alone and forward the other domain in the Corefile.",
			Source:   "https://github.com/gliderlabs/docker-alpine/issues/8",
		},
	},
	{
		Entry: finding.Entry{
			Code: MuslSearchListTooLong, Severity: finding.Warning, Title: "Search list is too long for musl",
			Meaning:  "musl reads the line into 256 bytes; a longer one is dropped whole.",
			Evidence: "The length of the search line, for images with musl or an unknown C library.",
			Next:     "Shorten the search list.",
			Source:   "https://git.musl-libc.org/cgit/musl/tree/src/network/resolvconf.c",
		},
	},
	{
		Entry: finding.Entry{
			Code: ResolverLimitsExceeded, Severity: finding.Warning, Title: "Pod resolver settings exceed the limits",
			Meaning:  "The kubelet drops nameservers after the third and searches beyond 32 or 2048 characters.",
			Evidence: "spec.dnsConfig and the computed file.",
			Next:     "Shorten them.",
			Source:   podPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: WildcardSearchDomain, Severity: finding.Warning, Title: "Search domain resolves every name",
			Meaning: "Names outside the cluster have fewer than five dots and are tried with each search domain first: a wildcard there takes " +
				"them all.",
			Evidence: "A nonsense label under each search domain outside the cluster gets an address.",
			Next:     "Drop the domain.",
			Source:   "https://github.com/kubernetes/kubernetes/issues/64924",
		},
	},
}

// CheckPodConfig judges the suspect pod's resolver settings: computed ones, and the real file where it was read.
func CheckPodConfig(w *facts.Snapshot) []finding.Finding {
	if w.From == nil || w.Service == nil {
		return nil
	}
	pod := &w.From.Pod
	computed := resolver.Compute(pod.Namespace, pod.Spec, w.KubeletFor(pod.Spec.NodeName))
	show := w.Read("see the file and where each line comes from", pod.Namespace, "dns", "pod", pod.Name)
	actual, read := w.ActualConf()
	return slices.Concat(policyOf(w, computed, show), serversOf(w, computed, show), limitRules(w, pod, computed, actual, read, show))
}

// policyOf judges the pod's dnsPolicy: one that keeps cluster DNS from it.
func policyOf(w *facts.Snapshot, computed resolver.Computed, show finding.Next) []finding.Finding {
	pod := &w.From.Pod
	spec := pod.Spec
	var list []finding.Finding
	add := func(code finding.Code, severity finding.Severity, message string, evidence ...finding.Evidence) {
		list = append(list, w.Make(code, severity, facts.Ref("Pod", pod.Namespace, pod.Name), message, evidence, show))
	}
	usesCluster := slices.ContainsFunc(computed.Nameservers, func(v string) bool { return ask.Serves(w, v) })
	switch {
	case usesCluster && !spec.HostNetwork:
	case spec.HostNetwork && spec.DNSPolicy == corev1.DNSClusterFirst && !usesCluster:
		add(HostNetworkClusterFirst, finding.Warning, fmt.Sprintf("pod %s/%s is on the host's network with dnsPolicy ClusterFirst: the kubelet "+
			"gives it the node's resolver, which knows no name of the cluster", pod.Namespace, pod.Name),
			facts.NewEvidence("Pod", "spec.hostNetwork", "true"), facts.NewEvidence("Pod", "spec.dnsPolicy",
				"ClusterFirst; ClusterFirstWithHostNet would use cluster DNS"))
	case spec.DNSPolicy == corev1.DNSNone && !usesCluster:
		add(DNSPolicyNone, finding.Warning, fmt.Sprintf("pod %s/%s has dnsPolicy None, and none of its nameservers (%s) is the cluster's",
			pod.Namespace, pod.Name, facts.OrNone(strings.Join(computed.Nameservers, ", "))),
			facts.NewEvidence("Pod", "spec.dnsConfig.nameservers", "%s", facts.OrNone(strings.Join(computed.Nameservers, ", "))), facts.NewEvidence("Service",
				"spec.clusterIPs", "%s", strings.Join(discover.ClusterIPs(w.Service), ", ")))
	case spec.DNSPolicy == corev1.DNSDefault && !usesCluster:
		add(DNSPolicyDefault, finding.Warning, fmt.Sprintf("pod %s/%s has dnsPolicy Default, which is the node's resolver and not the default: "+
			"it knows no name of the cluster", pod.Namespace, pod.Name), facts.NewEvidence("Pod", "spec.dnsPolicy", "Default"))
	}
	return list
}

// serversOf judges the nameservers that stand in the pod's file.
func serversOf(w *facts.Snapshot, computed resolver.Computed, show finding.Next) []finding.Finding {
	pod := &w.From.Pod
	spec := pod.Spec
	actual, read := w.ActualConf()
	var list []finding.Finding
	add := func(code finding.Code, severity finding.Severity, message string, evidence ...finding.Evidence) {
		list = append(list, w.Make(code, severity, facts.Ref("Pod", pod.Namespace, pod.Name), message, evidence, show))
	}
	serves := func(ip string) bool { return ask.Serves(w, ip) }
	told := slices.ContainsFunc(w.Kubelets, func(k facts.Kubelet) bool {
		return (k.Node == spec.NodeName || k.Node == "") && len(k.ClusterDNS) > 0
	})
	cloud := func(ip string) bool {
		return ask.CloudMayServe(w, ip) && (!told || slices.Contains(w.KubeletFor(spec.NodeName).ClusterDNS, ip))
	}
	if read && computed.Policy == corev1.DNSClusterFirst && len(actual.Nameservers) > 0 &&
		!slices.ContainsFunc(actual.Nameservers, serves) &&
		!slices.ContainsFunc(actual.Nameservers, cloud) {
		list = append(list, w.Make(KubeletClusterDNSMismatch, finding.Critical, facts.Ref("Node", "", spec.NodeName),
			fmt.Sprintf("the kubelet of node %s gave pod %s/%s the nameserver %s, where no DNS Service of this cluster is", spec.NodeName,
				pod.Namespace, pod.Name, strings.Join(actual.Nameservers, ", ")),
			[]finding.Evidence{
				facts.NewEvidence("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(actual.Nameservers, ", ")),
				facts.NewEvidence("Service", w.Service.Namespace+"/"+w.Service.Name, "%s", strings.Join(discover.ClusterIPs(w.Service), ", ")),
			},
			w.Read("compare every kubelet (needs get nodes/proxy)", "", "dns", "check", "--profile", "full"), show))
	}
	if i := slices.IndexFunc(actual.Nameservers, cloud); i >= 0 && !told && computed.Policy == corev1.DNSClusterFirst &&
		!slices.ContainsFunc(actual.Nameservers, serves) {
		add(KubeletClusterDNSMismatch, finding.Info, fmt.Sprintf("pod %s/%s asks %s, the cloud's resolver: it knows the names of the cluster only where "+
			"the cloud runs the cluster's DNS there", pod.Namespace, pod.Name, actual.Nameservers[i]),
			facts.NewEvidence("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(actual.Nameservers, ", ")))
	}
	if i := slices.IndexFunc(actual.Nameservers, func(v string) bool { return ask.LocalUnseen(w, v) }); i >= 0 {
		add(KubeletClusterDNSMismatch, finding.Info, fmt.Sprintf("pod %s/%s asks %s, an address of its own node: no DaemonSet that could be read shows "+
			"what answers there", pod.Namespace, pod.Name, actual.Nameservers[i]),
			facts.NewEvidence("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(actual.Nameservers, ", ")))
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
			[]finding.Evidence{facts.NewEvidence("Pod", "spec.dnsConfig", "at most %d nameservers, %d searches, %d characters", resolver.MaxNameservers,
				resolver.MaxSearches, resolver.MaxSearchChars)}, show))
	}
	conf := computed.Conf
	if read {
		conf = actual
	}
	if len(conf.SearchLine()) >= resolver.MuslSearchLine && (w.From.Musl == nil || *w.From.Musl) {
		list = append(list, w.Make(MuslSearchListTooLong, finding.Warning, object,
			fmt.Sprintf("the search line of pod %s/%s has %d characters: images with musl (Alpine) drop it whole, and short names find nothing",
				pod.Namespace, pod.Name, len(conf.SearchLine())),
			[]finding.Evidence{facts.NewEvidence("resolv.conf", "search", "%d characters, of %d that musl reads", len(conf.SearchLine()),
				resolver.MuslSearchLine)}, show))
	}
	foreign := slices.DeleteFunc(slices.Clone(conf.Nameservers), func(v string) bool { return ask.Serves(w, v) })
	if len(foreign) > 0 && len(foreign) < len(conf.Nameservers) {
		list = append(list, w.Make(MixedNameservers, finding.Warning, object,
			fmt.Sprintf("pod %s/%s asks the cluster's DNS and %s: whoever answers first decides, and the other one knows no name of the cluster",
				pod.Namespace, pod.Name, strings.Join(foreign, ", ")),
			[]finding.Evidence{facts.NewEvidence("resolv.conf", "nameserver", "%s", strings.Join(conf.Nameservers, ", "))}, show))
	}
	loopback := slices.ContainsFunc(conf.Nameservers, func(ip string) bool { return strings.HasPrefix(ip, "127.") || ip == "::1" })
	if loopback && !pod.Spec.HostNetwork {
		list = append(list, w.Make(LoopbackNameserver, finding.Critical, object,
			fmt.Sprintf("pod %s/%s asks a resolver on its own loopback, where nothing listens: it has its node's stub resolver", pod.Namespace,
				pod.Name),
			[]finding.Evidence{facts.NewEvidence("resolv.conf", "nameserver", "%s", strings.Join(conf.Nameservers, ", "))}, show))
	}
	return append(list, wildcards(w, pod)...)
}

// wildcards: a search domain outside the cluster that answers for a name nobody has swallows every external name.
func wildcards(w *facts.Snapshot, pod *corev1.Pod) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			label, domain, ok := strings.Cut(a.Name, ".")
			if !ok || label != ask.WildcardLabel || len(a.Records) == 0 || a.Rcode != "NOERROR" {
				continue
			}
			f := w.Make(WildcardSearchDomain, finding.Warning, facts.Ref("Pod", pod.Namespace, pod.Name),
				fmt.Sprintf("the search domain %s answers for every name: pod %s/%s gets its address instead of that of a site on the Internet",
					strings.TrimSuffix(domain, "."), pod.Namespace, pod.Name),
				[]finding.Evidence{facts.NewEvidence("answer of DNS", a.Name+" "+a.Type, "%s", ask.AnswerText(a))},
				w.Read("see which step answers a name", pod.Namespace, "dns", "explain", "www.example.com", "--from", pod.Name))
			if !slices.ContainsFunc(list, func(have finding.Finding) bool { return have.Message == f.Message }) {
				list = append(list, f)
			}
		}
	}
	return list
}
