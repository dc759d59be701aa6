package paths

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	sources "github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

type source = sources.Source

const apiServer = "kube-apiserver"

// unknown is a path that was not measured, and why.
func unknown(p report.Path, why string) report.Path {
	p.State, p.Evidence = report.PathUnknown, why
	return p
}

func ok(p report.Path, evidence string) report.Path {
	p.State, p.Evidence = report.PathOK, evidence
	return p
}

func broken(p report.Path, code finding.Code, severity finding.Severity, evidence string) report.Path {
	p.State, p.Code, p.Evidence = report.PathState(severity), code, evidence
	return p
}

// controlPlane is the way of the control plane's parts to each other.
func (m *Map) controlPlane() []report.Path {
	list := []report.Path{m.etcd()}
	for _, part := range []string{"etcd", apiServer} {
		if p, any := m.members(part); any {
			list = append(list, p)
		}
	}
	list = append(list, m.leaders()...)
	if p, any := m.tunnel(); any {
		list = append(list, p)
	}
	return list
}

func (m *Map) etcd() report.Path {
	p := report.Path{Group: report.PathEtcd, From: apiServer, To: "etcd", How: "/readyz"}
	if !m.read(facts.SourceReadyz) {
		return unknown(p, m.why(facts.SourceReadyz))
	}
	var good, bad []string
	for line := range strings.Lines(m.in.Readyz) {
		line = strings.TrimSpace(line)
		if len(line) < 3 || !strings.HasPrefix(line[3:], "etcd") {
			continue
		}
		if name, _, _ := strings.Cut(line[3:], " "); strings.HasPrefix(line, "[+]") {
			good = append(good, name)
		} else {
			bad = append(bad, name)
		}
	}
	switch {
	case len(bad) > 0:
		return broken(p, machine.APIServerNotReady, finding.Critical, "failed: "+strings.Join(bad, ", "))
	case len(good) == 0:
		return unknown(p, "/readyz has no check of etcd")
	}
	return ok(p, "checks "+strings.Join(good, ", ")+" of the API server that answered")
}

// members are the pods of a part of the control plane that runs as static pods.
func (m *Map) members(part string) (report.Path, bool) {
	p := report.Path{Group: report.PathEtcd, From: part, To: part + " members", How: "static pods"}
	if part == apiServer {
		p.To, p.How = "itself", "static pods"
	}
	total, ready, failed, starts := 0, 0, "", ""
	var silent []string // nodes whose API server says that it is not ready, or says nothing
	var worst finding.Code
	for _, n := range m.Nodes {
		for _, c := range n.ControlPlane.StaticPods {
			if c.Name != part {
				continue
			}
			total++
			code, _, _ := n.found(machine.ControlPlaneComponentNotReady)
			local, _, _ := n.found(servers...)
			switch {
			case part == apiServer && local != "":
				silent = append(silent, n.Object.Name)
				worst = local
			case c.Pod.Ready():
				ready++
			case code != "":
				failed = c.PodName()
			default:
				starts = c.PodName() // or has failed a moment ago: its rule waits for a minute
			}
		}
	}
	text := fmt.Sprintf("%d of %d pods are ready", ready, total)
	switch {
	case total == 0, part == apiServer && total == 1:
		return p, false // one that answers says all that its pod could
	case len(silent) > 0:
		return broken(p, worst, rules.SeverityOf(worst), text+"; not on "+named(silent)), true
	case failed != "":
		return broken(p, machine.ControlPlaneComponentNotReady, finding.Critical, text+"; not "+failed), true
	case starts != "":
		return unknown(p, text+"; "+starts+" starts"), true
	}
	return ok(p, text), true
}

