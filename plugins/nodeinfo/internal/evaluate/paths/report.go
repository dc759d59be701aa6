package paths

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	sources "github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Report judges the map.
func (m *Map) Report() report.Paths {
	out := report.Paths{
		APIVersion: report.APIVersion, Kind: report.PathsKind, Time: m.now.UTC(), NotFound: m.in.NotFound, Findings: []finding.Finding{},
		Paths: []report.Path{}, Sources: slices.Clone(m.in.Sources), Nodes: slices.Sorted(slices.Values(m.in.Targets)),
	}
	if len(m.in.NotFound) > 0 {
		out.Verdict, out.Summary = report.Unknown, "not found: "+strings.Join(m.in.NotFound, ", ")
		return out
	}
	out.Sources = append(out.Sources, m.nodeGaps()...)
	out.Sources.Sort()
	roots, consequences := book.Settle(append(m.borrow(), book.Check(m)...))
	for _, n := range m.shown {
		for _, c := range n.consequences {
			told := func(o finding.Consequence) bool {
				return o.Code == c.Code && clusterWide(o.Code, o.Object) == clusterWide(c.Code, c.Object)
			}
			if slices.Contains(shared, c.Code) {
				if slices.ContainsFunc(consequences, told) {
					continue
				}
			} else {
				c.Message = n.Object.Name + ": " + c.Message
			}
			consequences = append(consequences, c)
		}
	}
	out.Findings, out.Consequences = append(out.Findings, fold(roots)...), consequences
	out.Paths = append(out.Paths, slices.Concat(m.controlPlane(), m.ofNodes(), m.ofServices())...)
	if len(m.in.Targets) > 0 {
		out.Checks = m.checks()
	}
	out.Verdict = verdict(&out)
	out.Summary = summary(&out)
	return out
}

// nodeGaps are the queries of nodes that were not allowed.
func (m *Map) nodeGaps() (gaps []source) {
	for _, n := range m.shown {
		for _, s := range m.in.NodeSources[n.Object.Name] {
			if !s.Readable() && !slices.Contains(gaps, s) {
				gaps = append(gaps, s)
			}
		}
	}
	return gaps
}

// borrow is what the rules of nodes found, each under the name of its node; what concerns the whole cluster once. A node that the
// report is not about is in it where its fault explains another one.
func (m *Map) borrow() []finding.Finding {
	var list []finding.Finding
	once := map[finding.ObjectRef]bool{}
	for _, n := range m.Nodes {
		for _, f := range n.roots {
			switch {
			case slices.Contains(shared, f.Code):
				if key := clusterWide(f.Code, f.Object); !once[key] {
					once[key] = true
					list = append(list, m.rewritten(f))
				}
			case slices.Contains(m.shown, n), f.Code == machine.ControlPlaneComponentNotReady, m.explains(n, f.Code):
				list = append(list, m.ofNode(n, f))
			}
		}
	}
	return list
}

// clusterWide names a fault of the whole cluster, which the rules of each node find: the Lease, or the code.
func clusterWide(code finding.Code, object *finding.ObjectRef) finding.ObjectRef {
	if code == machine.LeaderLeaseExpired && object != nil {
		return *object
	}
	return finding.ObjectRef{Name: string(code)}
}

// follows says which code explains a fault of the whole cluster at one of the nodes; empty: none does.
func (n *Node) follows(of finding.ObjectRef) finding.Code {
	for _, c := range n.consequences {
		if slices.Contains(shared, c.Code) && clusterWide(c.Code, c.Object) == of {
			return c.CausedBy
		}
	}
	return ""
}

// explains says whether a fault of a node that the report is not about is why a component has no leader, or a Service no endpoint.
func (m *Map) explains(n *Node, code finding.Code) bool {
	for _, c := range n.consequences {
		if slices.Contains(shared, c.Code) && c.CausedBy == code {
			return true
		}
	}
	return slices.Contains(stopping, code) && slices.ContainsFunc(m.services, func(s *Service) bool {
		if len(m.causesOf(s)) == 0 {
			return false
		}
		for _, e := range s.Unready {
			if e.Node == n.Object.Name {
				return true
			}
		}
		return false
	})
}

