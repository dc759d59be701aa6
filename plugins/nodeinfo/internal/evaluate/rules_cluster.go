package evaluate

import "github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"

func clusterRules() []rule {
	return []rule{
		{Entry: finding.Entry{
			Code:     SystemOOM,
			Severity: finding.Warning,
			Title:    "the kernel killed a process for memory",
			Meaning:  "The node as a whole ran out of memory in the last hour (not one container's limit).",
			Evidence: "SystemOOM or OOMKilling events.",
			Next:     "Find the biggest users; set memory requests.",
		}, consequenceOf: append([]finding.Code{MemoryPressure}, silent...)},
		{Entry: finding.Entry{
			Code:     KubeletUnreachable,
			Severity: finding.Warning,
			Title:    "the API server does not reach the kubelet",
			Meaning:  "The kubelet's heartbeat is fresh, and its port (10250) does not answer the API server or answers with an error: logs, exec, port-forward and usage figures of the node's pods fail, while the pods run.",
			Evidence: "The kubelet's /healthz through the API server (--kubelet), and the age of the Lease.",
			Next:     "On the machine, ask the kubelet by loopback: if it answers there, a firewall or a route stands between the API server and the node.",
		}, consequenceOf: silent},
		{Entry: finding.Entry{
			Code:     KubeletTrouble,
			Severity: finding.Warning,
			Title:    "the kubelet reports an error of its own",
			Meaning:  "In the last hour the kubelet could not collect garbage, enforce limits or set itself up.",
			Evidence: "Its events on the node.",
			Next:     "Read the kubelet's log.",
		}, consequenceOf: starved},
		{Entry: finding.Entry{
			Code:     WarningEvents,
			Severity: finding.Info,
			Title:    "warnings about the node in the last hour",
			Meaning:  "Events of type Warning that no other finding explains.",
			Evidence: "The events, folded by reason.",
			Next:     "Read them.",
		}, consequenceOf: starved},
		{Entry: finding.Entry{
			Code:     Rebooted,
			Severity: finding.Info,
			Title:    "the node rebooted",
			Meaning:  "The node's boot ID changed within the last hour.",
			Evidence: "The kubelet's Rebooted event.",
			Next:     "Find out who rebooted it, if nobody meant to.",
		}},
		{Entry: finding.Entry{
			Code:     ReadyFlapping,
			Severity: finding.Warning,
			Title:    "Ready comes and goes",
			Meaning:  "The node became NotReady five times or more within the last hour.",
			Evidence: "NodeNotReady events.",
			Next:     "Look at the kubelet's log and the network between node and API server.",
		}},
		{Entry: finding.Entry{
			Code:     ControlPlaneDown,
			Severity: finding.Critical,
			Title:    "a control plane component on this node is down",
			Meaning:  "The static pod of an API server, etcd, scheduler or controller-manager on this node is not ready.",
			Evidence: "The pod's containers.",
			Next:     "Read its log; the manifest is in /etc/kubernetes/manifests on the node.",
		}, consequenceOf: stopped},
		{Entry: finding.Entry{
			Code:     LeaderLeaseExpired,
			Severity: finding.Critical,
			Title:    "nobody leads a control plane component",
			Meaning:  "The leader's lease of the scheduler or controller-manager has expired and nobody took over: nothing is scheduled, or no controller acts (nodes are not marked, endpoints not updated). Critical on the node that led last; elsewhere for information.",
			Evidence: "Lease in kube-system.",
			Next:     "Look at the component's static pods.",
		}, consequenceOf: append([]finding.Code{ControlPlaneDown, KubeletNotReporting}, ContainerRuntimeDown)},
		{Entry: finding.Entry{
			Code:     APIServerNotReady,
			Severity: finding.Critical,
			Title:    "the API server says it is not ready",
			Meaning:  "A check of /readyz fails.",
			Evidence: "/readyz?verbose.",
			Next:     "Look at the failed check (etcd first).",
		}},
	}
}
