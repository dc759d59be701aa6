package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

func ruleNoService(w *world) []finding.Finding {
	if w.service != nil || !w.Sources.Get("services").Readable() {
		return nil
	}
	message := "no Service of this cluster looks like its DNS"
	evidence := []finding.Evidence{seen("Service", "", "none of %d Services has the label k8s-app=kube-dns or answers on port 53 in kube-system", len(w.Services))}
	var next []finding.Next
	asked := w.clusterDNS()
	if len(asked) > 0 {
		message = fmt.Sprintf("no Service has the address %s, which pods ask for every name", strings.Join(asked, ", "))
		evidence = append(evidence, seen("ConfigMap kube-system/kubelet-config", "clusterDNS", "%s", strings.Join(asked, ", ")))
	}
	for i := range w.Deployments {
		d := &w.Deployments[i]
		if d.Spec.Template.Labels["k8s-app"] != "kube-dns" {
			continue
		}
		message += fmt.Sprintf(": the DNS servers of Deployment %s run, and their Service is gone", d.Name)
		evidence = append(evidence, seen("Deployment "+d.Name, "status.readyReplicas", "%d", d.Status.ReadyReplicas))
		if len(asked) == 1 {
			ports := `[{"op":"replace","path":"/spec/ports","value":[{"name":"dns","port":53,"protocol":"UDP"},{"name":"dns-tcp","port":53,"protocol":"TCP"},{"name":"metrics","port":9153,"protocol":"TCP"}]}]`
			next = append(next,
				w.change("make the Service again, at the address that pods ask", d.Namespace, "expose", "deployment", d.Name, "--name=kube-dns", "--port=53", "--protocol=UDP", "--cluster-ip="+asked[0]),
				w.change("then give it its ports by TCP too", d.Namespace, "patch", "service", "kube-dns", "--type=json", "-p", ports))
		}
		break
	}
	next = append(next, w.read("see whether DNS runs under another name", "", "get", "services,deployments,daemonsets", "-A", "-l", "k8s-app in (kube-dns,coredns)"))
	return []finding.Finding{w.make("NoDNSService", finding.Critical, nil, message, evidence, next...)}
}

func ruleScaledToZero(w *world) []finding.Finding {
	if w.workload == nil || w.workload.wanted != 0 || len(w.Pods) > 0 && slices.ContainsFunc(w.Pods, func(p corev1.Pod) bool { return podReady(&p) }) {
		return nil
	}
	ref := w.workload.ref
	if ref.Kind != "Deployment" {
		return []finding.Finding{w.make("DNSScaledToZero", finding.Critical, &ref, fmt.Sprintf("no node is chosen for the DNS DaemonSet %s: nobody answers DNS", ref.Name),
			[]finding.Evidence{seen(ref.Kind, "status.desiredNumberScheduled", "0")}, w.read("see its node selector", ref.Namespace, "describe", "daemonset", ref.Name))}
	}
	return []finding.Finding{w.make("DNSScaledToZero", finding.Critical, &ref, fmt.Sprintf("Deployment %s is scaled to 0: nobody answers DNS", ref.Name),
		[]finding.Evidence{seen("Deployment", "spec.replicas", "0"), seen("Service", "endpoints", "%d ready", w.readyEndpoints(w.service))},
		w.change("start it again", ref.Namespace, "scale", "deployment", ref.Name, "--replicas=2"),
		w.read("see who scaled it", ref.Namespace, "get", "events", "--field-selector", "involvedObject.name="+ref.Name),
	)}
}

