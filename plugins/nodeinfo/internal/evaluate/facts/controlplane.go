package facts

import (
	"cmp"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Components of the control plane that elect a leader.
const (
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	CloudControllers  = "cloud-controller-manager"
)

var electing = []string{ControllerManager, Scheduler, CloudControllers}

// Electing are the components that elect a leader.
func Electing() []string { return slices.Clone(electing) }

// ControlPlane is what of the control plane lives here, and who leads.
type ControlPlane struct {
	StaticPods []Component     // static pods on this node that are not finished
	Here       bool            // the node holds a part of it; without the pods its role has to do
	Leaders    []report.Leader // of those that have a lease
	Asked      bool            // /readyz was
	Failed     []string        // its checks that fail
	API        *APIServer      // of this node, beside others; nil: none, it is alone, or that is not known
	Servers    []Server        // all that renew their leases, by host

	WritesStopped time.Time // when the leases of nodes and components ended together; zero: they did not
}

// Hosts says whether the node has a pod of the component.
func (c *ControlPlane) Hosts(component string) bool {
	return slices.ContainsFunc(c.StaticPods, func(h Component) bool { return h.Name == component })
}

// Leader is who leads a component; nil: it has no lease, or that could not be read.
func (c *ControlPlane) Leader(component string) *report.Leader {
	for i := range c.Leaders {
		if c.Leaders[i].Name == component {
			return &c.Leaders[i]
		}
	}
	return nil
}

// Leads says that nothing speaks against a leader of the component: its lease is held, or not known.
func (c *ControlPlane) Leads(component string) bool {
	l := c.Leader(component)
	return l == nil || !l.Expired || l.ElectionOff
}

// Readyz is what /readyz says: "ok", or the checks that fail; empty: it was not asked.
func (c *ControlPlane) Readyz() string {
	switch {
	case !c.Asked:
		return ""
	case len(c.Failed) == 0:
		return "ok"
	}
	return "failed: " + strings.Join(c.Failed, ", ")
}

func (c *Cluster) controlPlane(n *Node) ControlPlane {
	out := ControlPlane{Here: !n.Read(SourcePods) && slices.Contains(n.Roles, "control-plane")}
	for _, p := range n.Pods {
		name := p.ControlPlane
		if name == "" {
			continue
		}
		out.Here = true
		if !p.Finished() {
			known := component.Known{Role: component.ControlPlanePart, Name: name, Evidence: "static pod"}
			out.StaticPods = append(out.StaticPods, Component{Known: known, Pod: p})
		}
	}
	sorting.Func(out.StaticPods, func(a, b Component) int { return cmp.Compare(a.Name+a.PodName(), b.Name+b.PodName()) })
	if n.Read(SourceSystemLeases) {
		for _, name := range electing {
			if leader := c.leader(n, name); leader != nil {
				out.Leaders = append(out.Leaders, *leader)
			}
		}
	}
	out.WritesStopped = c.writesStopped(n)
	out.API = apiServer(c.in, n.Object, c.now)
	out.Servers = c.apiServers(n)
	if out.Asked = n.Read(SourceReadyz); out.Asked {
		out.Failed = failedChecks(c.in.Readyz)
	}
	return out
}

// leader reads a leader's lease; nil when there is none. Its age is by the server's clock.
func (c *Cluster) leader(n *Node, name string) *report.Leader {
	at := slices.IndexFunc(c.in.SystemLeases, func(l coordinationv1.Lease) bool { return nodefact.LeaseOfComponent(&l, name) })
	if at < 0 {
		return nil
	}
	held := nodefact.LeaderOf(&c.in.SystemLeases[at], c.now)
	l := &report.Leader{Name: name, Holder: held.Holder, Expired: held.Expired}
	l.ElectionOff = l.Expired && c.worksAlone(name)
	host, _, _ := strings.Cut(l.Holder, "_")
	l.OnThisNode = host != "" && (host == n.Object.Name || host == hostname(n.Object))
	if !held.Renewed.IsZero() {
		age := int64(held.Age.Seconds())
		l.RenewTime, l.AgeSeconds = Time(held.Renewed), &age
	}
	return l
}

// worksAlone says whether a ready pod of a component was told not to elect a leader.
func (c *Cluster) worksAlone(name string) bool {
	c.askAlone.Do(func() {
		for _, pods := range [][]corev1.Pod{c.in.Pods, c.in.Components} {
			for i := range pods {
				c.noteAlone(&pods[i])
			}
		}
		if c.in.Packed != nil {
			for i := range c.in.Nodes {
				pods, _ := c.on(c.in.Nodes[i].Name)
				for _, p := range pods {
					c.noteAlone(p)
				}
			}
		}
	})
	return c.alone[name]
}

func (c *Cluster) noteAlone(p *corev1.Pod) {
	if name := component.ControlPlane(p); name != "" && !podfact.Finished(p) && podfact.Ready(p) && nodefact.ElectsNone(containerArgs(p)) {
		c.alone[name] = true
	}
}

// writesStopped is when the leases of the nodes that were read and of the components that elect a leader ended together.
func (c *Cluster) writesStopped(n *Node) time.Time {
	if !n.Read(SourceSystemLeases) || !n.Read(SourceLeases) {
		return time.Time{}
	}
	var nodes, components []*coordinationv1.Lease
	for i := range c.in.Leases {
		nodes = append(nodes, &c.in.Leases[i])
	}
	for i := range c.in.SystemLeases {
		for _, name := range electing {
			if l := &c.in.SystemLeases[i]; nodefact.LeaseOfComponent(l, name) {
				components = append(components, l)
			}
		}
	}
	at, stopped := nodefact.StoppedTogether(nodes, components, c.now)
	if !stopped {
		return time.Time{}
	}
	return at
}

// failedChecks reads /readyz?verbose ("[-]etcd failed: reason withheld").
func failedChecks(readyz string) []string {
	var failed []string
	for line := range strings.Lines(readyz) {
		if check, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			failed = append(failed, name)
		}
	}
	slices.Sort(failed)
	return failed
}

