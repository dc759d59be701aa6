package device

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestDevicesOfAPodThatAreNotHealthy(t *testing.T) {
	why := "ECC errors"
	health := func(id corev1.ResourceID, word corev1.ResourceHealthStatus, message *string) corev1.ResourceHealth {
		return corev1.ResourceHealth{ResourceID: id, Health: word, Message: message}
	}
	claim := corev1.ResourceName("claim:gpus/one")
	statuses := []corev1.ResourceStatus{
		{Name: claim, Resources: []corev1.ResourceHealth{health("d/p/0", "Unknown", nil), health("d/p/1", "Unhealthy", &why)}},
		{Name: gpu, Resources: []corev1.ResourceHealth{
			health("g2", "Unknown", nil), health("g0", "Healthy", nil), health("g1", "Unhealthy", nil), health("g3", "", nil), health("g4", "NewWord", nil),
		}},
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	p := &corev1.Pod{Status: corev1.PodStatus{
		InitContainerStatuses: []corev1.ContainerStatus{
			{Name: "beside", AllocatedResourcesStatus: []corev1.ResourceStatus{{Name: gpu, Resources: []corev1.ResourceHealth{health("g1", "Unhealthy", nil)}}}},
			{Name: "first", State: ended, AllocatedResourcesStatus: statuses},
		},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "app", AllocatedResourcesStatus: statuses}},
	}}
	want := []Trouble{
		{Container: "app", Resource: claim, ID: "d/p/1", Health: "Unhealthy", Message: why},
		{Container: "app", Resource: gpu, ID: "g1", Health: "Unhealthy"},
		{Container: "app", Resource: gpu, ID: "g2", Health: "Unknown"},
		{Container: "beside", Resource: gpu, ID: "g1", Health: "Unhealthy"},
	}
	if diff := cmp.Diff(want, Troubles(p)); diff != "" {
		t.Error(diff)
	}
}
