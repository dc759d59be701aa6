// Package budget computes rolling updates: what a strategy allows, and what the controller may create and remove next.
package budget

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// scaled resolves a number or percentage of n.
func scaled(v *intstr.IntOrString, n int32, roundUp bool) int32 {
	if v == nil {
		return 0
	}
	pods, err := intstr.GetScaledValueFromIntOrPercent(v, int(n), roundUp)
	if err != nil {
		return 0
	}
	return int32(max(0, min(pods, 1<<30))) //nolint:gosec // bounded
}

// resolveDeployment gives a Deployment's surge and unavailable in pods. Surge rounds up, unavailable down; when both come
// out as zero one pod may be unavailable, since nothing could move otherwise.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/util/deployment_util.go (ResolveFenceposts)
func resolveDeployment(strategy *appsv1.DeploymentStrategy, n int32) (surge, unavailable int32) {
	if strategy.Type == appsv1.RecreateDeploymentStrategyType || strategy.RollingUpdate == nil {
		return 0, 0
	}
	surge = scaled(strategy.RollingUpdate.MaxSurge, n, true)
	unavailable = scaled(strategy.RollingUpdate.MaxUnavailable, n, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, n)
}

// Set is a ReplicaSet in the arithmetic of a rolling update.
type Set struct {
	Spec, Available int32
}

// grow is how many pods of the new ReplicaSet the controller may request next. It counts the replicas that ReplicaSets
// request, not pods that run: terminating pods do not count.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/util/deployment_util.go (NewRSNewReplicas)
func grow(n, surge int32, fresh Set, old []Set) int32 {
	total := fresh.Spec
	for _, s := range old {
		total += s.Spec
	}
	return max(0, min(n+surge-total, n-fresh.Spec))
}

// shrink is how many old pods the controller may remove next: unavailable ones as far as new pods that are not available
// yet permit, and available ones down to the minimum.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/rolling.go (reconcileOldReplicaSets)
func shrink(n, unavailable int32, fresh Set, old []Set) (remove []int32) {
	remove = make([]int32, len(old))
	total, available := fresh.Spec, fresh.Available
	for _, s := range old {
		total += s.Spec
		available += s.Available
	}
	minimum := n - unavailable
	limit := total - minimum - (fresh.Spec - fresh.Available)
	if limit <= 0 {
		return remove
	}
	cleaned := int32(0)
	for i, s := range old { // unhealthy ones first, oldest ReplicaSet first
		k := min(limit-cleaned, s.Spec-s.Available)
		if k > 0 {
			remove[i] += k
			cleaned += k
		}
	}
	spare := available - minimum
	for i, s := range old {
		k := min(spare, s.Spec-remove[i])
		if k > 0 && s.Available > 0 {
			remove[i] += k
			spare -= k
		}
	}
	return remove
}

func sum(list []int32) int32 {
	var total int32
	for _, v := range list {
		total += v
	}
	return total
}

// Deployment is what the strategy allows.
func Deployment(d *appsv1.Deployment, n int32) *report.UpdateStrategy {
	b := &report.UpdateStrategy{Type: string(d.Spec.Strategy.Type), MinReadySeconds: d.Spec.MinReadySeconds}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		b.MaxPods, b.MinAvailable = plain.Ptr(n), plain.Ptr(int32(0))
		return b
	}
	surge, unavailable := resolveDeployment(&d.Spec.Strategy, n)
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		b.MaxSurge = &report.Bound{Spec: intOrEmpty(r.MaxSurge), Pods: surge}
		b.MaxUnavailable = &report.Bound{Spec: intOrEmpty(r.MaxUnavailable), Pods: unavailable}
	}
	b.MaxPods, b.MinAvailable = plain.Ptr(n+surge), plain.Ptr(n-unavailable)
	return b
}

