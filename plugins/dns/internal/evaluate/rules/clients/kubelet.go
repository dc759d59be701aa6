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

// NodeRules are about this: what nodes tell their pods to ask.
var NodeRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: KubeletClusterDNSMismatch, Severity: finding.Critical, Title: "Kubelet configures a wrong DNS address for pods",
			Meaning:  "Pods made on that node ask an address where no DNS Service is.",
			Evidence: "clusterDNS of a kubelet or of kubelet-config, or the resolv.conf in a pod, compared with the DNS Services and node caches.",
			Next:     "Correct clusterDNS, restart the kubelet, make the pods anew.",
			Source:   "https://github.com/kubernetes/kubeadm/issues/282",
		},
		Check: checkKubelets,
	},
	{
		Entry: finding.Entry{
			Code: NodeLocalDNSCacheMissing, Severity: finding.Critical, Title: "NodeLocal DNSCache is not ready on every node",
			Meaning:  "Its address stays configured on a node without the pod: queries there go nowhere.",
			Evidence: "Ready and desired pods of the DaemonSet with -localip.",
			Next:     "Look at the pods that are not ready.",
			Source:   "https://github.com/kubernetes/dns/issues/324",
		},
		Check: checkNodeCache,
	},
}

// checkKubelets compares what kubelets tell their pods with the DNS Services that there are.
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
				"kubelet-config"), "the configuration for all kubelets", "ConfigMap kube-system/kubelet-config"
		}
		severity := finding.Critical
		if 0 < len(bad) && len(bad) < len(k.ClusterDNS) {
			severity = finding.Warning // another address answers, after a timeout where this one is asked first
		}
		what := "points pods at " + strings.Join(bad, ", ") + ", where no DNS Service of this cluster is"
		if len(k.ClusterDNS) == 0 {
			what = "names no cluster DNS: pods get the node's resolver"
		}
		next := []finding.Next{w.Read("see what a pod there gets", "", "get", "pods", "-A", "-o", "wide", "--field-selector",
			"spec.nodeName="+k.Node)}
		if k.Node == "" {
			next = []finding.Next{w.Change("correct clusterDNS", "kube-system", "edit", "configmap", "kubelet-config")}
		} else {
			next = append(next, w.Change("correct clusterDNS in its configuration and restart it; pods made before keep the wrong file", "",
				"nodeshell", k.Node, "--", "sed", "-n", "/clusterDNS/,+2p", "/var/lib/kubelet/config.yaml"))
			next[1].Risk = finding.Read
			next[1].Why = "see the line to correct in its configuration; pods made before keep the wrong file"
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
		fmt.Sprintf("NodeLocal DNSCache runs on %d of %d nodes: pods on the others ask an address where nobody answers", cache.Ready,
			cache.Nodes),
		[]finding.Evidence{facts.NewEvidence("DaemonSet", "status", "%d of %d ready", cache.Ready, cache.Nodes)},
		w.Read("see where it is not ready", namespace, "get", "pods", "-o", "wide", "-l", "k8s-app=node-local-dns"))}
}
