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

// AbsentRules report that no server can answer: there is no DNS Service, or no DNS pod is desired.
var AbsentRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSServiceNotFound, Severity: finding.Critical, Title: "DNS Service was not found",
			Meaning:  "No Service has the labels, names or ports that installers give to cluster DNS.",
			Evidence: "The labels, names and ports of all Services of the cluster.",
			Next:     "Search for DNS workloads and Services under another name.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{DNSPodsNotReady},
		Check:    CheckNoService,
	},
	{
		Entry: finding.Entry{
			Code: DNSScaledToZero, Severity: finding.Critical, Title: "DNS workload has no desired pods",
			Meaning:  "The workload of the DNS pods has 0 desired pods, so no server answers DNS queries.",
			Evidence: "A spec.replicas of 0 in the Deployment, or a status.desiredNumberScheduled of 0 in the DaemonSet.",
			Next:     "Scale the Deployment up, or correct the node selector of the DaemonSet.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{DNSPodsNotReady, DNSServiceWithoutDNSPods},
		Check:    checkScaledToZero,
	},
}

// DownRules report that no server is ready, where no rule above finds the cause.
var DownRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSPodsNotReady, Severity: finding.Critical, Title: "No DNS pod is ready",
			Meaning: "No DNS pod is ready, so no server answers DNS queries. A known cause (loop, invalid Corefile, missing permission) " +
				"is reported instead of this finding.",
			Evidence: "The Ready conditions, container states and last log lines of the DNS pods.",
			Next:     "Read the events and the log of the first pod.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{ReplicaNotReady, ReplicaNotAnswering, ReplicaRestarted},
		Check:    CheckPodsDown,
	},
}

func CheckNoService(w *facts.Snapshot) []finding.Finding {
	if w.Service != nil || !w.Sources.Get("services").Readable() {
		return nil
	}
	message := "no Service in this cluster looks like the DNS Service"
	evidence := []finding.Evidence{facts.NewEvidence("Service", "", "none of %d Services has label k8s-app=kube-dns or is in "+
		"kube-system with port 53", len(w.Services))}
	var next []finding.Next
	asked := w.ClusterDNS()
	if len(asked) > 0 {
		message = fmt.Sprintf("no Service has the address %s, which pods use as nameserver", strings.Join(asked, ", "))
		evidence = append(evidence, facts.NewEvidence("ConfigMap kube-system/kubelet-config", "clusterDNS", "%s", strings.Join(asked, ", ")))
	}
	if o := orphan(w); o != nil {
		message += fmt.Sprintf("; %s %s has none", o.ref.Kind, o.ref.Name)
		evidence = append(evidence, facts.NewEvidence(o.ref.Kind+" "+o.ref.Name, o.path, "%d", o.ready))
		if len(asked) == 1 {
			ports := `{"op":"replace","path":"/spec/ports","value":[{"name":"dns","port":53,"protocol":"UDP"},` +
				`{"name":"dns-tcp","port":53,"protocol":"TCP"},{"name":"metrics","port":9153,"protocol":"TCP"}]}`
			next = append(next, o.recreate(w, asked[0]),
				w.Change("Set the "+o.sets+"UDP, TCP and metrics ports of the new "+
					"Service", o.ref.Namespace, "patch", "service", "kube-dns", "--type=json", "-p", "["+o.selector+ports+"]"))
		}
	}
	next = append(next, w.Read("Search for DNS workloads and Services under another "+
		"name", "", "get", "services,deployments,daemonsets", "-A", "-l",
		"k8s-app in (kube-dns,coredns)"))
	return []finding.Finding{w.Make(DNSServiceNotFound, finding.Critical, nil, message, evidence, next...)}
}

// lone is a workload of DNS servers that no Service stands in front of.
type lone struct {
	ref   finding.ObjectRef
	path  string // of the number of its ready pods
	ready int32
	// What the new Service gets besides its ports, in words and as a part of a patch.
	sets, selector string
}

