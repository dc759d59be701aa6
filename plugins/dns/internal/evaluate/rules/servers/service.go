package servers

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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of this file.
const (
	DNSServiceWithoutDNSPods     finding.Code = "DNSServiceWithoutDNSPods"
	DNSServicePortMissing        finding.Code = "DNSServicePortMissing"
	DNSServiceTargetPortMismatch finding.Code = "DNSServiceTargetPortMismatch"
	DNSServiceEndpointsMismatch  finding.Code = "DNSServiceEndpointsMismatch"
)

// SelectionRules report a DNS Service that routes to no DNS pod.
var SelectionRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSServiceWithoutDNSPods, Severity: finding.Critical, Title: "DNS Service does not route to the DNS pods",
			Meaning: "The selector of the DNS Service does not match the DNS pods, and may match other pods; or DNS pods are ready, but " +
				"the Service has no endpoints.",
			Evidence: "spec.selector of the Service, the labels of the DNS pods and of their workload, and the EndpointSlices.",
			Next:     "Correct the selector of the Service, or check whether kube-controller-manager is running.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{DNSServiceEndpointsMismatch},
		Check:    checkServiceSelects,
	},
}

// LeadingRules report a DNS Service that routes only some queries to the DNS pods.
var LeadingRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSServicePortMissing, Severity: finding.Critical, Title: "DNS Service lacks port 53 for UDP or TCP",
			Meaning:  "The DNS Service requires both 53/UDP and 53/TCP. The severity is warning if only TCP is missing.",
			Evidence: "spec.ports of the Service, without 53/UDP or 53/TCP.",
			Next:     "Add the missing port to the Service.",
			Source:   DebugPage,
		},
		Check: checkServicePorts,
	},
	{
		Entry: finding.Entry{
			Code: DNSServiceTargetPortMismatch, Severity: finding.Critical, Title: "DNS Service targets a port without DNS",
			Meaning: "Queries to the Service address reach a port of the DNS pods on which no DNS is served; the servers themselves are " +
				"healthy. The severity is warning if only TCP is wrong.",
			Evidence: "spec.ports[].targetPort of the Service, compared with the container ports of the DNS pods and the ports in the Corefile.",
			Next:     "Correct targetPort of the Service.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{ReplicaNotAnswering},
		Check:    checkServiceTarget,
	},
	{
		Entry: finding.Entry{
			Code: DNSServiceEndpointsMismatch, Severity: finding.Warning, Title: "DNS Service endpoints do not match the DNS pods",
			Meaning: "Queries go to an address that no DNS pod has, or a ready DNS pod receives no queries. Possible causes are a " +
				"manually created EndpointSlice and controllers that are not running. The severity is critical if queries from a pod to the " +
				"Service were not answered.",
			Evidence: "The ready addresses in the EndpointSlices of the Service, compared with the addresses of the pods that the Service selects.",
			Next:     "Check what manages each EndpointSlice, and whether kube-controller-manager is running.",
			Source:   DebugPage,
		},
		Check: checkServiceEndpoints,
	},
	localRule,
}

// checkServiceSelects: a Service that leads to no DNS pod, since its selector is another's or its endpoints are missing.
func checkServiceSelects(w *facts.Snapshot) []finding.Finding {
	if w.Service == nil || len(w.Service.Spec.Selector) == 0 {
		return nil
	}
	if l, who, wrong := unselected(w); wrong {
		return []finding.Finding{wrongSelector(w, l, who)}
	}
	if !w.Sources.Get("endpointslices").Readable() || !w.Sources.Get("pods").Readable() || w.ReadyEndpoints(w.Service) > 0 {
		return nil
	}
	ready := 0
	for _, pod := range w.Live() {
		if podfact.Serves(pod) {
			ready++
		}
	}
	if ready == 0 {
		return nil
	}
	return []finding.Finding{w.Make(DNSServiceWithoutDNSPods, finding.Critical, facts.Ref("Service", w.Service.Namespace, w.Service.Name),
		fmt.Sprintf("%d DNS pods are ready, but Service %s has no endpoints", ready, w.Service.Name),
		[]finding.Evidence{
			facts.NewEvidence("Service", "spec.selector", "%s", labels.Set(w.Service.Spec.Selector)),
			facts.NewEvidence("EndpointSlice", "endpoints", "0 ready"),
		},
		w.Read("List the EndpointSlices of the Service", w.Service.Namespace, "get", "endpointslices", "-l",
			discoveryv1.LabelServiceName+"="+w.Service.Name, "-o", "wide"),
		w.Read("Check whether kube-controller-manager is running", "kube-system", "get", "leases", "kube-controller-manager"))}
}

