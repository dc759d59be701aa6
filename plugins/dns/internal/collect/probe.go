package collect

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// Probe is what may be created to look from inside a pod. An empty Kind creates nothing.
type Probe struct {
	Kind  string // ephemeral, pod
	Image string
	Nonce string
	Wait  time.Duration
	Tell  func(format string, args ...any) // reports what is created
}

// The kinds of probes.
const (
	ProbeEphemeral = "ephemeral"
	ProbePod       = "pod"
)

// Owner marks what this plugin creates.
const Owner = "kubectl-dns"

func (c *Collector) runProbe(ctx context.Context, from From, pod corev1.Pod, script string) (string, string, error) {
	brief := helperpod.Brief{Client: c.client, Namespace: pod.Namespace, Within: from.Probe.Wait}
	if from.Probe.Kind == ProbePod {
		helper := helperFor(from.Probe, pod, script)
		from.Probe.Tell("creating Job %s/%s (image %s) with one pod on node %s; the Job is deleted at the end", pod.Namespace, helper.Name,
			from.Probe.Image, pod.Spec.NodeName)
		out, err := brief.RunPod(ctx, helper, helperContainer)
		return out, "a pod on the same node", kube.Explain(err)
	}
	ctx, cancel := context.WithTimeout(ctx, from.Probe.Wait)
	defer cancel()
	out, err := c.ephemeral(ctx, brief, from.Probe, pod, script)
	return out, "ephemeral container", kube.Explain(err)
}

// ephemeral adds a container that shares the pod's network and resolv.conf, runs the script and ends. Kubernetes never
// removes the entry from the pod.
func (c *Collector) ephemeral(ctx context.Context, brief helperpod.Brief, p Probe, pod corev1.Pod, script string) (string, error) {
	name := "dns-" + p.Nonce
	container := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: name, Image: p.Image, Command: []string{"sh", "-c", script}, SecurityContext: modest(pod),
	}}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []corev1.EphemeralContainer{container}}})
	if err != nil {
		return "", err
	}
	p.Tell("adding ephemeral container %q (image %s) to pod %s/%s; the container exits on its own, and its entry remains in the pod",
		name, p.Image, pod.Namespace, pod.Name)
	if _, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{},
		"ephemeralcontainers"); err != nil {
		return "", err
	}
	return brief.Output(ctx, pod.Name, name)
}

const helperContainer = "dns"

// helperFor is a pod on the suspect's node with the suspect's DNS settings, and without its labels: with them Services
// would send it traffic.
func helperFor(p Probe, pod corev1.Pod, script string) *corev1.Pod {
	grace := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kubectl-dns-" + p.Nonce, Namespace: pod.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": Owner},
		},
		Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace,
			DNSPolicy: pod.Spec.DNSPolicy, DNSConfig: pod.Spec.DNSConfig, HostNetwork: pod.Spec.HostNetwork,
			ImagePullSecrets: pod.Spec.ImagePullSecrets,
			Tolerations:      []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{
				Name: helperContainer, Image: p.Image, Command: []string{"sh", "-c", script}, SecurityContext: modest(pod),
			}},
		},
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
