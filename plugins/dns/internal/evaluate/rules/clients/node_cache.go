package clients

import (
	"fmt"
	"slices"
	"strings"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of this file.
const (
	NodeLocalDNSCacheMissing finding.Code = "NodeLocalDNSCacheMissing"
)

// CacheRules report a node cache that does not answer.
var CacheRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: NodeLocalDNSCacheMissing, Severity: finding.Critical, Title: "NodeLocal DNSCache is not ready on every node",
			Meaning: "On a node without a ready cache pod, the cache address stays configured, so queries there get no answer. Where pods " +
				"query the Service address, which the cache takes over, the DNS pods answer once the cache has removed it from the node.",
			Evidence: "The pods of the DaemonSet with -localip that are not ready; fewer ready than desired pods in its status.",
			Next:     "Check the cache pods that are not ready.",
			Source:   "https://github.com/kubernetes/dns/issues/324",
		},
		Check: checkNodeCache,
	},
}

// checkNodeCache names the nodes, where the cache pods could be read.
func checkNodeCache(w *facts.Snapshot) []finding.Finding {
	cache, gaps := w.NodeCache(), w.CacheGaps()
	switch {
	case cache == nil:
		return nil
	case len(gaps) > 0:
		return cacheGaps(w, cache, gaps)
	case cache.Ready >= cache.Nodes || readyCaches(w) >= cache.Nodes: // the status follows the pods
		return nil
	}
	namespace, name, _ := strings.Cut(cache.Name, "/")
	return []finding.Finding{w.Make(NodeLocalDNSCacheMissing, finding.Critical, facts.Ref("DaemonSet", namespace, name),
		fmt.Sprintf("NodeLocal DNSCache is ready on %d of %d nodes; pods on the others query an address where no server answers", cache.Ready,
			cache.Nodes),
		[]finding.Evidence{facts.NewEvidence("DaemonSet", "status", "%d of %d ready", cache.Ready, cache.Nodes)},
		w.Read("List the cache pods with their nodes", namespace, "get", "pods", "-o", "wide", "-l", "k8s-app=node-local-dns"))}
}

func readyCaches(w *facts.Snapshot) int {
	ready := 0
	for i := range w.CachePods {
		if podfact.Serves(&w.CachePods[i]) {
			ready++
		}
	}
	return ready
}

// cacheGaps judges the nodes without a ready cache together. What runs on a node that does not report is unknown.
func cacheGaps(w *facts.Snapshot, cache *report.NodeCache, gaps []facts.CacheGap) []finding.Finding {
	var silent []facts.CacheGap
	var list []finding.Finding
	for _, gap := range gaps {
		what, evidence, down := w.NodeDown(gap.Node)
		if !down {
			silent = append(silent, gap)
			continue
		}
		list = append(list, w.Make(NodeLocalDNSCacheMissing, finding.Info, facts.Ref("Node", "", gap.Node),
			fmt.Sprintf("unknown whether NodeLocal DNSCache answers on node %s: the node %s", gap.Node, what),
			[]finding.Evidence{evidence}, w.Read("Check the node", "", "nodeinfo", gap.Node)))
	}
	if len(silent) > 0 {
		list = append([]finding.Finding{silentCaches(w, cache, silent)}, list...)
	}
	return list
}

