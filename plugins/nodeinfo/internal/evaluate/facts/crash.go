package facts

import (
	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// crashing is the first container of a pod that keeps ending.
func (c *Cluster) crashing(p *corev1.Pod, list []corev1.ContainerStatus) *Crash {
	for i := range list {
		if s := &list[i]; podfact.Looping(p, s, c.now) {
			return &Crash{Container: s.Name, Restarts: int64(s.RestartCount), End: podfact.End(s)}
		}
	}
	return nil
}
