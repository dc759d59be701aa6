package evaluate

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
)

const (
	// Container is the name of the one container.
	Container = "shell"
	// DefaultImage has sh and nsenter, for every architecture that Kubernetes runs on.
	DefaultImage = "docker.io/library/busybox:1.36"
	// DefaultCaptureImage has tcpdump besides.
	DefaultCaptureImage = "docker.io/nicolaka/netshoot:v0.14"
	// WindowsImage does not depend on the build of Windows:
	// https://github.com/microsoft/windows-host-process-containers-base-image
	WindowsImage = "mcr.microsoft.com/oss/kubernetes/windows-host-process-containers-base-image:v1.0.0"
)

// knownImages are images with sh and nsenter; the first found among the node's is used, so that nothing is pulled. A node
// reports 50 images at most, so absence proves nothing. Prefixes end with the tag's colon.
var knownImages = []string{
	"docker.io/library/busybox:1.", "docker.io/library/alpine:3.", "registry.k8s.io/e2e-test-images/busybox:1.",
	"docker.io/nicolaka/netshoot:v", "docker.io/library/debian:1", "docker.io/library/ubuntu:2",
}

// Image chooses: the user's, one that is on the node, the default.
func Image(node *corev1.Node, o Options) string {
	switch {
	case o.Image != "":
		return o.Image
	case windows(node):
		return WindowsImage
	}
	// netshoot has sh, nsenter and tcpdump; without it a capture falls back to the host's own tcpdump.
	known := knownImages
	if o.Capture {
		known = append([]string{"docker.io/nicolaka/netshoot:v"}, known...)
	}
	for _, prefix := range known {
		if name := onNode(node, prefix); name != "" {
			return name
		}
	}
	if o.Capture {
		return DefaultCaptureImage
	}
	return DefaultImage
}

// onNode gives the first name, in alphabetical order, of an image on the node with this prefix.
func onNode(node *corev1.Node, prefix string) string {
	found := ""
	for _, image := range node.Status.Images {
		for _, name := range image.Names {
			if strings.HasPrefix(name, prefix) && !strings.Contains(name, "@") && (found == "" || name < found) {
				found = name
			}
		}
	}
	return found
}

func windows(node *corev1.Node) bool {
	return strings.EqualFold(node.Status.NodeInfo.OperatingSystem, "windows") || node.Labels[corev1.LabelOSStable] == "windows"
}

// grace is 0 for deletions by others than nodeshell, which asks for 1: a kubelet does not give up a pull for a deleted
// pod, and with any grace the object of a client that was killed stays for as long as the pull goes on. The process does
// not need the object to vouch for it: it ends with its lease.
const grace = 0

// buildPod makes the exact pod. Bound by nodeName, it needs no scheduler and no free room; on the host's network, no
// CNI; without volumes and token, no wait of the kubelet.
func buildPod(in Input, o Options, now time.Time) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Namespace: o.Namespace,
			Labels: map[string]string{
				podspec.ManagedByLabel: o.Manager, podspec.RunLabel: o.RunID, podspec.HelperLabel: o.Name,
				"sidecar.istio.io/inject": "false",
			},
			Annotations: map[string]string{
				"cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
				"kubectl.kubernetes.io/default-container":        Container,
				"linkerd.io/inject":                              "disabled",
				podspec.ExpiresAnnotation:                        now.Add(o.MaxDuration).UTC().Format(time.RFC3339),
			},
		},
		Spec: corev1.PodSpec{
			NodeName:                      in.Node.Name,
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: ptr(int64(grace)),
			ActiveDeadlineSeconds:         ptr(int64(o.MaxDuration.Seconds())),
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			AutomountServiceAccountToken:  ptr(false),
			EnableServiceLinks:            ptr(false),
			DNSPolicy:                     corev1.DNSDefault,
			HostNetwork:                   true,
			OS:                            &corev1.PodOS{Name: corev1.Linux},
		},
	}
	wished(pod, in.User, o)
	container := corev1.Container{
		Name: Container, Image: Image(in.Node, o), ImagePullPolicy: corev1.PullIfNotPresent,
		Command: podspec.HolderCommand("sh"), Stdin: true,
	}
	if windows(in.Node) {
		hostProcess(pod, &container)
	} else {
		hostRoot(pod, &container)
	}
	if o.NoPull {
		withoutPull(pod, &container, in.Donor)
	}
	if o.MountPVC != "" {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "pvc", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: o.MountPVC},
		}})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "pvc", MountPath: o.MountPath})
	}
	pod.Spec.Containers = []corev1.Container{container}
	return pod
}

// wished puts on the pod what the user, and who that is, adds to every helper.
func wished(pod *corev1.Pod, user string, o Options) {
	for key, value := range o.Labels {
		pod.Labels[key] = value
	}
	for key, value := range o.Annotations {
		pod.Annotations[key] = value
	}
	if user != "" {
		pod.Annotations[podspec.UserAnnotation] = user
	}
	if o.Reason != "" {
		pod.Annotations[podspec.ReasonAnnotation] = o.Reason
	}
	if o.Critical {
		pod.Spec.PriorityClassName = "system-node-critical"
	}
	for _, secret := range o.PullSecrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret})
	}
}

func hostRoot(pod *corev1.Pod, container *corev1.Container) {
	pod.Spec.HostPID, pod.Spec.HostIPC = true, true
	container.SecurityContext = &corev1.SecurityContext{
		Privileged: ptr(true), RunAsUser: ptr(int64(0)), RunAsGroup: ptr(int64(0)), RunAsNonRoot: ptr(false),
	}
}

// hostProcess is Windows' way to the host; validation forbids privileged and hostPID there.
// https://kubernetes.io/docs/tasks/configure-pod-container/create-hostprocess-pod/
func hostProcess(pod *corev1.Pod, container *corev1.Container) {
	pod.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{
		HostProcess: ptr(true), RunAsUserName: ptr(`NT AUTHORITY\SYSTEM`),
	}}
	container.Command = []string{powershell, "-NoProfile", "-Command", windowsHolder(podspec.Lease)}
}

const powershell = `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`

// windowsHolder is the lease holder in PowerShell: ReadLineAsync is the only read with a time limit there.
func windowsHolder(lease time.Duration) string {
	return fmt.Sprintf(`$r=New-Object IO.StreamReader([Console]::OpenStandardInput());while($true){$t=$r.ReadLineAsync();`+
		`if(-not $t.Wait(%d)){exit 75};if($null -eq $t.Result){exit 75};if($t.Result -eq 'bye'){exit 0}}`, lease.Milliseconds())
}

// withoutPull runs any image that is on the node with the host's own tools over it, read-only: no registry is asked.
func withoutPull(pod *corev1.Pod, container *corev1.Container, donor string) {
	container.Image, container.ImagePullPolicy = donor, corev1.PullNever
	container.Command = podspec.HolderCommand("/usr/bin/sh")
	for _, dir := range []string{"usr", "lib", "lib64"} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "host-" + dir, VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: "/" + dir},
		}})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "host-" + dir, MountPath: "/" + dir, ReadOnly: true})
	}
}

func ptr[T any](v T) *T { return &v }
