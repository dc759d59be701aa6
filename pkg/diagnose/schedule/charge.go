package schedule

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// options are those with which the scheduler charges a pod to its node:
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/framework/types.go (CalculateResource)
// For a pod that has no node yet it leaves the status out (plugins/noderesources/fit.go, computePodResourceRequest): there is
// nothing in it then, so the sum is the same. On servers without in-place resize, pod-level resources or claims of node
// resources the fields are absent, and the options change nothing.
var options = helpers.PodResourcesOptions{
	UseStatusResources: true,
	InPlacePodLevelResourcesVerticalScalingEnabled: true,
	UseDRANodeAllocatableResourceClaimStatus:       true,
}

// Requests is what the scheduler charges a pod: steps, sidecars, overhead and a resize included. The place that it takes
// among "pods" is not in it (see Take).
func Requests(p *corev1.Pod) corev1.ResourceList { return helpers.PodRequests(p, options) }

// unlimited is what a kubelet on cgroup v1 reports as the limit of a pod that has none: the kernel's largest page-aligned
// number, 9007199254740988Ki, in status.resources.
const unlimited = int64(1) << 60

// Limits is the sum of a pod's limits by the same rules, without those that mean that there is none.
func Limits(p *corev1.Pod) corev1.ResourceList {
	if p.Status.Resources != nil {
		limits := maps.Clone(p.Status.Resources.Limits)
		maps.DeleteFunc(limits, func(_ corev1.ResourceName, q resource.Quantity) bool { return q.CmpInt64(unlimited) >= 0 })
		if len(limits) < len(p.Status.Resources.Limits) {
			shallow := *p
			shallow.Status.Resources = &corev1.ResourceRequirements{Requests: p.Status.Resources.Requests, Limits: limits}
			p = &shallow
		}
	}
	return helpers.PodLimits(p, options)
}

// ChargedSelector is the field selector of the pods that are charged to a node: bound, and not finished.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/scheduler.go (newPodInformer)
const ChargedSelector = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"

// Charged says the same of one pod. Terminating, mirror and Unknown ones are charged.
func Charged(p *corev1.Pod) bool {
	return p.Spec.NodeName != "" && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// Take adds to what is taken of a node what one more pod takes: its requests, and a place.
func Take(taken, requests corev1.ResourceList) {
	Add(taken, requests)
	Add(taken, corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(1, resource.DecimalSI)})
}

// Add adds a list to a total.
func Add(total, more corev1.ResourceList) {
	for name, q := range more {
		sum := total[name]
		sum.Add(q)
		total[name] = sum
	}
}

// Allocatable is what pods can be charged on a node: the API server fills a missing one with the capacity.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/v1/defaults.go (SetDefaults_NodeStatus)
func Allocatable(n *corev1.Node) corev1.ResourceList {
	if len(n.Status.Allocatable) == 0 {
		return n.Status.Capacity
	}
	return n.Status.Allocatable
}

// Free is what a node has left of a resource; below zero where more is charged than there is.
func Free(n *corev1.Node, taken corev1.ResourceList, name corev1.ResourceName) resource.Quantity {
	free := Allocatable(n)[name].DeepCopy()
	free.Sub(taken[name])
	return free
}

// Lack is a resource of which a node has too little for a pod.
type Lack struct {
	Name                corev1.ResourceName
	Wanted, Free, Whole resource.Quantity // Whole is the allocatable amount
}

// Never says that even the empty node could not hold the pod.
func (l Lack) Never() bool { return l.Wanted.Cmp(l.Whole) > 0 }

// Lacks is what the node has too little of, by name. A resource of which nothing is wanted is never short.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/framework/plugins/noderesources/fit.go (fitsRequest)
func Lacks(n *corev1.Node, taken, wanted corev1.ResourceList) []Lack {
	var lacks []Lack
	for name, need := range wanted {
		l := Lack{Name: name, Wanted: need, Free: Free(n, taken, name), Whole: Allocatable(n)[name]}
		if !need.IsZero() && need.Cmp(l.Free) > 0 {
			lacks = append(lacks, l)
		}
	}
	sorting.Func(lacks, func(a, b Lack) int { return cmp.Compare(a.Name, b.Name) })
	return lacks
}
