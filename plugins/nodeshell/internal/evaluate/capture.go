package evaluate

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

const (
	HostNetworkPod    finding.Code = "HostNetworkPod"
	CaptureTargetGone finding.Code = "CaptureTargetGone"
	PacketsDropped    finding.Code = "PacketsDropped"
)

var captureRules = []finding.Rule[Input]{
	{Entry: finding.Entry{
		Code: HostNetworkPod, Severity: finding.Warning, Title: "Pod uses the host network",
		Meaning: "The pod shares the network of the node: the traffic is that of the node and of every pod on the " +
			"host network, not only of this pod.",
		Evidence: "Pod field spec.hostNetwork.",
		Next:     "Filter by the ports of the pod.",
	}},
	{Entry: finding.Entry{
		Code: CaptureTargetGone, Severity: finding.Critical, Title: "Captured pod is gone",
		Meaning: "The pod was deleted, replaced or terminated during the capture. Its network went with it, and its packets end there; " +
			"a new pod has another network. The restart of a container keeps the network.",
		Evidence: "Watch on the pod: deleted, another UID, or a terminated phase.",
		Next:     "Start another capture of the new pod.",
	}},
	{Entry: finding.Entry{
		Code: PacketsDropped, Severity: finding.Warning, Title: "Kernel dropped packets",
		Meaning:  "The traffic was faster than tcpdump, so packets are missing from the capture.",
		Evidence: "Counter of tcpdump for packets dropped by the kernel, above 0.",
		Next:     "Use a narrower filter or a smaller --snaplen.",
	}},
}

// HostNetwork warns of a pod whose network is the node's.
func HostNetwork(pod *corev1.Pod) []finding.Finding {
	f := book.New(HostNetworkPod, fmt.Sprintf("pod %s/%s uses the network of node %s: the traffic is the node's, not only the pod's",
		pod.Namespace, pod.Name, pod.Spec.NodeName))
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
	f.Evidence = []finding.Evidence{{Source: "Pod", Path: "spec.hostNetwork", Value: "true"}}
	return []finding.Finding{f}
}

// Dropped warns of packets that are missing from a capture.
func Dropped(node string, n int64, o Options) finding.Finding {
	f := book.New(PacketsDropped, fmt.Sprintf("the kernel of node %s dropped %d packets before tcpdump read them", node, n))
	f.Object = nodeRef(node)
	f.Evidence = []finding.Evidence{{Source: "tcpdump", Path: "dropped by kernel", Value: fmt.Sprint(n)}}
	f.Next = []finding.Next{rerunStep(o, node, o.CallNamespace,
		"Capture fewer bytes of each packet, or use a narrower filter", finding.Read, "--snaplen=128")}
	return f
}

// Gone explains a capture whose pod is no longer there.
func Gone(pod *corev1.Pod, how string, o Options) finding.Finding {
	f := book.New(CaptureTargetGone, fmt.Sprintf("pod %s/%s %s during the capture; its packets end there", pod.Namespace, pod.Name, how))
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
	f.Evidence = []finding.Evidence{{
		Source: "Pod " + pod.Namespace + "/" + pod.Name, Path: "metadata.uid", Value: string(pod.UID) + " " + how,
	}}
	f.Next = []finding.Next{{
		Command: o.Kubectl.Command(pod.Namespace, "get", "pods", "-o", "wide"),
		Why:     "Find the pod that replaced it, and capture that one", Risk: finding.Read,
	}}
	return f
}
