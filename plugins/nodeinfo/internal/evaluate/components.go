package evaluate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// maxMinors is how many minors a kubelet or kube-proxy may be older than the API server; two for kubelets before 1.25
// (https://kubernetes.io/releases/version-skew-policy/).
const maxMinors = 3

func (v *view) runtimeName() string {
	name, _, _ := strings.Cut(v.node.Status.NodeInfo.ContainerRuntimeVersion, "://")
	if name == "" {
		return "container runtime"
	}
	return name
}

func (v *view) components() {
	info := v.node.Status.NodeInfo
	c := &report.Components{
		Kubelet: info.KubeletVersion, APIServer: v.in.ServerVersion,
		OS: report.OS{System: info.OperatingSystem, Image: info.OSImage, Kernel: info.KernelVersion, Arch: info.Architecture},
	}
	c.Runtime.Name, c.Runtime.Version, _ = strings.Cut(info.ContainerRuntimeVersion, "://")
	if c.Runtime.Version == "Unknown" {
		c.Runtime.Version = "" // what the kubelet writes when the runtime does not answer
	}
	v.out.Components = c
	v.checkKubeletSkew(c)
	v.checkRuntime(c)
	if v.read(SourcePods) {
		v.recognise(c)
	}
}

func (v *view) checkKubeletSkew(c *report.Components) {
	kubelet, ok1 := minor(c.Kubelet)
	server, ok2 := minor(c.APIServer)
	if !ok1 || !ok2 {
		return
	}
	behind := server - kubelet
	c.MinorsBehind = &behind
	allowed := maxMinors
	if kubelet < 25 {
		allowed = 2
	}
	evidence := []finding.Evidence{
		{Source: "Node", Path: "status.nodeInfo.kubeletVersion", Value: c.Kubelet},
		{Source: "API server", Path: "/version", Value: c.APIServer},
	}
	switch {
	case behind < 0:
		v.add(KubeletNewerThanServer, fmt.Sprintf("the kubelet (%s) is newer than the API server (%s), which is not supported", c.Kubelet, c.APIServer), evidence,
			finding.Next{Command: v.kubectl("", "get", "nodes", "-L", "kubernetes.io/os", "-o", "wide"), Why: "which nodes are ahead; upgrade the control plane first", Risk: finding.Read})
	case behind > allowed:
		v.add(KubeletTooOld, fmt.Sprintf("the kubelet (%s) is %d minors older than the API server (%s); %d are supported", c.Kubelet, behind, c.APIServer, allowed), evidence,
			finding.Next{Command: v.kubectl("", "drain", v.node.Name, "--ignore-daemonsets"), Why: "empties the node before its kubelet is upgraded", Risk: finding.Change})
	}
}

