package facts

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// NodeCache describes NodeLocal DNSCache; nil: there is none.
func (w *Snapshot) NodeCache() *report.NodeCache {
	d := discover.NodeCache(w.DaemonSets)
	if d == nil {
		return nil
	}
	cache := &report.NodeCache{
		Name: d.Namespace + "/" + d.Name, IPs: discover.LocalIPs(d.Spec.Template.Spec), Nodes: int(d.Status.DesiredNumberScheduled),
		Ready: int(d.Status.NumberReady),
	}
	if upstream := w.CacheUpstream(); upstream != nil {
		cache.Upstream = w.ServiceReport(upstream)
	}
	for _, gap := range w.CacheGaps() {
		cache.Missing = append(cache.Missing, gap.Node)
	}
	return cache
}

// CacheUpstream is the Service that the node cache forwards the names of the cluster to; nil: there is none, or no cache.
func (w *Snapshot) CacheUpstream() *corev1.Service {
	d := discover.NodeCache(w.DaemonSets)
	if d == nil {
		return nil
	}
	name := discover.UpstreamService(d.Spec.Template.Spec)
	i := slices.IndexFunc(w.Services, func(s corev1.Service) bool { return s.Namespace == d.Namespace && s.Name == name })
	if i < 0 {
		return nil
	}
	return &w.Services[i]
}

// CachedNodes are those whose pods a ready node cache answers in place of the DNS Service: it has the Service's address, or the kubelets
// give pods its own.
func (w *Snapshot) CachedNodes() map[string]bool {
	d := discover.NodeCache(w.DaemonSets)
	if d == nil || w.Service == nil {
		return nil
	}
	local, given := discover.LocalIPs(d.Spec.Template.Spec), w.ClusterDNS()
	for _, ip := range discover.ClusterIPs(w.Service) {
		if !slices.Contains(local, ip) && (len(given) == 0 || slices.Contains(given, ip)) {
			return nil
		}
	}
	nodes := map[string]bool{}
	for i := range w.CachePods {
		if podfact.Serves(&w.CachePods[i]) {
			nodes[w.CachePods[i].Spec.NodeName] = true
		}
	}
	return nodes
}

// CacheGap is a node on which NodeLocal DNSCache is not known to answer.
type CacheGap struct {
	Node string
	Pod  *corev1.Pod // nil: there is none on the node
}

// CacheGaps lists the nodes whose cache pod is not ready, and of the node of the suspect that it has none. That a pod of a DaemonSet
// lacks elsewhere proves nothing: the kubelets there may give their pods another address.
func (w *Snapshot) CacheGaps() []CacheGap {
	var list []CacheGap
	if !w.Sources.Get("cache-pods").Readable() {
		return nil
	}
	ready, found := map[string]bool{}, map[string]*corev1.Pod{}
	for i := range w.CachePods {
		p := &w.CachePods[i]
		ready[p.Spec.NodeName] = ready[p.Spec.NodeName] || podfact.Serves(p)
		if !podfact.Finished(p) && (found[p.Spec.NodeName] == nil || p.DeletionTimestamp == nil) {
			found[p.Spec.NodeName] = p
		}
	}
	if w.AsksCache() && found[w.From.Pod.Spec.NodeName] == nil {
		found[w.From.Pod.Spec.NodeName] = nil
	}
	for _, node := range SortedKeys(found) {
		if node != "" && !ready[node] {
			list = append(list, CacheGap{node, found[node]})
		}
	}
	return list
}

// AsksCache says whether the suspect has a nameserver at which nothing but a node cache can answer.
func (w *Snapshot) AsksCache() bool {
	return w.From != nil && slices.ContainsFunc(w.ResolvConf().Nameservers, w.OfCacheAlone)
}

// OfCacheAlone says whether an address is a node cache's and not the DNS Service's as well, at which the servers answer where the cache
// has gone from a node.
func (w *Snapshot) OfCacheAlone(ip string) bool {
	d := discover.NodeCache(w.DaemonSets)
	return d != nil && slices.Contains(discover.LocalIPs(d.Spec.Template.Spec), ip) &&
		(w.Service == nil || !slices.Contains(discover.ClusterIPs(w.Service), ip))
}

// ServedBy names the node cache that answers the suspect at an address; empty: another server does. Where a cache has the Service's
// address as well, it answers there for as long as it runs.
func (w *Snapshot) ServedBy(ip string) string {
	d := discover.NodeCache(w.DaemonSets)
	if w.From == nil || d == nil || !slices.Contains(discover.LocalIPs(d.Spec.Template.Spec), ip) {
		return ""
	}
	node := w.From.Pod.Spec.NodeName
	for i := range w.CachePods {
		if p := &w.CachePods[i]; p.Spec.NodeName == node && podfact.Serves(p) {
			return "node cache " + p.Namespace + "/" + p.Name
		}
	}
	if w.OfCacheAlone(ip) {
		return "node cache of node " + node
	}
	return ""
}
