package evaluate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// The codes of what is judged here.
const (
	ExternalNameIsAddress     finding.Code = "ExternalNameIsAddress"
	ExternalNameLoop          finding.Code = "ExternalNameLoop"
	ExternalNameTargetMissing finding.Code = "ExternalNameTargetMissing"
	HeadlessWithoutReady      finding.Code = "HeadlessWithoutReady"
	ServfailShare             finding.Code = "ServfailShare"
	ServiceWithoutEndpoints   finding.Code = "ServiceWithoutEndpoints"
	StatefulSetServiceName    finding.Code = "StatefulSetServiceName"
	SubdomainWithoutService   finding.Code = "SubdomainWithoutService"
)

// inScope says whether the data of a namespace is this run's subject.
func (w *world) inScope(namespace string) bool {
	return w.o.All || w.o.Namespace == namespace && namespace != ""
}

// ruleData judges objects whose names are answered as they must be, and yet not as somebody meant it.
func ruleData(w *world) []finding.Finding {
	var list []finding.Finding
	for i := range w.Services {
		if svc := &w.Services[i]; w.inScope(svc.Namespace) {
			list = append(list, w.serviceRules(svc)...)
		}
	}
	for i := range w.StatefulSet {
		if sts := &w.StatefulSet[i]; w.inScope(sts.Namespace) {
			list = append(list, w.statefulSetRules(sts)...)
		}
	}
	for i := range w.Targets {
		if pod := &w.Targets[i]; w.inScope(pod.Namespace) && pod.Spec.Subdomain != "" && !ownedByStatefulSet(pod) {
			list = append(list, w.subdomainRules(pod)...)
		}
	}
	return list
}

func ownedByStatefulSet(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "StatefulSet" })
}

func (w *world) serviceRules(svc *corev1.Service) []finding.Finding {
	object := ref("Service", svc.Namespace, svc.Name)
	name := svc.Namespace + "/" + svc.Name
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return w.externalNameRules(svc, object)
	case len(svc.Spec.Selector) == 0, !w.Sources.Get("endpointslices").Readable(), w.readyEndpoints(svc) > 0, w.now.Sub(svc.CreationTimestamp.Time).Seconds() < 15:
		return nil
	}
	selector := labels.SelectorFromSet(svc.Spec.Selector).String()
	next := []finding.Next{
		w.read("see the pods that it selects", svc.Namespace, "get", "pods", "-l", selector),
		w.read("see its endpoints", svc.Namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name="+svc.Name, "-o", "wide"),
	}
	evidence := []finding.Evidence{seen("EndpointSlice", "endpoints", "%s", w.endpointWords(svc)), seen("Service", "spec.selector", "%s", selector)}
	if records.Headless(svc) {
		return []finding.Finding{w.make(HeadlessWithoutReady, finding.Warning, object,
			fmt.Sprintf("headless Service %s has no ready endpoint: its name does not exist (NXDOMAIN) until a pod is ready", name), evidence, next...)}
	}
	severity := finding.Info // in a check of DNS it is beside the point; for the one who asks about this name it is the answer
	if w.o.Standalone {
		severity = finding.Warning
	}
	return []finding.Finding{w.make(ServiceWithoutEndpoints, severity, object,
		fmt.Sprintf("Service %s has no ready endpoint: DNS answers its address all the same, and connections to it fail. This is not DNS", name), evidence, next...)}
}

func (w *world) endpointWords(svc *corev1.Service) string {
	total := 0
	for i := range w.Slices {
		if w.Slices[i].Namespace == svc.Namespace && w.Slices[i].Labels["kubernetes.io/service-name"] == svc.Name {
			total += len(w.Slices[i].Endpoints)
		}
	}
	if total == 0 {
		return "none: the selector matches no pod with an address"
	}
	return fmt.Sprintf("0 of %d ready", total)
}

func (w *world) externalNameRules(svc *corev1.Service, object *finding.ObjectRef) []finding.Finding {
	name := svc.Namespace + "/" + svc.Name
	target := corefile.Fqdn(svc.Spec.ExternalName)
	edit := w.change("correct spec.externalName", svc.Namespace, "edit", "service", svc.Name)
	if _, err := netip.ParseAddr(svc.Spec.ExternalName); err == nil {
		return []finding.Finding{w.make(ExternalNameIsAddress, finding.Warning, object,
			fmt.Sprintf("ExternalName Service %s names the address %s: DNS has no CNAME to an address and answers NXDOMAIN", name, svc.Spec.ExternalName),
			[]finding.Evidence{seen("Service", "spec.externalName", "%s", svc.Spec.ExternalName)}, edit)}
	}
	chain := []string{w.engine.ServiceName(svc)}
	for range 12 {
		if slices.Contains(chain, target) {
			return []finding.Finding{w.make(ExternalNameLoop, finding.Warning, object,
				fmt.Sprintf("ExternalName Service %s leads back to itself: DNS answers NOERROR without an address", name),
				[]finding.Evidence{seen("Service", "spec.externalName", "%s", strings.Join(append(chain, target), " -> "))}, edit)}
		}
		if !corefile.InZone(target, w.zone) {
			return nil
		}
		chain = append(chain, target)
		x := w.expect(target, "CNAME")
		if x.Outcome == records.NXDomain {
			return []finding.Finding{w.make(ExternalNameTargetMissing, finding.Warning, object,
				fmt.Sprintf("ExternalName Service %s points at %s, which does not exist: DNS answers NOERROR without an address", name, strings.TrimSuffix(target, ".")),
				[]finding.Evidence{seen("Service", "spec.externalName", "%s", svc.Spec.ExternalName)}, edit)}
		}
		if len(x.Data) != 1 {
			return nil
		}
		target = x.Data[0]
	}
	return nil
}