// etcdFails says whether the API server that answered cannot reach etcd.
func (m *Map) etcdFails() bool {
	for _, n := range m.Nodes {
		if n.ControlPlane.Asked {
			return slices.ContainsFunc(n.ControlPlane.Failed, func(check string) bool { return strings.HasPrefix(check, "etcd") })
		}
	}
	return false
}

// rewritten is a finding of the whole cluster, as it is to a path: critical wherever it was seen. Without etcd nobody renews a
// Lease.
func (m *Map) rewritten(f finding.Finding) finding.Finding {
	f.Severity = ""
	if f.Code == machine.LeaderLeaseExpired {
		f.Message, _, _ = strings.Cut(f.Message, "; this control plane node")
	}
	if f.Code == machine.APIServerNotReady {
		f.Object, f.Causes = nil, m.etcdPods()
		return f
	}
	f.Causes = []finding.Code{}
	if m.etcdFails() {
		f.Causes = append(f.Causes, machine.APIServerNotReady, machine.ControlPlaneComponentNotReady)
	}
	if f.Code == machine.LeaderLeaseExpired {
		f.Causes = append(f.Causes, machine.APIWritesStopped)
	}
	for _, n := range m.Nodes {
		if cause := n.follows(clusterWide(f.Code, f.Object)); cause != "" {
			f.Causes = append(f.Causes, cause)
		}
	}
	return f
}

// etcdPods is the code of an etcd pod that is not ready, if there is one: then it is why the API server is not.
func (m *Map) etcdPods() []finding.Code {
	for _, n := range m.Nodes {
		for _, f := range n.roots {
			if f.Code == machine.ControlPlaneComponentNotReady && strings.HasPrefix(f.Message, "etcd") {
				return []finding.Code{f.Code}
			}
		}
	}
	return []finding.Code{}
}

// ofNode names the node in what its own report would not say again.
func (m *Map) ofNode(n *Node, f finding.Finding) finding.Finding {
	f.Message = n.Object.Name + ": " + f.Message
	f.Evidence = slices.Clone(f.Evidence)
	for i := range f.Evidence {
		if f.Evidence[i].Source == "Node" {
			f.Evidence[i].Source = "Node " + n.Object.Name
		}
	}
	if f.Causes = []finding.Code{}; m.etcdFails() && slices.Contains(heartbeat, f.Code) {
		f.Causes = []finding.Code{machine.APIServerNotReady, machine.ControlPlaneComponentNotReady}
	}
	return f
}

// alike is how many nodes with one fault are told one by one.
const alike = 3

// fold makes one finding of those that more nodes have.
func fold(list []finding.Finding) []finding.Finding {
	type kind struct {
		code     finding.Code
		severity finding.Severity
	}
	groups, told := map[kind][]finding.Finding{}, map[kind]bool{}
	for _, f := range list {
		k := kind{f.Code, f.Severity}
		groups[k] = append(groups[k], f)
	}
	var out []finding.Finding
	for _, f := range list {
		k := kind{f.Code, f.Severity}
		same := groups[k]
		if len(same) <= alike || f.Object == nil || !slices.Contains(borrowed, f.Code) || slices.Contains(shared, f.Code) {
			out = append(out, f)
			continue
		}
		if told[k] {
			continue
		}
		told[k] = true
		f.Message = fmt.Sprintf("%d nodes, such as %s", len(same), f.Message)
		for _, o := range same[1:] {
			f.Covers = append(f.Covers, *o.Object)
			f.Evidence = append(f.Evidence, finding.Evidence{Source: o.Object.String(), Value: o.Message})
		}
		out = append(out, f)
	}
	return out
}

// decides says whether a source that could not be read leaves paths unknown that a clean verdict would speak of.
func decides(s source) bool {
	kinds := []string{
		facts.SourceLeases, facts.SourceSystemLeases, facts.SourceReadyz, facts.SourcePods, facts.SourceDaemonSets, facts.SourceMutating,
		facts.SourceValidating, facts.SourceAPIServices, facts.SourceServices, facts.SourceEndpoints,
	}
	name, _, _ := strings.Cut(s.Name, " in ")
	return (sources.List{s}).Incomplete() && slices.Contains(kinds, name)
}

