package helperpod

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// How a pod that is no helper has ended.
const (
	wasDeleted  = "was deleted"
	wasReplaced = "was deleted and replaced by a pod of the same name"
	hasEnded    = "terminated"
)

// Gone gives, once, how a pod that is no helper has ended. Nothing comes while it lives, or where the watch is not allowed.
func (g *Group) Gone(ctx context.Context, pod *corev1.Pod) <-chan string {
	said := make(chan string, 1)
	foreign := g.ForPod(pod)
	go func() {
		if foreign.Watch(ctx) != nil {
			return
		}
		for {
			now, changed, broken := foreign.get(pod.Name)
			foreign.mu.Lock()
			removed := foreign.removed
			foreign.mu.Unlock()
			if how := ending(pod, now, removed); how != "" {
				said <- how
				return
			}
			if broken != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}()
	return said
}

// ending says how a pod ended; empty while it lives. One that is being deleted lives until it is gone.
func ending(pod, now *corev1.Pod, removed bool) string {
	switch {
	case now == nil:
		return ""
	case now.UID != pod.UID:
		return wasReplaced
	case removed, podfact.Finished(now) && now.DeletionTimestamp != nil:
		return wasDeleted
	case podfact.Finished(now):
		return hasEnded
	}
	return ""
}

// Ending asks once how a pod has ended; empty is that it lives, or that nobody knows.
func (g *Group) Ending(ctx context.Context, pod *corev1.Pod) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now, err := g.Client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return wasDeleted
	case err != nil:
		return ""
	case now.DeletionTimestamp != nil && now.UID == pod.UID:
		return wasDeleted
	}
	return ending(pod, now, false)
}
