package helperpod

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
)

// Ephemeral is a container added to a pod that runs: it shares the pod's network, needs no privilege on the node, and
// works in namespaces that enforce "baseline". Its entry stays in the pod's spec until the pod is gone
// (https://github.com/kubernetes/kubernetes/issues/124270); its process ends with the lease.
type Ephemeral struct {
	Pod      *corev1.Pod
	Prefix   string // of the container's name
	Image    string
	Shell    string
	Security []*corev1.SecurityContext // the first that admission takes is used
	Patience Patience
	Tell     func(podspec.Wait)
}

// StartEphemeral adds the container, or takes a live one that an earlier run has added. Close ends the heartbeats only:
// the container ends with its lease, and serves the next run until then.
func (g *Group) StartEphemeral(ctx context.Context, spec Ephemeral) (*Helper, error) {
	pods := g.Client.CoreV1().Pods(spec.Pod.Namespace)
	h := &Helper{
		group: g, Asked: spec.Pod, Pod: spec.Pod, name: spec.Pod.Name, shell: spec.Shell,
		lostC: make(chan struct{}), quiet: func() {}, renewing: func() {},
	}
	h.container = liveEphemeral(spec)
	if h.container == "" {
		name := spec.Prefix + NewID()
		var refused error
		for _, security := range spec.Security {
			patch, err := ephemeralPatch(name, spec, security)
			if err != nil {
				return h, err
			}
			_, refused = pods.Patch(ctx, spec.Pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "ephemeralcontainers")
			if refused == nil {
				break
			}
		}
		if refused != nil {
			return h, fmt.Errorf("add an ephemeral container to pod %q: %w", spec.Pod.Name, refused)
		}
		h.container = name
	}
	pod, err := g.await(ctx, h, spec.Patience, spec.Tell)
	if err != nil {
		return h, err
	}
	h.Pod = pod
	return h, h.holdLease(ctx)
}

func liveEphemeral(spec Ephemeral) string {
	for _, c := range spec.Pod.Spec.EphemeralContainers {
		if strings.HasPrefix(c.Name, spec.Prefix) && c.Image == spec.Image && podspec.Running(spec.Pod, c.Name) {
			return c.Name
		}
	}
	return ""
}

func ephemeralPatch(name string, spec Ephemeral, security *corev1.SecurityContext) ([]byte, error) {
	container := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: name, Image: spec.Image, ImagePullPolicy: corev1.PullIfNotPresent,
		Command: podspec.HolderCommand(spec.Shell), Stdin: true, SecurityContext: security,
	}}
	return json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []any{container}}})
}

// ForPod makes a group that watches one pod which is not a helper itself.
func (g *Group) ForPod(pod *corev1.Pod) *Group {
	return &Group{Client: g.Client, Config: g.Config, Namespace: pod.Namespace, ID: g.ID, field: "metadata.name=" + pod.Name}
}

// moment is the grace in which a goodbye leaves before its stream is closed.
const moment = 20 * time.Millisecond