func (m *Map) leaders() []report.Path {
	var list []report.Path
	for _, name := range facts.Electing() {
		p := report.Path{Group: report.PathLeader, From: name, To: apiServer, How: "leader Lease"}
		if !m.read(facts.SourceSystemLeases) {
			if name != facts.CloudControllers {
				list = append(list, unknown(p, m.why(facts.SourceSystemLeases)))
			}
			continue
		}
		var l *report.Leader
		if len(m.Nodes) > 0 {
			l = m.Nodes[0].ControlPlane.Leader(name)
		}
		switch {
		case l == nil && name == facts.CloudControllers:
			continue // most clusters have none
		case l == nil:
			p = unknown(p, "it has no Lease: it elects no leader, or is not visible in this cluster")
		case l.ElectionOff:
			p = unknown(p, "it runs with --leader-elect=false and renews no Lease")
		case l.RenewTime == nil:
			p = unknown(p, "its Lease was never renewed")
		case l.Expired:
			p = broken(p, machine.LeaderLeaseExpired, finding.Critical, "no leader: last renewed "+output.Age(m.now.Sub(*l.RenewTime))+" ago")
		default:
			p = ok(p, "renewed "+output.Age(m.now.Sub(*l.RenewTime))+" ago")
		}
		list = append(list, p)
	}
	return list
}

// tunnel is the way of an API server into a network that it does not share, where its agents run.
func (m *Map) tunnel() (report.Path, bool) {
	p := report.Path{Group: report.PathTunnel, From: "konnectivity-agent", To: apiServer, How: "readiness of its pods"}
	pods := m.pods("k8s-app", "konnectivity-agent")
	if len(pods) == 0 {
		return p, false
	}
	ready := 0
	for _, pod := range pods {
		if podfact.Ready(pod) {
			ready++
		}
	}
	text := fmt.Sprintf("%d of %d pods are ready", ready, len(pods))
	if ready == 0 {
		return unknown(p, text), true // a pod that is not ready says not that its tunnel is down
	}
	return ok(p, text), true
}

// ofNodes is the way between each node and the control plane.
func (m *Map) ofNodes() []report.Path {
	var list []report.Path
	for _, path := range []func(*Node) (report.Path, bool){m.heartbeat, m.kubelet, m.proxy, m.network} {
		for _, n := range m.shown {
			if p, any := path(n); any {
				p.Node = n.Object.Name
				list = append(list, p)
			}
		}
	}
	return list
}

func (m *Map) heartbeat(n *Node) (report.Path, bool) {
	p := report.Path{Group: report.PathHeartbeat, From: "kubelet/" + n.Object.Name, To: apiServer, How: "heartbeat Lease"}
	h := n.Readiness.Heartbeat
	text := fmt.Sprintf("renewed %s ago, valid for %ds", output.Age(h.Age), int64(h.Duration.Seconds()))
	code, severity, message := n.found(heartbeat...)
	switch {
	case code != "" && h.Beat != nodefact.NoBeat:
		return broken(p, code, severity, text), true
	case code != "":
		return broken(p, code, severity, message), true
	case !m.read(facts.SourceLeases):
		return unknown(p, m.why(facts.SourceLeases)), true
	case h.Beat == nodefact.Fresh:
		return ok(p, text), true
	case h.Beat == nodefact.NoBeat:
		return unknown(p, "no heartbeat Lease exists"), true
	}
	return unknown(p, text), true
}

func (m *Map) kubelet(n *Node) (report.Path, bool) {
	p := report.Path{Group: report.PathKubelet, From: apiServer, To: "kubelet/" + n.Object.Name, How: "/healthz"}
	s := n.Sources.Get(facts.SourceKubelet)
	code, severity, message := n.found(kubelet...)
	switch k := n.Kubelet; {
	case k != nil && k.Healthy:
		return ok(p, "the kubelet answers"), true
	case k != nil && s.Readable() && code != "":
		return broken(p, code, severity, k.Message), true
	case k != nil && s.Readable():
		code, severity, _ = n.found(heartbeat...)
		if code == "" {
			return unknown(p, k.Message), true
		}
		return broken(p, code, severity, k.Message), true
	case code != "":
		return broken(p, code, severity, message), true
	case m.asked(n, facts.SourceKubelet):
		return unknown(p, s.Reason()), true
	}
	return unknown(p, "not asked (--kubelet)"), true
}

