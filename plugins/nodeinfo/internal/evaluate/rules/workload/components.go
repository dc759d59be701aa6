package workload

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// The programs that make the node work: their versions, and their pods.
const (
	KubeletNewerThanAPIServer  finding.Code = "KubeletNewerThanAPIServer"
	KubeletTooOld              finding.Code = "KubeletTooOld"
	KubeProxyVersionSkew       finding.Code = "KubeProxyVersionSkew"
	ContainerRuntimeDeprecated finding.Code = "ContainerRuntimeDeprecated"
	CgroupV1                   finding.Code = "CgroupV1"
	IPVSDeprecated             finding.Code = "IPVSDeprecated"
	NetworkPluginPodNotReady   finding.Code = "NetworkPluginPodNotReady"
	KubeProxyNotReady          finding.Code = "KubeProxyNotReady"
	CSIDriverPodNotReady       finding.Code = "CSIDriverPodNotReady"
)

// maxMinors is how many minors a kubelet or kube-proxy may be older than the API server; two for kubelets before 1.25
// (https://kubernetes.io/releases/version-skew-policy/).
const maxMinors = 3

var kubeletNewerThanAPIServer = rule{
	Entry: finding.Entry{
		Code:     KubeletNewerThanAPIServer,
		Severity: finding.Warning,
		Title:    "Kubelet is newer than the API server",
		Meaning:  "A kubelet must not be newer than any API server.",
		Evidence: "Node status.nodeInfo.kubeletVersion against /version of the API server, and the images of those whose static pods were read.",
		Next:     "Upgrade the control plane first.",
	},
	Check: checkKubeletNewerThanAPIServer,
}

func checkKubeletNewerThanAPIServer(c *subject.Case) []finding.Finding {
	v := &c.Components
	evidence := kubeletVersions(c)
	server, of := v.Server, "the API server"
	for i := range c.ControlPlane.Servers { // the oldest counts
		s := &c.ControlPlane.Servers[i]
		if own := s.Version(); own.Known && (!server.Known || own.Minor < server.Minor) {
			server, of = own, "kube-apiserver on "+s.Host
			evidence[1] = finding.Evidence{Source: "Pod " + s.PodName(), Path: "spec.containers[0].image", Value: own.Text}
		}
	}
	if !v.Kubelet.Known || !server.Known || v.Kubelet.Minor <= server.Minor {
		return nil
	}
	message := fmt.Sprintf("the kubelet (%s) is newer than %s (%s), which is not supported", v.Kubelet.Text, of, server.Text)
	return c.One(message, evidence,
		c.Look("List the kubelet versions of all nodes; upgrade the control plane first", "",
			"get", "nodes", "-L", "kubernetes.io/os", "-o", "wide"))
}

var kubeletTooOld = rule{
	Entry: finding.Entry{
		Code:     KubeletTooOld,
		Severity: finding.Warning,
		Title:    "Kubelet is too old for the API server",
		Meaning:  "A kubelet may be at most three minor versions older than the API server (two before 1.25).",
		Evidence: "Node status.nodeInfo.kubeletVersion against /version of the API server.",
		Next:     "Upgrade or replace the node.",
	},
	Check: checkKubeletTooOld,
}

func checkKubeletTooOld(c *subject.Case) []finding.Finding {
	v, allowed := &c.Components, maxMinors
	if v.Kubelet.Minor < 25 {
		allowed = 2
	}
	behind, known := v.Behind(v.Kubelet)
	if !known || behind <= allowed {
		return nil
	}
	message := fmt.Sprintf("the kubelet (%s) is %d minor versions older than the API server (%s): %d are supported",
		v.Kubelet.Text, behind, v.Server.Text, allowed)
	return c.One(message, kubeletVersions(c),
		c.Change("Drain the node before you upgrade the kubelet", "drain", c.Object.Name, "--ignore-daemonsets"))
}

func kubeletVersions(c *subject.Case) []finding.Evidence {
	return []finding.Evidence{
		{Source: "Node", Path: "status.nodeInfo.kubeletVersion", Value: c.Components.Kubelet.Text},
		{Source: "API server", Path: "/version", Value: c.Components.Server.Text},
	}
}

var kubeProxyVersionSkew = rule{
	Entry: finding.Entry{
		Code:     KubeProxyVersionSkew,
		Severity: finding.Warning,
		Title:    "kube-proxy version skew is not supported",
		Meaning:  "kube-proxy must not be newer than the API server, nor more than three minor versions older.",
		Evidence: "Image tag of the kube-proxy pod on the node against /version of the API server.",
		Next:     "Update the kube-proxy DaemonSet.",
	},
	Check: checkKubeProxyVersionSkew,
}

