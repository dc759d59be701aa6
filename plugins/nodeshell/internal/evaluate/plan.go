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

const (
	KubeletNotReporting finding.Code = "KubeletNotReporting"
	VirtualNode         finding.Code = "VirtualNode"
	NodeNotReady        finding.Code = "NodeNotReady"
	NodePressure        finding.Code = "NodePressure"
	CriticalMayPreempt  finding.Code = "CriticalMayPreempt"
	ShellInContainer    finding.Code = "ShellInContainer"
	NoPullUnavailable   finding.Code = "NoPullUnavailable"
)

var planRules = []finding.Rule[Input]{
	{Entry: finding.Entry{
		Code: KubeletNotReporting, Severity: finding.Critical, Title: "Kubelet is not reporting",
		Meaning:  "No pod can start on a node whose kubelet does not report.",
		Evidence: "Lease of the node older than its duration, or without a Lease, node condition Ready with status Unknown.",
		Next:     "Reach the node by its console, SSH or the cloud's session manager; --force tries to start the pod anyway.",
		Source:   "https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats",
	}, Explains: []finding.Code{NodeNotReady, NodePressure}},
	{Entry: finding.Entry{
		Code: VirtualNode, Severity: finding.Critical, Title: "Node is virtual and has no host",
		Meaning:  "A virtual kubelet, Fargate or kwok node has no host to enter.",
		Evidence: "Labels, annotations or taints of the node.",
		Next:     "Use kubectl exec in the pod itself.",
	}, Explains: []finding.Code{
		KubeletNotReporting, NodeNotReady, NodePressure, NoPullUnavailable, PodSecurityViolated,
		QuotaOrLimitRangeViolated,
	}},
	{Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "Node is not ready",
		Meaning:  "The kubelet is running and reports a problem. A shell needs no pod network and usually still starts.",
		Evidence: "Node condition Ready with status False.",
		Next:     "Continue, or run kubectl nodeinfo to find the cause.",
	}},
	{Entry: finding.Entry{
		Code: NodePressure, Severity: finding.Critical, Title: "Node under pressure admits only critical pods",
		Meaning:  "Under DiskPressure and PIDPressure the kubelet admits only critical pods. Under MemoryPressure the helper pod is admitted.",
		Evidence: "Node condition DiskPressure or PIDPressure with status True, or pod status reason Evicted.",
		Next:     "Use --critical, which may stop a workload.",
		Source:   "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
	}},
	{Entry: finding.Entry{
		Code: CriticalMayPreempt, Severity: finding.Warning, Title: "Critical helper pod may preempt a workload",
		Meaning:  "If the node is full, the kubelet preempts other pods for a pod of priority system-node-critical.",
		Evidence: "Flag --critical.",
		Next:     "Use --critical only where the node rejects normal pods.",
		Source:   "https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/",
	}},
	{Entry: finding.Entry{
		Code: ShellInContainer, Severity: finding.Info, Title: "Shell runs in the container image",
		Meaning:  "The host has no usable shell (Talos, Bottlerocket), or -x was given. The files of the node are at /host.",
		Evidence: "Node field status.nodeInfo.osImage.",
		Next:     "Use the tools of the image; /host is the root directory of the node.",
	}},
	{Entry: finding.Entry{
		Code: NoPullUnavailable, Severity: finding.Critical, Title: "Option --no-pull is not possible on the node",
		Meaning:  "Option --no-pull needs the image of a running pod without pull secrets, and a host with /usr/bin/sh.",
		Evidence: "No such pod on the node, or a node operating system without /usr/bin/sh.",
		Next:     "Name an image with --image.",
	}},
}

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
	plan.Findings, plan.Consequences = book.Fold(plan.Findings)
	plan.Pod = buildPod(in, o, now)
	plan.Command = remoteCommand(o, windows(node), inContainer)
	if o.NoPull {
		plan.Shell = "/usr/bin/sh"
	}
	setVerdict(&plan)
	return plan
}

