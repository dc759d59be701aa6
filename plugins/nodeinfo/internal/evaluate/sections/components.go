package sections

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func components(n *facts.Node) *report.Components {
	c, info := &n.Components, n.Object.Status.NodeInfo
	out := &report.Components{
		Kubelet: c.Kubelet.Text, APIServer: c.Server.Text, Runtime: report.Runtime(c.Runtime),
		OS:      report.OS{System: info.OperatingSystem, Image: info.OSImage, Kernel: info.KernelVersion, Arch: info.Architecture},
		Network: reported(c.Network), Storage: reported(c.Storage), DNSCache: reported(c.DNSCache), Proxy: proxy(c),
	}
	if behind, known := c.Behind(c.Kubelet); known {
		out.MinorsBehind = &behind
	}
	if n.Events.Newest(facts.CgroupV1) != nil {
		out.OS.Cgroups = "v1"
	}
	return out
}

func reported(list []facts.Component) []report.Component {
	var out []report.Component
	for i := range list {
		out = append(out, component(&list[i]))
	}
	return out
}

func component(c *facts.Component) report.Component {
	if c.Pod == nil {
		return report.Component{Name: c.Name, Evidence: c.Evidence}
	}
	return report.Component{
		Name: c.Name, Version: c.Pod.ImageVersion(), Evidence: c.Evidence, Pod: c.PodName(),
		Ready: ptr(c.Pod.Ready()), State: c.Pod.State, Restarts: ptr(c.Pod.Restarts),
	}
}

// proxy is kube-proxy or what can stand in for it. Without evidence nothing is said to be missing.
func proxy(c *facts.Components) *report.Proxy {
	switch {
	case c.Proxy != nil:
		return &report.Proxy{Component: component(c.Proxy), Mode: c.Mode.Name, ModeEvidence: c.Mode.Evidence}
	case c.Instead != "":
		return &report.Proxy{Component: report.Component{Name: "no kube-proxy pod", Evidence: c.Instead + " can replace kube-proxy"}}
	case c.BuiltIn:
		return &report.Proxy{Component: report.Component{Name: "kube-proxy", Evidence: "part of the k3s or rke2 process"}}
	}
	return nil
}

func controlPlane(n *facts.Node) *report.ControlPlane {
	c := &n.ControlPlane
	out := &report.ControlPlane{StaticPods: reported(c.StaticPods), Leases: slices.Clone(c.Leaders), Failed: c.Failed, Readyz: c.Readyz()}
	for i := range out.Leases {
		at := slices.IndexFunc(c.StaticPods, func(p facts.Component) bool { return p.Name == out.Leases[i].Name })
		if v := version(c.StaticPods, at); out.Leases[i].OnThisNode && v.Known {
			out.Leases[i].Version = v.Text
		}
	}
	for i := range c.Servers {
		s := &c.Servers[i]
		server := report.APIServer{Host: s.Host, OnThisNode: s.OnThisNode, AgeSeconds: int64(s.Age.Seconds())}
		if v := s.Version(); v.Known {
			server.Version = v.Text
		}
		out.APIServers = append(out.APIServers, server)
	}
	if out.StaticPods == nil && out.Leases == nil && out.APIServers == nil && out.Readyz == "" {
		return nil
	}
	return out
}

// version is that of a component, if there is one at that place.
func version(list []facts.Component, at int) facts.Version {
	if at < 0 {
		return facts.Version{}
	}
	return list[at].Version()
}
