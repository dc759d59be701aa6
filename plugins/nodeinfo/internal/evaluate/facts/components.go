package facts

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Version is a version and its minor, if it can be read.
type Version struct {
	Text  string
	Minor int
	Known bool
}

// Runtime is the container runtime; the version is empty where the runtime does not answer the kubelet.
type Runtime struct{ Name, Version string }

// Components are the programs that make the node work.
type Components struct {
	Kubelet, Server Version
	Runtime         Runtime

	// By their pods on this node, and by what network plugins leave on it; by name and pod.
	Network, Storage, DNSCache []Component

	Proxies      []Component // pods of kube-proxy
	Proxy        *Component  // the one that is reported; nil: there is no such pod
	ProxyVersion Version
	Mode         ProxyMode
	Instead      string // what can take kube-proxy's place where it has no pod; empty: not known
	BuiltIn      bool   // kube-proxy is part of the k3s or rke2 process
}

// Component is a program that makes the node or the cluster work, and its pod here; without a pod it shows by the node alone.
type Component struct {
	component.Known

	Pod *Pod
}

// ProxyMode is kube-proxy's mode and what tells it; empty when it cannot be known.
type ProxyMode struct{ Name, Evidence string }

func (c *Cluster) components(n *Node) Components {
	info := n.Object.Status.NodeInfo
	out := Components{Kubelet: version(info.KubeletVersion), Server: version(c.in.ServerVersion)}
	out.Runtime.Name, out.Runtime.Version, _ = strings.Cut(info.ContainerRuntimeVersion, "://")
	if out.Runtime.Version == "Unknown" {
		out.Runtime.Version = "" // what the kubelet writes when the runtime does not answer
	}
	if !n.Read(SourcePods) {
		return out
	}
	for _, p := range n.Pods {
		if p.Component == nil || p.Ends() {
			continue
		}
		switch found := *p.Component; found.Role {
		case component.NetworkPlugin:
			out.Network = append(out.Network, found)
		case component.ServiceProxy:
			out.Proxies = append(out.Proxies, found)
		case component.VolumeDriver:
			out.Storage = append(out.Storage, found)
		case component.DNSCache:
			out.DNSCache = append(out.DNSCache, found)
		}
	}
	out.networkByNode(n.Object)
	c.proxy(n, &out)
	for _, list := range [][]Component{out.Network, out.Storage, out.DNSCache} {
		sorting.Func(list, func(a, b Component) int { return strings.Compare(a.Name+" "+a.PodName(), b.Name+" "+b.PodName()) })
	}
	return out
}

// PodName is namespace/name of the component's pod; empty where it has none.
func (c *Component) PodName() string {
	if c.Pod == nil {
		return ""
	}
	return c.Pod.Namespace + "/" + c.Pod.Name
}

// networkByNode adds network plugins that show by annotations or conditions alone: their pod may be gone or run in the
// kubelet's process (k3s).
func (c *Components) networkByNode(n *corev1.Node) {
	known := func(name string) bool {
		return slices.ContainsFunc(c.Network, func(k Component) bool { return k.Name == name })
	}
	for _, name := range []string{"calico", "cilium", "flannel", "ovn-kubernetes", "antrea"} {
		for key := range n.Annotations {
			if strings.HasPrefix(key, component.NetworkAnnotations[name]) && !known(name) {
				c.Network = append(c.Network, Component{Known: component.Known{
					Name: name, Evidence: "node annotations " + component.NetworkAnnotations[name] + "*",
				}})
			}
		}
	}
	if unavailable := nodefact.Condition(n, corev1.NodeNetworkUnavailable); unavailable != nil {
		if name, ok := component.NetworkReasons[unavailable.Reason]; ok && !known(name) {
			c.Network = append(c.Network, Component{Known: component.Known{
				Name: name, Evidence: "node condition NetworkUnavailable: " + unavailable.Reason,
			}})
		}
	}
}

