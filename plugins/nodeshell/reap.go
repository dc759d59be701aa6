package nodeshell

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
)

const (
	// reapAge keeps the reaper from sessions that just end, whose own clients are still reading how.
	reapAge = time.Minute
	// reapMost bounds one run's work; the next run goes on.
	reapMost = 20
)

// reap removes what clients that were killed have left behind: a bare pod whose lease has ended stays as an object, and
// so does a namespace made for one session, for which no server-side expiry exists. It runs beside this session's own
// start, which waits for the kubelet anyway, and nothing waits for it: what it does not get done, the next run does.
func (r *runner) reap(ctx context.Context, namespace string) {
	go func() {
		list, err := r.leftovers(ctx, namespace, cleanupOptions{OlderThan: reapAge})
		if err != nil {
			klog.V(2).InfoS("nothing is reaped", "namespace", namespace, "err", err)
			return
		}
		removed := 0
		for _, l := range append(list, r.deadNamespaces(ctx)...) {
			if !l.remove || removed == reapMost {
				continue
			}
			removed++
			err := r.removeLeftover(ctx, l)
			klog.V(2).InfoS("reaped", "kind", l.kind, "namespace", l.namespace, "name", l.name, "state", l.state, "err", err)
		}
	}()
}

// deadNamespaces gives the namespaces of --create-namespace in which no session is.
func (r *runner) deadNamespaces(ctx context.Context) []leftover {
	options := metav1.ListOptions{LabelSelector: podspec.ManagedByLabel + "=" + manager}
	var dead []leftover
	for _, l := range r.emptyNamespaces(ctx, options, map[string]bool{r.made: true}, cleanupOptions{OlderThan: reapAge}) {
		if !l.remove {
			continue
		}
		inside, err := r.leftovers(ctx, l.name, cleanupOptions{OlderThan: reapAge})
		for _, object := range inside {
			l.remove = l.remove && object.remove
		}
		if err == nil && l.remove {
			dead = append(dead, l)
		}
	}
	return dead
}
