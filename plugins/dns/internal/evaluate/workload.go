package evaluate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Workload is the Deployment or DaemonSet of the DNS pods.
type Workload struct {
	Ref      finding.ObjectRef
	Wanted   int32
	Template corev1.PodTemplateSpec
	Selector *metav1.LabelSelector
}

// usualLabel is what the DNS pods of nearly every installer have.
const usualLabel = "kube-dns"

// UsualSelector finds the DNS pods where the workload is not known.
const UsualSelector = "k8s-app=" + usualLabel

// Pods is the workload's own selector.
func (w *Workload) Pods() labels.Selector {
	if s, err := metav1.LabelSelectorAsSelector(w.Selector); err == nil && w.Selector != nil {
		return s
	}
	return labels.SelectorFromSet(w.Template.Labels)
}

// FindWorkload picks what runs the DNS servers. The Service's selector alone does not tell: it may be wrong, and select
// something else.
func FindWorkload(service *corev1.Service, deployments []appsv1.Deployment, daemonSets []appsv1.DaemonSet) *Workload {
	if service == nil || len(service.Spec.Selector) == 0 {
		return nil
	}
	var best *Workload
	most := 0
	consider := func(w Workload) {
		if score := w.score(service); score > most || score == most && best != nil && best.Wanted == 0 && w.Wanted > 0 {
			best, most = &w, score
		}
	}
	for i := range deployments {
		d := &deployments[i]
		wanted := int32(1)
		if d.Spec.Replicas != nil {
			wanted = *d.Spec.Replicas
		}
		consider(Workload{*ref("Deployment", d.Namespace, d.Name), wanted, d.Spec.Template, d.Spec.Selector})
	}
	for i := range daemonSets {
		d := &daemonSets[i]
		consider(Workload{*ref("DaemonSet", d.Namespace, d.Name), d.Status.DesiredNumberScheduled, d.Spec.Template, d.Spec.Selector})
	}
	return best
}

func (w *Workload) score(service *corev1.Service) int {
	l, spec := w.Template.Labels, w.Template.Spec
	selected := Selects(service, l)
	known := l["k8s-app"] == usualLabel || providerOf(spec) != ""
	switch {
	case w.Ref.Namespace != service.Namespace:
		return 0
	case selected && answersDNS(l, spec):
		return 5
	case w.Wanted > 0 && l["k8s-app"] == usualLabel:
		return 4
	case w.Wanted > 0 && known:
		return 3
	case selected:
		return 2
	case known:
		return 1
	}
	return 0
}

// Selects says whether a Service selects pods with these labels; one without a selector selects none.
func Selects(service *corev1.Service, l map[string]string) bool {
	return len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(l))
}

// providerOf knows the two servers that installers bring.
func providerOf(spec corev1.PodSpec) string {
	for _, c := range spec.Containers {
		switch {
		case strings.Contains(c.Image, "k8s-dns-kube-dns"):
			return "kube-dns"
		case strings.Contains(c.Image, "coredns"), slices.Contains(c.Command, "coredns"):
			return "CoreDNS"
		}
	}
	return ""
}

// answersDNS says whether a pod looks like a DNS server, of whatever make.
func answersDNS(l map[string]string, spec corev1.PodSpec) bool {
	return l["k8s-app"] == usualLabel || providerOf(spec) != "" || slices.ContainsFunc(containerPorts(spec), func(p corev1.ContainerPort) bool {
		return p.ContainerPort == 53 || p.Name == "dns" || p.Name == "dns-tcp"
	})
}

// DNSPods leaves out pods that are no DNS servers: a Service may select them all the same.
func DNSPods(pods []corev1.Pod, workload *Workload) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		return !answersDNS(p.Labels, p.Spec) && (workload == nil || !workload.Pods().Matches(labels.Set(p.Labels)))
	})
}

// AccountOf gives the service account of the DNS servers as NAMESPACE/NAME: that of the workload's template, or else of
// a pod; empty when neither is known.
func AccountOf(workload *Workload, pods []corev1.Pod) string {
	switch {
	case workload != nil:
		return workload.Ref.Namespace + "/" + cmp.Or(workload.Template.Spec.ServiceAccountName, "default")
	case len(pods) > 0:
		return pods[0].Namespace + "/" + cmp.Or(pods[0].Spec.ServiceAccountName, "default")
	}
	return ""
}

// selectorFor gives the selector that a DNS Service needs for pods with these labels.
func selectorFor(l map[string]string, workload *Workload) string {
	switch {
	case l["k8s-app"] == usualLabel:
		return UsualSelector
	case workload != nil && workload.Selector != nil && len(workload.Selector.MatchLabels) > 0:
		return labels.Set(workload.Selector.MatchLabels).String()
	}
	return ownLabels(l).String()
}

