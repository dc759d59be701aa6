package certificate

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Served is the certificate that a kubelet presents in a TLS handshake.
type Served struct {
	Address    string    `json:"address"` // where it was presented
	Subject    string    `json:"subject"` // its common name
	SelfSigned bool      `json:"selfSigned,omitempty"`
	Names      []string  `json:"names,omitempty"` // DNS names and addresses
	NotBefore  time.Time `json:"notBefore"`
	NotAfter   time.Time `json:"notAfter"`
}

// Of says whether the certificate is that of a node's kubelet: an address of a private network may be another machine's as seen
// from here. A kubelet's own certificate has the common name HOST@TIME, one that the cluster signed system:node:NODE.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/client-go/util/cert/cert.go (GenerateSelfSignedCertKey)
func (s *Served) Of(n *corev1.Node) bool {
	host, _, _ := strings.Cut(s.Subject, "@")
	names := append([]string{host}, s.Names...)
	own := []string{n.Name, nodeUser + n.Name, n.Labels[corev1.LabelHostname]}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeHostName || a.Type == corev1.NodeInternalDNS {
			own = append(own, a.Address)
		}
	}
	return slices.ContainsFunc(names, func(name string) bool { return name != "" && named(own, name) })
}

// Urgency is how soon a certificate ends.
type Urgency int

// The urgencies.
const (
	Current Urgency = iota
	Soon
	VerySoon
	Ended
)

// Limits say how long before its end a certificate ends soon, and very soon.
type Limits struct{ SoonDays, VerySoonDays int }

// The limits, unless an operator says otherwise. A kubelet renews its certificates when between 70 and 90 percent of their time
// has passed, so that one that lives for days has to be nearer to its end than that: within the last tenth, or fortieth, of its
// time. The tenth holds for every limit: before, a certificate that was not renewed is none that should have been.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/client-go/util/certificate/certificate_manager.go
// (jitteryDuration)
const (
	SoonDays, soonPart         = 30, 10
	VerySoonDays, verySoonPart = 7, 40
)

// UrgencyOf judges what is left of a certificate by how long it lives altogether; 0: not known.
func UrgencyOf(left, life time.Duration, limits Limits) Urgency {
	within := func(days, normal, part int) bool {
		limit := time.Duration(days) * 24 * time.Hour
		if life > 0 {
			scaled := life.Seconds() / float64(part) * float64(days) / float64(normal)
			limit = min(limit, time.Duration(min(scaled, life.Seconds()/soonPart)*float64(time.Second)))
		}
		return left <= limit
	}
	switch {
	case left <= 0:
		return Ended
	case within(limits.VerySoonDays, VerySoonDays, verySoonPart):
		return VerySoon
	case within(limits.SoonDays, SoonDays, soonPart):
		return Soon
	}
	return Current
}

// Lacks are the addresses of a node by which others reach its kubelet, and which a certificate does not name: its IP addresses.
// metrics-server and the API servers of kubeadm take the first InternalIP.
// https://github.com/kubernetes-sigs/metrics-server (--kubelet-preferred-address-types)
func Lacks(names []string, n *corev1.Node) []string {
	var list []string
	for _, a := range n.Status.Addresses {
		isIP := a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP
		if isIP && !named(names, a.Address) && !slices.Contains(list, a.Address) {
			list = append(list, a.Address)
		}
	}
	return list
}

// named says whether a name or an address, which IPv6 writes in more than one way, is among others.
func named(list []string, name string) bool {
	ip, err := netip.ParseAddr(name)
	return slices.ContainsFunc(list, func(other string) bool {
		if o, otherErr := netip.ParseAddr(other); err == nil && otherErr == nil {
			return o.Unmap() == ip.Unmap()
		}
		return strings.EqualFold(other, name)
	})
}

// Strange are the names of a request that are no name or address of the node.
func Strange(names []string, n *corev1.Node) []string {
	own := []string{n.Name, n.Labels[corev1.LabelHostname]}
	for _, a := range n.Status.Addresses {
		own = append(own, a.Address)
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return named(own, name) })
}