// unselected says whether the Service selects none of the DNS pods; of the workload's template when there are none.
func unselected(w *facts.Snapshot) (l map[string]string, who string, wrong bool) {
	for _, pod := range w.Live() {
		if discover.Selects(w.Service, pod.Labels) {
			return nil, "", false
		}
		l, who = pod.Labels, "the DNS pods"
	}
	if w.Workload == nil {
		return l, who, l != nil
	}
	if l == nil {
		l = w.Workload.Template.Labels
	}
	return l, "the pods of " + w.Workload.Ref.Kind + " " + w.Workload.Ref.Name, !discover.Selects(w.Service, l)
}

func wrongSelector(w *facts.Snapshot, l map[string]string, who string) finding.Finding {
	selector, right := labels.Set(w.Service.Spec.Selector).String(), discover.SelectorFor(l, w.Workload)
	what := "no ready pod"
	if n := w.ReadyEndpoints(w.Service); n > 0 {
		what = fmt.Sprintf("%d other ready %s", n, facts.Plural(n, "pod"))
	} else if !w.Sources.Get("endpointslices").Readable() {
		what = "other pods or none (EndpointSlices cannot be read)"
	}
	namespace, name := w.Service.Namespace, w.Service.Name
	return w.Make(DNSServiceWithoutDNSPods, finding.Critical, facts.Ref("Service", namespace, name),
		fmt.Sprintf("Service %s has selector %s, but %s match %s", name, selector, who, right),
		[]finding.Evidence{
			facts.NewEvidence("Service", "spec.selector", "%s, which matches %s", selector, what),
			facts.NewEvidence(who, "labels", "%s", discover.OwnLabels(l)),
		},
		w.Change("Set the selector that matches the DNS pods", namespace, "set", "selector", "service", name, right),
		w.Read("List the pods that the Service selects now", namespace, "get", "pods", "-l", selector, "-o", "wide"))
}

// checkServiceEndpoints: what the Service sends queries to, compared with the pods that it selects. A manually created
// EndpointSlice adds an address; a controller that is down leaves old ones, and new pods out.
func checkServiceEndpoints(w *facts.Snapshot) []finding.Finding {
	if w.Service == nil || len(w.Service.Spec.Selector) == 0 || len(w.Pods) == 0 || !w.Sources.Get("pods").Readable() ||
		!w.Sources.Get("endpointslices").Readable() {
		return nil
	}
	strangers, sent, evidence := strangers(w)
	selector := labels.SelectorFromSet(w.Service.Spec.Selector)
	var missing []string
	for _, pod := range w.Live() {
		if podfact.Serves(pod) && !w.Starting(pod) && selector.Matches(labels.Set(pod.Labels)) && !sent[pod.Status.PodIP] &&
			w.ReadyEndpoints(w.Service) > 0 {
			missing = append(missing, pod.Name)
			evidence = append(evidence, facts.NewEvidence("Pod "+pod.Name, "status.podIP", "%s; the pod is Ready, but in no EndpointSlice "+
				"of the Service", pod.Status.PodIP))
		}
	}
	var parts []string
	severity := finding.Warning
	if len(strangers) > 0 {
		slices.Sort(strangers)
		parts = append(parts, fmt.Sprintf("sends some queries to %s, where no DNS pod runs", strings.Join(strangers, ", ")))
		if w.From != nil && slices.ContainsFunc(w.From.Answers, func(a report.Answer) bool {
			return a.Error != "" && slices.Contains(discover.ClusterIPs(w.Service), a.Server)
		}) {
			severity = finding.Critical
		}
	}
	if len(missing) > 0 {
		parts = append(parts, "sends no query to "+strings.Join(missing, ", "))
	}
	if len(parts) == 0 {
		return nil
	}
	return []finding.Finding{w.Make(DNSServiceEndpointsMismatch, severity, facts.Ref("Service", w.Service.Namespace, w.Service.Name),
		fmt.Sprintf("Service %s %s", w.Service.Name, strings.Join(parts, " and ")), evidence,
		w.Read("List what manages each EndpointSlice (label "+
			"endpointslice.kubernetes.io/managed-by)", w.Service.Namespace, "get", "endpointslices", "-l",
			discoveryv1.LabelServiceName+"="+w.Service.Name, "--show-labels"),
		w.Read("Check whether kube-controller-manager is running", "kube-system", "get", "leases", "kube-controller-manager"))}
}

