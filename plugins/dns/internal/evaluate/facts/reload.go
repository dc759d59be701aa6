package facts

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
)

// Unloaded is a Corefile that replicas have not read since it changed.
type Unloaded struct {
	Changed time.Time
	Why     string
	Pods    []*corev1.Pod
}

// Unloaded finds the replicas that started before the Corefile changed, where nothing makes them read it again: it has no reload
// plugin (https://coredns.io/plugins/reload/), or is mounted by subPath, which the kubelet does not update
// (https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath). Nil: none, or unknown when it changed.
func (w *Snapshot) Unloaded() *Unloaded {
	if w.ConfRef == nil || !w.ConfRead {
		return nil
	}
	reloads := slices.ContainsFunc(w.Conf.Blocks, func(b corefile.Block) bool { return len(b.Find("reload")) > 0 })
	u := &Unloaded{}
	for _, pod := range w.Live() {
		mount := discover.CorefileMount(pod.Spec, w.ConfRef.Name)
		if mount == nil || reloads && mount.SubPath == "" {
			continue
		}
		started, changed := startedAt(pod, mount.Container), w.corefileChanged(mount.Key)
		if started.IsZero() || !started.Before(changed) {
			continue
		}
		u.Pods, u.Changed, u.Why = append(u.Pods, pod), changed, "it has no reload plugin"
		if mount.SubPath != "" {
			u.Why = "volume " + mount.Volume + " is mounted with subPath, and the kubelet does not update such a file"
		}
	}
	if len(u.Pods) == 0 {
		return nil
	}
	return u
}

// corefileChanged is when somebody last wrote a key of the ConfigMap that has the Corefile; zero: unknown.
func (w *Snapshot) corefileChanged(key string) time.Time {
	i := slices.IndexFunc(w.ConfigMaps, func(m corev1.ConfigMap) bool { return m.Name == w.ConfRef.Name })
	if i < 0 {
		return time.Time{}
	}
	written, known := nodefact.WrittenAt(w.ConfigMaps[i].ManagedFields, key)
	if !known {
		return time.Time{}
	}
	return written.Time.Time
}

// startedAt is when a container that runs started; zero: it does not.
func startedAt(pod *corev1.Pod, container string) time.Time {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container && s.State.Running != nil {
			return s.State.Running.StartedAt.Time
		}
	}
	return time.Time{}
}
