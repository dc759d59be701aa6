// Package servers judges what every pod of the cluster shares: whether there is a DNS Service and a server behind it,
// whether the servers start, what their Corefile does, whether they follow the API, and what they hear from upstream.
package servers

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// Pages that more than one rule rests on.
const (
	DebugPage = "https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/"
	SpecPage  = "https://github.com/kubernetes/dns/blob/master/docs/specification.md"
)

// The codes of this file.
const (
	DNSServiceNotFound finding.Code = "DNSServiceNotFound"
	DNSScaledToZero    finding.Code = "DNSScaledToZero"
	DNSPodsNotReady    finding.Code = "DNSPodsNotReady"
)

// AbsentRules are about this: nobody can answer.
var AbsentRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSServiceNotFound, Severity: finding.Critical, Title: "DNS Service was not found",
			Meaning:  "No Service has the labels, names or ports that installers give to cluster DNS.",
			Evidence: "All Services of the cluster.",
			Next:     "Look for DNS under another name.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{DNSPodsNotReady},
		Check:    CheckNoService,
	},
	{
		Entry: finding.Entry{
			Code: DNSScaledToZero, Severity: finding.Critical, Title: "DNS workload has no desired pods",
			Meaning:  "The workload of the DNS pods wants none.",
			Evidence: "spec.replicas of the Deployment, or a DaemonSet that fits no node.",
			Next:     "Scale it up.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{DNSPodsNotReady, DNSServiceWithoutDNSPods},
		Check:    checkScaledToZero,
	},
}

// DownRules are about this: no server is ready, and nothing above says why.
var DownRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSPodsNotReady, Severity: finding.Critical, Title: "No DNS pod is ready",
			Meaning:  "Nobody answers DNS. A known cause (loop, broken Corefile, missing permission) is reported instead of this.",
			Evidence: "The Ready conditions, container states and last log lines of the DNS pods.",
			Next:     "Read the events and the log of the first pod.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{ReplicaNotReady, ReplicaNotAnswering, ReplicaRestarted},
		Check:    checkPodsDown,
	},
}

func CheckNoService(w *facts.Snapshot) []finding.Finding {
	if w.Service != nil || !w.Sources.Get("services").Readable() {
		return nil
	}
	message := "no Service of this cluster looks like its DNS"
	evidence := []finding.Evidence{facts.NewEvidence("Service", "", "none of %d Services has the label k8s-app=kube-dns or answers on port 53 in "+
		"kube-system", len(w.Services))}
	var next []finding.Next
	asked := w.ClusterDNS()
	if len(asked) > 0 {
		message = fmt.Sprintf("no Service has the address %s, which pods ask for every name", strings.Join(asked, ", "))
		evidence = append(evidence, facts.NewEvidence("ConfigMap kube-system/kubelet-config", "clusterDNS", "%s", strings.Join(asked, ", ")))
	}
	for i := range w.Deployments {
		d := &w.Deployments[i]
		if d.Spec.Template.Labels["k8s-app"] != "kube-dns" {
			continue
		}
		message += fmt.Sprintf(": the DNS servers of Deployment %s run, and their Service is gone", d.Name)
		evidence = append(evidence, facts.NewEvidence("Deployment "+d.Name, "status.readyReplicas", "%d", d.Status.ReadyReplicas))
		if len(asked) == 1 {
			ports := `[{"op":"replace","path":"/spec/ports","value":[{"name":"dns","port":53,"protocol":"UDP"},` +
				`{"name":"dns-tcp","port":53,"protocol":"TCP"},{"name":"metrics","port":9153,"protocol":"TCP"}]}]`
			next = append(next,
				w.Change("make the Service again, at the address that pods ask", d.Namespace, "expose", "deployment", d.Name, "--name=kube-dns",
					"--port=53", "--protocol=UDP", "--cluster-ip="+asked[0]),
				w.Change("then give it its ports by TCP too", d.Namespace, "patch", "service", "kube-dns", "--type=json", "-p", ports))
		}
		break
	}
	next = append(next, w.Read("see whether DNS runs under another name", "", "get", "services,deployments,daemonsets", "-A", "-l",
		"k8s-app in (kube-dns,coredns)"))
	return []finding.Finding{w.Make(DNSServiceNotFound, finding.Critical, nil, message, evidence, next...)}
}

