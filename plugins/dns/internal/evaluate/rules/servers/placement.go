package servers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// The codes of this file.
const (
	SingleReplica        finding.Code = "SingleReplica"
	AllReplicasOnOneNode finding.Code = "AllReplicasOnOneNode"
	ReplicaRestarted     finding.Code = "ReplicaRestarted"
	HighServfailRate     finding.Code = "HighServfailRate"
)

// PlacementRules report risks of how the DNS pods are placed, restarts, and a high rate of SERVFAIL.
var PlacementRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: SingleReplica, Severity: finding.Warning, Title: "DNS runs a single replica",
			Meaning:  "While the only DNS pod restarts or its node is down, no server answers DNS queries.",
			Evidence: "A spec.replicas of 1, while more than one node is usable.",
			Next:     "Scale the Deployment to two replicas.",
			Source:   DebugPage,
		},
		Check: checkPlacement,
	},
	{
		Entry: finding.Entry{
			Code: AllReplicasOnOneNode, Severity: finding.Warning, Title: "All DNS replicas run on one node",
			Meaning:  "If that node fails, DNS fails. DNS works now.",
			Evidence: "The same spec.nodeName in every ready DNS pod, while more than one node is usable.",
			Next:     "Restart the Deployment, so that the scheduler distributes the pods.",
			Source:   "https://github.com/kubernetes/kubeadm/issues/1931",
		},
	},
	{
		Entry: finding.Entry{
			Code: ReplicaRestarted, Severity: finding.Warning, Title: "DNS replica restarted",
			Meaning: "A container of the DNS pod exited with an error in the last 24 hours. The severity is warning if the container ran " +
				"out of memory.",
			Evidence: "The lastState.terminated of the container, with an exit code other than 0.",
			Next:     "Read the log of the previous run.",
			Source:   DebugPage,
		},
		Check: checkRestarts,
	},
	{
		Entry: finding.Entry{
			Code: HighServfailRate, Severity: finding.Warning, Title: "SERVFAIL rate is high",
			Meaning:  "At least 5% of the answers of a DNS server are SERVFAIL.",
			Evidence: "The metric coredns_dns_responses_total by rcode, of at least 1,000 answers.",
			Next:     "Check which upstream server fails.",
			Source:   "https://coredns.io/plugins/metrics/",
		},
		Check: CheckServfail,
	},
}

// CheckServfail reports a share of SERVFAIL since the start of the server, of enough answers to mean something. 5% of answers is
// far from what healthy clusters show.
func CheckServfail(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		m := p.Metrics
		if p.Seconds > 0 {
			m = m.Since(p.Earlier)
		}
		total := m.Sum("coredns_dns_responses_total")
		percent := facts.Share(m.Sum("coredns_dns_responses_total", "rcode", "SERVFAIL"), total)
		if percent == nil || *total < 1000 || *percent < 5 {
			continue
		}
		list = append(list, w.Make(HighServfailRate, finding.Warning, facts.Ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("%.1f%% of the answers of DNS pod %s are SERVFAIL", *percent, p.Pod),
			[]finding.Evidence{facts.NewEvidence("metrics of "+p.Pod, "coredns_dns_responses_total", "%.0f answers, %.1f%% "+
				"SERVFAIL", *total, *percent)},
			w.Read("Check which upstream server fails", "", "dns", "upstream")))
	}
	return list
}

// checkPlacement: what makes one node's loss the loss of DNS (https://github.com/kubernetes/kubeadm/issues/1931).
func checkPlacement(w *facts.Snapshot) []finding.Finding {
	if w.Workload == nil || w.Workload.Ref.Kind != "Deployment" || !w.Sources.Get("pods").Readable() {
		return nil
	}
	nodes := map[string]int{}
	for i := range w.Pods {
		if podfact.Serves(&w.Pods[i]) {
			nodes[w.Pods[i].Spec.NodeName]++
		}
	}
	usable := 0
	for i := range w.Nodes {
		if !w.Nodes[i].Spec.Unschedulable && nodefact.PostedReady(&w.Nodes[i]) {
			usable++
		}
	}
	ref := w.Workload.Ref
	switch {
	case w.Workload.Wanted == 1 && usable > 1:
		return []finding.Finding{w.Make(SingleReplica, finding.Warning, &ref,
			"DNS has a single replica: DNS fails while the pod restarts or its node is down",
			[]finding.Evidence{facts.NewEvidence("Deployment", "spec.replicas", "1"), facts.NewEvidence("Node", "", "%d nodes are usable", usable)},
			w.Change("Scale the Deployment to two replicas", ref.Namespace, "scale", "deployment", ref.Name, "--replicas=2"))}
	case len(nodes) == 1 && w.Workload.Wanted > 1 && usable > 1:
		node := facts.SortedKeys(nodes)[0]
		if nodes[node] < 2 {
			return nil
		}
		return []finding.Finding{w.Make(AllReplicasOnOneNode, finding.Warning, &ref,
			fmt.Sprintf("the %d DNS replicas all run on node %s: if that node fails, DNS fails", nodes[node], node),
			[]finding.Evidence{
				facts.NewEvidence("Pod", "spec.nodeName", "%s for all %d pods", node, nodes[node]),
				facts.NewEvidence("Node", "", "%d nodes are usable", usable),
			},
			w.Change("Restart the Deployment, so that the scheduler distributes the "+
				"pods", ref.Namespace, "rollout", "restart", "deployment", ref.Name),
			w.Read("List the replicas with their nodes", "", "dns", "status", "-o", "wide"))}
	}
	return nil
}

// checkRestarts: exits of the last day. A graceful end (code 0) is no fault.
func checkRestarts(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	for _, pod := range w.Live() {
		for _, s := range pod.Status.ContainerStatuses {
			t := s.LastTerminationState.Terminated
			if t == nil || t.ExitCode == 0 || w.Now.Sub(t.FinishedAt.Time).Hours() > 24 {
				continue
			}
			severity := finding.Info
			if t.Reason == oomKilled {
				severity = finding.Warning
			}
			list = append(list, w.Make(ReplicaRestarted, severity, facts.Ref("Pod", pod.Namespace, pod.Name),
				fmt.Sprintf("a container of DNS pod %s %s and was restarted (%d %s in total)", pod.Name, ended(w, t), s.RestartCount,
					facts.Plural(int(s.RestartCount), "restart")),
				[]finding.Evidence{facts.NewEvidence("Pod", "lastState.terminated", "%s, exit code %d", t.Reason, t.ExitCode)},
				lastLog(w, pod, s.Name)))
		}
	}
	return list
}

// oomKilled is the reason that runtimes give a container whose cgroup ran out of memory.
const oomKilled = "OOMKilled"

// ended says how a container ended, and when.
func ended(w *facts.Snapshot, end *corev1.ContainerStateTerminated) string {
	how := fmt.Sprintf("exited with code %d", end.ExitCode)
	if end.Reason == oomKilled {
		how = "ran out of memory"
	}
	return how + " " + facts.AgeWords(w.Now.Sub(end.FinishedAt.Time).Seconds()) + " ago"
}
