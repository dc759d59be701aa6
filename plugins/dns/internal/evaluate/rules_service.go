package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// ruleServiceSelects: a Service that leads to no DNS pod, since its selector is another's or its endpoints are missing.
func ruleServiceSelects(w *world) []finding.Finding {
	if w.service == nil || len(w.service.Spec.Selector) == 0 {
		return nil
	}
	if l, who, wrong := w.unselected(); wrong {
		return []finding.Finding{w.wrongSelector(l, who)}
	}
	if !w.Sources.Get("endpointslices").Readable() || !w.Sources.Get("pods").Readable() || w.readyEndpoints(w.service) > 0 {
		return nil
	}
	ready := 0
	for _, pod := range w.live() {
		if podfact.Serves(pod) {
			ready++
		}
	}
	if ready == 0 {
		return nil
	}
	return []finding.Finding{w.make("ServiceSelectsNothing", finding.Critical, ref("Service", w.service.Namespace, w.service.Name),
		fmt.Sprintf("%d DNS pods are ready and Service %s has no endpoint", ready, w.service.Name),
		[]finding.Evidence{seen("Service", "spec.selector", "%s", labels.Set(w.service.Spec.Selector)), seen("EndpointSlice", "endpoints", "0 ready")},
		w.read("see the Service's endpoints", w.service.Namespace, "get", "endpointslices", "-l", discoveryv1.LabelServiceName+"="+w.service.Name, "-o", "wide"),
		w.read("see whether the controllers run", "kube-system", "get", "leases", "kube-controller-manager"))}
}

// unselected says whether the Service selects none of the DNS pods; of the workload's template when there are none.
func (w *world) unselected() (l map[string]string, who string, wrong bool) {
	for _, pod := range w.live() {
		if Selects(w.service, pod.Labels) {
			return nil, "", false
		}
		l, who = pod.Labels, "the DNS pods"
	}
	if w.workload == nil {
		return l, who, l != nil
	}
	if l == nil {
		l = w.workload.Template.Labels
	}
	return l, "the pods of " + w.workload.Ref.Kind + " " + w.workload.Ref.Name, !Selects(w.service, l)
}

func (w *world) wrongSelector(l map[string]string, who string) finding.Finding {
	selector, right := labels.Set(w.service.Spec.Selector).String(), selectorFor(l, w.workload)
	what := "nothing"
	if n := w.readyEndpoints(w.service); n > 0 {
		what = fmt.Sprintf("%d other ready %s", n, plural(n, "pod"))
	} else if !w.Sources.Get("endpointslices").Readable() {
		what = "something else, or nothing"
	}
	namespace, name := w.service.Namespace, w.service.Name
	return w.make("ServiceSelectsNothing", finding.Critical, ref("Service", namespace, name),
		fmt.Sprintf("Service %s does not lead to the DNS pods: its selector is %s, and %s selects %s", name, selector, right, who),
		[]finding.Evidence{seen("Service", "spec.selector", "%s, which selects %s", selector, what), seen(who, "labels", "%s", ownLabels(l))},
		w.change("select the DNS pods again", namespace, "set", "selector", "service", name, right),
		w.read("see what the Service selects now", namespace, "get", "pods", "-l", selector, "-o", "wide"))
}

// ruleServiceEndpoints: what the Service sends queries to, held against the pods that it selects. Somebody's own
// EndpointSlice adds an address; a controller that is down leaves old ones, and new pods out.
func ruleServiceEndpoints(w *world) []finding.Finding {
	if w.service == nil || len(w.service.Spec.Selector) == 0 || len(w.Pods) == 0 || !w.Sources.Get("pods").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return nil
	}
	selector := labels.SelectorFromSet(w.service.Spec.Selector)
	known := map[string]bool{}
	for i := range w.Pods {
		for _, ip := range w.Pods[i].Status.PodIPs {
			known[ip.IP] = true
		}
	}
	var evidence []finding.Evidence
	var strangers, missing []string
	sent := map[string]bool{}
	for i := range w.Slices {
		slice := &w.Slices[i]
		if slice.Namespace != w.service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != w.service.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			for _, ip := range e.Addresses {
				sent[ip] = true
				if !known[ip] && records.Ready(e) && !slices.Contains(strangers, ip) {
					strangers = append(strangers, ip)
					evidence = append(evidence, seen("EndpointSlice "+slice.Name, "endpoints", "%s, ready; no DNS pod has this address", ip))
				}
			}
		}
	}
	for _, pod := range w.live() {
		if podfact.Serves(pod) && !w.starting(pod) && selector.Matches(labels.Set(pod.Labels)) && !sent[pod.Status.PodIP] && w.readyEndpoints(w.service) > 0 {
			missing = append(missing, pod.Name)
			evidence = append(evidence, seen("Pod "+pod.Name, "status.podIP", "%s, Ready; in no EndpointSlice", pod.Status.PodIP))
		}
	}
	var parts []string
	severity := finding.Warning
	if len(strangers) > 0 {
		slices.Sort(strangers)
		parts = append(parts, fmt.Sprintf("sends a part of the queries to %s, where no DNS pod is", strings.Join(strangers, ", ")))
		if w.From != nil && slices.ContainsFunc(w.From.Answers, func(a report.Answer) bool {
			return a.Error != "" && slices.Contains(clusterIPsOf(w.service), a.Server)
		}) {
			severity = finding.Critical
		}
	}
	if len(missing) > 0 {
		parts = append(parts, "sends nothing to "+strings.Join(missing, ", "))
	}
	if len(parts) == 0 {
		return nil
	}
	return []finding.Finding{w.make("ServiceEndpointsDiffer", severity, ref("Service", w.service.Namespace, w.service.Name),
		fmt.Sprintf("Service %s %s", w.service.Name, strings.Join(parts, " and ")), evidence,
		w.read("see who made each of its slices (endpointslice.kubernetes.io/managed-by)", w.service.Namespace, "get", "endpointslices", "-l", discoveryv1.LabelServiceName+"="+w.service.Name, "--show-labels"),
		w.read("see whether the controllers run", "kube-system", "get", "leases", "kube-controller-manager"))}
}