func checkKubeProxyVersionSkew(c *subject.Case) []finding.Finding {
	v := &c.Components
	behind, known := v.Behind(v.ProxyVersion)
	if !known || behind >= 0 && behind <= maxMinors {
		return nil
	}
	message := fmt.Sprintf("kube-proxy %s does not match API server %s: only 0 to %d minor versions older is supported",
		v.ProxyVersion.Text, v.Server.Text, maxMinors)
	evidence := finding.Evidence{Source: "Pod " + v.Proxy.PodName(), Path: "spec.containers[0].image", Value: v.ProxyVersion.Text}
	return c.One(message, []finding.Evidence{evidence},
		c.Look("Check the image of the kube-proxy DaemonSet", "kube-system", "get", "daemonset", "kube-proxy", "-o", "wide"))
}

var containerRuntimeDeprecated = rule{
	Entry: finding.Entry{
		Code:     ContainerRuntimeDeprecated,
		Severity: finding.Info,
		Title:    "Container runtime version is deprecated",
		Meaning:  "The node runs containerd 1.x, which kubelets from 1.37 do not support.",
		Evidence: "Node status.nodeInfo.containerRuntimeVersion.",
		Next:     "Upgrade the container runtime with the next node image.",
	},
	Check: checkContainerRuntimeDeprecated,
}

// checkContainerRuntimeDeprecated: containerd 1.7 ends with the removal of the kubelet's fallbacks for it in 1.37
// (https://github.com/kubernetes/kubernetes/pull/136846); docker:// after 1.24 is cri-dockerd and fine.
func checkContainerRuntimeDeprecated(c *subject.Case) []finding.Finding {
	kubelet, runtime := c.Components.Kubelet, c.Components.Runtime
	if !kubelet.Known || kubelet.Minor < 36 || runtime.Name != "containerd" || !strings.HasPrefix(runtime.Version, "1.") {
		return nil
	}
	return c.One(fmt.Sprintf("containerd %s is deprecated: kubelets from 1.37 require containerd 2", runtime.Version),
		[]finding.Evidence{{Source: "Node", Path: "status.nodeInfo.containerRuntimeVersion", Value: "containerd://" + runtime.Version}})
}

var cgroupV1 = rule{
	Entry: finding.Entry{
		Code:     CgroupV1,
		Severity: finding.Info,
		Title:    "Node uses cgroup v1 (deprecated)",
		Meaning:  "The node uses cgroup v1, which is deprecated: kubelets from 1.35 do not start on it unless configured to.",
		Evidence: "CgroupV1 event of the kubelet.",
		Next:     "Plan a node image with cgroup v2.",
	},
	Check: checkCgroupV1,
}

func checkCgroupV1(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, e := range c.Events.Folded {
		if e.Reason == facts.CgroupV1 {
			list = append(list, c.Found("the node uses cgroup v1, which is deprecated", []finding.Evidence{
				{Source: "Event", Path: e.Reason, Value: "the kubelet detected cgroup v1 when it started", Time: &e.Last},
			}))
		}
	}
	return list
}

var ipvsDeprecated = rule{
	Entry: finding.Entry{
		Code:     IPVSDeprecated,
		Severity: finding.Info,
		Title:    "kube-proxy uses ipvs mode (deprecated)",
		Meaning:  "The ipvs mode of kube-proxy is deprecated since 1.35.",
		Evidence: "Mode in the arguments or the configuration of kube-proxy.",
		Next:     "Plan the change to nftables mode.",
	},
	Check: checkIPVSDeprecated,
}

func checkIPVSDeprecated(c *subject.Case) []finding.Finding {
	mode := c.Components.Mode
	if mode.Name != "ipvs" {
		return nil
	}
	return c.One("kube-proxy uses ipvs mode, which is deprecated since 1.35",
		[]finding.Evidence{{Source: mode.Evidence, Value: "mode: ipvs"}})
}

// withoutNetwork is what a node says that has no network plugin. Its agent runs in the node's own network, and needs none.
var withoutNetwork = []finding.Code{machine.NetworkPluginNotReady, machine.NetworkUnavailable}

var networkPluginPodNotReady = rule{
	Entry: finding.Entry{
		Code:     NetworkPluginPodNotReady,
		Severity: finding.Warning,
		Title:    "Network plugin pod is not ready",
		Meaning: "The network plugin agent on the node is not ready: new pods may get no network, and routes and policies may be out of date. " +
			"Critical if the node itself is not ready for want of a network plugin.",
		Evidence: "Pod status.containerStatuses: crash looping, failed to start, or not ready for two minutes.",
		Next:     "Read the log of the pod.",
	},
	CausedBy: machine.PressureBut(withoutNetwork...),
	Explains: withoutNetwork,
	Check:    checkNetworkPluginPodNotReady,
}

