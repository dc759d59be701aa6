package device

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Trouble is a device of a container that the kubelet does not call healthy.
type Trouble struct {
	Container string
	Resource  corev1.ResourceName
	ID        corev1.ResourceID
	Health    corev1.ResourceHealthStatus
	Message   string
}

// Troubles gives the devices of a pod that are not healthy, by what its kubelet says of each:
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/4680-add-resource-health-to-pod-status
// A container that has ended holds none. Of a device of a claim, Unknown says nothing: the kubelet writes it for every driver that
// reports no health (https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/cm/dra/manager.go,
// UpdateAllocatedResourcesStatus).
func Troubles(p *corev1.Pod) []Trouble {
	var list []Trouble
	for _, statuses := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range statuses {
			if statuses[i].State.Terminated == nil {
				list = append(list, troubles(&statuses[i])...)
			}
		}
	}
	sorting.Func(list, func(a, b Trouble) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.ID, b.ID))
	})
	return list
}

func troubles(s *corev1.ContainerStatus) []Trouble {
	var list []Trouble
	for _, r := range s.AllocatedResourcesStatus {
		for _, d := range r.Resources {
			unknown := d.Health == corev1.ResourceHealthStatusUnknown && !strings.HasPrefix(string(r.Name), "claim:")
			if d.Health != corev1.ResourceHealthStatusUnhealthy && !unknown {
				continue
			}
			t := Trouble{Container: s.Name, Resource: r.Name, ID: d.ResourceID, Health: d.Health}
			if d.Message != nil {
				t.Message = *d.Message
			}
			list = append(list, t)
		}
	}
	return list
}
