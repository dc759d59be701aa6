// Package device says what is true of the devices of a node: of those that the kubelet counts as extended resources how many there are, how
// many can be used, and which pods request them; and which pods have devices by ResourceClaims.
package device

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// State is what the counts of a resource come to.
type State int

// The states. A kubelet counts all devices of a plugin in the capacity, and only the healthy ones in allocatable; while a plugin is
// not connected, all are unhealthy; five minutes later the resource is forgotten, and stays in the status as 0:
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/cm/devicemanager/manager.go (GetCapacity),
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/nodestatus/setters.go (MachineInfo).
const (
	Whole         State = iota // nothing is wrong, or the node does not state both counts
	SomeUnhealthy              // fewer are allocatable than there are
	NoneUsable                 // there are some, and none is allocatable
	Removed                    // the node had the resource and has it no more, and pods request it
	Unlisted                   // pods request what the status of the node does not list at all
	Short                      // all are allocatable, and pods request more
)

// Resource is an extended resource of a node. A count that is not known is nil.
type Resource struct {
	Name                             corev1.ResourceName
	Capacity, Allocatable, Requested *int64
	Holders                          []Holder // by namespace and name
}

// Holder is a pod that requests devices.
type Holder struct {
	Namespace, Name string
	Count           int64
}

// Extended says whether a resource is an extended one, as IsExtendedResourceName of
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/apis/core/v1/helper/helpers.go does.
func Extended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix) &&
		!strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
}

// Of gives the extended resources of a node by name. pods are those that take of the node, with what they request; nil: not known.
func Of(capacity, allocatable corev1.ResourceList, pods iter.Seq2[*corev1.Pod, corev1.ResourceList]) []Resource {
	found := map[corev1.ResourceName]*Resource{}
	at := func(name corev1.ResourceName) *Resource {
		if found[name] == nil {
			found[name] = &Resource{Name: name}
			if pods != nil {
				found[name].Requested = new(int64)
			}
		}
		return found[name]
	}
	each(capacity, func(name corev1.ResourceName, count int64) { at(name).Capacity = &count })
	each(allocatable, func(name corev1.ResourceName, count int64) { at(name).Allocatable = &count })
	if pods != nil {
		for p, requests := range pods {
			each(requests, func(name corev1.ResourceName, count int64) {
				if count > 0 && !claimed(p, name) {
					r := at(name)
					*r.Requested += count
					r.Holders = append(r.Holders, Holder{Namespace: p.Namespace, Name: p.Name, Count: count})
				}
			})
		}
	}
	var list []Resource
	for _, r := range found {
		sorting.Func(r.Holders, func(a, b Holder) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
		list = append(list, *r)
	}
	sorting.Func(list, func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func each(list corev1.ResourceList, visit func(corev1.ResourceName, int64)) {
	for name, quantity := range list {
		if Extended(name) {
			visit(name, count(quantity))
		}
	}
}

func count(q resource.Quantity) int64 { return q.Value() }

// claimed says whether a ResourceClaim serves what a pod requests of a resource, and not the counts of the node:
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/5004-dra-extended-resource
func claimed(p *corev1.Pod, name corev1.ResourceName) bool {
	s := p.Status.ExtendedResourceClaimStatus
	return s != nil && slices.ContainsFunc(s.RequestMappings, func(m corev1.ContainerExtendedResourceRequest) bool {
		return m.ResourceName == string(name)
	})
}

// State says what the counts come to.
func (r *Resource) State() State {
	requested := int64(0)
	if r.Requested != nil {
		requested = *r.Requested
	}
	switch {
	case r.Capacity == nil && r.Allocatable == nil:
		return Unlisted
	case r.Capacity == nil || r.Allocatable == nil:
		return Whole
	case *r.Capacity == 0 && *r.Allocatable == 0 && requested > 0:
		return Removed
	case *r.Capacity > 0 && *r.Allocatable == 0:
		return NoneUsable
	case *r.Allocatable < *r.Capacity:
		return SomeUnhealthy
	case requested > *r.Allocatable:
		return Short
	}
	return Whole
}
