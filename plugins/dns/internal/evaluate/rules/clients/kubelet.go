package clients

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// The codes of this file.
const (
	KubeletClusterDNSMismatch finding.Code = "KubeletClusterDNSMismatch"
	NodeLocalDNSCacheMissing  finding.Code = "NodeLocalDNSCacheMissing"
)

// NodeRules report nodes whose pods query a wrong DNS address, or a node cache that is not ready.
var NodeRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: KubeletClusterDNSMismatch, Severity: finding.Critical, Title: "Kubelet configures a wrong DNS address for pods",
			Meaning: "Pods created on that node query an address that no DNS Service has.",
			Evidence: "The clusterDNS of a kubelet or of ConfigMap kubelet-config, or resolv.conf in a pod, compared with the addresses of " +
				"the DNS Services and node caches.",
			Next:   "Correct clusterDNS, restart the kubelet, and recreate the pods.",
			Source: "https://github.com/kubernetes/kubeadm/issues/282",
		},
		Check: checkKubelets,
	},
	{
		Entry: finding.Entry{
			Code: NodeLocalDNSCacheMissing, Severity: finding.Critical, Title: "NodeLocal DNSCache is not ready on every node",
			Meaning:  "On a node without a ready cache pod, the cache address stays configured, so queries there get no answer.",
			Evidence: "Fewer ready than desired pods in the status of the DaemonSet with -localip.",
			Next:     "Check the cache pods that are not ready.",
			Source:   "https://github.com/kubernetes/dns/issues/324",
		},
		Check: checkNodeCache,
	},
}

// checkKubelets compares the nameservers that kubelets give to pods with the DNS Services that exist.
func checkKubelets(w *facts.Snapshot) []finding.Finding {
	if len(w.ClusterServers()) == 0 {
		return nil
	}
	var list []finding.Finding
	for _, k := range w.Kubelets {
		bad := slices.DeleteFunc(slices.Clone(k.ClusterDNS), func(ip string) bool { return ask.Serves(w, ip) || ask.CloudMayServe(w, ip) })
		if len(bad) == 0 && (len(k.ClusterDNS) > 0 || k.Node == "") {
			continue // without a word in the ConfigMap, a flag of each kubelet may have it
		}
		object, who, where := facts.Ref("Node", "", k.Node), "the kubelet of node "+k.Node, "kubelet of "+k.Node
		if k.Node == "" {
			object, who, where = facts.Ref("ConfigMap", "kube-system",
				"kubelet-config"), "the configuration of all kubelets", "ConfigMap kube-system/kubelet-config"
		}
		severity := finding.Critical
		if 0 < len(bad) && len(bad) < len(k.ClusterDNS) {
			severity = finding.Warning // another address answers, after a timeout where this one is asked first
		}
		what := "gives pods nameserver " + strings.Join(bad, ", ") + ", which is not a DNS Service of this cluster"
		if len(k.ClusterDNS) == 0 {
			what = "has no clusterDNS: pods get the node's resolver"
		}
		next := []finding.Next{w.Read("List the pods on the node, to read resolv.conf of one (kubectl dns pod "+
			"POD)", "", "get", "pods", "-A", "-o", "wide", "--field-selector",
			"spec.nodeName="+k.Node)}
		if k.Node == "" {
			next = []finding.Next{w.Change("Correct clusterDNS", "kube-system", "edit", "configmap", "kubelet-config")}
		} else {
			next = append(next, w.Read("Read clusterDNS in the kubelet configuration; pods created earlier keep the wrong resolv.conf", "",
				"nodeshell", k.Node, "--", "sed", "-n", "/clusterDNS/,+2p", "/var/lib/kubelet/config.yaml"))
		}
		list = append(list, w.Make(KubeletClusterDNSMismatch, severity, object, who+" "+what,
			[]finding.Evidence{
				facts.NewEvidence(where, "clusterDNS", "%s", facts.OrNone(strings.Join(k.ClusterDNS, ", "))),
				facts.NewEvidence("Service", w.Service.Namespace+"/"+w.Service.Name, "%s", strings.Join(discover.ClusterIPs(w.Service), ", ")),
			}, next...))
	}
	return list
}

func checkNodeCache(w *facts.Snapshot) []finding.Finding {
	cache := w.NodeCache()
	if cache == nil || cache.Ready >= cache.Nodes {
		return nil
	}
	namespace, name, _ := strings.Cut(cache.Name, "/")
	return []finding.Finding{w.Make(NodeLocalDNSCacheMissing, finding.Critical, facts.Ref("DaemonSet", namespace, name),
		fmt.Sprintf("NodeLocal DNSCache is ready on %d of %d nodes; pods on the others query an address where no server answers", cache.Ready,
			cache.Nodes),
		[]finding.Evidence{facts.NewEvidence("DaemonSet", "status", "%d of %d ready", cache.Ready, cache.Nodes)},
		w.Read("List the cache pods with their nodes", namespace, "get", "pods", "-o", "wide", "-l", "k8s-app=node-local-dns"))}
}