// ruleLoop: the loop plugin ends the process when its own probe comes back; the kubelet then restarts it for ever
// (https://coredns.io/plugins/loop/#troubleshooting).
func ruleLoop(w *world) []finding.Finding {
	var evidence []finding.Evidence
	for i := range w.Pods {
		pod := &w.Pods[i]
		if line, ok := w.lastFatal(pod, "Loop ("); ok {
			evidence = append(evidence, seen("log of "+pod.Name, "", "%s", line))
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	message := "CoreDNS forwards queries to itself: the loop plugin ends it, and it crashes again after every start"
	next := []finding.Next{w.read("see where . is forwarded to", "", "dns", "config")}
	for _, r := range w.routes() {
		if r.Via == "forward" && slices.Contains(r.Zones, ".") {
			evidence = append(evidence, seen("Corefile", fmt.Sprintf("line %d", r.Line), "forward %s", strings.Join(r.To, " ")))
			if slices.ContainsFunc(r.To, func(to string) bool { return strings.HasPrefix(to, "/") }) {
				message = "CoreDNS forwards to its node's resolv.conf, which leads back to CoreDNS: the loop plugin ends it, and it crashes again after every start"
			}
		}
	}
	if w.confRef != nil {
		next = append(next, w.change("forward to a real upstream server instead", w.confRef.Namespace, "edit", "configmap", w.confRef.Name))
	}
	return []finding.Finding{w.make("ForwardingLoop", finding.Critical, w.workloadRef(), message, evidence, next...)}
}

func (w *world) workloadRef() *finding.ObjectRef {
	if w.workload == nil {
		return nil
	}
	ref := w.workload.ref
	return &ref
}

// lastFatal finds a mark in the log of a container that has ended for it: its previous run, or the current one while it
// is down. One that has run for twenty seconds since is past it: a loop is seen within a few.
func (w *world) lastFatal(pod *corev1.Pod, mark string) (string, bool) {
	down := slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		t := s.LastTerminationState.Terminated
		recent := t != nil && t.ExitCode != 0 && (s.State.Running == nil || w.now.Sub(s.State.Running.StartedAt.Time).Seconds() < 20)
		return s.State.Running == nil || recent
	})
	if !down {
		return "", false
	}
	for _, l := range w.Logs {
		if l.Pod != pod.Name {
			continue
		}
		lines := strings.Split(strings.TrimSpace(l.Text), "\n")
		for i := len(lines) - 1; i >= max(0, len(lines)-12); i-- {
			if strings.Contains(lines[i], mark) {
				return logText(lines[i]), true
			}
		}
	}
	return "", false
}

