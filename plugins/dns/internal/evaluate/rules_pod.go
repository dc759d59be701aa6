package evaluate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
)

// The codes of what is judged here.
const (
	DNSPolicyDefault        finding.Code = "DNSPolicyDefault"
	DNSPolicyNone           finding.Code = "DNSPolicyNone"
	HostNetworkClusterFirst finding.Code = "HostNetworkClusterFirst"
	KubeletClusterDNS       finding.Code = "KubeletClusterDNS"
	LoopbackNameserver      finding.Code = "LoopbackNameserver"
	MixedNameservers        finding.Code = "MixedNameservers"
	MuslSearchDropped       finding.Code = "MuslSearchDropped"
	NodeCacheMissing        finding.Code = "NodeCacheMissing"
	ResolverLimits          finding.Code = "ResolverLimits"
	WildcardSearchDomain    finding.Code = "WildcardSearchDomain"
)

// now is a moment for derivations that do not judge ages.
func (Input) now() time.Time { return time.Time{} }

// clusterServers are the addresses at which cluster DNS answers: the Service's and the node caches'.
func (w *world) clusterServers() []string {
	var list []string
	if w.service != nil {
		list = append(list, clusterIPsOf(w.service)...)
	}
	for _, other := range w.others {
		if w.readyEndpoints(other) > 0 {
			list = append(list, clusterIPsOf(other)...)
		}
	}
	if cache := w.nodeCache(); cache != nil {
		list = append(list, cache.IPs...)
	}
	for i := range w.Pods {
		if w.Pods[i].Spec.HostNetwork {
			list = append(list, w.Pods[i].Status.PodIP)
		}
	}
	return list
}

// serves says whether cluster DNS may answer at an address. A link-local one is the node's own: what answers there (a
// DaemonSet, or a service of the node that the API does not show) is known to be nothing only when it does not answer.
func (w *world) serves(ip string) bool {
	return slices.Contains(w.clusterServers(), ip) || linkLocal(ip) && !w.localSilent(ip)
}

// cloudRange holds the resolvers of clouds, which know no name of a cluster
// (https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html, https://cloud.google.com/compute/docs/internal-dns).
//
// The DNS of some clusters is the cloud's own (https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns).
var cloudRange = netip.MustParsePrefix("169.254.169.0/24")

func linkLocal(ip string) bool {
	address, err := netip.ParseAddr(ip)
	return err == nil && address.IsLinkLocalUnicast() && !cloudRange.Contains(address)
}

// answeredAt says whether the suspect asked an address, and whether it got an answer.
func (w *world) answeredAt(ip string) (asked, answered bool) {
	if w.From == nil {
		return false, false
	}
	for _, a := range w.From.Answers {
		asked, answered = asked || a.Server == ip, answered || a.Server == ip && a.Rcode != ""
	}
	return asked, answered
}

// cloudMayServe: an address in the cloud's range is wrong only when the suspect asked it for a name of the cluster and did
// not get that.
func (w *world) cloudMayServe(ip string) bool {
	address, err := netip.ParseAddr(ip)
	if err != nil || !cloudRange.Contains(address) {
		return false
	}
	asked, right := false, false
	if w.From != nil {
		for _, a := range w.From.Answers {
			mine := a.Server == ip && a.Name == w.control()
			asked, right = asked || mine, right || mine && w.right(a)
		}
	}
	return right || !asked
}

// localSilent: no DaemonSet is a cache at the address, and the suspect asked it in vain.
func (w *world) localSilent(ip string) bool {
	asked, answered := w.answeredAt(ip)
	return w.Sources.Get("daemonsets").Readable() && asked && !answered
}

// localUnseen: nothing shows what answers at a link-local address, and the suspect was not answered by it.
func (w *world) localUnseen(ip string) bool {
	_, answered := w.answeredAt(ip)
	return linkLocal(ip) && !answered && !slices.Contains(w.clusterServers(), ip)
}

