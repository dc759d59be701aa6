package names

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/clients"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
)

// The codes of this file.
const (
	ExternalNameIsAddress           finding.Code = "ExternalNameIsAddress"
	ExternalNameLoop                finding.Code = "ExternalNameLoop"
	ExternalNameTargetNotFound      finding.Code = "ExternalNameTargetNotFound"
	HeadlessServiceWithoutEndpoints finding.Code = "HeadlessServiceWithoutEndpoints"
	ServiceWithoutEndpoints         finding.Code = "ServiceWithoutEndpoints"
	StatefulSetPodsWithoutNames     finding.Code = "StatefulSetPodsWithoutNames"
	PodSubdomainWithoutName         finding.Code = "PodSubdomainWithoutName"
)

// DataRules report objects whose names DNS answers correctly, but not as intended.
var DataRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ExternalNameIsAddress, Severity: finding.Warning, Title: "ExternalName is an IP address",
			Meaning:  "A CNAME cannot point to an IP address, so DNS answers NXDOMAIN.",
			Evidence: "A spec.externalName that is an IP address.",
			Next:     "Use a Service without a selector, and an EndpointSlice with the address.",
			Source:   servers.SpecPage,
		},
		Check: checkData,
	},
	{
		Entry: finding.Entry{
			Code: ExternalNameLoop, Severity: finding.Warning, Title: "ExternalName refers back to itself",
			Meaning:  "DNS answers NOERROR without an address. musl ends the search at this answer.",
			Evidence: "The chain of spec.externalName values within the cluster domain.",
			Next:     "Correct spec.externalName of one Service in the chain.",
			Source:   "https://github.com/coredns/coredns/issues/6088",
		},
	},
	{
		Entry: finding.Entry{
			Code: ExternalNameTargetNotFound, Severity: finding.Warning, Title: "ExternalName target does not exist",
			Meaning:  "The target is a name in the cluster domain, and no object has that name.",
			Evidence: "spec.externalName of the Service, compared with the names of the objects in the API.",
			Next:     "Correct spec.externalName.",
			Source:   "https://github.com/coredns/coredns/issues/6088",
		},
	},
	{
		Entry: finding.Entry{
			Code: HeadlessServiceWithoutEndpoints, Severity: finding.Warning, Title: "Headless Service has no ready endpoints",
			Meaning:  "The name of a headless Service exists only while an endpoint is ready. DNS correctly answers NXDOMAIN.",
			Evidence: "EndpointSlices of the Service without a ready endpoint.",
			Next:     "Check the pods, or set publishNotReadyAddresses.",
			Source:   servers.SpecPage,
		},
	},
	{
		Entry: finding.Entry{
			Code: ServiceWithoutEndpoints, Severity: finding.Warning, Title: "Service has no ready endpoints",
			Meaning:  "DNS still returns the address of the Service, but connections to it fail. DNS is not the cause.",
			Evidence: "EndpointSlices of the Service without a ready endpoint.",
			Next:     "Check the pods that the Service selects.",
			Source:   "https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/",
		},
	},
	{
		Entry: finding.Entry{
			Code: StatefulSetPodsWithoutNames, Severity: finding.Warning, Title: "StatefulSet pods have no DNS names",
			Meaning:  "spec.serviceName refers to a Service that does not exist or does not select the pods.",
			Evidence: "spec.serviceName of the StatefulSet, and spec.selector of that Service compared with the labels of the pod template.",
			Next:     "Create the Service, or recreate the StatefulSet with the correct spec.serviceName.",
			Source:   "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-network-id",
		},
	},
	{
		Entry: finding.Entry{
			Code: PodSubdomainWithoutName, Severity: finding.Warning, Title: "Pod subdomain has no DNS name",
			Meaning:  "The name HOSTNAME.SUBDOMAIN requires spec.hostname, and a Service that has the name of the subdomain and selects the pod.",
			Evidence: "spec.hostname and spec.subdomain of the pod, and the Services of its namespace.",
			Next:     "Create the Service, or correct the pod.",
			Source:   clients.PodPage,
		},
	},
}