func silentCaches(w *facts.Snapshot, cache *report.NodeCache, gaps []facts.CacheGap) finding.Finding {
	namespace, name, _ := strings.Cut(cache.Name, "/")
	var nodes []string
	var evidence []finding.Evidence
	object, severity := facts.Ref("DaemonSet", namespace, name), finding.Warning
	next := []finding.Next{w.Read("Read the node selector and the events of the DaemonSet", namespace, "describe", "daemonset", name)}
	for _, gap := range gaps {
		nodes = append(nodes, gap.Node)
		if gap.Pod == nil {
			evidence = append(evidence, facts.NewEvidence("Pods of DaemonSet "+name, "spec.nodeName", "none on node %s", gap.Node))
			severity = finding.Critical
			continue
		}
		state := podfact.Status(gap.Pod)
		if !w.Starting(gap.Pod) || state != "Pending" && state != "ContainerCreating" {
			severity = finding.Critical
		}
		evidence = append(evidence, facts.NewEvidence("Pod "+gap.Pod.Name, "status", "%s on node %s", state, gap.Node))
		if object.Kind == "DaemonSet" {
			object = facts.Ref("Pod", namespace, gap.Pod.Name)
			next = []finding.Next{w.Read("Read the state and the events of the cache pod", namespace, "describe", "pod", gap.Pod.Name)}
		}
	}
	evidence = append(evidence[:min(5, len(evidence))],
		facts.NewEvidence("DaemonSet "+name, "status", "%d of %d ready", cache.Ready, cache.Nodes))
	where := "node " + nodes[0]
	if len(nodes) > 1 {
		where = fmt.Sprintf("%d of %d nodes (%s)", len(nodes), max(cache.Nodes, len(nodes)), facts.Shortened(nodes))
	}
	message := "NodeLocal DNSCache is not ready on " + where
	if addresses := cacheAddresses(w, cache, gaps); len(addresses) > 0 {
		message += "; pods there query " + strings.Join(addresses, ", ") + ", where no server answers"
	} else {
		severity = finding.Warning
		message += "; pods there get no answer unless the cache removed the Service address from the node"
	}
	if _, ok := gapOf(w, gaps); ok {
		evidence = append(evidence, ownSilence(w)...)
	}
	return w.Make(NodeLocalDNSCacheMissing, severity, object, message, evidence, next...)
}

// cacheAddresses are those that pods of the nodes query, at which nothing but the cache can answer; none where the kubelets give the
// Service address.
func cacheAddresses(w *facts.Snapshot, cache *report.NodeCache, gaps []facts.CacheGap) []string {
	alone := slices.DeleteFunc(slices.Clone(cache.IPs), func(ip string) bool { return !w.OfCacheAlone(ip) })
	_, own := gapOf(w, gaps)
	given := slices.ContainsFunc(gaps, func(gap facts.CacheGap) bool {
		return slices.ContainsFunc(w.KubeletFor(gap.Node).ClusterDNS, w.OfCacheAlone)
	})
	if len(alone) == len(cache.IPs) || own && w.AsksCache() || given {
		return alone
	}
	return nil
}

// gapOf finds the suspect's node among those without a cache.
func gapOf(w *facts.Snapshot, gaps []facts.CacheGap) (facts.CacheGap, bool) {
	if w.From == nil {
		return facts.CacheGap{}, false
	}
	i := slices.IndexFunc(gaps, func(gap facts.CacheGap) bool { return gap.Node == w.From.Pod.Spec.NodeName })
	if i < 0 {
		return facts.CacheGap{}, false
	}
	return gaps[i], true
}

// ownSilence is what the suspect got from the cache.
func ownSilence(w *facts.Snapshot) []finding.Evidence {
	var list []finding.Evidence
	for _, a := range w.From.Answers {
		if w.OfCacheAlone(a.Server) {
			list = append(list, facts.NewEvidence("answer in the pod", a.Server+" "+a.Transport, "%s", ask.AnswerText(a)))
		}
	}
	return slices.CompactFunc(list, func(a, b finding.Evidence) bool { return a.Path == b.Path })
}

// CheckOwnCache judges the cache of the suspect's node, for a command that is about one pod.
func CheckOwnCache(w *facts.Snapshot) []finding.Finding {
	cache := w.NodeCache()
	gap, ok := gapOf(w, w.CacheGaps())
	if cache == nil || !ok || !w.AsksCache() {
		return nil
	}
	return cacheGaps(w, cache, []facts.CacheGap{gap})
}

// BlameCache says of a finding that the cache of the suspect's node is its cause, if that does not run and is what was asked.
func BlameCache(w *facts.Snapshot, f finding.Finding, servers ...string) finding.Finding {
	if slices.ContainsFunc(servers, w.OfCacheAlone) && len(CheckOwnCache(w)) > 0 {
		f.Causes = []finding.Code{NodeLocalDNSCacheMissing}
	}
	return f
}
