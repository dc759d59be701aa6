package clients

import (
	"fmt"
	"slices"
	"strings"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of this file.
const (
	DNSUnavailableFromPod        finding.Code = "DNSUnavailableFromPod"
	DNSOverUDPBlocked            finding.Code = "DNSOverUDPBlocked"
	DNSOverTCPBlocked            finding.Code = "DNSOverTCPBlocked"
	ReplicaUnreachableFromPod    finding.Code = "ReplicaUnreachableFromPod"
	DNSServiceUnreachableFromPod finding.Code = "DNSServiceUnreachableFromPod"
)

// PathRules report queries that are lost on the network path from one pod to the DNS servers.
var PathRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSUnavailableFromPod, Severity: finding.Critical, Title: "DNS is unavailable from the pod",
			Meaning:  "No query from this pod gets an answer, or the pod gets an answer that differs from what the servers return to others.",
			Evidence: "Queries from inside the pod to the Service and to each replica, over UDP and TCP.",
			Next:     "Compare with a pod on another node; check the policies and the packet filter rules of the node.",
			Source:   servers.DebugPage,
		},
		CausedBy: []finding.Code{
			servers.DNSScaledToZero, servers.DNSPodsNotReady, servers.ProbePluginMissing, servers.ForwardingLoop, servers.CorefileInvalid,
			servers.DNSServiceTargetPortMismatch, servers.DNSServerForbidden,
		},
		Check: checkPath,
	},
	{
		Entry: finding.Entry{
			Code: DNSOverUDPBlocked, Severity: finding.Critical, Title: "DNS over UDP is blocked from the pod",
			Meaning:  "Queries over UDP from this pod are lost. Resolvers use UDP first, so every lookup stalls.",
			Evidence: "Queries from inside the pod over UDP and TCP.",
			Next:     "Check the packet filter rules of the node and the policies.",
			Source:   servers.DebugPage,
		},
		CausedBy: []finding.Code{servers.DNSServicePortMissing, servers.DNSServiceTargetPortMismatch},
	},
	{
		Entry: finding.Entry{
			Code: DNSOverTCPBlocked, Severity: finding.Warning, Title: "DNS over TCP is blocked from the pod",
			Meaning: "Queries over TCP from this pod are lost, so only answers that fit into a UDP packet arrive. The severity is critical if " +
				"option use-vc makes the programs of the pod query over TCP.",
			Evidence: "Queries from inside the pod over UDP and TCP.",
			Next:     "Check the packet filter rules of the node and the policies.",
			Source:   servers.DebugPage,
		},
		CausedBy: []finding.Code{servers.DNSServicePortMissing, servers.DNSServiceTargetPortMismatch},
	},
	{
		Entry: finding.Entry{
			Code: ReplicaUnreachableFromPod, Severity: finding.Critical, Title: "Pod cannot reach some DNS replicas",
			Meaning:  "The Service distributes queries over all replicas, so some queries of this pod are lost.",
			Evidence: "Queries from inside the pod to each replica.",
			Next:     "Check the network between the two nodes.",
			Source:   "https://github.com/coredns/coredns/issues/4530",
		},
		CausedBy: []finding.Code{servers.DNSPodsNotReady, servers.ForwardingLoop, servers.CorefileInvalid, servers.DNSServerForbidden},
	},
	{
		Entry: finding.Entry{
			Code: DNSServiceUnreachableFromPod, Severity: finding.Critical, Title: "Pod cannot reach the DNS Service address",
			Meaning: "The pod reaches the DNS pods at their own addresses, but not at the Service address: the node does not translate " +
				"the Service address.",
			Evidence: "Queries from inside the pod to the Service and to each replica.",
			Next:     "Check kube-proxy or the network plugin on that node.",
			Source:   "https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/",
		},
		CausedBy: []finding.Code{
			servers.DNSScaledToZero, servers.DNSPodsNotReady, servers.ProbePluginMissing, servers.ForwardingLoop, servers.CorefileInvalid,
			servers.DNSServiceWithoutDNSPods, servers.DNSServicePortMissing, servers.DNSServiceTargetPortMismatch,
			servers.DNSServiceEndpointsMismatch, servers.DNSServiceNodeLocal, servers.DNSServerForbidden,
		},
	},
}

// path is what the suspect pod got over one transport from the Service's address and from each replica.
type path struct {
	service  *bool
	replicas map[string]bool
}

func (p path) replicaWords() (good, bad []string) {
	for _, ip := range facts.SortedKeys(p.replicas) {
		if p.replicas[ip] {
			good = append(good, ip)
		} else {
			bad = append(bad, ip)
		}
	}
	return good, bad
}

