package main

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podFields and nodeFields have the size of those on a real cluster: 3 KB for a pod of two containers.
var podFields, nodeFields = fieldsOf(40), fieldsOf(50)

func fieldsOf(count int) string {
	var text strings.Builder
	text.WriteString(`{"f:status":{`)
	for i := range count {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `"k:{\"type\":\"Condition%02d\"}":{".":{},"f:lastTransitionTime":{}}`, i)
	}
	text.WriteString("}}")
	return text.String()
}

func managed(manager, fields string, created, changed metav1.Time) []metav1.ManagedFieldsEntry {
	return []metav1.ManagedFieldsEntry{
		{
			Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &created,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{}}}`),
		},
		{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &changed,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields), Subresource: "status",
		},
	}
}

func podName(i int) string { return fmt.Sprintf("%s-%s-%05x", appName(i/replicas), hash, i) }

// pod is one of a Deployment: an application with a sidecar. One in a thousand is in a crash loop.
func pod(i int, node string, now time.Time) *corev1.Pod {
	created, changed := times(now)
	created = metav1.NewTime(created.Add(-time.Duration(i%7200) * time.Second)) // a fleet was not made in one second
	app := appName(i / replicas)
	controls, seconds := true, int64(300)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespaceOf(i / replicas), Name: podName(i), GenerateName: app + "-" + hash + "-",
			UID: uid(4, i), CreationTimestamp: created,
			Labels:      map[string]string{"app": app, "pod-template-hash": hash, "app.kubernetes.io/part-of": "shop"},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "checksum/config": fmt.Sprintf("%064x", i)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: app + "-" + hash, UID: uid(5, i/replicas), Controller: &controls, BlockOwnerDeletion: &controls,
			}},
			ManagedFields: managed("kubelet", podFields, created, changed),
		},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, ServiceAccountName: "default",
			SchedulerName: corev1.DefaultSchedulerName, TerminationGracePeriodSeconds: &seconds, SecurityContext: &corev1.PodSecurityContext{},
			Tolerations: []corev1.Toleration{
				{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
				{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
			},
			Volumes: []corev1.Volume{{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
			}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, HostIP: "10.200.0.1", StartTime: &created,
			PodIP: podIP(i),
		},
	}
	p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
	for _, c := range []corev1.PodConditionType{
		"PodReadyToStartContainers", corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: created})
	}
	for k, name := range []string{"app", "proxy"} {
		started := true
		container := corev1.Container{
			Name: name, Image: fmt.Sprintf("registry.example.internal/shop/%s-%s:v1.%d.0", app, name, k), ImagePullPolicy: corev1.PullIfNotPresent,
			Args:         []string{"--listen=:8080", "--log-level=info"},
			VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
			Resources: corev1.ResourceRequirements{
				Requests: amounts("cpu", "100m", "memory", "128Mi"), Limits: amounts("cpu", "500m", "memory", "256Mi"),
			},
			Ports:                  []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		}
		for e := range 8 {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", e), Value: "a value of an ordinary length"})
		}
		p.Spec.Containers = append(p.Spec.Containers, container)
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: name, Ready: true, Started: &started, Image: container.Image,
			ImageID:     fmt.Sprintf("registry.example.internal/shop/%s-%s@sha256:%064x", app, name, i/replicas),
			ContainerID: fmt.Sprintf("containerd://%064x", i*2+k), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: created}},
			Resources: &container.Resources, AllocatedResources: container.Resources.Requests,
		})
	}
	if i%1000 == 999 {
		crash(p, now)
	}
	return p
}

func crash(p *corev1.Pod, now time.Time) {
	s := &p.Status.ContainerStatuses[0]
	s.Ready, s.RestartCount = false, 7
	s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 5m0s restarting failed container"}}
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", StartedAt: metav1.NewTime(now.Add(-2 * time.Minute)), FinishedAt: metav1.NewTime(now.Add(-time.Minute)),
	}
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Status = corev1.ConditionFalse
		}
	}
}