func (m *Map) proxy(n *Node) (report.Path, bool) {
	p := report.Path{Group: report.PathProxy, From: "kube-proxy/" + n.Object.Name, To: "Service rules", How: "pod, health port"}
	proxy := n.Components.Proxy
	code, severity, message := n.found(workload.KubeProxyNotReady, workload.DaemonSetPodMissing)
	health, asked := n.ProxyHealth, n.Sources.Get(facts.SourceProxyHealth)
	switch {
	case !m.read(facts.SourcePods):
		return unknown(p, m.why(facts.SourcePods)), true
	case code == workload.DaemonSetPodMissing && proxy != nil: // it is another DaemonSet's
	case code != "":
		return broken(p, code, severity, message), true
	}
	switch stopped := n.stopped(); {
	case proxy == nil && n.Components.Instead != "":
		return unknown(p, n.Components.Instead+" may take its place"), true
	case proxy == nil && n.Components.BuiltIn:
		return unknown(p, "it is part of the k3s or rke2 process"), true
	case proxy == nil:
		return unknown(p, "no kube-proxy pod on the node"), true
	case len(stopped) > 0:
		return unknown(p, "unknown while "+string(stopped[0])), true
	case health != nil && health.Healthy:
		return ok(p, "it has applied what it received (livez)"), true
	case health != nil:
		return unknown(p, health.Message), true
	case asked.Name == facts.SourceProxyHealth && asked.State == sources.Skipped && m.asked(n, facts.SourceProxyHealth):
		return unknown(p, asked.Reason()), true
	}
	return unknown(p, "pod is "+proxy.Pod.State+"; its health is not asked (--kubelet)"), true
}

// asked says whether there is an entry of a source for the node.
func (m *Map) asked(n *Node, name string) bool {
	return slices.ContainsFunc(m.in.NodeSources[n.Object.Name], func(s source) bool { return s.Name == name })
}

func (m *Map) network(n *Node) (report.Path, bool) {
	p := report.Path{Group: report.PathNetwork, From: "network plugin/" + n.Object.Name, To: "pod network", How: "agent pod, Ready"}
	code, severity, message := n.found(network...)
	agents := make([]string, 0, 1)
	for i := range n.Components.Network {
		agents = append(agents, n.Components.Network[i].Name)
	}
	stopped := n.stopped()
	switch {
	case code != "":
		return broken(p, code, severity, message), true
	case len(stopped) > 0:
		return unknown(p, "unknown while "+string(stopped[0])), true
	case n.Readiness.State != nodefact.Ready:
		return unknown(p, "the node is not Ready"), true
	case !m.read(facts.SourcePods):
		return unknown(p, "the kubelet reports a ready network; the agent is not checked: "+m.why(facts.SourcePods)), true
	case len(agents) == 0 && m.agentsUnread() != "":
		return unknown(p, "the kubelet reports a ready network; the agent is not checked: "+m.agentsUnread()), true
	case len(agents) == 0:
		return ok(p, "the kubelet reports a ready network; no agent of a known plugin"), true
	}
	return ok(p, "the kubelet reports a ready network; agent "+strings.Join(agents, ", ")+" has no problem"), true
}

// agentsUnread is why agents of network plugins may run unseen: it is not known in which namespace, or that was not read.
func (m *Map) agentsUnread() string {
	for _, s := range m.in.Sources {
		if (s.Name == facts.SourceDaemonSets || strings.HasPrefix(s.Name, facts.SourcePods+" in ")) && !s.Readable() {
			return s.Reason()
		}
	}
	return ""
}

// ofServices is the way to what serves the cluster: DNS, metrics, aggregated APIs and webhooks.
func (m *Map) ofServices() []report.Path {
	list := []report.Path{m.dns()}
	list = append(list, m.metrics()...)
	for _, s := range m.services {
		for _, api := range s.API {
			list = append(list, m.api(s, api))
		}
	}
	for _, name := range []string{facts.SourceAPIServices, facts.SourceMutating, facts.SourceValidating} {
		if !m.read(name) {
			group := report.PathWebhook
			if name == facts.SourceAPIServices {
				group = report.PathAggregated
			}
			list = append(list, unknown(report.Path{Group: group, From: apiServer, To: name, How: "their Services"}, m.why(name)))
		}
	}
	for _, s := range m.services {
		for _, w := range s.Webhooks {
			list = append(list, m.webhook(s, w))
		}
	}
	sorting.Stable(list, func(a, b report.Path) int {
		if a.Group == report.PathWebhook && b.Group == report.PathWebhook {
			return strings.Compare(a.To, b.To)
		}
		return 0
	})
	return list
}

