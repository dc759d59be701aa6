// Package clients judges what one pod meets: policies and paths between it and the servers, resolver settings, what answers on its node.
package clients

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Pages that more than one rule rests on.
const (
	policyPage = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
	PodPage    = "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/"
)

// The codes of this file.
const (
	NetworkPolicyBlocksDNS finding.Code = "NetworkPolicyBlocksDNS"
)

// PolicyRules report NetworkPolicies that block DNS.
var PolicyRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: NetworkPolicyBlocksDNS, Severity: finding.Critical, Title: "NetworkPolicy blocks DNS",
			Meaning: "The NetworkPolicies in the API do not allow the pod to reach the DNS pods. Policies of kinds that belong to the " +
				"network plugin are not evaluated.",
			Evidence: "The policies that select the pod or the DNS pods; with --from, also the answers that the pod received.",
			Next:     "Allow egress from the pod, or ingress to the DNS pods, on port 53 over UDP and TCP.",
			Source:   policyPage,
		},
		Explains: []finding.Code{
			DNSUnavailableFromPod, DNSOverUDPBlocked, DNSOverTCPBlocked, ReplicaUnreachableFromPod, DNSServiceUnreachableFromPod,
		},
		Check: CheckPolicy,
	},
}

// CheckPolicy speaks of the suspect pod when there is one, and always of policies that close the DNS pods themselves.
func CheckPolicy(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	if f := dnsIngress(w); f != nil {
		list = append(list, *f)
	}
	if w.From == nil {
		return list
	}
	var denied []report.PolicyEffect
	for _, e := range w.PolicyEffects() {
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
		evidence = append(evidence, facts.NewEvidence("NetworkPolicy", strings.Join(e.Policies, ", "), "no rule allows %s over %s to %s",
			strings.ToLower(e.Direction), e.Transport, e.To))
		if !slices.Contains(transports, e.Transport) {
			transports = append(transports, e.Transport)
		}
		for _, p := range e.Policies {
			if !slices.Contains(names, p) {
				names = append(names, p)
			}
		}
	}
	pod, proven := w.From.Pod, proofOf(w, transports)
	return append(list, w.Make(NetworkPolicyBlocksDNS, proven.severity, policyRef(names[0]),
		proven.message(names, transports, "pod "+pod.Namespace+"/"+pod.Name), append(evidence, proven.evidence...), openings(w, denied)...))
}

func policyRef(policy string) *finding.ObjectRef {
	namespace, name, _ := strings.Cut(policy, "/")
	return facts.Ref("NetworkPolicy", namespace, name)
}

// openings are the steps that let the pod's queries out of its namespace, and in to the DNS pods: whichever is closed.
func openings(w *facts.Snapshot, denied []report.PolicyEffect) []finding.Next {
	var steps []finding.Next
	for _, way := range []struct{ direction, change string }{
		{"Egress", "Allow egress to the DNS pods on port 53 over UDP and TCP"},
		{"Ingress", "Allow ingress from the pod on port 53 over UDP and TCP"},
	} {
		i := slices.IndexFunc(denied, func(e report.PolicyEffect) bool { return e.Direction == way.direction })
		if i < 0 {
			continue
		}
		namespace, name, _ := strings.Cut(denied[i].Policies[0], "/")
		read := w.Read("Read the policy", namespace, "describe", "networkpolicy", name)
		if len(steps) == 0 || steps[0].Command != read.Command {
			steps = append(steps, read)
		}
		steps = append(steps, w.Change(way.change, namespace, "edit", "networkpolicy", name))
	}
	return steps
}

// proof is what the answers that a pod received say of a policy.
type proof struct {
	severity finding.Severity
	ignored  bool   // the network does not enforce the policy
	answers  string // the pod's own nameservers, at which the policy changes nothing
	evidence []finding.Evidence
}

// message is for policies that block DNS queries of a source, or would if the network enforced them.
func (p proof) message(policies, transports []string, source string) string {
	by, over := "NetworkPolicy "+strings.Join(policies, ", "), strings.Join(transports, " and ")
	switch {
	case p.answers != "":
		return fmt.Sprintf("%s blocks queries to the DNS pods over %s from %s, which %s answers", by, over, source, p.answers)
	case p.ignored:
		return fmt.Sprintf("%s would block DNS over %s from %s, but this network does not enforce it", by, over, source)
	}
	return fmt.Sprintf("%s blocks DNS over %s from %s", by, over, source)
}

