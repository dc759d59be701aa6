// Package discover finds the DNS servers among the API's objects: which Service is the cluster's, which workload and pods
// stand behind it, which ConfigMap holds their Corefile, at which ports they answer. It knows objects alone, so that
// what collects them can ask it what to read next.
package discover

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// FindService picks the cluster's DNS Service, and names the others that look like one. Installers differ in
// namespace and name; what they share is the label k8s-app=kube-dns or a name, and port 53. A Service that kubelets
// point at wins over every name.
func FindService(services []corev1.Service, clusterDNS []string) (*corev1.Service, []*corev1.Service) {
	type candidate struct {
		svc   *corev1.Service
		score int
	}
	var found []candidate
	for i := range services {
		if score := serviceScore(&services[i], clusterDNS); score > 0 {
			found = append(found, candidate{&services[i], score})
		}
	}
	sorting.Stable(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.svc.Namespace, b.svc.Namespace), cmp.Compare(a.svc.Name, b.svc.Name))
	})
	if len(found) == 0 {
		return nil, nil
	}
	var others []*corev1.Service
	for _, c := range found[1:] {
		if c.score >= 20 {
			others = append(others, c.svc)
		}
	}
	return found[0].svc, others
}

func serviceScore(svc *corev1.Service, clusterDNS []string) int {
	port53 := slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == 53 })
	system := svc.Namespace == metav1.NamespaceSystem
	labeled := svc.Labels["k8s-app"] == "kube-dns"
	score := 0
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName, strings.Contains(svc.Name, "metrics"):
		return 0
	case svc.Name == "kube-dns-upstream": // NodeLocal DNSCache's way to the real servers
		return 0
	case labeled && system && svc.Name == "kube-dns":
		score = 90
	case labeled && port53:
		score = 80
	case svc.Namespace == "openshift-dns" && svc.Name == "dns-default":
		score = 80
	case system && port53 && slices.Contains([]string{"kube-dns", "coredns", "rke2-coredns-rke2-coredns"}, svc.Name):
		score = 70
	case port53 && svc.Labels["kubernetes.io/cluster-service"] == "true":
		score = 60
	case port53 && system:
		score = 30
	}
	if port53 && slices.ContainsFunc(ClusterIPs(svc), func(ip string) bool { return slices.Contains(clusterDNS, ip) }) {
		score += 100
	}
	return score
}

func ClusterIPs(svc *corev1.Service) []string {
	var ips []string
	for _, ip := range append(slices.Clone(svc.Spec.ClusterIPs), svc.Spec.ClusterIP) {
		if ip != "" && ip != corev1.ClusterIPNone && !slices.Contains(ips, ip) {
			ips = append(ips, ip)
		}
	}
	return ips
}

// Selects says whether a Service selects pods with these labels; one without a selector selects none.
func Selects(service *corev1.Service, l map[string]string) bool {
	return len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(l))
}

// SelectorFor gives the selector that a DNS Service needs for pods with these labels.
func SelectorFor(l map[string]string, workload *Workload) string {
	switch {
	case l["k8s-app"] == usualLabel:
		return UsualSelector
	case workload != nil && workload.Selector != nil && len(workload.Selector.MatchLabels) > 0:
		return labels.Set(workload.Selector.MatchLabels).String()
	}
	return OwnLabels(l).String()
}

// OwnLabels are a pod's labels without those that its controller adds.
func OwnLabels(l map[string]string) labels.Set {
	own := maps.Clone(l)
	for _, made := range []string{"pod-template-hash", "controller-revision-hash", "pod-template-generation"} {
		delete(own, made)
	}
	return own
}