// strangers gives the ready addresses of the Service that are no DNS pod's, and all to which it sends queries.
func strangers(w *facts.Snapshot) (list []string, sent map[string]bool, evidence []finding.Evidence) {
	known := map[string]bool{}
	for i := range w.Pods {
		for _, ip := range w.Pods[i].Status.PodIPs {
			known[ip.IP] = true
		}
	}
	sent = map[string]bool{}
	for i := range w.Slices {
		slice := &w.Slices[i]
		if slice.Namespace != w.Service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != w.Service.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			for _, ip := range e.Addresses {
				sent[ip] = true
				if !known[ip] && records.Ready(e) && !slices.Contains(list, ip) {
					list = append(list, ip)
					evidence = append(evidence, facts.NewEvidence("EndpointSlice "+slice.Name, "endpoints", "%s, ready; no DNS pod has this address", ip))
				}
			}
		}
	}
	return list, sent, evidence
}

func checkServicePorts(w *facts.Snapshot) []finding.Finding {
	if w.Service == nil {
		return nil
	}
	var missing []string
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		if !slices.ContainsFunc(w.Service.Spec.Ports, func(p corev1.ServicePort) bool {
			return p.Port == 53 && (p.Protocol == protocol || p.Protocol == "" && protocol == corev1.ProtocolTCP)
		}) {
			missing = append(missing, string(protocol))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	severity, meaning := finding.Warning, "answers too large for a UDP packet are lost"
	if slices.Contains(missing, "UDP") {
		severity, meaning = finding.Critical, "queries over UDP get no answer"
	}
	return []finding.Finding{w.Make(DNSServicePortMissing, severity, facts.Ref("Service", w.Service.Namespace, w.Service.Name),
		fmt.Sprintf("Service %s has no port 53/%s: %s", w.Service.Name, strings.Join(missing, " or 53/"), meaning),
		[]finding.Evidence{facts.NewEvidence("Service", "spec.ports", "%s", strings.Join(w.ServiceReport(w.Service).Ports, ", "))},
		w.Change("Add the missing port", w.Service.Namespace, "edit", "service", w.Service.Name))}
}

// checkServiceTarget: a Service that sends queries to a port of the DNS pods where no DNS is served.
func checkServiceTarget(w *facts.Snapshot) []finding.Finding {
	live := w.Live()
	if w.Service == nil || len(live) == 0 || w.Provider() != "CoreDNS" {
		return nil
	}
	declared, listening := discover.ContainerPorts(live[0].Spec), w.Listening(live[0].Spec)
	if len(listening) == 0 && !slices.ContainsFunc(declared, func(p corev1.ContainerPort) bool { return p.Protocol == corev1.ProtocolUDP }) {
		return nil // nothing tells where the servers listen
	}
	severity, meaning := finding.Warning, "answers too large for a UDP packet are lost"
	var wrong []string
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		if !slices.ContainsFunc(w.Service.Spec.Ports, func(p corev1.ServicePort) bool {
			return p.Port == 53 && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol
		}) {
			continue // a port that is missing altogether is another finding
		}
		port, known := discover.TargetOf(w.Service, protocol, declared)
		if known && w.ServedAt(live[0].Spec, protocol, port) {
			continue
		}
		if protocol == corev1.ProtocolUDP {
			severity, meaning = finding.Critical, "pods get no answer from "+strings.Join(discover.ClusterIPs(w.Service), ", ")
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
	for _, p := range w.Service.Spec.Ports {
		if p.Port == 53 {
			evidence = append(evidence, facts.NewEvidence("Service", "spec.ports", "%d/%s, "+
				"targetPort %s", p.Port, p.Protocol, p.TargetPort.String()))
		}
	}
	for _, p := range declared {
		evidence = append(evidence, facts.NewEvidence("Pod "+live[0].Name, "containers.ports", "%s %d/%s", p.Name, p.ContainerPort,
			cmp.Or(p.Protocol, corev1.ProtocolTCP)))
	}
	for _, port := range slices.Compact(slices.Sorted(slices.Values(listening))) {
		evidence = append(evidence, facts.NewEvidence("Corefile", "server blocks", "DNS is served on port %d", port))
	}
	return []finding.Finding{w.Make(DNSServiceTargetPortMismatch, severity, facts.Ref("Service", w.Service.Namespace, w.Service.Name),
		fmt.Sprintf("Service %s sends %s, where the DNS pods serve no DNS; %s", w.Service.Name, strings.Join(wrong, " and "),
			meaning), evidence,
		w.Change("Correct targetPort of the Service", w.Service.Namespace, "edit", "service", w.Service.Name))}
}
