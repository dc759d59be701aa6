package facts

import (
	"net/netip"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// proxyPort is where kube-proxy serves its health unless it is told otherwise.
// https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/ (--healthz-bind-address)
const proxyPort = 10256

// ProxyHealth is what the health port of kube-proxy answered through its pod.
type ProxyHealth struct {
	Port    int    `json:"port"`
	Healthy bool   `json:"healthy"`
	Refused bool   `json:"refused,omitempty"` // the machine refused the connection: nothing listens there
	Message string `json:"message,omitempty"` // why not healthy
}

// ProxyPort is where kube-proxy serves its health, by its arguments and, if they do not say, by its configuration; 0: not for
// others to reach.
func ProxyPort(p *corev1.Pod, configured string) int {
	address := configured
	for _, arg := range containerArgs(p) {
		if value, ok := strings.CutPrefix(arg, "--healthz-bind-address="); ok {
			address = value
		}
	}
	if address == "" {
		return proxyPort
	}
	if strings.HasPrefix(address, ":") {
		address = "0.0.0.0" + address
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		ip, _ := netip.ParseAddr(address) // the zero address is no loopback
		at = netip.AddrPortFrom(ip, proxyPort)
	}
	if at.Addr().IsLoopback() {
		return 0
	}
	return int(at.Port())
}

// IsProxy says whether the pod is kube-proxy's and runs.
func IsProxy(p *corev1.Pod) bool {
	component := detectComponent(p)
	return component != nil && component.Role == ServiceProxy && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil
}

// NoServingCertificate says whether a kubelet answers that it has no certificate to serve with: its TLS library turns that
// into an alert that names nothing.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/certificate/kubelet.go ("no serving certificate available")
func (k *Kubelet) NoServingCertificate() bool {
	return strings.Contains(k.Message, "remote error: tls: internal error")
}

// ServingRequest is a kubelet's newest request for a serving certificate that has not been answered with one.
type ServingRequest struct {
	Name            string
	Made            time.Time
	Denied, Failed  bool
	Reason, Message string // of the denial or the failure
}

func (c *Cluster) servingRequest(n *Node) *ServingRequest {
	var newest *certificatesv1.CertificateSigningRequest
	for i := range c.in.ServingRequests {
		r := &c.in.ServingRequests[i]
		if r.Spec.SignerName != certificatesv1.KubeletServingSignerName || r.Spec.Username != "system:node:"+n.Object.Name {
			continue
		}
		if newest == nil || newest.CreationTimestamp.Before(&r.CreationTimestamp) ||
			newest.CreationTimestamp.Equal(&r.CreationTimestamp) && r.Name < newest.Name {
			newest = r
		}
	}
	if newest == nil || len(newest.Status.Certificate) > 0 {
		return nil
	}
	out := &ServingRequest{Name: newest.Name, Made: newest.CreationTimestamp.Time}
	for _, condition := range newest.Status.Conditions {
		switch condition.Type {
		case certificatesv1.CertificateDenied:
			out.Denied, out.Reason, out.Message = true, condition.Reason, condition.Message
		case certificatesv1.CertificateFailed:
			out.Failed, out.Reason, out.Message = true, condition.Reason, condition.Message
		}
	}
	return out
}

// Gone is a Node object that was named and does not exist, though something of it is left.
type Gone struct {
	Now     time.Time
	Name    string
	Removed *eventfact.Event // the newest that says so; nil: there is none, or it was not read
	Pods    []*corev1.Pod    // bound to it, not finished
	Beat    nodefact.Heartbeat
}

// Gone gives what is left of a node that does not exist; nil: nothing.
func (c *Cluster) Gone(name string) *Gone {
	g := &Gone{Now: c.now, Name: name, Beat: nodefact.HeartbeatOf(c.leases[name], c.now, c.patience)}
	g.Removed = eventfact.Newest(c.events[name], "RemovingNode", "DeletingNode", "NodeDeleted")
	for _, p := range c.on(name) {
		if !podfact.Finished(p) {
			g.Pods = append(g.Pods, p)
		}
	}
	if g.Removed == nil && len(g.Pods) == 0 && g.Beat.Beat == nodefact.NoBeat {
		return nil
	}
	return g
}
