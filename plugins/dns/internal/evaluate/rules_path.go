package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// ruleUpstream judges the answers for a name outside the cluster that no cache knows. Any answer but SERVFAIL and
// REFUSED shows a working upstream: the name need not exist.
func ruleUpstream(w *world) []finding.Finding {
	if w.External == "" {
		return nil
	}
	var failed, slow []finding.Evidence
	asked := 0
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			if a.Name != w.External {
				continue
			}
			asked++
			switch {
			case a.Error != "" && w.reached(p):
				failed = append(failed, seen("answer of "+p.Pod, a.Name, "%s", a.Error))
			case a.Rcode == "SERVFAIL" || a.Rcode == "REFUSED":
				failed = append(failed, seen("answer of "+p.Pod, a.Name, "%s after %.0f ms", a.Rcode, *a.Milliseconds))
			case a.Milliseconds != nil && *a.Milliseconds-w.baseline(p) > float64(w.o.Slow.Milliseconds()):
				slow = append(slow, seen("answer of "+p.Pod, a.Name, "%s after %.0f ms; names of the cluster took %.0f ms", a.Rcode, *a.Milliseconds, w.baseline(p)))
			}
		}
	}
	to := w.upstreamWords()
	next := []finding.Next{w.read("see each upstream with its failures and times", "", "dns", "upstream"), w.read("see what the servers say about it", "", "dns", "logs", "--errors")}
	switch {
	case len(failed) > 0 && w.upstreamByTCPAlone():
		return []finding.Finding{w.make("UpstreamTCPFails", finding.Warning, w.confRef,
			fmt.Sprintf("the upstream does not answer by TCP at %d of %d replicas, and its health checks by UDP pass: answers too large for UDP are lost (%s)", len(failed), asked, to), failed, next...)}
	case len(failed) > 0:
		failed = append(failed, w.upstreamMetrics()...)
		return []finding.Finding{w.make("UpstreamFails", finding.Critical, w.confRef,
			fmt.Sprintf("names outside the cluster are not answered at %d of %d replicas: CoreDNS gets nothing usable from %s", len(failed)-len(w.upstreamMetrics()), asked, to), failed, next...)}
	case len(slow) > 0:
		return []finding.Finding{w.make("UpstreamSlow", finding.Warning, w.confRef,
			fmt.Sprintf("names outside the cluster take longer than %d ms at %d of %d replicas: the upstream is slow (%s)", w.o.Slow.Milliseconds(), len(slow), asked, to), slow, next...)}
	}
	return nil
}

// upstreamByTCPAlone: a tunnel's question is TCP, and forward hands it on by TCP. When that fails, forward checks the
// health of the upstream by UDP: failed checks since then mean that it is dead, none that only TCP is. Without health
// checks (max_fails 0) there is no telling.
func (w *world) upstreamByTCPAlone() bool {
	for _, b := range w.conf.Blocks {
		for _, d := range b.Find("forward") {
			for _, o := range d.Find("max_fails") {
				if slices.Contains(o.Args, "0") {
					return false
				}
			}
		}
	}
	compared := false
	for _, p := range w.Probes {
		if p.After == nil {
			continue
		}
		compared = true
		for _, name := range []string{"coredns_proxy_healthcheck_failures_total", "coredns_forward_healthcheck_failures_total"} {
			before, after := p.Metrics.Sum(name), p.After.Sum(name)
			if after != nil && (before == nil || *after > *before) {
				return false
			}
		}
	}
	return compared
}

// anyReached says whether any server is known to answer.
func (w *world) anyReached() bool { return slices.ContainsFunc(w.Probes, w.reached) }

func (w *world) reached(p Probe) bool {
	return slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" })
}

// baseline is what the way to a replica costs: the quickest answer about the cluster.
func (w *world) baseline(p Probe) float64 {
	least := -1.0
	for _, a := range p.Answers {
		if a.Name != w.External && a.Milliseconds != nil && (least < 0 || *a.Milliseconds < least) {
			least = *a.Milliseconds
		}
	}
	return max(0, least)
}

func (w *world) upstreamWords() string {
	for _, r := range w.routes() {
		if r.Via == "forward" && slices.Contains(r.Zones, ".") {
			var to []string
			for _, t := range r.To {
				if strings.HasPrefix(t, "/") {
					t = "the servers in its node's " + t
				}
				to = append(to, t)
			}
			return strings.Join(to, ", ")
		}
	}
	return "its upstream"
}

