package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
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
	if w.workload == nil || w.workload.Wanted != 0 || len(w.Pods) > 0 && slices.ContainsFunc(w.Pods, func(p corev1.Pod) bool { return podfact.Serves(&p) }) {
		return nil
	}
	ref := w.workload.Ref
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
	for _, pod := range w.live() {
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
	ref := w.workload.Ref
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
	live := w.live()
	for _, pod := range live {
		for _, mark := range []string{"Error during parsing", "Unknown directive", "plugin/", "Corefile"} {
			if line, ok := w.lastFatal(pod, mark); ok && parseFailure(line) {
				evidence = append(evidence, seen("log of "+pod.Name, "", "%s", line))
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
	if crashed || len(live) > 0 && !slices.ContainsFunc(live, podfact.Serves) {
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

func rulePodsDown(w *world) []finding.Finding {
	if w.service == nil || !w.Sources.Get("pods").Readable() || w.workload == nil || w.workload.Wanted == 0 {
		return nil
	}
	var evidence []finding.Evidence
	live := w.live()
	for _, pod := range live {
		if podfact.Serves(pod) {
			return nil
		}
		evidence = append(evidence, w.podEvidence(pod)...)
	}
	message := fmt.Sprintf("none of the %d DNS pods is ready: nobody answers DNS", len(live))
	next := []finding.Next{}
	if len(live) == 0 {
		message = fmt.Sprintf("%s %s wants %d pods and has none", w.workload.Ref.Kind, w.workload.Ref.Name, w.workload.Wanted)
		next = append(next, w.read("see why none is made", w.service.Namespace, "get", "events", "--sort-by=.lastTimestamp"))
	} else {
		next = append(next,
			w.read("see the events of the first pod", live[0].Namespace, "describe", "pod", live[0].Name),
			w.read("see what the servers say", "", "dns", "logs", "--errors"))
	}
	return []finding.Finding{w.make("DNSPodsNotReady", finding.Critical, w.workloadRef(), message, evidence, next...)}
}

func (w *world) podEvidence(pod *corev1.Pod) []finding.Evidence {
	list := []finding.Evidence{seen("Pod "+pod.Name, "status", "%s on node %s", w.stateOf(pod), orNone(pod.Spec.NodeName))}
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
			if line, ok := lastLine(l.Text, holding(mark)); ok {
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
		if domain == "" || records.Serves(w.conf, domain) {
			continue
		}
		where := "the kubelets"
		if k.Node != "" {
			where = "the kubelet of node " + k.Node
		}
		return []finding.Finding{w.make("ZoneNotServed", finding.Critical, w.confRef,
			fmt.Sprintf("%s give pods the domain %s, and CoreDNS serves %s: short names find nothing", where, domain, strings.TrimSuffix(w.zone, ".")),
			[]finding.Evidence{seen("kubelet configuration", "clusterDomain", "%s", domain), seen("Corefile", fmt.Sprintf("line %d", w.records.Line), "kubernetes %s", strings.Join(w.records.Zones, " "))},
			w.read("see the configuration", "", "dns", "config"), w.change("correct the zone, if it is the Corefile that is wrong", w.confRef.Namespace, "edit", "configmap", w.confRef.Name))}
	}
	return nil
}

type reloadFailure struct{ pod, line string }

// reloadFailures looks for a failed reload that no successful one or start followed. The counter of failures never
// resets and the hash in the metrics is already that of the broken file, so the order of the log alone tells.
func (w *world) reloadFailures() []reloadFailure {
	var out []reloadFailure
	live := w.live()
	for _, l := range w.Logs {
		if l.Previous || !slices.ContainsFunc(live, func(p *corev1.Pod) bool { return p.Name == l.Pod }) {
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
