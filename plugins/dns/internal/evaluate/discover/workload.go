package discover

import (
	"cmp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// NodeCache finds NodeLocal DNSCache: a DaemonSet whose container has -localip.
func NodeCache(daemonSets []appsv1.DaemonSet) *appsv1.DaemonSet {
	for i := range daemonSets {
		if len(LocalIPs(daemonSets[i].Spec.Template.Spec)) > 0 {
			return &daemonSets[i]
		}
	}
	return nil
}

// LocalIPs are the addresses at which a node cache answers.
func LocalIPs(spec corev1.PodSpec) []string {
	if value := argument(spec, "localip"); value != "" {
		return strings.Split(value, ",")
	}
	return nil
}

// UpstreamService is the Service whose address a node cache forwards to
// (https://github.com/kubernetes/dns/blob/master/cmd/node-cache/main.go).
func UpstreamService(spec corev1.PodSpec) string {
	return cmp.Or(argument(spec, "upstreamsvc"), "kube-dns")
}

// argument is the value of a flag of some container.
func argument(spec corev1.PodSpec, flag string) string {
	for _, c := range spec.Containers {
		args := append(slices.Clone(c.Command), c.Args...)
		for i, a := range args {
			if strings.TrimLeft(a, "-") == flag && i+1 < len(args) {
				return args[i+1]
			}
			if value, ok := strings.CutPrefix(strings.TrimLeft(a, "-"), flag+"="); ok {
				return value
			}
		}
	}
	return ""
}

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
		consider(Workload{finding.ObjectRef{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name}, wanted, d.Spec.Template, d.Spec.Selector})
	}
	for i := range daemonSets {
		d := &daemonSets[i]
		consider(Workload{
			finding.ObjectRef{Kind: "DaemonSet", Namespace: d.Namespace, Name: d.Name},
			d.Status.DesiredNumberScheduled,
			d.Spec.Template, d.Spec.Selector,
		})
	}
	return best
}

func (w *Workload) score(service *corev1.Service) int {
	l, spec := w.Template.Labels, w.Template.Spec
	selected := Selects(service, l)
	known := l["k8s-app"] == usualLabel || Provider(spec) != ""
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

// Provider knows the two servers that installers bring.
func Provider(spec corev1.PodSpec) string {
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
	return l["k8s-app"] == usualLabel || Provider(spec) != "" || slices.ContainsFunc(ContainerPorts(spec), func(p corev1.ContainerPort) bool {
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