// kubeletFor gives what the kubelet of a node tells its pods, from the best source there is.
func (w *world) kubeletFor(node string) resolver.Kubelet {
	var general *Kubelet
	for i := range w.Kubelets {
		k := &w.Kubelets[i]
		if k.Node == node && node != "" {
			return resolver.Kubelet{ClusterDNS: k.ClusterDNS, Domain: k.ClusterDomain, From: "the kubelet of node " + node}
		}
		if k.Node == "" && len(k.ClusterDNS) > 0 {
			general = k
		}
	}
	if general != nil {
		return resolver.Kubelet{ClusterDNS: general.ClusterDNS, Domain: general.ClusterDomain, From: "ConfigMap kube-system/kubelet-config"}
	}
	domain := strings.TrimSuffix(w.zone, ".")
	if w.service == nil && !w.Sources.Get("services").Readable() {
		return resolver.Kubelet{Domain: domain, Unknown: true, From: "most clusters (neither the kubelet nor the DNS Service could be asked)"}
	}
	k := resolver.Kubelet{Domain: domain, From: "the DNS Service (the kubelet was not asked)"}
	if w.service != nil {
		k.ClusterDNS = clusterIPsOf(w.service)
	}
	return k
}

// rulePodConfig judges the suspect pod's resolver settings: computed ones, and the real file where it was read.
func rulePodConfig(w *world) []finding.Finding {
	if w.From == nil || w.service == nil {
		return nil
	}
	pod := &w.From.Pod
	spec := pod.Spec
	object := ref("Pod", pod.Namespace, pod.Name)
	computed := resolver.Compute(pod.Namespace, spec, w.kubeletFor(spec.NodeName))
	show := w.read("see the file and where each line comes from", pod.Namespace, "dns", "pod", pod.Name)
	var list []finding.Finding
	add := func(code finding.Code, severity finding.Severity, message string, evidence ...finding.Evidence) {
		list = append(list, w.make(code, severity, object, message, evidence, show))
	}
	usesCluster := slices.ContainsFunc(computed.Nameservers, w.serves)
	actual, read := w.actualConf()
	switch {
	case usesCluster && !spec.HostNetwork:
	case spec.HostNetwork && spec.DNSPolicy == corev1.DNSClusterFirst && !usesCluster:
		add(HostNetworkClusterFirst, finding.Warning, fmt.Sprintf("pod %s/%s is on the host's network with dnsPolicy ClusterFirst: the kubelet gives it the node's resolver, which knows no name of the cluster", pod.Namespace, pod.Name),
			seen("Pod", "spec.hostNetwork", "true"), seen("Pod", "spec.dnsPolicy", "ClusterFirst; ClusterFirstWithHostNet would use cluster DNS"))
	case spec.DNSPolicy == corev1.DNSNone && !usesCluster:
		add(DNSPolicyNone, finding.Warning, fmt.Sprintf("pod %s/%s has dnsPolicy None, and none of its nameservers (%s) is the cluster's", pod.Namespace, pod.Name, orNone(strings.Join(computed.Nameservers, ", "))),
			seen("Pod", "spec.dnsConfig.nameservers", "%s", orNone(strings.Join(computed.Nameservers, ", "))), seen("Service", "spec.clusterIPs", "%s", strings.Join(clusterIPsOf(w.service), ", ")))
	case spec.DNSPolicy == corev1.DNSDefault && !usesCluster:
		add(DNSPolicyDefault, finding.Warning, fmt.Sprintf("pod %s/%s has dnsPolicy Default, which is the node's resolver and not the default: it knows no name of the cluster", pod.Namespace, pod.Name), seen("Pod", "spec.dnsPolicy", "Default"))
	}
	told := slices.ContainsFunc(w.Kubelets, func(k Kubelet) bool { return (k.Node == spec.NodeName || k.Node == "") && len(k.ClusterDNS) > 0 })
	cloud := func(ip string) bool {
		return w.cloudMayServe(ip) && (!told || slices.Contains(w.kubeletFor(spec.NodeName).ClusterDNS, ip))
	}
	if read && computed.Policy == corev1.DNSClusterFirst && len(actual.Nameservers) > 0 &&
		!slices.ContainsFunc(actual.Nameservers, w.serves) && !slices.ContainsFunc(actual.Nameservers, cloud) {
		list = append(list, w.make(KubeletClusterDNS, finding.Critical, ref("Node", "", spec.NodeName),
			fmt.Sprintf("the kubelet of node %s gave pod %s/%s the nameserver %s, where no DNS Service of this cluster is", spec.NodeName, pod.Namespace, pod.Name, strings.Join(actual.Nameservers, ", ")),
			[]finding.Evidence{seen("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(actual.Nameservers, ", ")), seen("Service", w.service.Namespace+"/"+w.service.Name, "%s", strings.Join(clusterIPsOf(w.service), ", "))},
			w.read("compare every kubelet (needs get nodes/proxy)", "", "dns", "check", "--profile", "full"), show))
	}
	if i := slices.IndexFunc(actual.Nameservers, cloud); i >= 0 && !told && computed.Policy == corev1.DNSClusterFirst && !slices.ContainsFunc(actual.Nameservers, w.serves) {
		add(KubeletClusterDNS, finding.Info, fmt.Sprintf("pod %s/%s asks %s, the cloud's resolver: it knows the names of the cluster only where the cloud runs the cluster's DNS there", pod.Namespace, pod.Name, actual.Nameservers[i]),
			seen("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(actual.Nameservers, ", ")))
	}
	if i := slices.IndexFunc(actual.Nameservers, w.localUnseen); i >= 0 {
		add(KubeletClusterDNS, finding.Info, fmt.Sprintf("pod %s/%s asks %s, an address of its own node: no DaemonSet that could be read shows what answers there", pod.Namespace, pod.Name, actual.Nameservers[i]),
			seen("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(actual.Nameservers, ", ")))
	}
	list = append(list, w.limitRules(pod, computed, actual, read, show)...)
	return list
}

func (w *world) actualConf() (resolver.Conf, bool) {
	if w.From == nil {
		return resolver.Conf{}, false
	}
	text, ok := w.From.Files["/etc/resolv.conf"]
	return resolver.Parse(text), ok
}

func (w *world) limitRules(pod *corev1.Pod, computed resolver.Computed, actual resolver.Conf, read bool, show finding.Next) []finding.Finding {
	var list []finding.Finding
	object := ref("Pod", pod.Namespace, pod.Name)
	if len(computed.Dropped) > 0 {
		list = append(list, w.make(ResolverLimits, finding.Warning, object,
			fmt.Sprintf("the resolver settings of pod %s/%s exceed the limits: the kubelet drops %s", pod.Namespace, pod.Name, strings.Join(computed.Dropped, ", ")),
			[]finding.Evidence{seen("Pod", "spec.dnsConfig", "at most %d nameservers, %d searches, %d characters", resolver.MaxNameservers, resolver.MaxSearches, resolver.MaxSearchChars)}, show))
	}
	conf := computed.Conf
	if read {
		conf = actual
	}
	if len(conf.SearchLine()) >= resolver.MuslSearchLine && (w.From.Musl == nil || *w.From.Musl) {
		list = append(list, w.make(MuslSearchDropped, finding.Warning, object,
			fmt.Sprintf("the search line of pod %s/%s has %d characters: images with musl (Alpine) drop it whole, and short names find nothing", pod.Namespace, pod.Name, len(conf.SearchLine())),
			[]finding.Evidence{seen("resolv.conf", "search", "%d characters, of %d that musl reads", len(conf.SearchLine()), resolver.MuslSearchLine)}, show))
	}
	foreign := slices.DeleteFunc(slices.Clone(conf.Nameservers), w.serves)
	if len(foreign) > 0 && len(foreign) < len(conf.Nameservers) {
		list = append(list, w.make(MixedNameservers, finding.Warning, object,
			fmt.Sprintf("pod %s/%s asks the cluster's DNS and %s: whoever answers first decides, and the other one knows no name of the cluster", pod.Namespace, pod.Name, strings.Join(foreign, ", ")),
			[]finding.Evidence{seen("resolv.conf", "nameserver", "%s", strings.Join(conf.Nameservers, ", "))}, show))
	}
	loopback := slices.ContainsFunc(conf.Nameservers, func(ip string) bool { return strings.HasPrefix(ip, "127.") || ip == "::1" })
	if loopback && !pod.Spec.HostNetwork {
		list = append(list, w.make(LoopbackNameserver, finding.Critical, object,
			fmt.Sprintf("pod %s/%s asks a resolver on its own loopback, where nothing listens: it has its node's stub resolver", pod.Namespace, pod.Name),
			[]finding.Evidence{seen("resolv.conf", "nameserver", "%s", strings.Join(conf.Nameservers, ", "))}, show))
	}
	return append(list, w.wildcards(pod)...)
}

// wildcards: a search domain outside the cluster that answers for a name nobody has swallows every external name.
func (w *world) wildcards(pod *corev1.Pod) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			label, domain, ok := strings.Cut(a.Name, ".")
			if !ok || label != WildcardLabel || len(a.Records) == 0 || a.Rcode != "NOERROR" {
				continue
			}
			f := w.make(WildcardSearchDomain, finding.Warning, ref("Pod", pod.Namespace, pod.Name),
				fmt.Sprintf("the search domain %s answers for every name: pod %s/%s gets its address instead of that of a site on the Internet", strings.TrimSuffix(domain, "."), pod.Namespace, pod.Name),
				[]finding.Evidence{seen("answer of DNS", a.Name+" "+a.Type, "%s", said(a))},
				w.read("see which step answers a name", pod.Namespace, "dns", "explain", "www.example.com", "--from", pod.Name))
			if !slices.ContainsFunc(list, func(have finding.Finding) bool { return have.Message == f.Message }) {
				list = append(list, f)
			}
		}
	}
	return list
}

// WildcardLabel is the label that no domain has.
const WildcardLabel = "kubectl-dns-wildcard-test"

// ForeignSearches gives the search domains outside the cluster that the suspect pod has, as far as they are known.
func ForeignSearches(in Input) []string {
	w := newWorld(in, in.now(), Options{})
	if w.From == nil {
		return nil
	}
	searches := resolver.Compute(w.From.Pod.Namespace, w.From.Pod.Spec, w.kubeletFor(w.From.Pod.Spec.NodeName)).Searches
	if actual, ok := w.actualConf(); ok {
		searches = actual.Searches
	}
	zone := strings.TrimSuffix(w.zone, ".")
	var list []string
	for _, s := range searches {
		s = strings.Trim(s, ".")
		if s != "" && s != zone && !strings.HasSuffix(s, "."+zone) {
			list = append(list, s)
		}
	}
	return list
}

// ruleKubelets compares what kubelets tell their pods with the DNS Services that there are.
func ruleKubelets(w *world) []finding.Finding {
	if len(w.clusterServers()) == 0 {
		return nil
	}
	var list []finding.Finding
	for _, k := range w.Kubelets {
		bad := slices.DeleteFunc(slices.Clone(k.ClusterDNS), func(ip string) bool { return w.serves(ip) || w.cloudMayServe(ip) })
		if len(bad) == 0 && (len(k.ClusterDNS) > 0 || k.Node == "") {
			continue // without a word in the ConfigMap, a flag of each kubelet may have it
		}
		object, who, where := ref("Node", "", k.Node), "the kubelet of node "+k.Node, "kubelet of "+k.Node
		if k.Node == "" {
			object, who, where = ref("ConfigMap", "kube-system", "kubelet-config"), "the configuration for all kubelets", "ConfigMap kube-system/kubelet-config"
		}
		severity := finding.Critical
		if 0 < len(bad) && len(bad) < len(k.ClusterDNS) {
			severity = finding.Warning // another address answers, after a timeout where this one is asked first
		}
		what := "points pods at " + strings.Join(bad, ", ") + ", where no DNS Service of this cluster is"
		if len(k.ClusterDNS) == 0 {
			what = "names no cluster DNS: pods get the node's resolver"
		}
		next := []finding.Next{w.read("see what a pod there gets", "", "get", "pods", "-A", "-o", "wide", "--field-selector", "spec.nodeName="+k.Node)}
		if k.Node == "" {
			next = []finding.Next{w.change("correct clusterDNS", "kube-system", "edit", "configmap", "kubelet-config")}
		} else {
			next = append(next, w.change("correct clusterDNS in its configuration and restart it; pods made before keep the wrong file", "", "nodeshell", k.Node, "--", "sed", "-n", "/clusterDNS/,+2p", "/var/lib/kubelet/config.yaml"))
			next[1].Risk = finding.Read
			next[1].Why = "see the line to correct in its configuration; pods made before keep the wrong file"
		}
		list = append(list, w.make(KubeletClusterDNS, severity, object, who+" "+what,
			[]finding.Evidence{seen(where, "clusterDNS", "%s", orNone(strings.Join(k.ClusterDNS, ", "))), seen("Service", w.service.Namespace+"/"+w.service.Name, "%s", strings.Join(clusterIPsOf(w.service), ", "))}, next...))
	}
	return list
}

func ruleNodeCache(w *world) []finding.Finding {
	cache := w.nodeCache()
	if cache == nil || cache.Ready >= cache.Nodes {
		return nil
	}
	namespace, name, _ := strings.Cut(cache.Name, "/")
	return []finding.Finding{w.make(NodeCacheMissing, finding.Critical, ref("DaemonSet", namespace, name),
		fmt.Sprintf("NodeLocal DNSCache runs on %d of %d nodes: pods on the others ask an address where nobody answers", cache.Ready, cache.Nodes),
		[]finding.Evidence{seen("DaemonSet", "status", "%d of %d ready", cache.Ready, cache.Nodes)},
		w.read("see where it is not ready", namespace, "get", "pods", "-o", "wide", "-l", "k8s-app=node-local-dns"))}
}
