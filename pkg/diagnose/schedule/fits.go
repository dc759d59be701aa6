// Package schedule says what the scheduler and the DaemonSet controller make of a pod and a node: which nodes refuse it and
// why, what it is charged, and what a node has left.
package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Reason is why a node is not for a pod, whatever room it has.
type Reason string

// The reasons, in the order in which they are asked: the trouble of a node that is not wanted is no reason.
const (
	OtherNode     Reason = "OtherNode"     // the pod names another node (spec.nodeName)
	Unwanted      Reason = "Unwanted"      // the node's labels or name are not what the pod's nodeSelector and required affinity want
	Unschedulable Reason = "Unschedulable" // the node is cordoned (spec.unschedulable)
	Untolerated   Reason = "Untolerated"   // the node has a taint NoSchedule or NoExecute that the pod does not tolerate
)

// Refusal is why a node is not for a pod. Its zero value is none.
type Refusal struct {
	Reason Reason
	Taint  corev1.Taint // of Untolerated: the first one
}

// Fits says whether the scheduler would look at the node's room for a pod, by its filters for affinity, cordons and taints:
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/framework/plugins/nodeaffinity/node_affinity.go (Filter),
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/framework/plugins/nodeunschedulable/node_unschedulable.go,
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go
func Fits(spec *corev1.PodSpec, n *corev1.Node) (Refusal, bool) {
	if !wants(spec, n) {
		return Refusal{Reason: Unwanted}, false
	}
	// Who tolerates the taint of a cordon tolerates the field, too, though the taint comes a moment later.
	cordon := []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
	if _, refused := untolerated(cordon, spec.Tolerations); refused && n.Spec.Unschedulable {
		return Refusal{Reason: Unschedulable}, false
	}
	return tolerates(n, spec.Tolerations)
}

// daemonTolerations are what the DaemonSet controller adds to every pod of its own:
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/daemon/util/daemonset_util.go (AddOrUpdateDaemonPodTolerations)
var daemonTolerations = []corev1.Toleration{
	{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
	{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
}

// DaemonNode is the node that a pod of a DaemonSet is for, whether it is bound or not: the controller names it in the
// affinity. It is empty for other pods that are not bound.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/daemon/util/daemonset_util.go
// (ReplaceDaemonSetPodNodeNameNodeAffinity)
func DaemonNode(spec *corev1.PodSpec) string {
	if spec.NodeName != "" {
		return spec.NodeName
	}
	a := spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range t.MatchFields {
			if f.Key == metav1.ObjectNameField && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// DaemonFits says whether a DaemonSet with pods of this spec makes one for the node. A cordon stops none of them.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/daemon/daemon_controller.go (NodeShouldRunDaemonPod)
func DaemonFits(spec *corev1.PodSpec, n *corev1.Node) (Refusal, bool) {
	if spec.NodeName != "" && spec.NodeName != n.Name {
		return Refusal{Reason: OtherNode}, false
	}
	if !wants(spec, n) {
		return Refusal{Reason: Unwanted}, false
	}
	tolerations := slices.Concat(spec.Tolerations, daemonTolerations)
	if spec.HostNetwork {
		tolerations = append(tolerations,
			corev1.Toleration{Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	return tolerates(n, tolerations)
}

// wants ignores errors, as scheduler and controller do: a term that cannot be read matches no node.
func wants(spec *corev1.PodSpec, n *corev1.Node) bool {
	match, _ := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: *spec}).Match(n)
	return match
}

func tolerates(n *corev1.Node, tolerations []corev1.Toleration) (Refusal, bool) {
	if taint, refused := untolerated(n.Spec.Taints, tolerations); refused {
		return Refusal{Reason: Untolerated, Taint: taint}, false
	}
	return Refusal{}, true
}

// untolerated gives the first taint that keeps a pod off. The operators Gt and Lt exist only where the API server lets them
// pass, so they need no switch (feature gate TaintTolerationComparisonOperators). The zero logger says nothing of values that
// are no numbers: they do not match.
func untolerated(taints []corev1.Taint, tolerations []corev1.Toleration) (corev1.Taint, bool) {
	return schedulinghelpers.FindMatchingUntoleratedTaint(klog.Logger{}, taints, tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, true)
}
