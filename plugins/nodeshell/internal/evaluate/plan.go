package evaluate

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// Evaluate plans the session on one node.
func Evaluate(in Input, now time.Time, o Options) report.Plan {
	node := in.Node
	inContainer := o.InContainer || hostless(node)
	plan := report.Plan{
		TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: "NodeShellPlan"},
		Node:     node.Name, Namespace: o.Namespace, Container: Container, Shell: "sh", InContainer: inContainer, Sources: in.Sources,
	}
	plan.Findings = append(plan.Findings, virtual(node)...)
	plan.Findings = append(plan.Findings, heartbeat(in, now, o)...)
	plan.Findings = append(plan.Findings, conditions(node, o)...)
	plan.Findings = append(plan.Findings, wishes(in, o, inContainer)...)
	finding.Sort(plan.Findings)
	plan.Pod = buildPod(in, o, now)
	plan.Command = remoteCommand(o, windows(node), inContainer)
	if o.NoPull {
		plan.Shell = "/usr/bin/sh"
	}
	setVerdict(&plan)
	return plan
}

func setVerdict(plan *report.Plan) {
	plan.Findings = mask.Copy(plan.Findings) // they quote kubelets, webhooks and the call; the pod and the command stay
	plan.Verdict, plan.Summary = report.Ready, fmt.Sprintf("a pod in namespace %q will enter node %q as root", plan.Namespace, plan.Node)
	for _, f := range plan.Findings {
		if f.Severity == finding.Critical {
			plan.Verdict, plan.Summary = report.Refused, f.Message
			return
		}
	}
}

func nodeRef(name string) *finding.ObjectRef { return &finding.ObjectRef{Kind: "Node", Name: name} }

// virtual finds nodes without a host: https://virtual-kubelet.io, Fargate, and kwok's pretended ones.
func virtual(node *corev1.Node) []finding.Finding {
	evidence := func(path, value string) []finding.Finding {
		f := book.New(VirtualNode, fmt.Sprintf("node %q is virtual: there is no host to enter", node.Name))
		f.Object = nodeRef(node.Name)
		f.Evidence = []finding.Evidence{{Source: "Node", Path: path, Value: value}}
		return []finding.Finding{f}
	}
	switch {
	case node.Labels["type"] == "virtual-kubelet":
		return evidence("metadata.labels.type", "virtual-kubelet")
	case node.Labels["eks.amazonaws.com/compute-type"] == "fargate":
		return evidence("metadata.labels[eks.amazonaws.com/compute-type]", "fargate")
	case node.Annotations["kwok.x-k8s.io/node"] != "":
		return evidence("metadata.annotations[kwok.x-k8s.io/node]", node.Annotations["kwok.x-k8s.io/node"])
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == "virtual-kubelet.io/provider" {
			return evidence("spec.taints", taint.Key+"="+taint.Value)
		}
	}
	return nil
}

// heartbeat refuses a node whose kubelet is silent. A lease that has run out is enough: a pod made there would wait.
func heartbeat(in Input, now time.Time, o Options) []finding.Finding {
	r := nodefact.ReadinessOf(in.Node, in.Lease, now, nodefact.Patience)
	var evidence []finding.Evidence
	text := fmt.Sprintf("the kubelet of node %q has been silent", in.Node.Name)
	switch {
	case r.Heartbeat.Beat == nodefact.Late, r.Heartbeat.Beat == nodefact.Expired:
		text += fmt.Sprintf(" for %s", round(r.Heartbeat.Age))
		renewed := r.Heartbeat.Received
		evidence = append(evidence, finding.Evidence{Source: "Lease", Path: "spec.renewTime", Value: renewed.UTC().Format(time.RFC3339), Time: &renewed})
	case r.Heartbeat.Beat == nodefact.NoBeat && r.State == nodefact.Silent, r.Condition != nil && r.State == nodefact.NeverHeard:
		if last := r.Condition.LastHeartbeatTime; !last.IsZero() {
			text += fmt.Sprintf(" for %s", round(now.Sub(last.Time)))
		}
		evidence = append(evidence, finding.Evidence{Source: "Node", Path: "status.conditions[Ready]", Value: "Unknown: " + r.Condition.Message})
	default:
		return nil
	}
	f := book.New(KubeletNotReporting, text+": no pod can start there")
	f.Object, f.Evidence = nodeRef(in.Node.Name), evidence
	f.Next = []finding.Next{
		{Command: o.Kubectl.Command("", "nodeinfo", in.Node.Name), Why: "why it is silent; then reach it by its console, SSH or the cloud's session manager", Risk: finding.Read},
	}
	if o.Force {
		f.Severity = finding.Warning
	}
	return []finding.Finding{f}
}

