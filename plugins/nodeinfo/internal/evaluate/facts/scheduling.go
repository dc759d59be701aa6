package facts

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Taints of those that bring a node in and take it away.
const (
	TaintUninitialized = "node.cloudprovider.kubernetes.io/uninitialized"
	TaintAutoscaler    = "ToBeDeletedByClusterAutoscaler"
	TaintCandidate     = "DeletionCandidateOfClusterAutoscaler"
	TaintOutOfService  = "node.kubernetes.io/out-of-service"
)

// removers are the taints of those that remove nodes, and who they are (https://github.com/aws/aws-node-termination-handler).
var removers = map[string]string{
	"aws-node-termination-handler/spot-itn":                  "AWS",
	"aws-node-termination-handler/asg-lifecycle-termination": "AWS",
	"cloud.google.com/impending-node-termination":            "Google Cloud", // cloud.google.com/kubernetes-engine/docs/concepts/spot-vms
	TaintAutoscaler:           "Cluster Autoscaler",
	"karpenter.sh/disrupted":  "Karpenter",
	"karpenter.sh/disruption": "Karpenter",
}

// Scheduling is what keeps pods away.
type Scheduling struct {
	Cordon    *Cordon // nil: the node is open
	Taints    []Taint // by key, effect and value
	RemovedBy string  // who has marked the node for removal; empty: nobody
	RemovedAt *time.Time
}

// Cordon is who closed the node and when, as far as the object tells: the field manager is the program that set it.
type Cordon struct {
	By      string     // empty: not known
	Written *time.Time // when By wrote it
	Since   *time.Time
}

// Taint is a taint, when it was set, and who removes the node by it.
type Taint struct {
	Key, Value, Effect string
	Since              *time.Time
	Remover            string
}

// OfUser says whether nobody but a user sets the taint: no part of Kubernetes, no cloud, no autoscaler. It keeps new pods off.
func (t *Taint) OfUser() bool {
	if t.Remover != "" || nodefact.OfNotice(t.Key) || t.Effect == string(corev1.TaintEffectPreferNoSchedule) {
		return false
	}
	prefix, _, ok := strings.Cut(t.Key, "/")
	for _, domain := range []string{"kubernetes.io", "k8s.io", "karpenter.sh", "cilium.io", "virtual-kubelet.io"} {
		if ok && (prefix == domain || strings.HasSuffix(prefix, "."+domain)) {
			return false
		}
	}
	return t.Key != TaintCandidate && t.Key != TaintAutoscaler
}

// Full are CPU and memory where nearly all of what can be allocated is requested, or more than that.
func (n *Node) Full() []report.Resource {
	var list []report.Resource
	for _, r := range n.Resources {
		named := r.Name == string(corev1.ResourceCPU) || r.Name == string(corev1.ResourceMemory)
		if named && r.RequestsPercent != nil && *r.RequestsPercent >= float64(n.Limits.RequestsPercent) && r.Free != nil {
			list = append(list, r)
		}
	}
	return list
}

func scheduling(n *corev1.Node) Scheduling {
	var s Scheduling
	for _, t := range n.Spec.Taints {
		taint := Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect), Since: taintSince(t), Remover: removers[t.Key]}
		if taint.Remover != "" && taint.Since == nil && n.DeletionTimestamp != nil {
			taint.Since = Time(n.DeletionTimestamp.Time) // Karpenter's taint tells no time; it deletes the Node next
		}
		if taint.Remover != "" {
			s.RemovedBy, s.RemovedAt = taint.Remover, taint.Since
		}
		s.Taints = append(s.Taints, taint)
	}
	sorting.Func(s.Taints, func(a, b Taint) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Value, b.Value))
	})
	if n.Spec.Unschedulable {
		s.Cordon = cordon(n, s.Taints)
	}
	return s
}

// taintSince is when a taint was set: it says so itself for NoExecute ones and for the cordon; Cluster Autoscaler puts
// the time into the value.
func taintSince(t corev1.Taint) *time.Time {
	if t.TimeAdded != nil {
		return Time(t.TimeAdded.Time)
	}
	if t.Key == TaintAutoscaler || t.Key == TaintCandidate {
		if seconds, err := strconv.ParseInt(t.Value, 10, 64); err == nil {
			return Time(time.Unix(seconds, 0))
		}
	}
	return nil
}

func cordon(n *corev1.Node, taints []Taint) *Cordon {
	c := &Cordon{}
	if by, known := nodefact.WrittenAt(n.ManagedFields, "unschedulable"); known {
		c.By, c.Written = by.Manager, Time(by.Time.Time)
		c.Since = c.Written
	}
	for _, t := range taints {
		if t.Key == corev1.TaintNodeUnschedulable && t.Since != nil {
			c.Since = t.Since
		}
	}
	return c
}
