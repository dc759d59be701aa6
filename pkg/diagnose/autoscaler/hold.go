package autoscaler

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/eviction"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Reason is why an autoscaler does not remove a node.
type Reason string

// The reasons, the hard ones first: what is said of the node, then of its group, then of pods; then what a flag of Cluster Autoscaler
// changes.
const (
	NodeAnnotated    Reason = "NodeAnnotated"        // the Node says that it is to stay
	GroupAtMinimum   Reason = "GroupAtMinimum"       // the node group has no node too many
	PoolFixed        Reason = "PoolFixed"            // the NodePool has a fixed number of nodes
	PoolBudgetClosed Reason = "PoolBudgetClosed"     // a budget of the NodePool allows no removal
	PoolConsolidates Reason = "PoolConsolidationOff" // the NodePool removes no node for being little used
	PodAnnotated     Reason = "PodAnnotated"         // a pod says that it is not to be moved
	PodBare          Reason = "PodBare"              // nothing would make the pod again
	PodBudget        Reason = "PodDisruptionBudget"  // a PodDisruptionBudget allows no eviction
	PodBudgets       Reason = "SeveralBudgets"       // the API server rejects the eviction of a pod that several budgets cover
	PoolWhenEmpty    Reason = "PoolWhenEmpty"        // the NodePool removes only nodes without pods
	PodSystem        Reason = "SystemPod"            // a pod of kube-system that no budget covers
	PodLocal         Reason = "LocalStorage"         // a pod with data on the machine
	Utilized         Reason = "Utilized"             // pods request more than the threshold
)

var ranks = []Reason{
	NodeAnnotated, GroupAtMinimum, PoolFixed, PoolBudgetClosed, PoolConsolidates, PodAnnotated, PodBare, PodBudget, PodBudgets,
	PoolWhenEmpty, PodSystem, PodLocal, Utilized,
}

// ByDefault says whether Cluster Autoscaler holds a node for the reason only as long as no flag says otherwise:
// --skip-nodes-with-system-pods, --skip-nodes-with-local-storage, --scale-down-utilization-threshold.
func (r Reason) ByDefault() bool { return r == PodSystem || r == PodLocal || r == Utilized }

// Hold is one thing that keeps an autoscaler from removing a node.
type Hold struct {
	Reason  Reason
	Pod     *corev1.Pod // nil: it is not about a pod
	Value   string      // the field that says so, as "KEY=VALUE"
	Budgets []string    // names of PodDisruptionBudgets, in the pod's namespace
}

// Cluster Autoscaler's annotations.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/FAQ.md
const (
	ScaleDownDisabled = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
	SafeToEvict       = "cluster-autoscaler.kubernetes.io/safe-to-evict"
	SafeLocalVolumes  = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
)

// PodAnnotations are those of pods that are judged here.
func PodAnnotations() []string { return []string{SafeToEvict, SafeLocalVolumes, DoNotDisrupt} }

// UtilizationThreshold is Cluster Autoscaler's default of --scale-down-utilization-threshold: a node of which that part of the CPU or
// of the memory is requested is not removed.
const UtilizationThreshold = 50

// longEnded is how long after its grace period a pod that is being deleted still counts.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/utils/drain/drain.go
const longEnded = 30 * time.Second

// Budgets are the PodDisruptionBudgets of the cluster; not Read: they could not be, and nothing is said that depends on them.
type Budgets struct {
	List []policyv1.PodDisruptionBudget
	Read bool
}

// Holds is what keeps Cluster Autoscaler from removing a node, by its defaults, but for what other nodes have room for and how much of
// the node is requested. group may be nil.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/simulator/drainability/rules/rules.go
func Holds(n *corev1.Node, group *Group, pods []*corev1.Pod, budgets Budgets, now time.Time) []Hold {
	var list []Hold
	if n.Annotations[ScaleDownDisabled] == "true" {
		list = append(list, Hold{Reason: NodeAnnotated, Value: ScaleDownDisabled + "=true"})
	}
	if group != nil && group.AtMinimum() {
		list = append(list, Hold{Reason: GroupAtMinimum})
	}
	for _, p := range pods {
		if h, held := heldByPod(p, budgets, now); held {
			h.Pod = p
			list = append(list, h)
		}
	}
	return ranked(list)
}

// heldByPod is the first rule that a pod blocks the removal by; upstream tells no more of them either.
func heldByPod(p *corev1.Pod, budgets Budgets, now time.Time) (Hold, bool) {
	fate := eviction.FateOf(p, false)
	ended := p.DeletionTimestamp != nil && p.DeletionTimestamp.Add(eviction.Grace(p)+longEnded).Before(now)
	if !fate.Goes() || fate == eviction.Finished || ended || p.Annotations[SafeToEvict] == "true" {
		return Hold{}, false
	}
	guards := eviction.Guards(p, budgets.List)
	switch {
	case fate == eviction.Bare:
		return Hold{Reason: PodBare}, true
	case p.Namespace == "kube-system" && budgets.Read && len(guards) == 0 && p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodPending:
		return Hold{Reason: PodSystem}, true
	case p.Annotations[SafeToEvict] == "false":
		return Hold{Reason: PodAnnotated, Value: SafeToEvict + "=false"}, true
	}
	if volumes := localVolumes(p); len(volumes) > 0 {
		return Hold{Reason: PodLocal, Value: strings.Join(volumes, ", ")}, true
	}
	return heldByBudget(guards, func(b *policyv1.PodDisruptionBudget) bool { return b.Status.DisruptionsAllowed < 1 })
}

