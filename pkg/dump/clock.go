package dump

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// Clock is the newest time that was seen in a dump, which has no clock of its own: nothing in it can be younger, and it was made
// at that time or later.
type Clock struct{ Newest time.Time }

// See is told each time.
func (c *Clock) See(t time.Time) {
	if t.After(c.Newest) {
		c.Newest = t
	}
}

// SeeServer sees the times that the API server wrote into an object, by its own clock. Those of managedFields are there only with
// --show-managed-fields.
func (c *Clock) SeeServer(m *metav1.ObjectMeta) {
	c.See(m.CreationTimestamp.Time)
	for _, f := range m.ManagedFields {
		if f.Time != nil {
			c.See(f.Time.Time)
		}
	}
}

// SeePod sees the times of a pod, those that its node wrote included.
func (c *Clock) SeePod(p *corev1.Pod) {
	c.SeeServer(&p.ObjectMeta)
	for _, condition := range p.Status.Conditions {
		c.See(condition.LastTransitionTime.Time)
	}
	for _, s := range podfact.Containers(p) {
		c.seeState(s.State)
		c.seeState(s.LastTerminationState)
	}
}

func (c *Clock) seeState(s corev1.ContainerState) {
	if s.Running != nil {
		c.See(s.Running.StartedAt.Time)
	}
	if s.Terminated != nil {
		c.See(s.Terminated.FinishedAt.Time)
	}
}
