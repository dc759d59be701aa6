package cleanup

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

const (
	// expiredAge keeps RemoveExpired from sessions that just end, whose own clients are still reading how.
	expiredAge = time.Minute
	// expiredMost bounds one run's work; the next run goes on.
	expiredMost = 20
)

// RemoveExpired removes what clients that were killed have left behind: a bare pod whose lease has ended stays as an object, and
// so does a namespace made for one session, for which no server-side expiry exists. It looks into namespace, and for
// namespaces of sessions but for own, which is this session's. It runs beside this session's own start, which waits for
// the kubelet anyway, and nothing waits for it: what it does not get done, the next run does.
func RemoveExpired(ctx context.Context, client kube.Clients, now func() time.Time, namespace, own string) {
	c := cleaner{client: client, now: now}
	go func() {
		list, err := c.leftovers(ctx, namespace, Options{OlderThan: expiredAge})
		if err != nil {
			klog.V(2).InfoS("expired leftovers are not removed", "namespace", namespace, "err", err)
			return
		}
		removed := 0
		for _, l := range append(list, c.deadNamespaces(ctx, own)...) {
			if !l.remove || removed == expiredMost {
				continue
			}
			removed++
			err := c.remove(ctx, l)
			klog.V(2).InfoS("expired leftover removed", "kind", l.kind, "namespace", l.namespace, "name", l.name, "state", l.state, "err", err)
		}
	}()
}

// deadNamespaces gives the namespaces of --create-namespace in which no session is.
func (c cleaner) deadNamespaces(ctx context.Context, own string) []leftover {
	var dead []leftover
	for _, l := range c.emptyNamespaces(ctx, map[string]bool{own: true}, Options{OlderThan: expiredAge}) {
		if !l.remove {
			continue
		}
		inside, err := c.leftovers(ctx, l.name, Options{OlderThan: expiredAge})
		for _, object := range inside {
			l.remove = l.remove && object.remove
		}
		if err == nil && l.remove {
			dead = append(dead, l)
		}
	}
	return dead
}