// ownLabels are a pod's labels without those that its controller adds.
func ownLabels(l map[string]string) labels.Set {
	own := maps.Clone(l)
	for _, made := range []string{"pod-template-hash", "controller-revision-hash", "pod-template-generation"} {
		delete(own, made)
	}
	return own
}

// Ports gives, for each DNS pod of an Input, where it answers DNS over TCP, and where its metrics are.
func Ports(in Input) func(corev1.Pod) (dns, metrics int32) {
	return newWorld(in, in.now(), Options{}).ports
}

// ports: the Service's word counts only where the Corefile or the pod bears it out. A wrong targetPort is a fault of the
// Service, and the server behind it is to be asked all the same.
func (w *world) ports(pod corev1.Pod) (dns, metrics int32) {
	dns, metrics = 53, 9153
	declared := containerPorts(pod.Spec)
	for _, p := range declared {
		if p.Name == "metrics" {
			metrics = p.ContainerPort
		}
	}
	if listening := w.listening(pod.Spec); len(listening) > 0 && !slices.Contains(listening, dns) {
		dns = listening[0]
	}
	if w.service == nil {
		return dns, metrics
	}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		if port, ok := targetOf(w.service, protocol, declared); ok && w.servedAt(pod.Spec, protocol, port) {
			dns = port
		}
	}
	return dns, metrics
}

// servedAt says whether DNS is served at a port of a pod, as the Corefile has it, or else the pod's own ports.
func (w *world) servedAt(spec corev1.PodSpec, protocol corev1.Protocol, port int32) bool {
	listening := w.listening(spec)
	var declared []corev1.ContainerPort
	for _, c := range spec.Containers {
		if len(listening) == 0 || providerOf(corev1.PodSpec{Containers: []corev1.Container{c}}) == "" { // or a cache before the server
			declared = append(declared, c.Ports...)
		}
	}
	return slices.Contains(listening, port) || len(listening) == 0 && len(declared) == 0 || hasPort(declared, protocol, port) && (len(listening) == 0 || hasPort(declared, corev1.ProtocolUDP, port))
}

// listening gives the ports of the Corefile's server blocks that answer plain DNS, those of the cluster's zone first;
// none where it was not read, or does not load: then the servers run with another one.
func (w *world) listening(spec corev1.PodSpec) []int32 {
	if !w.confRead || !w.conf.Valid() || portFlag(spec) {
		return nil
	}
	var first, further []int32
	for _, b := range w.conf.Blocks {
		for _, z := range b.Zones {
			n, err := strconv.ParseInt(cmp.Or(z.Port, "53"), 10, 32)
			switch {
			case strings.Contains(z.Name, "{"): // a port out of the environment
				return nil
			case err != nil || z.Scheme != "" && z.Scheme != "dns":
			case len(b.Find("kubernetes")) > 0:
				first = append(first, int32(n))
			default:
				further = append(further, int32(n))
			}
		}
	}
	return append(first, further...)
}

func containerPorts(spec corev1.PodSpec) []corev1.ContainerPort {
	var list []corev1.ContainerPort
	for _, c := range spec.Containers {
		list = append(list, c.Ports...)
	}
	return list
}

func hasPort(list []corev1.ContainerPort, protocol corev1.Protocol, port int32) bool {
	return slices.ContainsFunc(list, func(p corev1.ContainerPort) bool {
		return p.ContainerPort == port && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol
	})
}

// targetOf gives the port of a pod to which a Service sends what comes to its port 53; not for a name that no container
// port has.
func targetOf(service *corev1.Service, protocol corev1.Protocol, declared []corev1.ContainerPort) (int32, bool) {
	for _, p := range service.Spec.Ports {
		if p.Port != 53 || cmp.Or(p.Protocol, corev1.ProtocolTCP) != protocol {
			continue
		}
		if name := p.TargetPort.StrVal; name != "" {
			i := slices.IndexFunc(declared, func(c corev1.ContainerPort) bool {
				return c.Name == name && cmp.Or(c.Protocol, corev1.ProtocolTCP) == protocol
			})
			if i < 0 {
				return 0, false
			}
			return declared[i].ContainerPort, true
		}
		return cmp.Or(p.TargetPort.IntVal, p.Port), true
	}
	return 0, false
}

// portFlag: -dns.port (and -p) changes the port of blocks that name none.
func portFlag(spec corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(append(slices.Clone(c.Command), c.Args...), func(a string) bool {
			name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
			return strings.HasPrefix(a, "-") && (name == "dns.port" || name == "p")
		})
	})
}
