// Package trim keeps of what is read only what is judged. It may be saved and sent to somebody (--save-input), and the objects of a
// fleet fill a machine's memory: so there is no environment, there are no arguments but kube-proxy's and those of leader election, and
// no annotations but those judged. Each function changes what it is given.
package trim

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// Nodes trims each.
func Nodes(nodes []corev1.Node) []corev1.Node {
	for i := range nodes {
		Node(&nodes[i])
	}
	return nodes
}

// Node drops images, volumes, and the fields that managers own but one.
func Node(n *corev1.Node) {
	n.Status.Images, n.Status.VolumesInUse, n.Status.VolumesAttached, n.Status.Config = nil, nil, nil, nil
	delete(n.Annotations, corev1.LastAppliedConfigAnnotation)
	n.ManagedFields = keepManagers(n.ManagedFields, unschedulable)
}

// unschedulable is the field of which it is told who set it.
const unschedulable = "unschedulable"

// NodeCut leaves out of an encoded node what Node would; by the field numbers of
// https://github.com/kubernetes/api/blob/v0.37.2/core/v1/generated.proto.
var NodeCut = &kube.Cut{Into: map[uint64]*kube.Cut{
	1: {Into: map[uint64]*kube.Cut{17: {With: `"f:` + unschedulable + `"`}}},
	3: {Drop: []uint64{8, 9, 10, 11}},
}}

// keepManagers keeps the entries that own a field, cut to that field.
func keepManagers(entries []metav1.ManagedFieldsEntry, field string) []metav1.ManagedFieldsEntry {
	var kept []metav1.ManagedFieldsEntry
	for _, m := range entries {
		if m.FieldsV1 != nil && strings.Contains(m.FieldsV1.GetRawString(), `"f:`+field+`"`) {
			m.FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:` + field + `":{}}}`)
			kept = append(kept, m)
		}
	}
	return kept
}

// PodAnnotations are the annotations of pods that are judged.
var PodAnnotations = []string{corev1.MirrorPodAnnotationKey, "kubernetes.io/config.source"}

// Pods trims each.
func Pods(pods []corev1.Pod) []corev1.Pod {
	for i := range pods {
		Pod(&pods[i])
	}
	return pods
}

// Named keeps of the pods of a named node also what an autoscaler heeds: annotations, and which volumes are on the machine.
func Named(pods []corev1.Pod) []corev1.Pod {
	for i := range pods {
		p := &pods[i]
		annotations := Keys(p.Annotations, slices.Concat(PodAnnotations, autoscaler.PodAnnotations())...)
		local := autoscaler.LocalVolumes(p)
		Pod(p)
		p.Annotations, p.Spec.Volumes = annotations, local
	}
	return pods
}

// Pod drops what is not judged of a pod.
func Pod(p *corev1.Pod) {
	p.ManagedFields, p.GenerateName, p.ResourceVersion = nil, "", ""
	s := &p.Spec
	s.Volumes, s.Tolerations, s.SecurityContext, s.ImagePullSecrets, s.HostAliases, s.DNSConfig = nil, nil, nil, nil, nil, nil
	s.ServiceAccountName, s.DeprecatedServiceAccount, s.SchedulerName = "", "", ""
	p.Annotations = Keys(p.Annotations, PodAnnotations...)
	var arguments []string
	switch {
	case strings.Contains(p.Name, "kube-proxy"):
		arguments = []string{"-"}
	case p.Namespace == metav1.NamespaceSystem && p.Labels["tier"] == "control-plane":
		arguments = []string{"--leader-elect", "--secure-port"}
	}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for j := range list {
			trimContainer(&list[j], arguments)
		}
	}
	p.Spec.EphemeralContainers, p.Spec.Affinity, p.Spec.TopologySpreadConstraints = nil, nil, nil
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for j := range list {
			trimStatus(&list[j])
		}
	}
}

// trimContainer keeps the arguments that begin like one of these.
func trimContainer(c *corev1.Container, arguments []string) {
	kept := corev1.Container{Name: c.Name, Image: c.Image, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
	for _, arg := range slices.Concat(c.Command, c.Args) {
		if slices.ContainsFunc(arguments, func(beginning string) bool { return strings.HasPrefix(arg, beginning) }) {
			kept.Args = append(kept.Args, arg)
		}
	}
	*c = kept
}

// trimStatus drops the messages that a container's own process wrote, and what nobody judges.
func trimStatus(s *corev1.ContainerStatus) {
	s.ImageID, s.ContainerID, s.VolumeMounts, s.User = "", "", nil, nil
	for _, t := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
		if t != nil {
			t.Message = ""
		}
	}
}

// Keys are those of a map that are wanted; nil: it has none of them.
func Keys(all map[string]string, keys ...string) map[string]string {
	var kept map[string]string
	for _, key := range keys {
		if value, ok := all[key]; ok {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	return kept
}

// componentLabels are those by which a DaemonSet's pods are known as a network plugin (component.Network).
var componentLabels = []string{"k8s-app", "app", "component", "name"}

// DaemonSets keeps of the template what decides where its pods run.
func DaemonSets(sets []appsv1.DaemonSet) []appsv1.DaemonSet {
	for i := range sets {
		d := &sets[i]
		d.ManagedFields, d.Annotations = nil, nil
		spec := &d.Spec.Template.Spec
		d.Spec.Template = corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: Keys(d.Spec.Template.Labels, componentLabels...)},
			Spec: corev1.PodSpec{
				NodeSelector: spec.NodeSelector, Affinity: spec.Affinity, Tolerations: spec.Tolerations,
				NodeName: spec.NodeName, HostNetwork: spec.HostNetwork,
			},
		}
	}
	return sets
}

// Events drops who owns which field.
func Events(events []corev1.Event) []corev1.Event {
	for i := range events {
		events[i].ManagedFields = nil
	}
	return events
}