// inScope says whether the data of a namespace is this run's subject.
func inScope(w *facts.Snapshot, namespace string) bool {
	return w.Options.All || w.Options.Namespace == namespace && namespace != ""
}

// checkData judges objects whose names DNS answers correctly, but not as intended.
func checkData(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	for i := range w.Services {
		if svc := &w.Services[i]; inScope(w, svc.Namespace) {
			list = append(list, ServiceRules(w, svc)...)
		}
	}
	for i := range w.StatefulSet {
		if sts := &w.StatefulSet[i]; inScope(w, sts.Namespace) {
			list = append(list, StatefulSetRules(w, sts)...)
		}
	}
	for i := range w.Targets {
		pod := &w.Targets[i]
		if inScope(w, pod.Namespace) && pod.Spec.Subdomain != "" && !ownedByStatefulSet(pod) && !podfact.Finished(pod) {
			list = append(list, SubdomainRules(w, pod)...)
		}
	}
	return list
}

func ownedByStatefulSet(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "StatefulSet" })
}

func ServiceRules(w *facts.Snapshot, svc *corev1.Service) []finding.Finding {
	object := facts.Ref("Service", svc.Namespace, svc.Name)
	name := svc.Namespace + "/" + svc.Name
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return externalNameRules(w, svc, object)
	case len(svc.Spec.Selector) == 0 && !w.Options.Standalone, // somebody else fills it, or will
		!w.Sources.Get("endpointslices").Readable(), w.ReadyEndpoints(svc) > 0,
		w.Now.Sub(svc.CreationTimestamp.Time).Seconds() < 15:
		return nil
	}
	selector := labels.SelectorFromSet(svc.Spec.Selector).String()
	next := []finding.Next{
		w.Read("List the pods that the Service selects", svc.Namespace, "get", "pods", "-l", selector),
		w.Read("List the EndpointSlices of the "+
			"Service", svc.Namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name="+svc.Name, "-o", "wide"),
	}
	if selector == "" {
		selector, next = "none: its EndpointSlices are made by hand, or by a controller of its own", next[1:]
	}
	evidence := []finding.Evidence{
		facts.NewEvidence("EndpointSlice", "endpoints", "%s", endpointWords(w, svc)),
		facts.NewEvidence("Service", "spec.selector", "%s", selector),
	}
	if records.Headless(svc) {
		severity := finding.Warning
		// In a check, a Service that nothing is behind waits for pods: those of a workload that is scaled to zero or has ended, or the
		// control plane of a cloud, which monitoring charts make Services for.
		if !w.Options.Standalone && !awaited(w, svc) {
			severity = finding.Info
		}
		return []finding.Finding{w.Make(HeadlessServiceWithoutEndpoints, severity, object,
			fmt.Sprintf("headless Service %s has no ready endpoints; the name does not exist (NXDOMAIN) until a pod is ready",
				name), evidence, next...)}
	}
	severity := finding.Info // in a check of DNS it is a side note; for a query of this name it is the answer
	if w.Options.Standalone {
		severity = finding.Warning
	}
	return []finding.Finding{w.Make(ServiceWithoutEndpoints, severity, object,
		fmt.Sprintf("Service %s has no ready endpoints: DNS still returns its address, but connections fail; DNS is not the cause",
			name), evidence, next...)}
}

// awaited says whether pods are meant to be behind a Service: those of a StatefulSet that is not scaled to zero, or any that are there and
// have not ended.
func awaited(w *facts.Snapshot, svc *corev1.Service) bool {
	if slices.ContainsFunc(w.StatefulSet, func(s appsv1.StatefulSet) bool {
		return s.Namespace == svc.Namespace && s.Spec.ServiceName == svc.Name && (s.Spec.Replicas == nil || *s.Spec.Replicas > 0)
	}) {
		return true
	}
	ended := map[string]bool{}
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	for i := range w.Targets {
		pod := &w.Targets[i]
		if pod.Namespace != svc.Namespace {
			continue
		}
		ended[pod.Name] = podfact.Finished(pod)
		if !ended[pod.Name] && selector.Matches(labels.Set(pod.Labels)) {
			return true
		}
	}
	return slices.ContainsFunc(w.EndpointsOf(svc), func(e discoveryv1.Endpoint) bool { return e.TargetRef == nil || !ended[e.TargetRef.Name] })
}

