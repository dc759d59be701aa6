package servers

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// DNSServiceNodeLocal is the code of this file.
const DNSServiceNodeLocal finding.Code = "DNSServiceNodeLocal"

// trafficPage says what internalTrafficPolicy does: with Local, a node drops what it has no ready endpoint of its own for.
const trafficPage = "https://kubernetes.io/docs/concepts/services-networking/service-traffic-policy/"

var localRule = finding.Rule[facts.Snapshot]{
	Entry: finding.Entry{
		Code: DNSServiceNodeLocal, Severity: finding.Critical, Title: "DNS Service does not serve nodes without a DNS pod",
		Meaning: "internalTrafficPolicy of the Service is Local: a node sends queries only to a ready DNS pod of its own, and drops them if it " +
			"has none. The severity is info if the only such nodes have taints that keep ordinary pods away.",
		Evidence: "spec.internalTrafficPolicy of the Service, and nodeName of the ready endpoints in its EndpointSlices, compared with the " +
			"nodes.",
		Next:   "Set internalTrafficPolicy to Cluster, or run a DNS pod on each node.",
		Source: trafficPage,
	},
	Check: checkServiceLocal,
}

// checkServiceLocal: nodes whose pods get no answer at the address of the DNS Service, or whose cache gets none from its upstream, since
// the Service keeps to its own node and no DNS pod runs there.
func checkServiceLocal(w *facts.Snapshot) []finding.Finding {
	if !w.Sources.Get("nodes").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return nil
	}
	var list []finding.Finding
	upstream, spared := w.CacheUpstream(), w.CachedNodes()
	switch {
	case upstream == w.Service:
		spared = nil // the caches ask it for the pods
	case upstream != nil:
		list = nodeLocal(w, upstream, nil, "the node cache gets no answer from it")
	}
	if w.Service != nil {
		list = append(list, nodeLocal(w, w.Service, spared, "pods get no answer from "+strings.Join(discover.ClusterIPs(w.Service), ", "))...)
	}
	return list
}

// nodeLocal gives what a Service that keeps to its node leaves out. The nodes of spared ask it nothing.
func nodeLocal(w *facts.Snapshot, svc *corev1.Service, spared map[string]bool, meaning string) []finding.Finding {
	if policy := svc.Spec.InternalTrafficPolicy; policy == nil || *policy != corev1.ServiceInternalTrafficPolicyLocal {
		return nil
	}
	served := map[string]bool{}
	for _, e := range w.EndpointsOf(svc) {
		if records.Ready(e) && e.NodeName != nil {
			served[*e.NodeName] = true
		}
	}
	if len(served) == 0 {
		return nil // no endpoint at all is another finding
	}
	var open, tainted []string
	for i := range w.Nodes {
		node := &w.Nodes[i]
		switch {
		case served[node.Name], spared[node.Name], !nodefact.PostedReady(node):
		case keepsPodsAway(node):
			tainted = append(tainted, node.Name)
		default:
			open = append(open, node.Name)
		}
	}
	severity, without := finding.Critical, append(slices.Clone(open), tainted...)
	if len(open) == 0 {
		severity = finding.Info
	}
	if len(without) == 0 {
		return nil
	}
	return []finding.Finding{w.Make(DNSServiceNodeLocal, severity, facts.Ref("Service", svc.Namespace, svc.Name),
		fmt.Sprintf("Service %s has internalTrafficPolicy Local, but no ready DNS pod is on %d of %d nodes; on %s, %s", svc.Name,
			len(without), len(w.Nodes), facts.Shortened(without), meaning),
		[]finding.Evidence{
			facts.NewEvidence("Service", "spec.internalTrafficPolicy", "%s", *svc.Spec.InternalTrafficPolicy),
			facts.NewEvidence("EndpointSlice", "endpoints.nodeName", "ready on %s", strings.Join(facts.SortedKeys(served), ", ")),
		},
		w.Change("Let the Service use the DNS pods of other nodes", svc.Namespace, "patch", "service", svc.Name, "--type", "merge", "-p",
			`{"spec":{"internalTrafficPolicy":"Cluster"}}`),
		w.Read("See on which nodes the endpoints are", svc.Namespace, "get", "endpointslices", "-l",
			"kubernetes.io/service-name="+svc.Name, "-o", "yaml"))}
}

// keepsPodsAway says whether a node has a taint, other than of kubectl cordon, that pods without a toleration do not pass.
func keepsPodsAway(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key != corev1.TaintNodeUnschedulable && (t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute)
	})
}