func checkScaledToZero(w *facts.Snapshot) []finding.Finding {
	if w.Workload == nil || w.Workload.Wanted != 0 || len(w.Pods) > 0 &&
		slices.ContainsFunc(w.Pods, func(p corev1.Pod) bool { return podfact.Serves(&p) }) {
		return nil
	}
	ref := w.Workload.Ref
	if ref.Kind != "Deployment" {
		return []finding.Finding{w.Make(DNSScaledToZero, finding.Critical, &ref,
			fmt.Sprintf("no node is chosen for the DNS DaemonSet %s: nobody answers DNS", ref.Name),
			[]finding.Evidence{facts.NewEvidence(ref.Kind, "status.desiredNumberScheduled", "0")}, w.Read("see its node selector", ref.Namespace,
				"describe", "daemonset", ref.Name))}
	}
	return []finding.Finding{w.Make(DNSScaledToZero, finding.Critical, &ref,
		fmt.Sprintf("Deployment %s is scaled to 0: nobody answers DNS", ref.Name),
		[]finding.Evidence{
			facts.NewEvidence("Deployment", "spec.replicas", "0"),
			facts.NewEvidence("Service", "endpoints", "%d ready", w.ReadyEndpoints(w.Service)),
		},
		w.Change("start it again", ref.Namespace, "scale", "deployment", ref.Name, "--replicas=2"),
		w.Read("see who scaled it", ref.Namespace, "get", "events", "--field-selector", "involvedObject.name="+ref.Name),
	)}
}

func checkPodsDown(w *facts.Snapshot) []finding.Finding {
	if w.Service == nil || !w.Sources.Get("pods").Readable() || w.Workload == nil || w.Workload.Wanted == 0 {
		return nil
	}
	var evidence []finding.Evidence
	live := w.Live()
	for _, pod := range live {
		if podfact.Serves(pod) {
			return nil
		}
		evidence = append(evidence, podEvidence(w, pod)...)
	}
	message := fmt.Sprintf("none of the %d DNS pods is ready: nobody answers DNS", len(live))
	for _, pod := range live {
		if how := fallen(w, pod); how != "" {
			message += fmt.Sprintf("; %s %s", pod.Name, how)
			break
		}
	}
	next := []finding.Next{}
	if len(live) == 0 {
		message = fmt.Sprintf("%s %s wants %d pods and has none", w.Workload.Ref.Kind, w.Workload.Ref.Name, w.Workload.Wanted)
		next = append(next, w.Read("see why none is made", w.Service.Namespace, "get", "events", "--sort-by=.lastTimestamp"))
	} else {
		next = append(next,
			w.Read("see the events of the first pod", live[0].Namespace, "describe", "pod", live[0].Name),
			w.Read("see what the servers say", "", "dns", "logs", "--errors"))
	}
	return []finding.Finding{w.Make(DNSPodsNotReady, finding.Critical, w.WorkloadRef(), message, evidence, next...)}
}

func podEvidence(w *facts.Snapshot, pod *corev1.Pod) []finding.Evidence {
	list := []finding.Evidence{facts.NewEvidence("Pod "+pod.Name, "status", "%s on node %s", stateOf(w, pod), facts.OrNone(pod.Spec.NodeName))}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			list = append(list, facts.NewEvidence("Pod "+pod.Name, "PodScheduled", "%s", c.Message))
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil && s.State.Waiting.Message != "" {
			list = append(list, facts.NewEvidence("Pod "+pod.Name, "waiting", "%s: %s", s.State.Waiting.Reason, s.State.Waiting.Message))
		}
		if t := s.LastTerminationState.Terminated; t != nil {
			list = append(list, facts.NewEvidence("Pod "+pod.Name, "last exit", "%s, code %d, %d restarts", t.Reason, t.ExitCode, s.RestartCount))
		}
	}
	for _, l := range w.Logs {
		if l.Pod != pod.Name {
			continue
		}
		for _, mark := range []string{"Plugins not ready", "[FATAL]", "[ERROR]", "listen tcp"} {
			if line, ok := facts.LastLine(l.Text, facts.Holding(mark)); ok {
				list = append(list, facts.NewEvidence("log of "+pod.Name, "", "%s", line))
				break
			}
		}
	}
	return list
}