func checkNetworkPluginPodNotReady(c *subject.Case) []finding.Finding {
	list := subject.Beginning(time.Time{}, unready(c, c.Components.Network)) // its crashes are later than what it did not do
	if c.Cause == facts.NetworkDown {
		for i := range list { // it is why the node is not ready
			list[i].Severity, list[i].Message = finding.Critical, "the node has no pod network: "+list[i].Message
		}
	}
	return list
}

var kubeProxyNotReady = rule{
	Entry: finding.Entry{
		Code:     KubeProxyNotReady,
		Severity: finding.Warning,
		Title:    "kube-proxy is not ready",
		Meaning: "kube-proxy on the node is not ready, or is running and serves no health: rules for Service addresses are not updated " +
			"there, for example because the API server rejects its requests.",
		Evidence: "Pod status.containerStatuses: crash looping, failed to start, or not ready for two minutes; answer of its health port " +
			"10256 through the pod (get pods/proxy).",
		Next: "Read the log of the pod.",
	},
	CausedBy: machine.PressureCodes,
	Check:    checkKubeProxyNotReady,
}

func checkKubeProxyNotReady(c *subject.Case) []finding.Finding {
	list := unready(c, c.Components.Proxies)
	h, proxy := c.ProxyHealth, c.Components.Proxy
	if len(list) > 0 || h == nil || h.Healthy || proxy == nil || proxy.Pod == nil || c.Age(proxy.Pod.StartedAt()) < c.Limits.PodStart {
		return list
	}
	message := fmt.Sprintf("kube-proxy (%s) on this node is running but does not work: its health port %d refuses connections",
		proxy.PodName(), h.Port)
	if !h.Refused {
		message = fmt.Sprintf("kube-proxy (%s) on this node reports that it does not update its rules", proxy.PodName())
	}
	evidence := []finding.Evidence{{Source: "kube-proxy " + proxy.PodName(), Path: fmt.Sprintf(":%d/livez", h.Port), Value: h.Message}}
	next := []finding.Next{
		subject.Answered(c.Look("Read the log of kube-proxy", proxy.Pod.Namespace, "logs", proxy.Pod.Name, "--tail=50"),
			`"forbidden": its ClusterRoleBinding (system:node-proxier for the ServiceAccount kube-proxy) is missing`,
			`"connection refused", "timeout": kube-proxy cannot reach the API server`),
		subject.OnNode(fmt.Sprintf("curl -s -m5 http://127.0.0.1:%d/livez; ss -ltn", h.Port),
			"On the node, query the health port, and list what listens",
			"an answer here: a firewall rejects the API server, and kube-proxy works"),
	}
	return append(list, subject.About(c.Found(message, evidence, next...), proxy.Pod))
}

var csiDriverPodNotReady = rule{
	Entry: finding.Entry{
		Code:     CSIDriverPodNotReady,
		Severity: finding.Warning,
		Title:    "CSI driver pod is not ready",
		Meaning:  "The CSI driver on the node is not ready: its volumes cannot be mounted or unmounted there.",
		Evidence: "Pod status.containerStatuses: crash looping, failed to start, or not ready for two minutes.",
		Next:     "Read the log of the pod.",
	},
	CausedBy: machine.PressureCodes,
	Check:    checkCSIDriverPodNotReady,
}

func checkCSIDriverPodNotReady(c *subject.Case) []finding.Finding {
	return unready(c, c.Components.Storage)
}

// unready are the components that crash again and again, cannot be started, or are not ready for two minutes. A pod that is
// just starting on a joining node is not a problem yet.
func unready(c *subject.Case, list []facts.Component) []finding.Finding {
	var out []finding.Finding
	for _, component := range list {
		p := component.Pod
		if p == nil || p.Crash == nil && (p.Ready() || c.Age(p.ReadySince()) < c.Limits.PodStart && !p.FailedStart()) {
			continue
		}
		message := fmt.Sprintf("%s (%s) on this node is not ready: %s", component.Name, component.PodName(), p.State)
		if p.Wait != nil && p.Wait.Cause != "" {
			message += ": " + waitCause(p.Wait)
		}
		if p.Crash != nil {
			message = fmt.Sprintf("%s (%s): %s", component.Name, component.PodName(), c.CrashText(p.Crash))
		}
		f := subject.About(c.Found(message, subject.PodEvidence(p), c.PodNext(p)...), p)
		f.Began = began([]*facts.Pod{p})
		out = append(out, f)
	}
	return out
}
