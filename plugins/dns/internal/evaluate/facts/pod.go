package facts

import (
	"net/netip"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Libc is what the image's files tell; empty when nothing was read or nothing was found.
func (w *Snapshot) Libc() resolver.Libc {
	switch {
	case w.From == nil:
		return ""
	case w.From.Pod.Spec.OS != nil && w.From.Pod.Spec.OS.Name == "windows":
		return resolver.Windows
	case w.From.Musl != nil && *w.From.Musl:
		return resolver.Musl
	case w.From.Glibc != nil && *w.From.Glibc:
		return resolver.Glibc
	}
	return ""
}

// ResolvConf is the suspect's resolv.conf: the real one, or else the computed.
func (w *Snapshot) ResolvConf() resolver.Conf {
	if actual, ok := w.ActualConf(); ok {
		return actual
	}
	return resolver.Compute(w.From.Pod.Namespace, w.From.Pod.Spec, w.KubeletFor(w.From.Pod.Spec.NodeName)).Conf
}

// MountedAt is the volume that the container, whose files were read, has at a path in place of what the kubelet and the runtime put
// there; nil: none. One at a directory above hides nothing: the runtime mounts those after it.
// https://github.com/containerd/containerd/blob/v2.2.0/internal/cri/opts/spec_linux_opts.go (WithMounts)
func (w *Snapshot) MountedAt(file string) *corev1.Volume {
	if w.From == nil || w.From.Container == "" {
		return nil
	}
	spec, name := &w.From.Pod.Spec, ""
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range list {
			for _, m := range list[i].VolumeMounts {
				if list[i].Name == w.From.Container && path.Clean(m.MountPath) == file {
					name = m.Name
				}
			}
		}
	}
	i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &spec.Volumes[i]
}

// VolumeWords names a volume, and the object that it is of.
func VolumeWords(v *corev1.Volume) string {
	of := ""
	switch {
	case v.ConfigMap != nil:
		of = " (ConfigMap " + v.ConfigMap.Name + ")"
	case v.Secret != nil:
		of = " (Secret " + v.Secret.SecretName + ")"
	case v.PersistentVolumeClaim != nil:
		of = " (PersistentVolumeClaim " + v.PersistentVolumeClaim.ClaimName + ")"
	case v.HostPath != nil:
		of = " (" + v.HostPath.Path + " of the node)"
	}
	return "volume " + v.Name + of
}

// CloudRange holds the resolvers of clouds, which know no name of a cluster
// (https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html, https://cloud.google.com/compute/docs/internal-dns).
//
// The DNS of some clusters is the cloud's own (https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns).
var CloudRange = netip.MustParsePrefix("169.254.169.0/24")

func LinkLocal(ip string) bool {
	address, err := netip.ParseAddr(ip)
	return err == nil && address.IsLinkLocalUnicast() && !CloudRange.Contains(address)
}

// KubeletFor gives what the kubelet of a node tells its pods, from the best source there is.
func (w *Snapshot) KubeletFor(node string) resolver.Kubelet {
	var general *Kubelet
	for i := range w.Kubelets {
		k := &w.Kubelets[i]
		if k.Node == node && node != "" {
			return resolver.Kubelet{ClusterDNS: k.ClusterDNS, Domain: k.ClusterDomain, From: "the kubelet of node " + node, Node: true}
		}
		if k.Node == "" && len(k.ClusterDNS) > 0 {
			general = k
		}
	}
	if general != nil {
		return resolver.Kubelet{ClusterDNS: general.ClusterDNS, Domain: general.ClusterDomain, From: "ConfigMap kube-system/kubelet-config"}
	}
	domain := strings.TrimSuffix(w.Zone, ".")
	if w.Service == nil && !w.Sources.Get("services").Readable() {
		return resolver.Kubelet{Domain: domain, Unknown: true, From: "the usual default (neither the kubelet configuration nor the DNS " +
			"Service could be read)"}
	}
	k := resolver.Kubelet{Domain: domain, From: "the DNS Service (the kubelet configuration was not read)"}
	if w.Service != nil {
		k.ClusterDNS = discover.ClusterIPs(w.Service)
	}
	return k
}

func (w *Snapshot) ActualConf() (resolver.Conf, bool) {
	if w.From == nil {
		return resolver.Conf{}, false
	}
	text, ok := w.From.Files["/etc/resolv.conf"]
	return resolver.Parse(text), ok
}

// OwnServers are the nameservers that the suspect's programs query, by the file itself; none where it was not read.
func (w *Snapshot) OwnServers() []string {
	conf, _ := w.ActualConf()
	return conf.Asked()
}

// OwnAnswers gives what the suspect got from one server for a name and a type over one transport; an empty type or transport is any.
func (w *Snapshot) OwnAnswers(server, name, typ, transport string) []report.Answer {
	var list []report.Answer
	if w.From == nil {
		return nil
	}
	for _, a := range w.From.Answers {
		if a.Server == server && strings.EqualFold(a.Name, name) && (typ == "" || a.Type == typ) &&
			(transport == "" || a.Transport == transport) {
			list = append(list, a)
		}
	}
	return list
}

// IsServer says whether a pod is one of the DNS servers, which use the resolver of their node by design.
func (w *Snapshot) IsServer(pod *corev1.Pod) bool {
	return slices.ContainsFunc(w.Pods, func(p corev1.Pod) bool { return p.Namespace == pod.Namespace && p.Name == pod.Name })
}

// Runs says whether a pod has a running container, in which something can be executed. An init container is one, too: waiting for a
// name is what many of them do.
func Runs(pod *corev1.Pod) bool { return RunningContainer(pod) != "" }

// RunningContainer names the container of a pod in which something can be executed: that which kubectl exec takes
// (https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-default-container), or else the first that
// runs. They share a network and resolv.conf. Empty: none runs.
func RunningContainer(pod *corev1.Pod) string {
	if podfact.Finished(pod) {
		return ""
	}
	running := map[string]bool{}
	for _, s := range podfact.Containers(pod) {
		running[s.Name] = s.State.Running != nil
	}
	if name := pod.Annotations["kubectl.kubernetes.io/default-container"]; running[name] {
		return name
	}
	all := slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers)
	if i := slices.IndexFunc(all, func(c corev1.Container) bool { return running[c.Name] }); i >= 0 {
		return all[i].Name
	}
	return ""
}

// Addresses are a pod's, of each family, the one that Kubernetes prefers first.
func Addresses(pod *corev1.Pod) []string {
	var list []string
	for _, ip := range pod.Status.PodIPs {
		list = append(list, ip.IP)
	}
	if len(list) == 0 && pod.Status.PodIP != "" {
		list = append(list, pod.Status.PodIP)
	}
	return list
}

// HostsFile is /etc/hosts of the suspect: the file itself, or what the kubelet is told to write into it.
func (w *Snapshot) HostsFile() string {
	text := w.From.Files["/etc/hosts"]
	if strings.TrimSpace(text) == "" {
		for _, a := range w.From.Pod.Spec.HostAliases {
			text += a.IP + " " + strings.Join(a.Hostnames, " ") + "\n"
		}
	}
	return text
}
