package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
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
		return out, "a pod on the same node", err
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
// labels: with them Services would send it traffic. It is a Job, because the cluster itself ends and removes a finished
// Job: nothing stays even when this process is killed.
func (c *Collector) helperPod(ctx context.Context, p Probe, pod corev1.Pod, script string) (string, error) {
	deadline, grace, never, keep := int64(p.Wait.Seconds())+5, int64(0), int32(0), int32(20)
	meta := metav1.ObjectMeta{Name: "kubectl-dns-" + p.Nonce, Namespace: pod.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": Owner}}
	job := &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{
		BackoffLimit: &never, ActiveDeadlineSeconds: &deadline, TTLSecondsAfterFinished: &keep,
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels}, Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace,
			DNSPolicy: pod.Spec.DNSPolicy, DNSConfig: pod.Spec.DNSConfig, HostNetwork: pod.Spec.HostNetwork, ImagePullSecrets: pod.Spec.ImagePullSecrets,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{Name: "dns", Image: p.Image, Command: []string{"sh", "-c", script}, SecurityContext: modest(pod)}},
		}},
	}}
	p.Tell("creating job %s/%s (image %s) with one pod on node %s: it is deleted at the end", meta.Namespace, meta.Name, p.Image, pod.Spec.NodeName)
	jobs := c.client.BatchV1().Jobs(pod.Namespace)
	if _, err := jobs.Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return "", kube.Explain(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		background := metav1.DeletePropagationBackground
		_ = jobs.Delete(ctx, meta.Name, metav1.DeleteOptions{PropagationPolicy: &background})
	}()
	name, err := c.podOfJob(ctx, meta)
	if err != nil {
		return "", err
	}
	return c.finished(ctx, pod.Namespace, name, "dns", func(pod *corev1.Pod) []corev1.ContainerStatus { return pod.Status.ContainerStatuses })
}

func (c *Collector) podOfJob(ctx context.Context, job metav1.ObjectMeta) (string, error) {
	for {
		list, err := c.client.CoreV1().Pods(job.Namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name})
		switch {
		case err == nil && len(list.Items) > 0:
			return list.Items[0].Name, nil
		case ctx.Err() != nil:
			return "", errors.New("no pod of the probe's job appeared in time: a quota or an admission rule may forbid it")
		case err != nil:
			return "", kube.Explain(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
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
				if podfact.Waiting(&s).Failed() {
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