func blockSeverity(transports []string) finding.Severity {
	if slices.Contains(transports, "UDP") {
		return finding.Critical
	}
	return finding.Warning
}

// proofOf compares a policy with the answers that the pod received: a network plugin may enforce no policy. An answer that
// the policy would block proves that; a pod on the host network proves nothing, since policies hardly apply to it. Where the pod asks
// other servers than the DNS Service alone (a node cache, a sidecar), and all of them answer, the policy takes nothing from it.
func proofOf(w *facts.Snapshot, transports []string) proof {
	p := proof{severity: blockSeverity(transports)}
	if w.From.Pod.Spec.HostNetwork {
		return p
	}
	if o := ownOf(w); len(o.right) > 0 && len(o.right) == len(w.OwnServers()) {
		p.severity, p.answers = finding.Info, strings.Join(o.right, " and ")
		for _, server := range o.right {
			p.evidence = append(p.evidence, facts.NewEvidence("answer in the pod", server,
				"right; it is a nameserver of the pod, and no address of the DNS Service"))
		}
		return p
	}
	answered, asked := map[string]bool{}, false
	for _, a := range w.From.Answers {
		if !slices.Contains(transports, a.Transport) || facts.LinkLocal(a.Server) { // a policy does not close the way to the own node
			continue
		}
		asked = true
		if a.Rcode != "" && !answered[a.Transport] {
			answered[a.Transport] = true
			p.evidence = append(p.evidence, facts.NewEvidence("answer in the pod", a.Server+" "+a.Transport,
				"%s: this network does not enforce the policy now", a.Rcode))
		}
	}
	silent := slices.DeleteFunc(slices.Clone(transports), func(t string) bool { return answered[t] })
	switch {
	case !asked:
	case len(silent) == 0:
		p.severity, p.ignored = finding.Info, true
	default:
		p.severity = blockSeverity(silent)
		p.evidence = append(p.evidence, facts.NewEvidence("answer in the pod", strings.Join(silent, ", "), "no answer; the policy is enforced"))
	}
	return p
}

// dnsIngress: a policy in the DNS namespace that lets nobody in closes DNS for all.
func dnsIngress(w *facts.Snapshot) *finding.Finding {
	if !w.Sources.Get("networkpolicies").Readable() || len(w.Pods) == 0 {
		return nil
	}
	stranger := facts.Endpoint{Namespace: "default", Labels: map[string]string{"app": "any"}, IP: "203.0.113.1"}
	var transports, names []string
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		port, _ := w.Ports(w.Pods[0])
		allowed, selecting := w.PolicyEffect("Ingress", stranger, facts.PodEndpoint(&w.Pods[0]), protocol, port)
		if allowed || anyPeerAllowed(w, selecting, protocol, port) {
			continue
		}
		transports = append(transports, string(protocol))
		names = selecting
	}
	if len(transports) == 0 {
		return nil
	}
	policy := policyRef(names[0])
	evidence := []finding.Evidence{facts.NewEvidence("NetworkPolicy", strings.Join(names, ", "),
		"selects the DNS pods; no ingress rule allows port 53 from other namespaces")}
	proven := proof{severity: blockSeverity(transports)}
	if w.From != nil && w.From.Pod.Namespace != w.Pods[0].Namespace { // the policy may let its own namespace in
		if proven = proofOf(w, transports); proven.answers != "" {
			proven = proof{severity: blockSeverity(transports)} // what a pod gets elsewhere says nothing of the others
		}
	}
	f := w.Make(NetworkPolicyBlocksDNS, proven.severity, policy,
		proven.message(names, transports, "pods of other namespaces"), append(evidence, proven.evidence...),
		w.Read("Read the policy", policy.Namespace, "describe", "networkpolicy", policy.Name),
		w.Change("Allow ingress from every namespace on port 53 over UDP and TCP", policy.Namespace, "edit", "networkpolicy", policy.Name))
	return &f
}

// anyPeerAllowed: a policy that admits some namespaces or addresses may admit those that matter; only one that admits
// nobody on the port is called a block.
func anyPeerAllowed(w *facts.Snapshot, policies []string, protocol corev1.Protocol, port int32) bool {
	for i := range w.Policies {
		p := &w.Policies[i]
		if !slices.Contains(policies, p.Namespace+"/"+p.Name) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if !facts.PortMatches(rule.Ports, facts.PodEndpoint(&w.Pods[0]), protocol, port) {
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