func (m *Map) dns() report.Path {
	p := report.Path{Group: report.PathDNS, From: "CoreDNS", To: apiServer, How: "readiness of its pods"}
	if !m.read(facts.SourcePods) {
		return unknown(p, m.why(facts.SourcePods))
	}
	pods := m.pods("k8s-app", "kube-dns")
	ready := 0
	for _, pod := range pods {
		if podfact.Ready(pod) {
			ready++
		}
	}
	text := fmt.Sprintf("%d of %d pods are ready", ready, len(pods))
	switch {
	case len(pods) == 0:
		return unknown(p, "no pod with label k8s-app=kube-dns in kube-system")
	case ready > 0:
		return ok(p, text+": they have read Services at least once")
	case len(dnsPodsNotReady.Check(m)) == 0:
		return unknown(p, text+": they are starting")
	}
	return broken(p, DNSPodsNotReady, finding.Critical, text)
}

func (m *Map) metrics() []report.Path {
	p := report.Path{Group: report.PathMetrics, From: "metrics-server", To: "kubelets", How: "age of its figures"}
	if !m.read(facts.SourceMetrics) {
		return []report.Path{unknown(p, m.why(facts.SourceMetrics))}
	}
	var list []report.Path
	for _, n := range m.shown {
		p.To, p.Node = "kubelet/"+n.Object.Name, n.Object.Name
		switch at := slices.IndexFunc(m.in.Metrics, func(s facts.NodeMetrics) bool { return s.Metadata.Name == n.Object.Name }); {
		case n.Unsampled:
			list = append(list, broken(p, NodeMetricsMissing, finding.Warning, "no figures within the last 3m"))
		case at < 0:
			list = append(list, unknown(p, "no figures yet of a node that has just joined"))
		default:
			list = append(list, ok(p, "measured "+output.Age(max(0, m.now.Sub(m.in.Metrics[at].Timestamp)))+" ago"))
		}
	}
	return list
}

func (m *Map) api(s *Service, api *backend.API) report.Path {
	p := report.Path{Group: report.PathAggregated, From: apiServer, To: api.Name, How: "condition Available"}
	switch {
	case m.apiFails(api):
		return broken(p, AggregatedAPIUnavailable, finding.Warning, api.Reason+" (Service "+s.name()+")")
	case api.Available == "True" && s.Unread == "" && s.State.Fails():
		return unknown(p, "condition True, but "+s.trouble())
	case api.Available == "True":
		return ok(p, "the API server reaches Service "+s.name())
	case api.Available == "False":
		return unknown(p, api.Reason+", for less than a minute")
	}
	return unknown(p, "the API server has not tried it yet")
}

func webhookPath(w *backend.Webhook) report.Path {
	return report.Path{Group: report.PathWebhook, From: apiServer, To: "webhook " + w.Configuration + "/" + w.Name, How: "endpoints, events"}
}

func (m *Map) webhook(s *Service, w *backend.Webhook) report.Path {
	p := webhookPath(w)
	last := m.failure(w)
	switch {
	case m.fails(w) && (s.Unread != "" || !s.State.Fails()):
		return broken(p, WebhookUnavailable, finding.Critical, last.why(m.now))
	case s.Unread != "":
		return unknown(p, s.Unread)
	case s.State == backend.Elsewhere:
		return unknown(p, "the Service has no cluster IP: its endpoints do not tell")
	case !s.State.Fails() && last != nil:
		return unknown(p, last.why(m.now))
	case !s.State.Fails():
		return ok(p, "Service "+s.name()+" has "+output.Plural(s.Ready, "ready endpoint"))
	case len(w.Rules) == 0:
		return broken(p, "", finding.Info, s.trouble()+"; it has no rules, and is never called")
	case w.Ignored:
		return broken(p, WebhookUnavailable, finding.Warning, s.trouble())
	}
	return broken(p, WebhookUnavailable, finding.Critical, s.trouble())
}