func ruleCorefileInvalid(w *world) []finding.Finding {
	var evidence []finding.Evidence
	if w.confRead {
		for _, p := range w.conf.Problems {
			evidence = append(evidence, seen("Corefile", fmt.Sprintf("line %d", p.Line), "%s", p.Message))
		}
	}
	crashed := false
	for i := range w.Pods {
		for _, mark := range []string{"Error during parsing", "Unknown directive", "plugin/", "Corefile"} {
			if line, ok := w.lastFatal(&w.Pods[i], mark); ok && parseFailure(line) {
				evidence = append(evidence, seen("log of "+w.Pods[i].Name, "", "%s", line))
				crashed = true
				break
			}
		}
	}
	if failed := w.reloadFailures(); len(evidence) > 0 {
		for _, f := range failed {
			evidence = append(evidence, seen("log of "+f.pod, "", "%s", f.line))
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	severity, message := finding.Warning, "the Corefile cannot be loaded: the replicas still serve the old one, and the next restart takes DNS down"
	if crashed || len(w.Pods) > 0 && !slices.ContainsFunc(w.Pods, func(p corev1.Pod) bool { return podReady(&p) }) {
		severity, message = finding.Critical, "the Corefile cannot be loaded, and CoreDNS does not start"
	}
	next := []finding.Next{w.read("see the configuration with its line numbers", "", "dns", "config")}
	if w.confRef != nil {
		next = append(next, w.change("correct it", w.confRef.Namespace, "edit", "configmap", w.confRef.Name))
	}
	return []finding.Finding{w.make("CorefileInvalid", severity, w.confRef, message, evidence, next...)}
}

func parseFailure(line string) bool {
	for _, mark := range []string{"Error during parsing", "Unknown directive", "- Error during", "is already defined", "not a valid domain", "Wrong argument", "unknown property", "unclosed"} {
		if strings.Contains(line, mark) {
			return true
		}
	}
	return strings.HasPrefix(line, "/") && strings.Contains(line, ":")
}

func ruleForbidden(w *world) []finding.Finding {
	var missing []string
	var evidence []finding.Evidence
	for _, a := range w.Access {
		if !a.Allowed {
			missing = append(missing, a.Verb+" "+a.Resource)
			evidence = append(evidence, seen("SubjectAccessReview", a.Verb+" "+a.Resource, "not allowed"))
		}
	}
	if len(w.Access) == 0 { // not readable: the server's own complaint tells as much
		for _, l := range w.Logs {
			if line, ok := lastLine(l.Text, "is forbidden: User \"system:serviceaccount:"); ok && !l.Previous {
				evidence = append(evidence, seen("log of "+l.Pod, "", "%s", line))
				missing = append(missing, "what its log names")
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	missing = slices.Compact(missing)
	account := "its service account"
	if w.workload != nil && w.workload.account != "" {
		account = "service account " + w.service.Namespace + "/" + w.workload.account
	}
	next := []finding.Next{}
	if w.workload != nil {
		next = append(next,
			w.read("see the rules that it has", "", "auth", "can-i", "--list", "--as=system:serviceaccount:"+w.service.Namespace+":"+w.workload.account),
			w.change("give the usual role its rules back", "", "edit", "clusterrole", "system:coredns"))
	}
	return []finding.Finding{w.make("DNSServerForbidden", finding.Critical, w.workloadRef(),
		fmt.Sprintf("the DNS server may not %s: %s lacks the permission, so names go stale now and fail after its next start", strings.Join(missing, ", "), account), evidence, next...)}
}

func rulePodsDown(w *world) []finding.Finding {
	if w.service == nil || !w.Sources.Get("pods").Readable() || w.workload == nil || w.workload.wanted == 0 {
		return nil
	}
	var evidence []finding.Evidence
	live := w.live()
	for _, pod := range live {
		if podReady(pod) {
			return nil
		}
		evidence = append(evidence, w.podEvidence(pod)...)
	}
	message := fmt.Sprintf("none of the %d DNS pods is ready: nobody answers DNS", len(live))
	next := []finding.Next{}
	if len(live) == 0 {
		message = fmt.Sprintf("%s %s wants %d pods and has none", w.workload.ref.Kind, w.workload.ref.Name, w.workload.wanted)
		next = append(next, w.read("see why none is made", w.service.Namespace, "get", "events", "--sort-by=.lastTimestamp"))
	} else {
		next = append(next,
			w.read("see the events of the first pod", live[0].Namespace, "describe", "pod", live[0].Name),
			w.read("see what the servers say", "", "dns", "logs", "--errors"))
	}
	return []finding.Finding{w.make("DNSPodsNotReady", finding.Critical, w.workloadRef(), message, evidence, next...)}
}

func (w *world) podEvidence(pod *corev1.Pod) []finding.Evidence {
	list := []finding.Evidence{seen("Pod "+pod.Name, "status", "%s on node %s", podState(pod), orNone(pod.Spec.NodeName))}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			list = append(list, seen("Pod "+pod.Name, "PodScheduled", "%s", c.Message))
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil && s.State.Waiting.Message != "" {
			list = append(list, seen("Pod "+pod.Name, "waiting", "%s: %s", s.State.Waiting.Reason, s.State.Waiting.Message))
		}
		if t := s.LastTerminationState.Terminated; t != nil {
			list = append(list, seen("Pod "+pod.Name, "last exit", "%s, code %d, %d restarts", t.Reason, t.ExitCode, s.RestartCount))
		}
	}
	for _, l := range w.Logs {
		if l.Pod != pod.Name {
			continue
		}
		for _, mark := range []string{"Plugins not ready", "[FATAL]", "[ERROR]", "listen tcp"} {
			if line, ok := lastLine(l.Text, mark); ok {
				list = append(list, seen("log of "+pod.Name, "", "%s", line))
				break
			}
		}
	}
	return list
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func ruleServiceSelects(w *world) []finding.Finding {
	if w.service == nil || !w.Sources.Get("endpointslices").Readable() || !w.Sources.Get("pods").Readable() || w.readyEndpoints(w.service) > 0 {
		return nil
	}
	ready := 0
	var example map[string]string
	for i := range w.Pods {
		if podReady(&w.Pods[i]) {
			ready++
			example = w.Pods[i].Labels
		}
	}
	if ready == 0 {
		return nil
	}
	object := ref("Service", w.service.Namespace, w.service.Name)
	selector := labels.SelectorFromSet(w.service.Spec.Selector)
	message := fmt.Sprintf("%d DNS pods are ready and Service %s has no endpoint", ready, w.service.Name)
	if !selector.Matches(labels.Set(example)) {
		message = fmt.Sprintf("Service %s selects none of the %d ready DNS pods: its selector %s does not match them", w.service.Name, ready, selector)
	}
	return []finding.Finding{w.make("ServiceSelectsNothing", finding.Critical, object, message,
		[]finding.Evidence{seen("Service", "spec.selector", "%s", selector), seen("Pod", "metadata.labels", "%s", labels.Set(example)), seen("EndpointSlice", "endpoints", "0 ready")},
		w.read("see what the Service selects", w.service.Namespace, "get", "endpointslices", "-l", discoveryv1.LabelServiceName+"="+w.service.Name, "-o", "wide"),
		w.change("correct the selector", w.service.Namespace, "edit", "service", w.service.Name),
	)}
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
		if podReady(pod) && !w.starting(pod) && selector.Matches(labels.Set(pod.Labels)) && !sent[pod.Status.PodIP] && w.readyEndpoints(w.service) > 0 {
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

// ruleServiceTarget: a Service that sends queries to a port of the DNS pods where no server block listens.
func ruleServiceTarget(w *world) []finding.Finding {
	live := w.live()
	if w.service == nil || len(live) == 0 || w.provider() != "CoreDNS" {
		return nil
	}
	declared := containerPorts(live[0].Spec)
	listening := map[int32]bool{}
	for _, b := range w.conf.Blocks {
		for _, z := range b.Zones {
			if n, err := strconv.ParseInt(cmp.Or(z.Port, "53"), 10, 32); err == nil {
				listening[int32(n)] = true
			}
		}
	}
	if len(listening) == 0 && !slices.ContainsFunc(declared, func(p corev1.ContainerPort) bool { return p.Protocol == corev1.ProtocolUDP }) {
		return nil // nothing tells where the servers listen
	}
	var wrong []string
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		if !slices.ContainsFunc(w.service.Spec.Ports, func(p corev1.ServicePort) bool {
			return p.Port == 53 && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol
		}) {
			continue // a port that is missing altogether is another finding
		}
		port, known := targetOf(w.service, protocol, declared)
		switch {
		case !known:
			wrong = append(wrong, fmt.Sprintf("53/%s to a port name that the pods do not have", protocol))
		case !hasPort(declared, port) && !listening[port]:
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
	return []finding.Finding{w.make("ServiceTargetWrong", finding.Critical, ref("Service", w.service.Namespace, w.service.Name),
		fmt.Sprintf("Service %s sends %s of the DNS pods, where nothing listens: pods get no answer from %s", w.service.Name, strings.Join(wrong, " and "), strings.Join(clusterIPsOf(w.service), ", ")), evidence,
		w.change("correct targetPort", w.service.Namespace, "edit", "service", w.service.Name))}
}

func ruleZoneNotServed(w *world) []finding.Finding {
	if !w.confRead || !w.conf.Valid() {
		return nil
	}
	if _, ok := records.FromCorefile(w.conf); ok {
		return w.zoneDiffers()
	}
	if w.provider() != "CoreDNS" {
		return nil
	}
	return []finding.Finding{w.make("ZoneNotServed", finding.Critical, w.confRef, "no server block of the Corefile has the kubernetes plugin for a forward zone: no name of the cluster is answered",
		[]finding.Evidence{seen("Corefile", "", "%d server blocks, none with kubernetes", len(w.conf.Blocks))},
		w.read("see the configuration", "", "dns", "config"), w.change("add the plugin", w.confRef.Namespace, "edit", "configmap", w.confRef.Name))}
}

// zoneDiffers: kubelets give pods a search list under their own clusterDomain.
func (w *world) zoneDiffers() []finding.Finding {
	for _, k := range w.Kubelets {
		domain := strings.Trim(k.ClusterDomain, ".")
		if domain == "" || slices.Contains(w.records.Zones, domain+".") {
			continue
		}
		where := "the kubelets"
		if k.Node != "" {
			where = "the kubelet of node " + k.Node
		}
		return []finding.Finding{w.make("ZoneNotServed", finding.Critical, w.confRef,
			fmt.Sprintf("%s give pods the domain %s, and CoreDNS serves %s: short names find nothing", where, domain, strings.TrimSuffix(w.zone, ".")),
			[]finding.Evidence{seen("kubelet configuration", "clusterDomain", "%s", domain), seen("Corefile", fmt.Sprintf("line %d", w.records.Line), "kubernetes %s", strings.Join(w.records.Zones, " "))},
			w.read("see the configuration", "", "dns", "config"))}
	}
	return nil
}

type reloadFailure struct{ pod, line string }

// reloadFailures looks for a failed reload that no successful one or start followed. The counter of failures never
// resets and the hash in the metrics is already that of the broken file, so the order of the log alone tells.
func (w *world) reloadFailures() []reloadFailure {
	var out []reloadFailure
	for _, l := range w.Logs {
		if l.Previous {
			continue
		}
		failed := ""
		for line := range strings.Lines(l.Text) {
			switch {
			case strings.Contains(line, "Restart failed:"), strings.Contains(line, "reload failed"), strings.Contains(line, "Corefile changed but"):
				if failed == "" || strings.Contains(line, "Restart failed") {
					failed = logText(line)
				}
			case strings.Contains(line, "Reloading complete"):
				failed = ""
			}
		}
		if failed != "" {
			out = append(out, reloadFailure{l.Pod, failed})
		}
	}
	return out
}

func ruleReload(w *world) []finding.Finding {
	failures := w.reloadFailures()
	if len(failures) == 0 {
		return nil
	}
	var evidence []finding.Evidence
	for _, f := range failures {
		evidence = append(evidence, seen("log of "+f.pod, "", "%s", f.line))
	}
	next := []finding.Next{w.read("see the configuration with its line numbers", "", "dns", "config")}
	if w.confRef != nil {
		next = append(next, w.change("correct it; the servers take it by themselves within two minutes", w.confRef.Namespace, "edit", "configmap", w.confRef.Name))
	}
	return []finding.Finding{w.make("ReloadFailed", finding.Warning, w.confRef,
		fmt.Sprintf("%d of %d replicas could not load the changed Corefile: they still serve the old one, and the next restart takes them down", len(failures), len(w.live())), evidence, next...)}
}
