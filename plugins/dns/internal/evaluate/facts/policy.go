package facts

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Endpoint is one end of a connection, as network policies see it.
type Endpoint struct {
	Namespace string
	Labels    map[string]string
	IP        string
	node      bool // on the host's network: no policy selects it
	ports     map[namedPort]int32
}

// namedPort is what a policy means by a port's name: it does not match a port of that name and another protocol.
type namedPort struct {
	name     string
	protocol corev1.Protocol
}

func PodEndpoint(pod *corev1.Pod) Endpoint {
	e := Endpoint{Namespace: pod.Namespace, Labels: pod.Labels, IP: pod.Status.PodIP, node: pod.Spec.HostNetwork, ports: map[namedPort]int32{}}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			e.ports[namedPort{p.Name, cmp.Or(p.Protocol, corev1.ProtocolTCP)}] = p.ContainerPort
		}
	}
	return e
}

// PolicyEffect judges one direction between two pods: policies add up, and a pod that none selects is open
// (https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation).
func (w *Snapshot) PolicyEffect(direction networkingv1.PolicyType, from, to Endpoint, protocol corev1.Protocol, port int32) (allowed bool,
	selecting []string,
) {
	subject, peer := from, to
	if direction == networkingv1.PolicyTypeIngress {
		subject, peer = to, from
	}
	if subject.node {
		return true, nil
	}
	for i := range w.Policies {
		p := &w.Policies[i]
		if p.Namespace != subject.Namespace || !hasType(p, direction) || !selects(&p.Spec.PodSelector, subject.Labels) {
			continue
		}
		selecting = append(selecting, p.Namespace+"/"+p.Name)
		if w.permits(p, direction, peer, to, protocol, port) {
			allowed = true
		}
	}
	return allowed || len(selecting) == 0, selecting
}

// hasType: without policyTypes a policy is about ingress, and about egress too when it has egress rules.
func hasType(p *networkingv1.NetworkPolicy, t networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) > 0 {
		return slices.Contains(p.Spec.PolicyTypes, t)
	}
	return t == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
}

func selects(s *metav1.LabelSelector, l map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(l))
}

func (w *Snapshot) permits(p *networkingv1.NetworkPolicy, direction networkingv1.PolicyType, peer, to Endpoint, protocol corev1.Protocol,
	port int32,
) bool {
	if direction == networkingv1.PolicyTypeEgress {
		for _, rule := range p.Spec.Egress {
			if w.peerMatches(rule.To, p.Namespace, peer) && PortMatches(rule.Ports, to, protocol, port) {
				return true
			}
		}
		return false
	}
	for _, rule := range p.Spec.Ingress {
		if w.peerMatches(rule.From, p.Namespace, peer) && PortMatches(rule.Ports, to, protocol, port) {
			return true
		}
	}
	return false
}

func (w *Snapshot) peerMatches(peers []networkingv1.NetworkPolicyPeer, namespace string, e Endpoint) bool {
	if len(peers) == 0 {
		return true
	}
	for _, p := range peers {
		if p.IPBlock != nil {
			if inBlock(p.IPBlock, e.IP) {
				return true
			}
			continue
		}
		if e.node {
			continue // node addresses are matched by ipBlock alone
		}
		if p.NamespaceSelector == nil && e.Namespace != namespace || p.NamespaceSelector != nil &&
			!selects(p.NamespaceSelector, w.namespaceLabels(e.Namespace)) {
			continue
		}
		if p.PodSelector == nil || selects(p.PodSelector, e.Labels) {
			return true
		}
	}
	return false
}

func (w *Snapshot) namespaceLabels(name string) map[string]string {
	for i := range w.Namespaces {
		if w.Namespaces[i].Name == name {
			return w.Namespaces[i].Labels
		}
	}
	return map[string]string{corev1.LabelMetadataName: name}
}

func inBlock(b *networkingv1.IPBlock, ip string) bool {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	contains := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		return err == nil && prefix.Contains(address)
	}
	return contains(b.CIDR) && !slices.ContainsFunc(b.Except, contains)
}

func PortMatches(ports []networkingv1.NetworkPolicyPort, to Endpoint, protocol corev1.Protocol, port int32) bool {
	if len(ports) == 0 {
		return true
	}
	for _, p := range ports {
		want := corev1.ProtocolTCP
		if p.Protocol != nil {
			want = *p.Protocol
		}
		if want != protocol {
			continue
		}
		switch {
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			if to.ports[namedPort{p.Port.StrVal, protocol}] == port {
				return true
			}
		case p.EndPort != nil && port >= p.Port.IntVal && port <= *p.EndPort, p.Port.IntVal == port:
			return true
		}
	}
	return false
}

// PolicyEffects judges egress of the suspect pod and ingress of the DNS pods, for UDP and TCP. It speaks of the first
// DNS pod of each set of labels: policies cannot tell the others apart but by address.
func (w *Snapshot) PolicyEffects() []report.PolicyEffect {
	if w.From == nil || !w.Sources.Get("networkpolicies").Readable() || len(w.Pods) == 0 {
		return nil
	}
	from := PodEndpoint(&w.From.Pod)
	var list []report.PolicyEffect
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress} {
			effect := report.PolicyEffect{Direction: string(direction), Transport: string(protocol), To: "DNS pods", Result: "allowed"}
			for i := range w.Pods {
				port, _ := w.Ports(w.Pods[i])
				allowed, selecting := w.PolicyEffect(direction, from, PodEndpoint(&w.Pods[i]), protocol, port)
				effect.To = fmt.Sprintf("DNS pods, port %d", port)
				effect.Policies = selecting
				if !allowed {
					effect.Result = "denied"
					break
				}
			}
			list = append(list, effect)
		}
	}
	return list
}
