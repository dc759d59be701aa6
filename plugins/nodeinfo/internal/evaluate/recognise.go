package evaluate

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

type componentKind int

const (
	kindNetwork componentKind = iota
	kindProxy
	kindStorage
	kindDNSCache
)

// known is a component recognised in a pod, and by what.
type known struct {
	kind     componentKind
	name     string
	evidence string
}

// labels that the published manifests of components carry.
var byLabel = []struct {
	key, value string
	kind       componentKind
	name       string
}{
	{"k8s-app", "kube-proxy", kindProxy, "kube-proxy"},
	{"component", "kube-proxy", kindProxy, "kube-proxy"}, // GKE's static pod
	{"k8s-app", "calico-node", kindNetwork, "calico"},
	{"k8s-app", "cilium", kindNetwork, "cilium"},
	{"k8s-app", "aws-node", kindNetwork, "amazon-vpc-cni"},
	{"k8s-app", "azure-cns", kindNetwork, "azure-cni"},
	{"k8s-app", "kindnet", kindNetwork, "kindnet"},
	{"k8s-app", "kube-router", kindNetwork, "kube-router"},
	{"k8s-app", "netd", kindNetwork, "gke-netd"},
	{"app", "flannel", kindNetwork, "flannel"},
	{"k8s-app", "flannel", kindNetwork, "flannel"},
	{"app", "kindnet", kindNetwork, "kindnet"},
	{"app", "multus", kindNetwork, "multus"},
	{"app", "ovnkube-node", kindNetwork, "ovn-kubernetes"},
	{"app", "antrea", kindNetwork, "antrea"},
	{"name", "weave-net", kindNetwork, "weave-net"},
	{"k8s-app", "node-local-dns", kindDNSCache, "node-local-dns"},
}

var networkAnnotations = map[string]string{
	"calico":         "projectcalico.org/",
	"cilium":         "network.cilium.io/",
	"flannel":        "flannel.alpha.coreos.com/",
	"ovn-kubernetes": "k8s.ovn.org/",
	"antrea":         "node.antrea.io/",
}

var networkReasons = map[string]string{
	"CalicoIsUp": "calico", "FlannelIsUp": "flannel", "CiliumIsUp": "cilium", "WeaveIsUp": "weave-net", "RouteCreated": "cloud routes",
}

// agents of networks run one pod a node; their controllers (antrea-controller, calico-kube-controllers) share labels
// and are not this node's network.
func recognisePod(p *corev1.Pod) *known {
	daemon := owner(p) == "DaemonSet" || static(p)
	if !daemon {
		return nil
	}
	for _, l := range byLabel {
		if p.Labels[l.key] == l.value {
			return &known{l.kind, l.name, "label " + l.key + "=" + l.value + " of its pod"}
		}
	}
	// The registrar stands beside every CSI driver's node plugin and registers it with the kubelet
	// (https://kubernetes-csi.github.io/docs/node-driver-registrar.html).
	for i := range p.Spec.Containers {
		if strings.Contains(p.Spec.Containers[i].Image, "csi-node-driver-registrar") {
			return &known{kindStorage, p.Name, "container csi-node-driver-registrar of its pod"}
		}
	}
	return nil
}

func owner(p *corev1.Pod) string {
	for _, o := range p.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			return o.Kind
		}
	}
	return ""
}

// static says whether the pod comes from a manifest on the node: the API shows a mirror of it.
func static(p *corev1.Pod) bool {
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror || p.Annotations["kubernetes.io/config.source"] == "file"
}
