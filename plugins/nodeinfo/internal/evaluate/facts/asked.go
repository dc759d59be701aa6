package facts

import (
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
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
	known, ok := component.Of(p)
	return ok && known.Role == component.ServiceProxy && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil
}

// sampleAge is how old a sample of metrics-server may be: it reads every kubelet every 15 s to 1 min, and a node that has just
// joined has none yet.
const sampleAge = 3 * time.Minute

func (c *Cluster) unsampled(n *Node) bool {
	m := c.metrics[n.Object.Name]
	current := m != nil && n.Age(m.Timestamp) < sampleAge
	return n.Read(SourceMetrics) && !current && n.Age(n.Object.CreationTimestamp.Time) >= sampleAge
}

// Gone is a Node object that was named and does not exist, though something of it is left, or a machine requests to be it.
type Gone struct {
	Now     time.Time
	Name    string
	Removed *eventfact.Event // the newest that says so; nil: there is none, or it was not read
	Pods    []*corev1.Pod    // bound to it, not finished
	Beat    nodefact.Heartbeat
	Request *certificate.Request // for a client certificate, not answered with one: a machine joins under that name
}

// Left says whether something is left of an object that was there once.
func (g *Gone) Left() bool {
	return g.Removed != nil || len(g.Pods) > 0 || g.Beat.Beat != nodefact.NoBeat
}

// Gone gives what there is of a node that does not exist; nil: nothing.
func (c *Cluster) Gone(name string) *Gone {
	g := &Gone{Now: c.now, Name: name, Beat: nodefact.HeartbeatOf(c.leases[name], c.now, c.limits.StaleAfter)}
	g.Removed = eventfact.Newest(c.events[name], "RemovingNode", "DeletingNode", "NodeDeleted")
	pods, _ := c.on(name)
	for _, p := range pods {
		if !podfact.Finished(p) {
			g.Pods = append(g.Pods, p)
		}
	}
	g.Request = certificate.Newest(c.requests[name], name, certificate.Client, c.now)
	if !g.Left() && g.Request == nil {
		return nil
	}
	return g
}

// Joining are the requests of machines for a client certificate, by their names, that are no nodes yet: neither is there a Node, nor a
// heartbeat of one that was not asked for.
func (c *Cluster) Joining() []certificate.Request {
	var list []certificate.Request
	nodes := map[string]bool{}
	for i := range c.in.Nodes {
		nodes[c.in.Nodes[i].Name] = true
	}
	for name, requests := range c.requests {
		if nodes[name] || c.leases[name] != nil {
			continue
		}
		if r := certificate.Newest(requests, name, certificate.Client, c.now); r != nil {
			list = append(list, *r)
		}
	}
	sorting.Func(list, func(a, b certificate.Request) int { return strings.Compare(a.Node, b.Node) })
	return list
}
