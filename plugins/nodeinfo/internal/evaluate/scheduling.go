package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

const (
	taintUninitialized = "node.cloudprovider.kubernetes.io/uninitialized"
	taintAutoscaler    = "ToBeDeletedByClusterAutoscaler"
	taintCandidate     = "DeletionCandidateOfClusterAutoscaler"
)

// Patience with those that should take a taint away again.
const (
	initializing = 10 * time.Minute
	removing     = 30 * time.Minute // a drain may take its pods' grace periods and disruption budgets
)

// meanings explains the taints that Kubernetes and its autoscalers set. Those that repeat a condition say so.
var meanings = map[string]string{
	"node.kubernetes.io/unschedulable":       "cordoned",
	"node.kubernetes.io/not-ready":           "repeats Ready=False",
	"node.kubernetes.io/unreachable":         "repeats Ready=Unknown",
	"node.kubernetes.io/memory-pressure":     "repeats MemoryPressure",
	"node.kubernetes.io/disk-pressure":       "repeats DiskPressure",
	"node.kubernetes.io/pid-pressure":        "repeats PIDPressure",
	"node.kubernetes.io/network-unavailable": "repeats NetworkUnavailable",
	"node.kubernetes.io/out-of-service":      "declared dead by an administrator: pods are deleted by force, volumes detached",
	"node-role.kubernetes.io/control-plane":  "keeps ordinary pods off the control plane",
	"node-role.kubernetes.io/master":         "keeps ordinary pods off the control plane",
	taintUninitialized:                       "the cloud controller has not initialised the node yet",
	taintAutoscaler:                          "Cluster Autoscaler is removing the node",
	taintCandidate:                           "Cluster Autoscaler may remove the node: it is little used",
	"karpenter.sh/disrupted":                 "Karpenter is removing the node",
	"karpenter.sh/disruption":                "Karpenter is removing the node",
	"karpenter.sh/unregistered":              "Karpenter has not registered the node yet",
	"virtual-kubelet.io/provider":            "a virtual kubelet: pods run elsewhere",
	"nvidia.com/gpu":                         "kept for pods that ask for a GPU",
}

// removers are the taints of those that remove nodes, and who they are.
var removers = map[string]string{
	taintAutoscaler:           "Cluster Autoscaler",
	"karpenter.sh/disrupted":  "Karpenter",
	"karpenter.sh/disruption": "Karpenter",
}

func (v *view) scheduling() {
	s := &report.Scheduling{Cordoned: v.node.Spec.Unschedulable}
	for _, t := range v.node.Spec.Taints {
		out := report.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect), Meaning: meanings[t.Key], Since: v.taintSince(t)}
		if strings.HasPrefix(t.Key, "readiness.k8s.io/") {
			out.Meaning = "a readiness rule is not fulfilled yet"
		}
		s.Taints = append(s.Taints, out)
	}
	slices.SortFunc(s.Taints, func(a, b report.Taint) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Value, b.Value))
	})
	v.out.Scheduling = s
	v.out.Lifecycle = v.lifecycle()
	if s.Cordoned {
		v.cordoned(s)
	}
	for _, t := range s.Taints {
		v.checkTaint(t)
	}
}

// taintSince is when a taint was set: it says so itself for NoExecute ones and for the cordon; Cluster Autoscaler puts
// the time into the value.
func (v *view) taintSince(t corev1.Taint) *time.Time {
	if t.TimeAdded != nil {
		return timeOf(t.TimeAdded.Time)
	}
	if t.Key == taintAutoscaler || t.Key == taintCandidate {
		if seconds, err := strconv.ParseInt(t.Value, 10, 64); err == nil {
			return timeOf(time.Unix(seconds, 0))
		}
	}
	return nil
}

// cordoned says since when and by whom, as far as the object tells: the field manager is the program that set it.
func (v *view) cordoned(s *report.Scheduling) {
	by, known := nodefact.WrittenAt(v.node.ManagedFields, "unschedulable")
	if known {
		s.CordonedBy, s.CordonedSince = by.Manager, timeOf(by.Time.Time)
	}
	for _, t := range s.Taints {
		if t.Key == "node.kubernetes.io/unschedulable" && t.Since != nil {
			s.CordonedSince = t.Since
		}
	}
	message := "the node is cordoned: no new pods are placed on it"
	evidence := []finding.Evidence{{Source: "Node", Path: "spec.unschedulable", Value: "true", Time: s.CordonedSince}}
	if s.CordonedSince != nil {
		message += ", since " + v.ago(*s.CordonedSince)
	}
	if known && s.CordonedBy != "" {
		message += ", by " + s.CordonedBy
		evidence = append(evidence, finding.Evidence{Source: "Node", Path: "metadata.managedFields", Value: s.CordonedBy + " set spec.unschedulable", Time: timeOf(by.Time.Time)})
	}
	v.add(Cordoned, message, evidence, finding.Next{Command: v.kubectl("", "uncordon", v.node.Name), Why: "opens it again, when the work on it is done", Risk: finding.Change})
}

func (v *view) checkTaint(t report.Taint) {
	evidence := []finding.Evidence{{Source: "Node", Path: "spec.taints", Value: strings.TrimSuffix(t.Key+"="+t.Value, "=") + ":" + t.Effect, Time: t.Since}}
	switch {
	case t.Key == taintUninitialized:
		if old := v.now.Sub(v.node.CreationTimestamp.Time); old > initializing {
			v.add(CloudNotInitialized, fmt.Sprintf("the cloud controller has not initialised the node since it joined %s ago; ordinary pods stay away", age(old)), evidence,
				finding.Next{Command: v.kubectl("", "get", "pods", "-A", "-l", "k8s-app=cloud-controller-manager", "-o", "wide"), Why: "does the cloud-controller-manager run?", Risk: finding.Read})
		}
	case t.Key == "node.kubernetes.io/out-of-service":
		v.add(OutOfService, "an administrator declared the node out of service: its pods are deleted by force", evidence,
			finding.Next{Command: v.kubectl("", "taint", "node", v.node.Name, t.Key+"-"), Why: "when the node is back and clean", Risk: finding.Change})
	case removers[t.Key] != "":
		who := removers[t.Key]
		if t.Since != nil && v.now.Sub(*t.Since) > removing {
			v.add(AutoscalerDeletionStuck, fmt.Sprintf("%s began to remove the node %s ago and has not ended; no pods are placed on it", who, v.ago(*t.Since)), evidence,
				v.podsNext("what still runs there and holds it: disruption budgets, bare pods, long grace periods"))
			return
		}
		message := who + " is removing the node"
		if t.Since != nil {
			message += ", since " + v.ago(*t.Since)
		}
		v.add(AutoscalerDeleting, message, evidence)
	}
}

func (v *view) lifecycle() *report.Lifecycle {
	n := v.node
	l := &report.Lifecycle{
		ProviderID: n.Spec.ProviderID, BootID: n.Status.NodeInfo.BootID,
		Zone:         firstLabel(n, corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone),
		InstanceType: firstLabel(n, corev1.LabelInstanceTypeStable, corev1.LabelInstanceType),
	}
	for _, t := range n.Spec.Taints {
		if who := removers[t.Key]; who != "" {
			l.Deletion, l.DeletionFrom = who, v.taintSince(t)
		}
	}
	if n.DeletionTimestamp != nil {
		l.Deletion, l.DeletionFrom = "the Node object is being deleted", timeOf(n.DeletionTimestamp.Time)
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