func verdict(p *report.Paths) report.Verdict {
	worst, any := finding.Worst(p.Findings)
	switch {
	case any && worst == finding.Critical:
		return report.Unhealthy
	case any && worst == finding.Warning:
		return report.Degraded
	case slices.ContainsFunc(p.Paths, func(path report.Path) bool { return path.State == report.PathCritical }):
		return report.Unhealthy
	case slices.ContainsFunc(p.Paths, func(path report.Path) bool { return path.State == report.PathWarning }):
		return report.Degraded
	case slices.ContainsFunc(p.Sources, decides):
		return report.Unknown
	}
	return report.Healthy
}

// summary is the sentence after the object.
func summary(p *report.Paths) string {
	var causes []string
	for _, f := range p.Findings {
		if f.Severity != finding.Info {
			causes = append(causes, f.Message)
		}
	}
	switch len(causes) {
	case 0:
	case 1:
		return causes[0]
	default:
		return fmt.Sprintf("%s (and %d more)", causes[0], len(causes)-1)
	}
	states := map[report.PathState]int{}
	for _, path := range p.Paths {
		states[path.State]++
	}
	text := fmt.Sprintf("%d of %d paths are ok", states[report.PathOK], len(p.Paths))
	if n := states[report.PathUnknown]; n > 0 {
		text += fmt.Sprintf(", %d unknown", n)
	}
	return text
}

// kubeletConfigs are the files in which kubeadm, clouds, and k3s and rke2 keep how the kubelet reaches the API server.
const kubeletConfigs = "/etc/kubernetes/kubelet.conf /var/lib/kubelet/kubeconfig /var/lib/rancher/*/agent/kubelet.kubeconfig"

// checks are commands that try the paths of the named nodes from there.
func (m *Map) checks() []report.PathCheck {
	var list []report.PathCheck
	for _, n := range m.shown {
		name := n.Object.Name
		try := func(from, to, why, command string, answers ...string) {
			next := m.look(why, "", "nodeshell", name, "--", "sh", "-c", command)
			next.Answers = answers
			if len(n.stopped()) > 0 {
				next.Command = command
				next.Why += ", on its console or by SSH: no pod can start there"
			}
			list = append(list, report.PathCheck{Node: name, From: from, To: to, Next: next})
		}
		try("kubelet", "kube-apiserver", "Query the API server at the address that the kubelet uses",
			`curl -sk -m5 "$(cat `+kubeletConfigs+` 2>/dev/null | sed -n 's/^ *server: //p' | head -1)/livez"`,
			`"ok" or any other answer of HTTP, such as 401: the API server is reached; an error of the kubelet is about its credentials`,
			"no answer: a route, a firewall or the load balancer is in the way")
		if m.in.APIAddress != "" {
			try("pods and agents", "kube-apiserver", "Query the API server at the address that pods use",
				"curl -sk -m5 https://"+bracketed(m.in.APIAddress)+"/livez",
				`"ok": the rules for Service addresses work on the node`, "no answer: kube-proxy or the network plugin does not do its work there")
		}
		if p := n.Components.Proxy; p != nil && facts.ProxyPort(p.Pod.Pod, m.in.ProxyHealthz) > 0 {
			try("kube-proxy", "Service rules", "Query the health port of kube-proxy on the node itself",
				fmt.Sprintf("curl -s -m5 http://127.0.0.1:%d/livez", facts.ProxyPort(p.Pod.Pod, m.in.ProxyHealthz)),
				`"lastUpdated" is close to "currentTime": kube-proxy has applied all that it received`,
				"no answer, and its pod is Running: it hangs; delete the pod, and the DaemonSet starts another one")
		}
	}
	return list
}

func bracketed(address string) string {
	if strings.Contains(address, ":") {
		return "[" + address + "]"
	}
	return address
}