func heldByBudget(guards []*policyv1.PodDisruptionBudget, closed func(*policyv1.PodDisruptionBudget) bool) (Hold, bool) {
	var all, blocking []string
	for _, b := range guards {
		all = append(all, b.Name)
		if closed(b) {
			blocking = append(blocking, b.Name)
		}
	}
	slices.Sort(all)
	slices.Sort(blocking)
	switch {
	case len(blocking) > 0:
		return Hold{Reason: PodBudget, Budgets: blocking}, true
	case len(all) > 1:
		return Hold{Reason: PodBudgets, Budgets: all}, true
	}
	return Hold{}, false
}

// LocalVolumes are the volumes of a pod whose data is on the machine, without where it is there. An emptyDir in memory is none.
func LocalVolumes(p *corev1.Pod) []corev1.Volume {
	var list []corev1.Volume
	for i := range p.Spec.Volumes {
		v := corev1.Volume{Name: p.Spec.Volumes[i].Name}
		switch from := &p.Spec.Volumes[i]; {
		case from.HostPath != nil:
			v.HostPath = &corev1.HostPathVolumeSource{}
		case from.EmptyDir != nil && from.EmptyDir.Medium != corev1.StorageMediumMemory:
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		default:
			continue
		}
		list = append(list, v)
	}
	return list
}

// localVolumes are their names, but for those that the owner of the pod lets go.
func localVolumes(p *corev1.Pod) []string {
	var names []string
	spared := strings.Split(p.Annotations[SafeLocalVolumes], ",")
	for _, v := range LocalVolumes(p) {
		if !slices.Contains(spared, v.Name) {
			names = append(names, v.Name)
		}
	}
	return names
}

// KarpenterHolds is what keeps Karpenter from removing a node of its own accord, or from draining one that it removes. pool may be nil.
// https://karpenter.sh/docs/concepts/disruption/#controls
func KarpenterHolds(n *corev1.Node, pool *NodePool, pods []*corev1.Pod, budgets Budgets, now time.Time) []Hold {
	var list []Hold
	if n.Annotations[DoNotDisrupt] == "true" {
		list = append(list, Hold{Reason: NodeAnnotated, Value: DoNotDisrupt + "=true"})
	}
	moved := 0
	for _, p := range pods {
		fate := eviction.FateOf(p, false)
		if podfact.Finished(p) || p.DeletionTimestamp != nil || fate == eviction.Static {
			continue
		}
		if Protected(p, now) {
			list = append(list, Hold{Reason: PodAnnotated, Pod: p, Value: DoNotDisrupt + "=" + p.Annotations[DoNotDisrupt]})
			continue
		}
		if fate == eviction.Daemon {
			continue
		}
		moved++
		closed := func(b *policyv1.PodDisruptionBudget) bool { return b.Status.DisruptionsAllowed < 1 && !spares(b, p) }
		if h, held := heldByBudget(eviction.Guards(p, budgets.List), closed); held {
			h.Pod = p
			list = append(list, h)
		}
	}
	return ranked(append(list, poolHolds(pool, moved)...))
}

// spares says whether a budget lets a pod that is not ready go whatever it allows.
func spares(b *policyv1.PodDisruptionBudget, p *corev1.Pod) bool {
	policy := b.Spec.UnhealthyPodEvictionPolicy
	return policy != nil && *policy == policyv1.AlwaysAllow && !podfact.Ready(p)
}

// poolHolds says what a pool keeps its nodes by; moved is how many pods of the node would have to go elsewhere.
func poolHolds(pool *NodePool, moved int) []Hold {
	if pool == nil {
		return nil
	}
	var list []Hold
	if pool.Spec.Replicas != nil {
		list = append(list, Hold{Reason: PoolFixed})
	}
	for i := range pool.Spec.Disruption.Budgets {
		if b := &pool.Spec.Disruption.Budgets[i]; b.Closed() {
			list = append(list, Hold{Reason: PoolBudgetClosed, Value: b.String()})
		}
	}
	switch d := &pool.Spec.Disruption; {
	case pool.Spec.Replicas != nil: // the rest is ignored then
	case d.After == "Never":
		list = append(list, Hold{Reason: PoolConsolidates, Value: "consolidateAfter=Never"})
	case d.Policy == "WhenEmpty" && moved > 0:
		list = append(list, Hold{Reason: PoolWhenEmpty, Value: "consolidationPolicy=WhenEmpty"})
	}
	return list
}

// ranked puts the hard reasons first, and those of pods by namespace and name.
func ranked(list []Hold) []Hold {
	name := func(h *Hold) string {
		if h.Pod == nil {
			return h.Value
		}
		return h.Pod.Namespace + "/" + h.Pod.Name
	}
	sorting.Stable(list, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(slices.Index(ranks, a.Reason), slices.Index(ranks, b.Reason)), cmp.Compare(name(&a), name(&b)))
	})
	return list
}