// statefulSetRules walks the links that a name POD.SERVICE.NAMESPACE needs, and names the first that is broken.
func (w *world) statefulSetRules(sts *appsv1.StatefulSet) []finding.Finding {
	if !w.Sources.Get("services").Readable() {
		return nil
	}
	object := ref("StatefulSet", sts.Namespace, sts.Name)
	name := sts.Namespace + "/" + sts.Name
	governing := sts.Spec.ServiceName
	if governing == "" {
		return nil
	}
	svc := w.engine.Service(sts.Namespace, governing)
	hint := w.headlessFor(sts.Namespace, sts.Spec.Template.Labels)
	evidence := []finding.Evidence{seen("StatefulSet", "spec.serviceName", "%s", governing)}
	if hint != nil && hint.Name != governing {
		evidence = append(evidence, seen("Service", hint.Name, "is headless and selects its pods"))
	}
	var broken string
	switch {
	case svc == nil:
		broken = "no such Service exists"
	case len(svc.Spec.Selector) > 0 && !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(sts.Spec.Template.Labels)):
		broken = "that Service does not select its pods"
		evidence = append(evidence, seen("Service", "spec.selector", "%s", labels.Set(svc.Spec.Selector)))
	case !records.Headless(svc) && svc.Spec.Type != corev1.ServiceTypeExternalName:
		return nil // CoreDNS answers the names of its endpoints all the same
	default:
		return nil
	}
	next := []finding.Next{w.read("see the names that would have to exist", sts.Namespace, "dns", "names", "sts/"+sts.Name)}
	if hint != nil {
		next = append(next, w.read("spec.serviceName cannot be changed: see the StatefulSet to make it anew with serviceName "+hint.Name, sts.Namespace, "get", "statefulset", sts.Name, "-o", "yaml"))
	}
	return []finding.Finding{w.make(StatefulSetServiceName, finding.Warning, object,
		fmt.Sprintf("the pods of StatefulSet %s have no names: its serviceName is %s, and %s", name, governing, broken), evidence, next...)}
}

// headlessFor finds a headless Service that selects pods with these labels.
func (w *world) headlessFor(namespace string, l map[string]string) *corev1.Service {
	for i := range w.Services {
		svc := &w.Services[i]
		if svc.Namespace == namespace && records.Headless(svc) && len(svc.Spec.Selector) > 0 && labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(l)) {
			return svc
		}
	}
	return nil
}

func (w *world) subdomainRules(pod *corev1.Pod) []finding.Finding {
	svc := w.engine.Service(pod.Namespace, pod.Spec.Subdomain)
	object := ref("Pod", pod.Namespace, pod.Name)
	broken := ""
	switch {
	case svc == nil:
		broken = "no Service has that name"
	case len(svc.Spec.Selector) > 0 && !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels)):
		broken = "the Service of that name does not select it"
	case pod.Spec.Hostname == "":
		broken = "spec.hostname is not set"
	}
	if broken == "" {
		return nil
	}
	return []finding.Finding{w.make(SubdomainWithoutService, finding.Warning, object,
		fmt.Sprintf("pod %s/%s has subdomain %s and no name under it: %s", pod.Namespace, pod.Name, pod.Spec.Subdomain, broken),
		[]finding.Evidence{seen("Pod", "spec.subdomain", "%s", pod.Spec.Subdomain), seen("Pod", "spec.hostname", "%s", orNone(pod.Spec.Hostname))},
		w.read("see its names", pod.Namespace, "dns", "names", "pod/"+pod.Name))}
}

// ruleServfail: shares since the server's start, of enough answers to mean something. More than 5 % of answers is far
// from what healthy clusters show.
func ruleServfail(w *world) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		m := p.Metrics
		if p.Seconds > 0 {
			m = m.Since(p.Earlier)
		}
		total := m.Sum("coredns_dns_responses_total")
		percent := share(m.Sum("coredns_dns_responses_total", "rcode", "SERVFAIL"), total)
		if percent == nil || *total < 1000 || *percent < 5 {
			continue
		}
		list = append(list, w.make(ServfailShare, finding.Warning, ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("%.1f %% of the answers of DNS pod %s are SERVFAIL", *percent, p.Pod),
			[]finding.Evidence{seen("metrics of "+p.Pod, "coredns_dns_responses_total", "%.0f answers, %.1f %% SERVFAIL", *total, *percent)},
			w.read("see which upstream fails", "", "dns", "upstream")))
	}
	return list
}