func (w *world) upstreamMetrics() []finding.Evidence {
	var list []finding.Evidence
	for _, p := range w.Probes {
		failures := p.Metrics.By("coredns_proxy_healthcheck_failures_total", "to")
		for _, to := range sortedKeys(failures) {
			if failures[to] > 0 {
				list = append(list, seen("metrics of "+p.Pod, "coredns_proxy_healthcheck_failures_total", "%.0f for %s", failures[to], to))
			}
		}
	}
	return list
}

// rulePolicy speaks of the suspect pod when there is one, and always of policies that close the DNS pods themselves.
func rulePolicy(w *world) []finding.Finding {
	var list []finding.Finding
	if f := w.dnsIngress(); f != nil {
		list = append(list, *f)
	}
	if w.From == nil {
		return list
	}
	var denied []report.PolicyEffect
	for _, e := range w.policyEffects() {
		if e.Result == "denied" && (len(list) == 0 || e.Direction == "Egress") {
			denied = append(denied, e)
		}
	}
	if len(denied) == 0 {
		return list
	}
	var evidence []finding.Evidence
	transports := []string{}
	names := []string{}
	for _, e := range denied {
		evidence = append(evidence, seen("NetworkPolicy", strings.Join(e.Policies, ", "), "no rule allows %s %s to %s", strings.ToLower(e.Direction), e.Transport, e.To))
		if !slices.Contains(transports, e.Transport) {
			transports = append(transports, e.Transport)
		}
		for _, p := range e.Policies {
			if !slices.Contains(names, p) {
				names = append(names, p)
			}
		}
	}
	severity, but, proof := w.policyProof(transports)
	namespace, name, _ := strings.Cut(names[0], "/")
	pod := w.From.Pod
	return append(list, w.make("NetworkPolicyBlocksDNS", severity, ref("NetworkPolicy", namespace, name),
		fmt.Sprintf("NetworkPolicy %s gives pod %s/%s no %s to the DNS pods%s", strings.Join(names, ", "), pod.Namespace, pod.Name, strings.Join(transports, " and "), but), append(evidence, proof...),
		w.read("see the policy", namespace, "describe", "networkpolicy", name),
		w.change("allow egress to port 53, UDP and TCP, of the DNS pods", namespace, "edit", "networkpolicy", name)))
}

func blockSeverity(transports []string) finding.Severity {
	if slices.Contains(transports, "UDP") {
		return finding.Critical
	}
	return finding.Warning
}

// policyProof holds a policy against the pod's own answers: a network plugin may enforce none. An answer that the policy
// would not let through proves that; a pod on its node's network proves nothing, since policies hardly bind it.
func (w *world) policyProof(transports []string) (finding.Severity, string, []finding.Evidence) {
	severity := blockSeverity(transports)
	if w.From.Pod.Spec.HostNetwork {
		return severity, "", nil
	}
	answered, asked := map[string]bool{}, false
	var proof []finding.Evidence
	for _, a := range w.From.Answers {
		if !slices.Contains(transports, a.Transport) || linkLocal(a.Server) { // a policy does not close the way to the own node
			continue
		}
		asked = true
		if a.Rcode != "" && !answered[a.Transport] {
			answered[a.Transport] = true
			proof = append(proof, seen("answer in the pod", a.Server+" "+a.Transport, "%s: this cluster's network does not enforce the policy now", a.Rcode))
		}
	}
	silent := slices.DeleteFunc(slices.Clone(transports), func(t string) bool { return answered[t] })
	switch {
	case !asked:
		return severity, "", nil
	case len(silent) == 0:
		return finding.Info, ", and would block it where policies are enforced: this network does not enforce it", proof
	}
	return blockSeverity(silent), "", append(proof, seen("answer in the pod", strings.Join(silent, ", "), "none came: the policy is enforced"))
}

// dnsIngress: a policy in the DNS namespace that lets nobody in closes DNS for all.
func (w *world) dnsIngress() *finding.Finding {
	if !w.Sources.Get("networkpolicies").Readable() || len(w.Pods) == 0 {
		return nil
	}
	stranger := endpoint{namespace: "default", labels: map[string]string{"app": "any"}, ip: "203.0.113.1"}
	var transports, names []string
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		port, _ := w.ports(w.Pods[0])
		allowed, selecting := w.policyEffect("Ingress", stranger, podEndpoint(&w.Pods[0]), protocol, port)
		if allowed || w.anyPeerAllowed(selecting, protocol, port) {
			continue
		}
		transports = append(transports, string(protocol))
		names = selecting
	}
	if len(transports) == 0 {
		return nil
	}
	namespace, name, _ := strings.Cut(names[0], "/")
	evidence := []finding.Evidence{seen("NetworkPolicy", strings.Join(names, ", "), "selects the DNS pods, and no ingress rule opens port 53 to other namespaces")}
	severity, but, proof := blockSeverity(transports), "", []finding.Evidence(nil)
	if w.From != nil && w.From.Pod.Namespace != w.Pods[0].Namespace { // the policy may let its own namespace in
		severity, but, proof = w.policyProof(transports)
	}
	f := w.make("NetworkPolicyBlocksDNS", severity, ref("NetworkPolicy", namespace, name),
		fmt.Sprintf("NetworkPolicy %s lets no pod of another namespace reach the DNS pods by %s%s", strings.Join(names, ", "), strings.Join(transports, " and "), but), append(evidence, proof...),
		w.read("see the policy", namespace, "describe", "networkpolicy", name),
		w.change("allow ingress to port 53, UDP and TCP, from every namespace", namespace, "edit", "networkpolicy", name))
	return &f
}