func ruleServicePorts(w *world) []finding.Finding {
	if w.service == nil {
		return nil
	}
	var missing []string
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		if !slices.ContainsFunc(w.service.Spec.Ports, func(p corev1.ServicePort) bool {
			return p.Port == 53 && (p.Protocol == protocol || p.Protocol == "" && protocol == corev1.ProtocolTCP)
		}) {
			missing = append(missing, string(protocol))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	severity, meaning := finding.Warning, "answers that do not fit a UDP packet are lost"
	if slices.Contains(missing, "UDP") {
		severity, meaning = finding.Critical, "ordinary queries get no answer"
	}
	return []finding.Finding{w.make("ServicePortMissing", severity, ref("Service", w.service.Namespace, w.service.Name),
		fmt.Sprintf("Service %s has no port 53/%s: %s", w.service.Name, strings.Join(missing, " and 53/"), meaning),
		[]finding.Evidence{seen("Service", "spec.ports", "%s", strings.Join(w.serviceReport(w.service).Ports, ", "))},
		w.change("add the port", w.service.Namespace, "edit", "service", w.service.Name))}
}

// ruleServiceTarget: a Service that sends queries to a port of the DNS pods where no DNS is served.
func ruleServiceTarget(w *world) []finding.Finding {
	live := w.live()
	if w.service == nil || len(live) == 0 || w.provider() != "CoreDNS" {
		return nil
	}
	declared, listening := containerPorts(live[0].Spec), w.listening(live[0].Spec)
	if len(listening) == 0 && !slices.ContainsFunc(declared, func(p corev1.ContainerPort) bool { return p.Protocol == corev1.ProtocolUDP }) {
		return nil // nothing tells where the servers listen
	}
	severity, meaning := finding.Warning, "answers that do not fit a UDP packet are lost"
	var wrong []string
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		if !slices.ContainsFunc(w.service.Spec.Ports, func(p corev1.ServicePort) bool {
			return p.Port == 53 && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol
		}) {
			continue // a port that is missing altogether is another finding
		}
		port, known := targetOf(w.service, protocol, declared)
		if known && w.servedAt(live[0].Spec, protocol, port) {
			continue
		}
		if protocol == corev1.ProtocolUDP {
			severity, meaning = finding.Critical, "pods get no answer from "+strings.Join(clusterIPsOf(w.service), ", ")
		}
		if !known {
			wrong = append(wrong, fmt.Sprintf("53/%s to a port name that the pods do not have", protocol))
		} else {
			wrong = append(wrong, fmt.Sprintf("53/%s to port %d", protocol, port))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	evidence := []finding.Evidence{}
	for _, p := range w.service.Spec.Ports {
		if p.Port == 53 {
			evidence = append(evidence, seen("Service", "spec.ports", "%d/%s, targetPort %s", p.Port, p.Protocol, p.TargetPort.String()))
		}
	}
	for _, p := range declared {
		evidence = append(evidence, seen("Pod "+live[0].Name, "containers.ports", "%s %d/%s", p.Name, p.ContainerPort, cmp.Or(p.Protocol, corev1.ProtocolTCP)))
	}
	for _, port := range slices.Compact(slices.Sorted(slices.Values(listening))) {
		evidence = append(evidence, seen("Corefile", "server blocks", "DNS is served on port %d", port))
	}
	return []finding.Finding{w.make("ServiceTargetWrong", severity, ref("Service", w.service.Namespace, w.service.Name),
		fmt.Sprintf("Service %s sends %s of the DNS pods, where no DNS is served: %s", w.service.Name, strings.Join(wrong, " and "), meaning), evidence,
		w.change("correct targetPort", w.service.Namespace, "edit", "service", w.service.Name))}
}
