package sections

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// meanings explains the taints that Kubernetes and its autoscalers set. Those that repeat a condition say so.
var meanings = map[string]string{
	corev1.TaintNodeUnschedulable:           "cordoned",
	corev1.TaintNodeNotReady:                "repeats Ready=False",
	corev1.TaintNodeUnreachable:             "repeats Ready=Unknown",
	corev1.TaintNodeMemoryPressure:          "repeats MemoryPressure",
	corev1.TaintNodeDiskPressure:            "repeats DiskPressure",
	corev1.TaintNodePIDPressure:             "repeats PIDPressure",
	corev1.TaintNodeNetworkUnavailable:      "repeats NetworkUnavailable",
	facts.TaintOutOfService:                 "marked out of service by an administrator: pods are force-deleted, volumes detached",
	"node-role.kubernetes.io/control-plane": "keeps pods without a toleration off the control plane",
	"node-role.kubernetes.io/master":        "keeps pods without a toleration off the control plane",
	facts.TaintUninitialized:                "the cloud provider has not initialized the node yet",
	facts.TaintAutoscaler:                   "Cluster Autoscaler is removing the node",
	facts.TaintCandidate:                    "Cluster Autoscaler may remove the node: low utilization",
	"karpenter.sh/disrupted":                "Karpenter is removing the node",
	"karpenter.sh/disruption":               "Karpenter is removing the node",
	"karpenter.sh/unregistered":             "Karpenter has not registered the node yet",
	"virtual-kubelet.io/provider":           "virtual kubelet: pods run elsewhere",
	"nvidia.com/gpu":                        "reserved for pods that request a GPU",
}

func meaning(taint string) string {
	if strings.HasPrefix(taint, "readiness.k8s.io/") {
		return "a readiness rule is not met yet"
	}
	return meanings[taint]
}

func scheduling(n *facts.Node) *report.Scheduling {
	s := &report.Scheduling{}
	if cordon := n.Scheduling.Cordon; cordon != nil {
		s.Cordoned, s.CordonedBy, s.CordonedSince = true, cordon.By, cordon.Since
	}
	for _, t := range n.Scheduling.Taints {
		s.Taints = append(s.Taints, report.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect, Since: t.Since, Meaning: meaning(t.Key)})
	}
	for _, r := range n.Full() {
		s.Full = append(s.Full, r.Name)
	}
	return s
}

func lifecycle(n *facts.Node) *report.Lifecycle {
	o := n.Object
	l := &report.Lifecycle{
		ProviderID: o.Spec.ProviderID, BootID: o.Status.NodeInfo.BootID,
		Zone:         firstLabel(o, corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone),
		InstanceType: firstLabel(o, corev1.LabelInstanceTypeStable, corev1.LabelInstanceType),
		Reboots:      n.Events.Reboots, NotReady: n.Events.NotReady,
		Removal: n.Scheduling.RemovedBy, RemovalSince: n.Scheduling.RemovedAt,
	}
	if n.Read(facts.SourceEvents) {
		l.NotReadyCount, l.NotReadySince = ptr(n.Events.Falls), facts.Time(n.Events.Fell)
	}
	if o.DeletionTimestamp != nil {
		l.Removal, l.RemovalSince = "the Node object is being deleted", facts.Time(o.DeletionTimestamp.Time)
	}
	return l
}

func firstLabel(n *corev1.Node, keys ...string) string {
	for _, key := range keys {
		if value := n.Labels[key]; value != "" {
			return value
		}
	}
	return ""
}