func endpointWords(w *facts.Snapshot, svc *corev1.Service) string {
	total := len(w.EndpointsOf(svc))
	if total == 0 && len(svc.Spec.Selector) == 0 {
		return "none"
	} else if total == 0 {
		return "none; the selector matches no pod with an address"
	}
	return fmt.Sprintf("0 of %d ready", total)
}

func externalNameRules(w *facts.Snapshot, svc *corev1.Service, object *finding.ObjectRef) []finding.Finding {
	name := svc.Namespace + "/" + svc.Name
	target := corefile.Fqdn(svc.Spec.ExternalName)
	edit := w.Change("Correct spec.externalName", svc.Namespace, "edit", "service", svc.Name)
	if _, err := netip.ParseAddr(svc.Spec.ExternalName); err == nil {
		return []finding.Finding{w.Make(ExternalNameIsAddress, finding.Warning, object,
			fmt.Sprintf("ExternalName Service %s refers to address %s; a CNAME cannot point to an address, so DNS answers NXDOMAIN", name,
				svc.Spec.ExternalName),
			[]finding.Evidence{facts.NewEvidence("Service", "spec.externalName", "%s", svc.Spec.ExternalName)}, edit)}
	}
	chain := []string{w.Engine.ServiceName(svc)}
	for range 12 {
		if slices.Contains(chain, target) {
			return []finding.Finding{w.Make(ExternalNameLoop, finding.Warning, object,
				fmt.Sprintf("ExternalName Service %s refers back to itself; DNS answers NOERROR without an address", name),
				[]finding.Evidence{facts.NewEvidence("Service", "spec.externalName", "%s", strings.Join(append(chain, target), " -> "))}, edit)}
		}
		if !corefile.InZone(target, w.Zone) {
			return nil
		}
		chain = append(chain, target)
		x := ask.Expect(w, target, "CNAME")
		if headless, labels := ask.ServiceOf(w, target); x.Outcome == records.NXDomain && headless != nil {
			return emptyTarget(w, svc, headless, target, len(labels) > 2)
		}
		if x.Outcome == records.NXDomain {
			return []finding.Finding{w.Make(ExternalNameTargetNotFound, finding.Warning, object,
				fmt.Sprintf("ExternalName Service %s refers to %s, which does not exist; DNS answers NOERROR without an address", name,
					strings.TrimSuffix(target, ".")),
				[]finding.Evidence{facts.NewEvidence("Service", "spec.externalName", "%s", svc.Spec.ExternalName)}, edit)}
		}
		if len(x.Data) != 1 {
			return nil
		}
		target = x.Data[0]
	}
	return nil
}

// emptyTarget: an ExternalName that refers to a headless Service which has no records now. Its spec.externalName is right.
func emptyTarget(w *facts.Snapshot, svc, headless *corev1.Service, target string, below bool) []finding.Finding {
	target = strings.TrimSuffix(target, ".")
	lead := fmt.Sprintf("ExternalName Service %s/%s refers to %s: ", svc.Namespace, svc.Name, target)
	f := withoutRecords(w, corefile.Fqdn(target), headless, below)
	why := strings.TrimPrefix(f.Message, target+" does not exist: ")
	if list := ServiceRules(w, headless); !below && len(list) > 0 {
		f.Evidence, f.Next = list[0].Evidence, list[0].Next
	}
	return []finding.Finding{w.Make(ExternalNameTargetNotFound, finding.Warning, facts.Ref("Service", svc.Namespace, svc.Name), lead+why,
		append([]finding.Evidence{facts.NewEvidence("Service", "spec.externalName", "%s", svc.Spec.ExternalName)}, f.Evidence...), f.Next...)}
}