// anyPeerAllowed: a policy that admits some namespaces or addresses may admit those that matter; only one that admits
// nobody on the port is called a block.
func (w *world) anyPeerAllowed(policies []string, protocol corev1.Protocol, port int32) bool {
	for i := range w.Policies {
		p := &w.Policies[i]
		if !slices.Contains(policies, p.Namespace+"/"+p.Name) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if !portMatches(rule.Ports, podEndpoint(&w.Pods[0]), protocol, port) {
				continue
			}
			for _, peer := range rule.From {
				if peer.NamespaceSelector != nil || peer.IPBlock != nil {
					return true
				}
			}
		}
	}
	return false
}

// path is what the suspect pod got over one transport from the Service's address and from each replica.
type path struct {
	service  *bool
	replicas map[string]bool
}

func (p path) replicaWords() (good, bad []string) {
	for _, ip := range sortedKeys(p.replicas) {
		if p.replicas[ip] {
			good = append(good, ip)
		} else {
			bad = append(bad, ip)
		}
	}
	return good, bad
}

// paths sorts the suspect's answers. Replicas that are not ready, or that do not answer through a tunnel either, say
// nothing about the way.
func (w *world) paths() map[string]path {
	if w.service == nil {
		return nil
	}
	alive := map[string]bool{}
	for i := range w.Pods {
		p := w.probeOf(w.Pods[i].Name)
		if podfact.Serves(&w.Pods[i]) && (p == nil || p.Error != "" || w.reached(*p)) {
			alive[w.Pods[i].Status.PodIP] = true
		}
	}
	vips := clusterIPsOf(w.service)
	out := map[string]path{}
	for _, a := range w.From.Answers {
		if a.Name != w.control() {
			continue
		}
		p, ok := out[a.Transport]
		if !ok {
			p.replicas = map[string]bool{}
		}
		good := a.Rcode != ""
		switch {
		case slices.Contains(vips, a.Server):
			both := good || p.service != nil && *p.service
			p.service = &both
		case alive[a.Server]:
			p.replicas[a.Server] = good
		}
		out[a.Transport] = p
	}
	return out
}

func rulePath(w *world) []finding.Finding {
	if w.From == nil || len(w.From.Answers) == 0 {
		return nil
	}
	paths := w.paths()
	udp, tcp := paths["UDP"], paths["TCP"]
	dead := func(p path) bool {
		good, bad := p.replicaWords()
		return len(good) == 0 && len(bad)+len(clusterIPsOf(w.service)) > 0 && p.service != nil && !*p.service
	}
	pod := w.From.Pod
	object := ref("Pod", pod.Namespace, pod.Name)
	node := "node " + pod.Spec.NodeName
	evidence := w.pathEvidence()
	other := w.read("ask from a pod on another node: if that works, the fault is on "+node, "", "get", "pods", "-A", "-o", "wide", "--field-selector", "spec.nodeName!="+pod.Spec.NodeName)
	rules := w.read("see the node's own rules for port 53", "", "nodeshell", pod.Spec.NodeName, "--", "sh", "-c", "nft list ruleset | grep -n 'dport 53'")
	switch {
	case len(paths) == 0:
		return nil
	case w.answeredForServers():
		return []finding.Finding{w.make("PathBlocked", finding.Critical, object, fmt.Sprintf("pod %s/%s on %s gets %s for %s, which the servers answer rightly: they refuse this pod (plugin acl), or something on its way answers for them (a policy on names, a proxy)", pod.Namespace, pod.Name, node, said(w.From.Answers[0]), w.control()), evidence, w.read("see what the Corefile refuses", "", "dns", "config"), other)}
	case dead(udp) && dead(tcp):
		servers := "while the servers are well"
		if !w.anyReached() {
			servers = "and whether the servers answer anybody is not known"
		}
		return []finding.Finding{w.make("PathBlocked", finding.Critical, object, fmt.Sprintf("pod %s/%s on %s reaches no DNS server, neither by UDP nor by TCP, %s", pod.Namespace, pod.Name, node, servers), evidence, other, rules)}
	case dead(udp):
		return []finding.Finding{w.make("PathUDPBlocked", finding.Critical, object, fmt.Sprintf("UDP port 53 is dropped on the way from pod %s/%s on %s: TCP gets through", pod.Namespace, pod.Name, node), evidence, rules, other)}
	case dead(tcp):
		return []finding.Finding{w.make("PathTCPBlocked", finding.Warning, object, fmt.Sprintf("TCP port 53 is dropped on the way from pod %s/%s on %s: large answers are lost, small ones come by UDP", pod.Namespace, pod.Name, node), evidence, rules, other)}
	}
	return w.partialPath(udp, tcp, object, evidence, other, rules)
}

// answeredForServers: every answer that the pod gets is wrong, and every server that was asked gives the right one.
func (w *world) answeredForServers() bool {
	for _, a := range w.From.Answers {
		if a.Rcode == "" || a.Name != w.control() || w.right(a) {
			return false
		}
	}
	asked := false
	for _, p := range w.Probes {
		if bad, ok := w.controlFailure(p); ok {
			asked = true
			if bad != nil {
				return false
			}
		}
	}
	return asked
}

func (w *world) partialPath(udp, tcp path, object *finding.ObjectRef, evidence []finding.Evidence, next ...finding.Next) []finding.Finding {
	pod := w.From.Pod
	// a replica out of reach first: it also loses what the Service sends its way
	_, badUDP := udp.replicaWords()
	_, badTCP := tcp.replicaWords()
	if bad := slices.Compact(slices.Sorted(slices.Values(append(badUDP, badTCP...)))); len(bad) > 0 {
		var names []string
		for i := range w.Pods {
			if slices.Contains(bad, w.Pods[i].Status.PodIP) {
				names = append(names, w.Pods[i].Name+" on node "+w.Pods[i].Spec.NodeName)
			}
		}
		return []finding.Finding{w.make("PathReplicaBlocked", finding.Critical, object,
			fmt.Sprintf("pod %s/%s on node %s does not reach %s: a part of its queries is lost", pod.Namespace, pod.Name, pod.Spec.NodeName, strings.Join(names, ", ")), evidence, next...)}
	}
	var transports []string
	for name, p := range map[string]path{"UDP": udp, "TCP": tcp} {
		if good, _ := p.replicaWords(); p.service != nil && !*p.service && len(good) > 0 {
			transports = append(transports, name)
		}
	}
	slices.Sort(transports)
	if len(transports) == 0 {
		return nil
	}
	return []finding.Finding{w.make("PathServiceBlocked", finding.Critical, object,
		fmt.Sprintf("pod %s/%s reaches the DNS pods themselves and gets no answer from the Service's address %s by %s: look at kube-proxy and its rules on node %s", pod.Namespace, pod.Name, strings.Join(clusterIPsOf(w.service), ", "), strings.Join(transports, " and "), pod.Spec.NodeName), evidence,
		append([]finding.Next{w.read("see whether the proxy of that node runs", "kube-system", "get", "pods", "-o", "wide", "--field-selector", "spec.nodeName="+pod.Spec.NodeName)}, next...)...)}
}

func (w *world) pathEvidence() []finding.Evidence {
	var list []finding.Evidence
	for _, a := range w.From.Answers {
		list = append(list, seen("answer in the pod", a.Server+" "+a.Transport, "%s", said(a)))
	}
	slices.SortStableFunc(list, func(a, b finding.Evidence) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// ServersOf gives the addresses that the suspect is asked to reach, and the question.
func ServersOf(in Input) (servers []string, q records.Question) {
	w := newWorld(in, in.now(), Options{})
	q = records.Question{Name: w.control(), Type: "A"}
	if w.service == nil {
		return nil, q
	}
	servers = clusterIPsOf(w.service)
	for i := range w.Pods {
		if ip := w.Pods[i].Status.PodIP; podfact.Serves(&w.Pods[i]) && ip != "" && len(servers) < 8 {
			servers = append(servers, ip)
		}
	}
	if w.From != nil {
		for _, ip := range w.kubeletFor(w.From.Pod.Spec.NodeName).ClusterDNS {
			if (linkLocal(ip) || w.cloudMayServe(ip)) && !slices.Contains(servers, ip) {
				servers = append(servers, ip) // a cache of the node, or the cloud's, which only its pods can ask
			}
		}
	}
	return servers, q
}
