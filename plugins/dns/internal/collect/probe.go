package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// Probe is what may be created to look from inside a pod. An empty Kind creates nothing.
type Probe struct {
	Kind  string // ephemeral, pod
	Image string
	Nonce string
	Wait  time.Duration
	Tell  func(format string, args ...any) // says what is created
}

// The kinds of probes.
const (
	ProbeEphemeral = "ephemeral"
	ProbePod       = "pod"
)

// Owner marks what this plugin creates.
const Owner = "kubectl-dns"

func (c *Collector) runProbe(ctx context.Context, from From, pod corev1.Pod, script string) (string, string, error) {
	ctx, cancel := context.WithTimeout(ctx, from.Probe.Wait)
	defer cancel()
	if from.Probe.Kind == ProbePod {
		out, err := c.helperPod(ctx, from.Probe, pod, script)
		return out, "helper pod on the same node", err
	}
	out, err := c.ephemeral(ctx, from.Probe, pod, script)
	return out, "ephemeral container", err
}

// ephemeral adds a container that shares the pod's network and resolv.conf, runs the script and ends. Kubernetes never
// removes the entry from the pod.
func (c *Collector) ephemeral(ctx context.Context, p Probe, pod corev1.Pod, script string) (string, error) {
	name := "dns-" + p.Nonce
	container := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: name, Image: p.Image, Command: []string{"sh", "-c", script}, SecurityContext: modest(pod),
	}}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []corev1.EphemeralContainer{container}}})
	if err != nil {
		return "", err
	}
	p.Tell("adding ephemeral container %q (image %s) to pod %s/%s: it ends by itself, and its entry stays in the pod", name, p.Image, pod.Namespace, pod.Name)
	if _, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "ephemeralcontainers"); err != nil {
		return "", kube.Explain(err)
	}
	return c.finished(ctx, pod.Namespace, pod.Name, name, func(pod *corev1.Pod) []corev1.ContainerStatus { return pod.Status.EphemeralContainerStatuses })
}

// helperPod runs the script in a pod of its own on the suspect's node. It has the suspect's DNS settings and not its
// labels: with them Services would send it traffic. The deadline makes Kubernetes end it even when this process dies,
// and the finalizer-free delete removes it otherwise.
func (c *Collector) helperPod(ctx context.Context, p Probe, pod corev1.Pod, script string) (string, error) {
	deadline, grace := int64(60), int64(0)
	helper := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kubectl-dns-" + p.Nonce, Namespace: pod.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": Owner}},
		Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: &deadline, TerminationGracePeriodSeconds: &grace,
			DNSPolicy: pod.Spec.DNSPolicy, DNSConfig: pod.Spec.DNSConfig, HostNetwork: pod.Spec.HostNetwork, ImagePullSecrets: pod.Spec.ImagePullSecrets,
			AutomountServiceAccountToken: new(bool),
			Containers:                   []corev1.Container{{Name: "dns", Image: p.Image, Command: []string{"sh", "-c", script}, SecurityContext: modest(pod)}},
		},
	}
	p.Tell("creating pod %s/%s (image %s) on node %s: it is deleted at the end", helper.Namespace, helper.Name, p.Image, pod.Spec.NodeName)
	if _, err := c.client.CoreV1().Pods(pod.Namespace).Create(ctx, helper, metav1.CreateOptions{}); err != nil {
		return "", kube.Explain(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, helper.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace})
	}()
	return c.finished(ctx, pod.Namespace, helper.Name, "dns", func(pod *corev1.Pod) []corev1.ContainerStatus { return pod.Status.ContainerStatuses })
}

// modest asks for nothing beyond what a restricted namespace allows.
func modest(pod corev1.Pod) *corev1.SecurityContext {
	no, yes, user := false, true, int64(65534)
	s := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, RunAsNonRoot: &yes, RunAsUser: &user,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if own := pod.Spec.SecurityContext; own != nil && own.RunAsUser != nil {
		s.RunAsUser = own.RunAsUser
		s.RunAsNonRoot = nil
	}
	return s
}

// finished waits until a container has ended and gives its output; while it waits it remembers why.
func (c *Collector) finished(ctx context.Context, namespace, pod, container string, of func(*corev1.Pod) []corev1.ContainerStatus) (string, error) {
	why := "it was not scheduled or started"
	for {
		current, err := c.client.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil && ctx.Err() == nil {
			return "", kube.Explain(err)
		}
		if err == nil {
			for _, s := range of(current) {
				if s.Name != container {
					continue
				}
				if s.State.Terminated != nil {
					stream, err := c.client.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(ctx)
					if err != nil {
						return "", kube.Explain(err)
					}
					defer stream.Close()
					data, err := io.ReadAll(io.LimitReader(stream, 1<<20))
					return string(data), err
				}
				if w := s.State.Waiting; w != nil {
					why = w.Reason + " " + w.Message
				}
				if s.State.Waiting != nil && (s.State.Waiting.Reason == "ErrImagePull" || s.State.Waiting.Reason == "ImagePullBackOff" || s.State.Waiting.Reason == "ErrImageNeverPull" || s.State.Waiting.Reason == "CreateContainerConfigError" || s.State.Waiting.Reason == "CreateContainerError") {
					return "", fmt.Errorf("the probe container did not start: %s", why)
				}
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return "", fmt.Errorf("the probe container did not end in time: %s", why)
			}
			return "", ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}