// paths sorts the suspect's answers of one family. Replicas that are not ready, or that do not answer over port-forward either, say
// nothing about the path.
func paths(w *facts.Snapshot, family string) map[string]path {
	if w.Service == nil {
		return nil
	}
	alive := map[string]bool{}
	for i := range w.Pods {
		p := w.ProbeOf(w.Pods[i].Name)
		if podfact.Serves(&w.Pods[i]) && (p == nil || p.Error != "" || w.Reached(*p)) {
			for _, ip := range facts.Addresses(&w.Pods[i]) {
				alive[ip] = true
			}
		}
	}
	vips := discover.ClusterIPs(w.Service)
	out := map[string]path{}
	for _, a := range w.From.Answers {
		if a.Name != w.Control() || ask.FamilyOf(a.Server) != family {
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

// checkPath measures first what the pod's own nameservers give it, and then the ways to the Service and to each replica.
// Random loss says nothing about one of them.
func checkPath(w *facts.Snapshot) []finding.Finding {
	if w.From == nil || len(w.From.Answers) == 0 || len(lossy(w)) > 0 {
		return nil
	}
	own := ownOf(w)
	list := servicePath(w)
	if len(own.asked) > 0 && len(own.right) == len(w.OwnServers()) { // the pod does not use the Service address, and is served
		for i := range list {
			list[i].Severity = finding.Info
			list[i].Message += "; its nameserver " + strings.Join(own.right, ", ") + " answers it"
		}
	}
	if w.IsServer(&w.From.Pod) || slices.ContainsFunc(list, func(f finding.Finding) bool { return f.Code == DNSUnavailableFromPod }) {
		return list
	}
	return append(checkOwn(w, own, pathEvidence(w)), list...)
}

// servicePath judges the ways to the DNS Service and to each replica, in each family in which the Service has an address.
func servicePath(w *facts.Snapshot) []finding.Finding {
	if w.Service == nil {
		return nil
	}
	families := ask.Families(w)
	if len(families) == 1 {
		return familyPath(w, families[0])
	}
	var list []finding.Finding
	works := ""
	for _, family := range families {
		found := familyPath(w, family)
		if len(found) == 0 {
			works = family
		}
		for _, f := range found {
			list = append(list, ofFamily(w, f, family))
		}
	}
	if works == "" && len(list) > 0 { // nothing is left that works: one cause, which no family tells
		return familyPath(w, families[0])
	}
	return list
}

// ofFamily says over which family a path is broken, and how much that matters to a pod that has another one.
func ofFamily(w *facts.Snapshot, f finding.Finding, family string) finding.Finding {
	own, of := w.OwnServers(), 0
	for _, ip := range own {
		if ask.FamilyOf(ip) == family {
			of++
		}
	}
	f.Message = "over " + family + ", " + f.Message
	switch {
	case of == 0 && len(own) > 0:
		f.Severity = finding.Info
		f.Message = strings.TrimSuffix(f.Message, someLost) + "; the pod does not query over " + family + ": its nameserver is " +
			strings.Join(own, ", ")
	case of < len(own) && f.Severity == finding.Critical:
		f.Severity = finding.Warning // the other nameserver is asked after a timeout
	}
	return f
}

// familyPath judges the ways of one family.
func familyPath(w *facts.Snapshot, family string) []finding.Finding {
	paths := paths(w, family)
	udp, tcp := paths["UDP"], paths["TCP"]
	dead := func(p path) bool {
		good, bad := p.replicaWords()
		return len(good) == 0 && len(bad)+len(discover.ClusterIPs(w.Service)) > 0 && p.service != nil && !*p.service
	}
	pod := w.From.Pod
	object := facts.Ref("Pod", pod.Namespace, pod.Name)
	node := "node " + pod.Spec.NodeName
	evidence := pathEvidence(w)
	other := otherPod(w)
	rules := w.Read("List the packet filter rules of the node for port 53", "", "nodeshell", pod.Spec.NodeName, "--", "sh", "-c",
		"nft list ruleset | grep -n 'dport 53'")
	switch {
	case len(paths) == 0:
		return nil
	case answeredForServers(w):
		return []finding.Finding{w.Make(DNSUnavailableFromPod, finding.Critical, object,
			fmt.Sprintf("pod %s/%s on %s gets %s for %s, which the servers answer correctly: they reject this pod (plugin acl), or a name "+
				"policy or proxy on the network path "+
				"answers", pod.Namespace, pod.Name, node, ask.AnswerText(w.From.Answers[0]), w.Control()), evidence, w.Read("Check what the "+
				"Corefile rejects (plugin acl)", "", "dns", "config"), other)}
	case dead(udp) && dead(tcp):
		servers := "the servers answer over port-forward"
		if !w.AnyReached() {
			servers = "unknown whether the servers answer other clients"
		}
		return []finding.Finding{w.Make(DNSUnavailableFromPod, finding.Critical, object,
			fmt.Sprintf("pod %s/%s on %s reaches no DNS server over UDP or TCP; %s", pod.Namespace, pod.Name, node,
				servers), evidence, other, rules)}
	case dead(udp):
		return []finding.Finding{w.Make(DNSOverUDPBlocked, finding.Critical, object,
			fmt.Sprintf("UDP port 53 is blocked from pod %s/%s on %s; TCP works", pod.Namespace, pod.Name,
				node), evidence, rules, other)}
	case dead(tcp) && overTCP(w):
		return []finding.Finding{w.Make(DNSOverTCPBlocked, finding.Critical, object,
			fmt.Sprintf("TCP port 53 is blocked from pod %s/%s on %s, and option use-vc in its resolv.conf makes glibc and Go query over TCP",
				pod.Namespace, pod.Name, node), evidence, rules, other)}
	case dead(tcp):
		return []finding.Finding{w.Make(DNSOverTCPBlocked, finding.Warning, object,
			fmt.Sprintf("TCP port 53 is blocked from pod %s/%s on %s: large answers are lost; small ones arrive over UDP", pod.Namespace,
				pod.Name, node), evidence, rules, other)}
	}
	return partialPath(w, udp, tcp, object, evidence, other, rules)
}

// overTCP says whether the resolver options of the suspect make its programs query over TCP
// (https://man7.org/linux/man-pages/man5/resolv.conf.5.html).
func overTCP(w *facts.Snapshot) bool {
	conf, _ := w.ActualConf()
	return slices.Contains(conf.Options, "use-vc") && w.Libc() != resolver.Musl
}

// answeredForServers: every answer that the pod gets is wrong, and every server that was asked gives the right one.
func answeredForServers(w *facts.Snapshot) bool {
	for _, a := range w.From.Answers {
		if a.Rcode == "" || a.Name != w.Control() || ask.Right(w, a) {
			return false
		}
	}
	asked := false
	for _, p := range w.Probes {
		if bad, ok := ask.ControlFailure(w, p); ok {
			asked = true
			if bad != nil {
				return false
			}
		}
	}
	return asked
}

func partialPath(w *facts.Snapshot, udp, tcp path, object *finding.ObjectRef, evidence []finding.Evidence,
	next ...finding.Next,
) []finding.Finding {
	pod := w.From.Pod
	// a replica out of reach first: it also loses what the Service sends its way
	_, badUDP := udp.replicaWords()
	_, badTCP := tcp.replicaWords()
	if bad := slices.Compact(slices.Sorted(slices.Values(append(badUDP, badTCP...)))); len(bad) > 0 {
		var names []string
		for i := range w.Pods {
			if slices.ContainsFunc(facts.Addresses(&w.Pods[i]), func(ip string) bool { return slices.Contains(bad, ip) }) {
				names = append(names, w.Pods[i].Name+" on node "+w.Pods[i].Spec.NodeName)
			}
		}
		return []finding.Finding{w.Make(ReplicaUnreachableFromPod, finding.Critical, object,
			fmt.Sprintf("pod %s/%s on node %s does not reach %s", pod.Namespace, pod.Name, pod.Spec.NodeName,
				strings.Join(names, ", "))+someLost, evidence, next...)}
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
	return []finding.Finding{w.Make(DNSServiceUnreachableFromPod, finding.Critical, object,
		fmt.Sprintf("pod %s/%s on node %s reaches the DNS pods directly, but gets no answer from Service address %s over %s", pod.Namespace,
			pod.Name, pod.Spec.NodeName, strings.Join(silentAddresses(w, transports), ", "), strings.Join(transports, " and ")), evidence,
		append([]finding.Next{
			w.Read("Check whether kube-proxy, or what replaces it, is running on node "+pod.Spec.NodeName, "kube-system",
				"get", "pods", "-o", "wide", "--field-selector", "spec.nodeName="+pod.Spec.NodeName),
			facts.WithAnswers(w.Read("Query the health port of kube-proxy on the node", "", "nodeshell", pod.Spec.NodeName, "--", "sh", "-c",
				"curl -s -m5 http://127.0.0.1:10256/livez || echo no answer"),
				`"lastUpdated" is close to "currentTime": kube-proxy has applied all that it received`,
				"no answer, and its pod is Running: it hangs; delete the pod, and the DaemonSet starts another one"),
		}, next...)...)}
}

// someLost is what follows where some replicas are out of reach.
const someLost = "; some queries of the pod are lost"

// silentAddresses are the addresses of the Service that gave the pod no answer over one of the transports.
func silentAddresses(w *facts.Snapshot, transports []string) []string {
	return slices.DeleteFunc(discover.ClusterIPs(w.Service), func(ip string) bool {
		return !slices.ContainsFunc(w.From.Answers, func(a report.Answer) bool {
			return a.Server == ip && a.Rcode == "" && slices.Contains(transports, a.Transport)
		})
	})
}

func pathEvidence(w *facts.Snapshot) []finding.Evidence {
	var list []finding.Evidence
	for _, a := range w.From.Answers {
		list = append(list, facts.NewEvidence("answer in the pod", a.Server+" "+a.Transport, "%s", ask.AnswerText(a)))
	}
	sorting.Stable(list, func(a, b finding.Evidence) int { return strings.Compare(a.Path, b.Path) })
	return list
}