// StatefulSetRules walks the links that a name POD.SERVICE.NAMESPACE needs, and names the first that is broken.
func StatefulSetRules(w *facts.Snapshot, sts *appsv1.StatefulSet) []finding.Finding {
	if !w.Sources.Get("services").Readable() {
		return nil
	}
	object := facts.Ref("StatefulSet", sts.Namespace, sts.Name)
	name := sts.Namespace + "/" + sts.Name
	governing := sts.Spec.ServiceName
	if governing == "" {
		return nil
	}
	svc := w.Engine.Service(sts.Namespace, governing)
	hint := headlessFor(w, sts.Namespace, sts.Spec.Template.Labels)
	evidence := []finding.Evidence{facts.NewEvidence("StatefulSet", "spec.serviceName", "%s", governing)}
	if hint != nil && hint.Name != governing {
		evidence = append(evidence, facts.NewEvidence("Service", hint.Name, "is headless and selects the pods"))
	}
	var broken string
	switch {
	case svc == nil:
		broken = "does not exist"
	case len(svc.Spec.Selector) > 0 && !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(sts.Spec.Template.Labels)):
		broken = "does not select the pods"
		evidence = append(evidence, facts.NewEvidence("Service", "spec.selector", "%s", labels.Set(svc.Spec.Selector)))
	case !records.Headless(svc) && svc.Spec.Type != corev1.ServiceTypeExternalName:
		return nil // CoreDNS answers the names of its endpoints
	default:
		return nil
	}
	next := []finding.Next{w.Read("List the names that must exist", sts.Namespace, "dns", "names", "sts/"+sts.Name)}
	if hint != nil {
		next = append(next, w.Read("Save the StatefulSet, to recreate it with the immutable serviceName set to "+hint.Name,
			sts.Namespace, "get", "statefulset", sts.Name, "-o", "yaml"))
	}
	return []finding.Finding{w.Make(StatefulSetPodsWithoutNames, finding.Warning, object,
		fmt.Sprintf("the pods of StatefulSet %s have no DNS names: Service %s "+
			"(spec.serviceName) %s", name, governing, broken), evidence, next...)}
}

// headlessFor finds a headless Service that selects pods with these labels.
func headlessFor(w *facts.Snapshot, namespace string, l map[string]string) *corev1.Service {
	for i := range w.Services {
		svc := &w.Services[i]
		if svc.Namespace == namespace && records.Headless(svc) && len(svc.Spec.Selector) > 0 &&
			labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(l)) {
			return svc
		}
	}
	return nil
}

func SubdomainRules(w *facts.Snapshot, pod *corev1.Pod) []finding.Finding {
	svc := w.Engine.Service(pod.Namespace, pod.Spec.Subdomain)
	object := facts.Ref("Pod", pod.Namespace, pod.Name)
	broken := ""
	switch {
	case svc == nil:
		broken = "no Service has the name of the subdomain"
	case len(svc.Spec.Selector) > 0 && !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels)):
		broken = "the Service of that name does not select the pod"
	case pod.Spec.Hostname == "":
		broken = "spec.hostname is not set"
	}
	if broken == "" {
		return nil
	}
	return []finding.Finding{w.Make(PodSubdomainWithoutName, finding.Warning, object,
		fmt.Sprintf("pod %s/%s has subdomain %s but no DNS name: %s", pod.Namespace, pod.Name, pod.Spec.Subdomain, broken),
		[]finding.Evidence{
			facts.NewEvidence("Pod", "spec.subdomain", "%s", pod.Spec.Subdomain),
			facts.NewEvidence("Pod", "spec.hostname", "%s", facts.OrNone(pod.Spec.Hostname)),
		},
		w.Read("List the names of the pod", pod.Namespace, "dns", "names", "pod/"+pod.Name))}
}