// proxy finds kube-proxy and its mode, or what can stand in for it. Without evidence nothing is said to be missing.
func (c *Cluster) proxy(n *Node, out *Components) {
	if len(out.Proxies) > 0 {
		out.Proxy = &out.Proxies[len(out.Proxies)-1]
		out.ProxyVersion = version(out.Proxy.Pod.ImageVersion())
		out.Mode = c.proxyMode(n, out.Proxy.Pod)
		return
	}
	for _, plugin := range out.Network {
		if plugin.Name == "cilium" || plugin.Name == "ovn-kubernetes" || plugin.Name == "antrea" {
			out.Instead = plugin.Name
			return
		}
	}
	out.BuiltIn = strings.Contains(out.Kubelet.Text, "+k3s") || strings.Contains(out.Kubelet.Text, "+rke2")
}

// proxyMode goes, in order of trust, by kube-proxy's arguments and its ConfigMap. The compiled-in default is not taken for
// evidence unless the configuration was read and says nothing
// (https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/).
func (c *Cluster) proxyMode(n *Node, p *Pod) ProxyMode {
	config := false
	for _, arg := range containerArgs(p.Pod) {
		if m, ok := strings.CutPrefix(arg, "--proxy-mode="); ok && m != "" {
			return ProxyMode{m, "argument --proxy-mode"}
		}
		config = config || strings.HasPrefix(arg, "--config")
	}
	if config {
		if !n.Read(SourceProxyConfig) {
			return ProxyMode{}
		}
		if c.in.ProxyMode != "" {
			return ProxyMode{c.in.ProxyMode, "ConfigMap kube-system/kube-proxy"}
		}
	}
	if n.Object.Status.NodeInfo.OperatingSystem == "windows" {
		return ProxyMode{"kernelspace", "default on Windows"}
	}
	return ProxyMode{"iptables", "default: neither the arguments nor the configuration set a mode"}
}

func containerArgs(p *corev1.Pod) []string {
	var all []string
	for i := range p.Spec.Containers {
		all = append(append(all, p.Spec.Containers[i].Command...), p.Spec.Containers[i].Args...)
	}
	return all
}

// ImageVersion is the tag of the pod's first container when it looks like a version.
func (p *Pod) ImageVersion() string {
	if len(p.Spec.Containers) == 0 {
		return ""
	}
	image, _, _ := strings.Cut(p.Spec.Containers[0].Image, "@")
	at := strings.LastIndex(image, ":")
	if at < 0 || strings.Contains(image[at:], "/") {
		return ""
	}
	tag := image[at+1:]
	if trimmed := strings.TrimPrefix(tag, "v"); trimmed == "" || trimmed[0] < '0' || trimmed[0] > '9' {
		return ""
	}
	return tag
}

// Version is a Kubernetes component's, by the tag of its image; not known for an image of another name or without a tag.
func (c *Component) Version() Version {
	if c.Pod == nil || len(c.Pod.Spec.Containers) == 0 {
		return Version{}
	}
	if image := c.Pod.Spec.Containers[0].Image; !strings.Contains(image[strings.LastIndex(image, "/")+1:], "kube") {
		return Version{}
	}
	return version(c.Pod.ImageVersion())
}

// version reads "v1.34.2-eks-113cf36" and "v1.33.1+k3s1" as 34 and 33; only major version 1 exists.
func version(text string) Version {
	v := Version{Text: text}
	parts := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(parts) < 2 || parts[0] != "1" {
		return v
	}
	digits := parts[1]
	if at := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); at >= 0 {
		digits = digits[:at]
	}
	n, err := strconv.Atoi(digits)
	v.Minor, v.Known = n, err == nil
	return v
}

// Behind is how many minors a version is older than the API server's, negative for a newer one; false: not known.
func (c *Components) Behind(v Version) (int, bool) {
	return c.Server.Minor - v.Minor, c.Server.Known && v.Known
}