// Server is an API server by its lease, and its pod; without one, its version is not known.
type Server struct {
	nodefact.Identity
	Component

	OnThisNode bool
}

// apiServers are those that renew their leases, with their pods as far as these were read: a managed control plane shows none.
func (c *Cluster) apiServers(n *Node) []Server {
	if !n.Read(SourceSystemLeases) {
		return nil
	}
	c.askServers.Do(func() {
		for i := range c.in.Nodes {
			c.noteServers(&c.in.Nodes[i])
		}
	})
	var list []Server
	for _, i := range nodefact.Current(c.in.SystemLeases, c.now) {
		here := i.Host == n.Object.Name || i.Host == hostname(n.Object)
		list = append(list, Server{Identity: i, Component: c.servers[i.Host], OnThisNode: here})
	}
	return list
}

// noteServers looks for the pod of an API server on a node of the control plane.
func (c *Cluster) noteServers(object *corev1.Node) {
	if !slices.Contains(roles(object), "control-plane") {
		return
	}
	pods, _ := c.on(object.Name)
	for _, p := range pods {
		if component.ControlPlane(p) == "kube-apiserver" && !podfact.Finished(p) {
			part := Component{Known: component.Known{Role: component.ControlPlanePart, Name: "kube-apiserver"}, Pod: &Pod{Pod: p}}
			c.servers[object.Name], c.servers[hostname(object)] = part, part
		}
	}
}

// APIServer is what the API server of a node says of itself, and which others do.
type APIServer struct {
	nodefact.Identity

	Gone   bool       // it has no lease, as one that was stopped in order
	Others []string   // hosts whose API servers renew their leases
	Answer *APIAnswer // nil: not asked, or not answered
}

// APIAnswer is what the port of an API server answered through its pod.
type APIAnswer struct {
	Readyz  string `json:"readyz,omitempty"`  // the text of /readyz?verbose
	Refused bool   `json:"refused,omitempty"` // the machine refused the connection: nothing listens there
}

// Failed are the checks that fail.
func (a *APIAnswer) Failed() []string { return failedChecks(a.Readyz) }

// apiServer is nil where the node has no API server that says so, or the only one: a lease that is late because nothing is
// stored for anybody says nothing of this node.
func apiServer(in *Input, n *corev1.Node, now time.Time) *APIServer {
	own, others := nodefact.IdentityAmong(in.SystemLeases, []string{n.Name, hostname(n)}, now)
	if len(others) == 0 {
		return nil
	}
	s := &APIServer{Others: others}
	if own != nil {
		s.Identity = *own
	} else if p := apiServerPod(in, n); p == nil || now.Sub(started(p)) < starting {
		return nil
	} else {
		s.Gone = true
	}
	if answer, asked := in.APIServers[n.Name]; asked {
		s.Answer = &answer
	}
	return s
}

// starting is how long an API server may take until it says that it is there.
const starting = 2 * time.Minute

// started is when the newest container of the pod was.
func started(p *corev1.Pod) time.Time {
	at := p.CreationTimestamp.Time
	for _, s := range p.Status.ContainerStatuses {
		if r := s.State.Running; r != nil && r.StartedAt.After(at) {
			at = r.StartedAt.Time
		}
	}
	return at
}

func apiServerPod(in *Input, n *corev1.Node) *corev1.Pod {
	at := slices.IndexFunc(in.Pods, func(p corev1.Pod) bool {
		return p.Spec.NodeName == n.Name && component.ControlPlane(&p) == "kube-apiserver"
	})
	if at < 0 {
		return nil
	}
	return &in.Pods[at]
}

// LateAPIServer is the pod of a node's API server and its port, if that server is late with its lease, or has none, while another
// one is not.
func LateAPIServer(in *Input, n *corev1.Node, now time.Time) (pod *corev1.Pod, port string) {
	api := apiServer(in, n, now)
	if api == nil || !api.Gone && !api.Late() {
		return nil, ""
	}
	if pod = apiServerPod(in, n); pod == nil {
		return nil, ""
	}
	return pod, nodefact.SecurePort(containerArgs(pod))
}