// minor parses "v1.34.2-eks-113cf36" and "v1.33.1+k3s1" to 34 and 33; only major version 1 exists.
func minor(version string) (int, bool) {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 || parts[0] != "1" {
		return 0, false
	}
	digits := parts[1]
	if at := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); at >= 0 {
		digits = digits[:at]
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// checkRuntime: containerd 1.7 ends with the removal of the kubelet's fallbacks for it in 1.37
// (https://github.com/kubernetes/kubernetes/pull/136846); docker:// after 1.24 is cri-dockerd and fine.
func (v *view) checkRuntime(c *report.Components) {
	kubelet, ok := minor(c.Kubelet)
	if !ok || kubelet < 36 || c.Runtime.Name != "containerd" || !strings.HasPrefix(c.Runtime.Version, "1.") {
		return
	}
	v.add(RuntimeDeprecated, fmt.Sprintf("containerd %s: kubelets from 1.37 on need containerd 2", c.Runtime.Version),
		[]finding.Evidence{{Source: "Node", Path: "status.nodeInfo.containerRuntimeVersion", Value: "containerd://" + c.Runtime.Version}})
}

// recognise finds the network plugin, the proxy, CSI drivers and the DNS cache by their pods on this node, and by the
// annotations that network plugins leave on it.
func (v *view) recognise(c *report.Components) {
	for _, p := range v.index.pods[v.node.Name] {
		if podfact.Finished(p) || p.DeletionTimestamp != nil {
			continue
		}
		known := recognisePod(p)
		if known == nil {
			continue
		}
		component := v.component(known.name, known.evidence, p)
		switch known.kind {
		case kindNetwork:
			c.Network = append(c.Network, component)
			v.checkComponent(NetworkPodNotReady, component, p)
		case kindProxy:
			c.Proxy = &report.Proxy{Component: component}
			v.checkComponent(KubeProxyNotReady, component, p)
		case kindStorage:
			c.Storage = append(c.Storage, component)
			v.checkComponent(StorageDriverNotReady, component, p)
		case kindDNSCache:
			c.DNSCache = append(c.DNSCache, component)
		}
	}
	v.networkByNode(c)
	v.proxy(c)
	for _, list := range [][]report.Component{c.Network, c.Storage, c.DNSCache} {
		slices.SortFunc(list, func(a, b report.Component) int { return strings.Compare(a.Name+" "+a.Pod, b.Name+" "+b.Pod) })
	}
}

func (v *view) component(name, evidence string, p *corev1.Pod) report.Component {
	return report.Component{
		Name: name, Version: imageVersion(p), Evidence: evidence, Pod: p.Namespace + "/" + p.Name,
		Ready: ptr(podfact.Ready(p)), State: podState(p), Restarts: ptr(restartsOf(p)),
	}
}

// checkComponent: a component that crashes again and again, cannot be started, or is not ready for two minutes. A pod that
// is just starting on a joining node is not trouble yet.
func (v *view) checkComponent(code finding.Code, c report.Component, p *corev1.Pod) {
	crash := v.crashing(p)
	if crash == nil && (*c.Ready || v.now.Sub(readySince(p)) < starting && !failedStart(p)) {
		return
	}
	detail := "is not ready: " + c.State
	if crash != nil {
		detail = "crashes: " + crash.text
	}
	f := v.add(code, fmt.Sprintf("%s (%s) on this node %s", c.Name, c.Pod, detail), v.podEvidence(p), v.podNext(p, crash)...)
	about(f, p)
}

// networkByNode adds network plugins that show by annotations or conditions alone: their pod may be gone or run in the
// kubelet's process (k3s).
func (v *view) networkByNode(c *report.Components) {
	known := func(name string) bool {
		return slices.ContainsFunc(c.Network, func(k report.Component) bool { return k.Name == name })
	}
	for _, name := range []string{"calico", "cilium", "flannel", "ovn-kubernetes", "antrea"} {
		for key := range v.node.Annotations {
			if strings.HasPrefix(key, networkAnnotations[name]) && !known(name) {
				c.Network = append(c.Network, report.Component{Name: name, Evidence: "annotations " + networkAnnotations[name] + "* on the node"})
			}
		}
	}
	if unavailable := nodefact.Condition(v.node, corev1.NodeNetworkUnavailable); unavailable != nil {
		if name, ok := networkReasons[unavailable.Reason]; ok && !known(name) {
			c.Network = append(c.Network, report.Component{Name: name, Evidence: "condition NetworkUnavailable: " + unavailable.Reason})
		}
	}
}

// proxy finds kube-proxy's mode, in order of trust: its arguments, its ConfigMap, and the deprecation event of ipvs.
// The compiled-in default is not taken for evidence unless the configuration was read and says nothing
// (https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/).
func (v *view) proxy(c *report.Components) {
	if c.Proxy == nil {
		c.Proxy = v.replacedProxy(c)
		return
	}
	for _, p := range v.index.pods[v.node.Name] {
		if p.Namespace+"/"+p.Name == c.Proxy.Pod {
			c.Proxy.Mode, c.Proxy.ModeEvidence = v.proxyMode(p)
		}
	}
	if c.Proxy.Mode == "ipvs" {
		v.add(IPVSDeprecated, "kube-proxy runs in ipvs mode, which is deprecated since 1.35", []finding.Evidence{{Source: c.Proxy.ModeEvidence, Value: "mode: ipvs"}})
	}
	v.checkProxySkew(c)
}

func (v *view) proxyMode(p *corev1.Pod) (mode, evidence string) {
	config := false
	for _, arg := range containerArgs(p) {
		if m, ok := strings.CutPrefix(arg, "--proxy-mode="); ok && m != "" {
			return m, "argument --proxy-mode"
		}
		config = config || strings.HasPrefix(arg, "--config")
	}
	if config {
		if !v.read(SourceProxyConfig) {
			return "", ""
		}
		if v.in.ProxyMode != "" {
			return v.in.ProxyMode, "ConfigMap kube-system/kube-proxy"
		}
	}
	if v.node.Status.NodeInfo.OperatingSystem == "windows" {
		return "kernelspace", "the default on Windows"
	}
	return "iptables", "the default: neither arguments nor configuration name a mode"
}

func containerArgs(p *corev1.Pod) []string {
	var all []string
	for i := range p.Spec.Containers {
		all = append(append(all, p.Spec.Containers[i].Command...), p.Spec.Containers[i].Args...)
	}
	return all
}

// replacedProxy names what can stand in for kube-proxy. Without evidence nothing is said to be missing.
func (v *view) replacedProxy(c *report.Components) *report.Proxy {
	for _, n := range c.Network {
		if n.Name == "cilium" || n.Name == "ovn-kubernetes" || n.Name == "antrea" {
			return &report.Proxy{Component: report.Component{Name: "no kube-proxy pod", Evidence: n.Name + " can take its place"}}
		}
	}
	if strings.Contains(v.node.Status.NodeInfo.KubeletVersion, "+k3s") || strings.Contains(v.node.Status.NodeInfo.KubeletVersion, "+rke2") {
		return &report.Proxy{Component: report.Component{Name: "kube-proxy", Evidence: "part of the k3s or rke2 process"}}
	}
	return nil
}

func (v *view) checkProxySkew(c *report.Components) {
	proxy, ok1 := minor(c.Proxy.Version)
	server, ok2 := minor(c.APIServer)
	if !ok1 || !ok2 {
		return
	}
	if behind := server - proxy; behind < 0 || behind > maxMinors {
		v.add(ProxyVersionSkew, fmt.Sprintf("kube-proxy (%s) does not fit the API server (%s): it may be at most %d minors older and never newer", c.Proxy.Version, c.APIServer, maxMinors),
			[]finding.Evidence{{Source: "Pod " + c.Proxy.Pod, Path: "spec.containers[0].image", Value: c.Proxy.Version}},
			finding.Next{Command: v.kubectl("kube-system", "get", "daemonset", "kube-proxy", "-o", "wide"), Why: "its image", Risk: finding.Read})
	}
}

// imageVersion is the tag of the pod's first container when it looks like a version.
func imageVersion(p *corev1.Pod) string {
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
