// Package component says what program a pod is, of those that make a node or the cluster work.
package component

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Role is what a program does for its node.
type Role int

// The roles.
const (
	NetworkPlugin Role = iota
	ServiceProxy
	VolumeDriver
	DNSCache
	ControlPlanePart
)

// Known is a program that was recognized, and by what.
type Known struct {
	Role     Role
	Name     string
	Evidence string
}

type labeled struct {
	key, value string
	role       Role
	name       string
}

// labels that the published manifests of components carry.
var byLabel = []labeled{
	{"k8s-app", "kube-proxy", ServiceProxy, "kube-proxy"},
	{"component", "kube-proxy", ServiceProxy, "kube-proxy"}, // GKE's static pod
	{"k8s-app", "calico-node", NetworkPlugin, "calico"},
	{"k8s-app", "canal", NetworkPlugin, "canal"}, // calico's policies over flannel: the default of RKE2
	{"k8s-app", "cilium", NetworkPlugin, "cilium"},
	{"k8s-app", "aws-node", NetworkPlugin, "amazon-vpc-cni"},
	{"k8s-app", "azure-cns", NetworkPlugin, "azure-cni"},
	{"k8s-app", "kindnet", NetworkPlugin, "kindnet"},
	{"k8s-app", "kube-router", NetworkPlugin, "kube-router"},
	{"k8s-app", "netd", NetworkPlugin, "gke-netd"},
	{"app", "flannel", NetworkPlugin, "flannel"},
	{"k8s-app", "flannel", NetworkPlugin, "flannel"},
	{"app", "kindnet", NetworkPlugin, "kindnet"},
	{"app", "multus", NetworkPlugin, "multus"},
	{"app", "ovnkube-node", NetworkPlugin, "ovn-kubernetes"},
	{"app", "antrea", NetworkPlugin, "antrea"},
	{"name", "weave-net", NetworkPlugin, "weave-net"},
	{"k8s-app", "node-local-dns", DNSCache, "node-local-dns"},
}

// NetworkAnnotations are the beginnings of the annotations that network plugins put on nodes, by their names.
var NetworkAnnotations = map[string]string{
	"calico":         "projectcalico.org/",
	"cilium":         "network.cilium.io/",
	"flannel":        "flannel.alpha.coreos.com/",
	"ovn-kubernetes": "k8s.ovn.org/",
	"antrea":         "node.antrea.io/",
}

// NetworkReasons are reasons of condition NetworkUnavailable, and which network plugin gives them.
var NetworkReasons = map[string]string{
	"CalicoIsUp": "calico", "FlannelIsUp": "flannel", "CiliumIsUp": "cilium", "WeaveIsUp": "weave-net", "RouteCreated": "cloud routes",
}

// Of finds what a pod does for its node. Agents of networks run one pod a node; their controllers (antrea-controller,
// calico-kube-controllers) share labels and are not this node's network.
func Of(p *corev1.Pod) (known Known, ok bool) {
	daemon := owner(p) == "DaemonSet" || static(p)
	if !daemon {
		return Known{}, false
	}
	for _, l := range byLabel {
		if p.Labels[l.key] == l.value {
			return Known{Role: l.role, Name: l.name, Evidence: "pod label " + l.key + "=" + l.value}, true
		}
	}
	// The registrar stands beside every CSI driver's node plugin and registers it with the kubelet
	// (https://kubernetes-csi.github.io/docs/node-driver-registrar.html). Some name their images by digests alone, and the container
	// says it there: csi-driver-registrar in OpenShift.
	for i := range p.Spec.Containers {
		switch c := &p.Spec.Containers[i]; {
		case strings.Contains(c.Image, "csi-node-driver-registrar"):
			return Known{Role: VolumeDriver, Name: p.Name, Evidence: "pod container csi-node-driver-registrar"}, true
		case strings.HasSuffix(c.Name, "driver-registrar"):
			return Known{Role: VolumeDriver, Name: p.Name, Evidence: "pod container " + c.Name}, true
		}
	}
	return Known{}, false
}

// EachNode says whether the pods of a DaemonSet, by their labels, are the network plugin or kube-proxy.
func EachNode(labels map[string]string) bool {
	return slices.ContainsFunc(byLabel, func(l labeled) bool {
		return labels[l.key] == l.value && (l.role == NetworkPlugin || l.role == ServiceProxy)
	})
}

// Network says whether the pods of a DaemonSet, by their labels, are a network plugin.
func Network(labels map[string]string) bool {
	return slices.ContainsFunc(byLabel, func(l labeled) bool { return l.role == NetworkPlugin && labels[l.key] == l.value })
}

// ControlPlane is the component that a static pod of kubeadm, k3s or a cloud is; empty for others.
func ControlPlane(p *corev1.Pod) string {
	if p.Namespace != "kube-system" || !static(p) {
		return ""
	}
	switch name := p.Labels["component"]; name {
	case "kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager", "cloud-controller-manager":
		return name
	}
	return ""
}

// cloudController ends the names by which clouds label their controllers: aws-cloud-controller-manager, and plain in Azure's, GCP's.
const cloudController = "cloud-controller-manager"

// CloudController says whether the pod is a cloud-controller-manager, by its name or the labels of the published manifests.
// https://kubernetes.io/docs/tasks/administer-cluster/running-cloud-controller/
func CloudController(p *corev1.Pod) bool {
	for _, key := range []string{"component", "k8s-app", "app", "app.kubernetes.io/name", "name"} {
		if strings.HasSuffix(p.Labels[key], cloudController) {
			return true
		}
	}
	return strings.Contains(p.Name, cloudController)
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