func orphan(w *facts.Snapshot) *lone {
	for i := range w.Deployments {
		if d := &w.Deployments[i]; d.Spec.Template.Labels["k8s-app"] == "kube-dns" {
			return &lone{ref: *facts.Ref("Deployment", d.Namespace, d.Name), path: "status.readyReplicas", ready: d.Status.ReadyReplicas}
		}
	}
	for i := range w.DaemonSets {
		if d := &w.DaemonSets[i]; d.Spec.Template.Labels["k8s-app"] == "kube-dns" {
			return &lone{
				ref: *facts.Ref("DaemonSet", d.Namespace, d.Name), path: "status.numberReady", ready: d.Status.NumberReady, sets: "selector and the ",
				selector: `{"op":"replace","path":"/spec/selector","value":{"k8s-app":"kube-dns"}},`,
			}
		}
	}
	return nil
}

// recreate makes the Service anew. kubectl expose takes no DaemonSet.
func (o *lone) recreate(w *facts.Snapshot, address string) finding.Next {
	const why = "Recreate the Service at the address that pods use"
	if o.ref.Kind == "Deployment" {
		return w.Change(why, o.ref.Namespace, "expose", "deployment", o.ref.Name, "--name=kube-dns", "--port=53", "--protocol=UDP",
			"--cluster-ip="+address)
	}
	return w.Change(why, o.ref.Namespace, "create", "service", "clusterip", "kube-dns", "--tcp=53", "--clusterip="+address)
}

func checkScaledToZero(w *facts.Snapshot) []finding.Finding {
	if w.Workload == nil || w.Workload.Wanted != 0 || len(w.Pods) > 0 &&
		slices.ContainsFunc(w.Pods, func(p corev1.Pod) bool { return podfact.Serves(&p) }) {
		return nil
	}
	ref := w.Workload.Ref
	if ref.Kind != "Deployment" {
		return []finding.Finding{w.Make(DNSScaledToZero, finding.Critical, &ref,
			fmt.Sprintf("DaemonSet %s matches no node, so no server answers DNS queries", ref.Name),
			[]finding.Evidence{facts.NewEvidence(ref.Kind, "status.desiredNumberScheduled", "0")}, w.Read("Check the node selector of the "+
				"DaemonSet", ref.Namespace,
				"describe", "daemonset", ref.Name))}
	}
	return []finding.Finding{w.Make(DNSScaledToZero, finding.Critical, &ref,
		fmt.Sprintf("Deployment %s is scaled to 0 replicas, so no server answers DNS queries", ref.Name),
		[]finding.Evidence{
			facts.NewEvidence("Deployment", "spec.replicas", "0"),
			facts.NewEvidence("Service", "endpoints", "%d ready", w.ReadyEndpoints(w.Service)),
		},
		w.Change("Scale the Deployment up", ref.Namespace, "scale", "deployment", ref.Name, "--replicas=2"),
		w.Read("List the scaling events of the Deployment", ref.Namespace, "get", "events", "--field-selector", "involvedObject.name="+ref.Name),
	)}
}

// CheckPodsDown reports that no DNS pod is ready: whatever else is asked of the servers says nothing then.
func CheckPodsDown(w *facts.Snapshot) []finding.Finding {
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
	message := fmt.Sprintf("0 of %d DNS pods are ready, so no server answers DNS queries", len(live))
	for _, pod := range live {
		if _, how := fallen(w, pod); how != "" {
			message += fmt.Sprintf("; a container of pod %s %s", pod.Name, how)
			break
		}
	}
	next := []finding.Next{}
	if len(live) == 0 {
		message = fmt.Sprintf("%s %s has 0 of %d desired pods", w.Workload.Ref.Kind, w.Workload.Ref.Name, w.Workload.Wanted)
		next = append(next, w.Read("List the events, which may say why no pod is "+
			"created", w.Service.Namespace, "get", "events", "--sort-by=.lastTimestamp"))
	} else {
		next = append(next,
			w.Read("Read the events of the first pod", live[0].Namespace, "describe", "pod", live[0].Name),
			w.Read("Read the errors in the logs of the DNS servers", "", "dns", "logs", "--errors"))
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
			list = append(list, facts.NewEvidence("Pod "+pod.Name, "last exit", "%s, exit code %d, %d "+
				"restarts", t.Reason, t.ExitCode, s.RestartCount))
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
