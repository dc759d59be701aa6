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
)

// NodeRules report nodes whose pods query a wrong DNS address.
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
}

// given are kubelets that give pods the same nameservers: those of nodes, and the configuration that kubeadm gives to all.
type given struct {
	dns   []string
	nodes []string
	all   bool
}

// checkKubelets compares the nameservers that kubelets give to pods with the DNS Services that exist. What many give is one cause.
func checkKubelets(w *facts.Snapshot) []finding.Finding {
	if len(w.ClusterServers()) == 0 {
		return nil
	}
	var groups []*given
	for _, k := range w.Kubelets {
		if len(strangers(w, k.ClusterDNS)) == 0 && (len(k.ClusterDNS) > 0 || k.Node == "") {
			continue // without a word in the ConfigMap, a flag of each kubelet may have it
		}
		at := slices.IndexFunc(groups, func(g *given) bool { return slices.Equal(g.dns, k.ClusterDNS) })
		if at < 0 {
			at, groups = len(groups), append(groups, &given{dns: k.ClusterDNS})
		}
		if groups[at].all = groups[at].all || k.Node == ""; k.Node != "" {
			groups[at].nodes = append(groups[at].nodes, k.Node)
		}
	}
	var list []finding.Finding
	for _, g := range groups {
		list = append(list, g.mismatch(w))
	}
	return list
}

// strangers are the addresses at which no DNS of this cluster answers.
func strangers(w *facts.Snapshot, dns []string) []string {
	return slices.DeleteFunc(slices.Clone(dns), func(ip string) bool { return ask.Serves(w, ip) || ask.CloudMayServe(w, ip) })
}

func (g *given) mismatch(w *facts.Snapshot) finding.Finding {
	bad, severity := strangers(w, g.dns), finding.Critical
	if 0 < len(bad) && len(bad) < len(g.dns) {
		severity = finding.Warning // another address answers, after a timeout where this one is asked first
	}
	what := "pods nameserver " + strings.Join(bad, ", ") + ", which is not a DNS Service of this cluster"
	if len(g.dns) == 0 {
		what = "no clusterDNS: pods get the node's resolver"
	}
	var next []finding.Next
	var evidence []finding.Evidence
	says := facts.OrNone(strings.Join(g.dns, ", "))
	var object *finding.ObjectRef
	if g.all {
		object = facts.Ref("ConfigMap", "kube-system", "kubelet-config")
		next = append(next, w.Change("Correct clusterDNS", "kube-system", "edit", "configmap", "kubelet-config"))
		evidence = append(evidence, facts.NewEvidence("ConfigMap kube-system/kubelet-config", "clusterDNS", "%s", says))
	}
	if len(g.nodes) > 0 {
		node := g.nodes[0]
		if object == nil {
			object = facts.Ref("Node", "", node)
			next = append(next, w.Read("List the pods on the node, to read resolv.conf of one (kubectl dns pod POD)", "", "get", "pods", "-A",
				"-o", "wide", "--field-selector", "spec.nodeName="+node))
		}
		next = append(next, w.Read("Read clusterDNS in the kubelet configuration; pods created earlier keep the wrong resolv.conf", "",
			"nodeshell", node, "--", "sed", "-n", "/clusterDNS/,+2p", "/var/lib/kubelet/config.yaml"))
		evidence = append(evidence, facts.NewEvidence("kubelet of "+strings.Join(g.nodes, ", "), "clusterDNS", "%s", says))
	}
	evidence = append(evidence, facts.NewEvidence("Service", w.Service.Namespace+"/"+w.Service.Name, "%s",
		strings.Join(discover.ClusterIPs(w.Service), ", ")))
	return w.Make(KubeletClusterDNSMismatch, severity, object, g.who()+" "+what, evidence, next...)
}

// who is the begin of a sentence about kubelets, with its verb.
func (g *given) who() string {
	one, several := " gives", " give"
	if len(g.dns) == 0 {
		one, several = " has", " have"
	}
	names := facts.Shortened(g.nodes)
	switch {
	case len(g.nodes) == 0:
		return "the configuration of all kubelets" + one
	case g.all:
		return "the configuration of all kubelets, like that of " + names + "," + one
	case len(g.nodes) == 1:
		return "the kubelet of node " + names + one
	}
	return fmt.Sprintf("the kubelets of %d nodes (%s)%s", len(g.nodes), names, several)
}