// Moves is the arithmetic of a rolling update in words and numbers: what the controller may do next.
func Moves(b *report.UpdateStrategy, n int32, fresh Set, old []Set) {
	surge, unavailable := b.MaxSurge.Pods, b.MaxUnavailable.Pods
	total, available, oldPods := fresh.Spec, fresh.Available, int32(0)
	for _, s := range old {
		total += s.Spec
		available += s.Available
		oldPods += s.Spec
	}
	create, remove := grow(n, surge, fresh, old), sum(shrink(n, unavailable, fresh, old))
	b.MayCreate, b.MayRemove = plain.Ptr(create), plain.Ptr(remove)
	switch {
	case fresh.Spec >= n:
		b.CreateReason = "all new pods are requested"
	case create > 0:
		b.CreateReason = fmt.Sprintf("%d of at most %d pods are requested", total, n+surge)
	case total > n+surge:
		b.CreateReason = fmt.Sprintf("%s requested, more than the maximum of %d (%s + %d maxSurge)", pods(total, "is", "are"), n+surge,
			replicas(n), surge)
	default:
		b.CreateReason = fmt.Sprintf("%s the maximum (%s + %d maxSurge)", pods(total, "is", "is"), replicas(n), surge)
	}
	switch {
	case oldPods == 0:
		b.RemoveReason = "no old pods are left"
	case remove > 0:
		b.RemoveReason = fmt.Sprintf("%s available, at least %d must stay available", pods(available, "is", "are"), n-unavailable)
	case available < n-unavailable:
		b.RemoveReason = fmt.Sprintf("%d available is below the minimum of %d", available, n-unavailable)
	default:
		b.RemoveReason = fmt.Sprintf("%d available is the minimum (%s - %d maxUnavailable); a new pod must become available first",
			available, replicas(n), unavailable)
	}
}

func replicas(n int32) string { return plain.Plural(int(n), "replica", "replicas") }

// pods are so many, with the verb for one and for several.
func pods(n int32, one, several string) string {
	return plain.Plural(int(n), "pod "+one, "pods "+several)
}

func intOrEmpty(v *intstr.IntOrString) string {
	if v == nil {
		return ""
	}
	return v.String()
}

// DaemonSet resolves a DaemonSet's bounds: both round up, and exactly one is not zero.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/daemon/update.go (updatedDesiredNodeCounts)
func DaemonSet(ds *appsv1.DaemonSet) *report.UpdateStrategy {
	b := &report.UpdateStrategy{Type: string(ds.Spec.UpdateStrategy.Type), MinReadySeconds: ds.Spec.MinReadySeconds}
	r, n := ds.Spec.UpdateStrategy.RollingUpdate, ds.Status.DesiredNumberScheduled
	if ds.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || r == nil {
		return b
	}
	surge, unavailable := scaled(r.MaxSurge, n, true), scaled(r.MaxUnavailable, n, true)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	b.MaxSurge = &report.Bound{Spec: intOrEmpty(r.MaxSurge), Pods: surge}
	b.MaxUnavailable = &report.Bound{Spec: intOrEmpty(r.MaxUnavailable), Pods: unavailable}
	b.MaxPods, b.MinAvailable = plain.Ptr(n+surge), plain.Ptr(max(0, n-unavailable))
	return b
}

// StatefulSet resolves a StatefulSet's bounds: maxUnavailable rounds down and is at least one. The field is only
// there while the server's gate is on (it is dropped or defaulted by the server).
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/statefulset/stateful_set_utils.go (getStatefulSetMaxUnavailable)
func StatefulSet(s *appsv1.StatefulSet, n int32) *report.UpdateStrategy {
	b := &report.UpdateStrategy{
		Type: string(s.Spec.UpdateStrategy.Type), PodManagementPolicy: string(s.Spec.PodManagementPolicy),
		MinReadySeconds: s.Spec.MinReadySeconds,
	}
	if b.PodManagementPolicy == "" {
		b.PodManagementPolicy = string(appsv1.OrderedReadyPodManagement)
	}
	b.MaxPods = plain.Ptr(n)
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil {
		if r.Partition != nil {
			b.Partition = r.Partition
		}
		if r.MaxUnavailable != nil {
			b.MaxUnavailable = &report.Bound{Spec: r.MaxUnavailable.String(), Pods: max(1, scaled(r.MaxUnavailable, n, false))}
		}
	}
	return b
}