func conditions(node *corev1.Node, o Options) []finding.Finding {
	var found []finding.Finding
	if ready := nodefact.ReadyCondition(node); ready != nil && ready.Status == corev1.ConditionFalse {
		f := book.New(NodeNotReady, fmt.Sprintf("node %q is not ready (%s): the shell needs no pod network and mostly starts all the same", node.Name, ready.Reason))
		f.Object = nodeRef(node.Name)
		f.Evidence = []finding.Evidence{{Source: "Node", Path: "status.conditions[Ready]", Value: "False: " + ready.Message}}
		found = append(found, f)
	}
	for _, kind := range []corev1.NodeConditionType{corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		c := nodefact.Condition(node, kind)
		if c == nil || c.Status != corev1.ConditionTrue || o.Critical {
			continue
		}
		f := book.New(NodePressure, fmt.Sprintf("node %q is under %s and admits critical pods only: give --critical (it may stop a workload)", node.Name, kind))
		f.Object = nodeRef(node.Name)
		f.Evidence = []finding.Evidence{{Source: "Node", Path: "status.conditions[" + string(kind) + "]", Value: "True: " + c.Message}}
		f.Next = []finding.Next{{Command: rerunCommand(o, node.Name, o.CallNamespace, "--critical"), Why: "enters as a critical pod", Risk: finding.Destructive}}
		if o.Force {
			f.Severity = finding.Warning
		}
		found = append(found, f)
	}
	return found
}

// wishes judges what the user asked for against the node.
func wishes(in Input, o Options, inContainer bool) []finding.Finding {
	var found []finding.Finding
	add := func(code finding.Code, message string) {
		f := book.New(code, message)
		f.Object = nodeRef(in.Node.Name)
		found = append(found, f)
	}
	if o.Critical {
		add(CriticalMayPreempt, "--critical: if the node is full, its kubelet stops another pod to make room for this one")
	}
	if inContainer && !o.InContainer {
		add(ShellInContainer, fmt.Sprintf("node %q runs %s, which has no usable shell: this one is the image's, the node's files are at /host", in.Node.Name, in.Node.Status.NodeInfo.OSImage))
	}
	switch {
	case !o.NoPull:
	case strings.Contains(in.Node.Status.NodeInfo.OSImage, "NixOS"), hostless(in.Node), windows(in.Node):
		add(NoPullUnavailable, fmt.Sprintf("--no-pull needs the host's /usr/bin/sh, which %s does not have: name an image with --image", in.Node.Status.NodeInfo.OSImage))
	case in.Donor == "":
		message := fmt.Sprintf("--no-pull found no running pod without pull secrets on node %q whose image could be used: name one with --image", in.Node.Name)
		if s := in.Sources.Get("pods"); s.State == source.Forbidden {
			message = "--no-pull needs list pods in all namespaces, to find an image on the node: name one with --image instead"
		}
		add(NoPullUnavailable, message)
	}
	return found
}

// hostless says that the host has no shell, or one that is a stub.
func hostless(node *corev1.Node) bool {
	os := node.Status.NodeInfo.OSImage
	return strings.HasPrefix(os, "Talos") || strings.HasPrefix(os, "Bottlerocket")
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }

// HostNetwork warns of a pod whose network is the node's.
func HostNetwork(pod *corev1.Pod) []finding.Finding {
	f := book.New(HostNetworkPod, fmt.Sprintf("pod %s/%s uses the network of node %q: this is the node's traffic, not the pod's alone", pod.Namespace, pod.Name, pod.Spec.NodeName))
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
	f.Evidence = []finding.Evidence{{Source: "Pod", Path: "spec.hostNetwork", Value: "true"}}
	return []finding.Finding{f}
}

// Dropped warns of packets that are missing from a capture.
func Dropped(node string, n int64) finding.Finding {
	f := book.New(PacketsDropped, fmt.Sprintf("the kernel of node %q dropped %d packets before tcpdump saw them: narrow the filter, or use --snaplen", node, n))
	f.Object = nodeRef(node)
	f.Evidence = []finding.Evidence{{Source: "tcpdump", Path: "dropped by kernel", Value: fmt.Sprint(n)}}
	return f
}