func setVerdict(plan *report.Plan) {
	plan.Consequences = mask.Copy(plan.Consequences)
	plan.Findings = mask.Copy(plan.Findings) // they quote kubelets, webhooks and the call; the pod and the command stay
	plan.Verdict, plan.Summary = report.Ready, fmt.Sprintf("a pod in namespace %q enters node %s as root", plan.Namespace, plan.Node)
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
		f := book.New(VirtualNode, fmt.Sprintf("node %s is virtual and has no host to enter", node.Name))
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

// heartbeat refuses a node whose kubelet does not report. An expired Lease is enough: a pod there would wait.
func heartbeat(in Input, now time.Time, o Options) []finding.Finding {
	r := nodefact.ReadinessOf(in.Node, in.Lease, now, nodefact.Patience)
	var evidence []finding.Evidence
	text := fmt.Sprintf("the kubelet of node %s has not reported", in.Node.Name)
	switch {
	case r.Heartbeat.Beat == nodefact.Late, r.Heartbeat.Beat == nodefact.Expired:
		text += fmt.Sprintf(" for %s", round(r.Heartbeat.Age))
		renewed := r.Heartbeat.Received
		evidence = append(evidence, finding.Evidence{
			Source: "Lease " + corev1.NamespaceNodeLease + "/" + in.Node.Name, Path: "spec.renewTime",
			Value: renewed.UTC().Format(time.RFC3339), Time: &renewed,
		})
	case r.Heartbeat.Beat == nodefact.NoBeat && r.State == nodefact.Silent, r.Condition != nil && r.State == nodefact.NeverHeard:
		if last := r.Condition.LastHeartbeatTime; !last.IsZero() {
			text += fmt.Sprintf(" for %s", round(now.Sub(last.Time)))
		}
		evidence = append(evidence, finding.Evidence{Source: "Node", Path: "status.conditions[Ready]", Value: "Unknown: " + r.Condition.Message})
	default:
		return nil
	}
	f := book.New(KubeletNotReporting, text+", so no pod can start there")
	f.Object, f.Evidence = nodeRef(in.Node.Name), evidence
	f.Next = []finding.Next{
		{
			Command: o.Kubectl.Command("", "nodeinfo", in.Node.Name),
			Why:     "Diagnose the node, then reach it by its console, SSH or the cloud's session manager", Risk: finding.Read,
		},
	}
	if o.Force {
		f.Severity = finding.Warning
	}
	return []finding.Finding{f}
}

func conditions(node *corev1.Node, o Options) []finding.Finding {
	var found []finding.Finding
	if ready := nodefact.ReadyCondition(node); ready != nil && ready.Status == corev1.ConditionFalse {
		f := book.New(NodeNotReady,
			fmt.Sprintf("node %s is not ready (%s): the shell needs no pod network and usually still starts", node.Name, ready.Reason))
		f.Object = nodeRef(node.Name)
		f.Evidence = []finding.Evidence{{Source: "Node", Path: "status.conditions[Ready]", Value: "False: " + ready.Message}}
		found = append(found, f)
	}
	for _, kind := range []corev1.NodeConditionType{corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		c := nodefact.Condition(node, kind)
		if c == nil || c.Status != corev1.ConditionTrue || o.Critical {
			continue
		}
		f := book.New(NodePressure, fmt.Sprintf("node %s is under %s and admits only critical pods", node.Name, kind))
		f.Object = nodeRef(node.Name)
		f.Evidence = []finding.Evidence{{Source: "Node", Path: "status.conditions[" + string(kind) + "]", Value: "True: " + c.Message}}
		f.Next = []finding.Next{rerunStep(o, node.Name, o.CallNamespace, criticalWhy, finding.Destructive, "--critical")}
		if o.Force {
			f.Severity = finding.Warning
		}
		found = append(found, f)
	}
	return found
}

// criticalWhy is the step that adds --critical.
const criticalWhy = "Enter as a critical pod; the kubelet may stop a workload for it"

// wishes judges the requested options against the node.
func wishes(in Input, o Options, inContainer bool) []finding.Finding {
	var found []finding.Finding
	add := func(code finding.Code, message string) {
		f := book.New(code, message)
		f.Object = nodeRef(in.Node.Name)
		found = append(found, f)
	}
	if o.Critical {
		add(CriticalMayPreempt, fmt.Sprintf("--critical: if node %s is full, the kubelet preempts another pod", in.Node.Name))
	}
	if inContainer && !o.InContainer {
		add(ShellInContainer, fmt.Sprintf(
			"node %s runs %s, which has no usable shell: the shell runs in the container, with the node's files at /host",
			in.Node.Name, in.Node.Status.NodeInfo.OSImage))
	}
	if o.NoPull {
		if reason := noPullUnavailable(in); reason != "" {
			add(NoPullUnavailable, reason)
			own := o
			own.NoPull = false
			found[len(found)-1].Next = []finding.Next{rerunStep(o, in.Node.Name, o.CallNamespace,
				"Use this image, or another one, in place of --no-pull", finding.Read, "--image="+Image(in.Node, own))}
		}
	}
	return found
}

// noPullUnavailable is why --no-pull cannot be used on the node; empty where it can.
func noPullUnavailable(in Input) string {
	osImage := in.Node.Status.NodeInfo.OSImage
	switch {
	case strings.Contains(osImage, "NixOS"), hostless(in.Node), windows(in.Node):
		return fmt.Sprintf("--no-pull needs the host's /usr/bin/sh, which %s does not have", osImage)
	case in.Donor != "":
		return ""
	case in.Sources.Get("pods").State == source.Forbidden:
		return "--no-pull needs list pods in all namespaces, to find an image on the node"
	}
	return fmt.Sprintf("--no-pull needs the image of a running pod without pull secrets, and node %s has no such pod", in.Node.Name)
}

// hostless says that the host has no shell, or one that is a stub.
func hostless(node *corev1.Node) bool {
	os := node.Status.NodeInfo.OSImage
	return strings.HasPrefix(os, "Talos") || strings.HasPrefix(os, "Bottlerocket")
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }
