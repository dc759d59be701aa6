package collect

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// drain reads what decides about a drain of the named nodes: all nodes and pods, DaemonSets and budgets; claims and volumes
// where a pod that moves has one.
func (c *collector) drain(ctx context.Context) error {
	var err error
	if c.in.Nodes, err = c.eachNode(ctx, cached()); err != nil {
		return err
	}
	c.in.Sources = append(c.in.Sources, source.Source{Name: evaluate.SourceNodes, State: source.OK})
	if c.target(c.request.Names); len(c.in.NotFound) > 0 {
		return nil
	}
	c.spawn(func() {
		pods := &drainList{trim: c.trimDrained}
		c.allPods(ctx, pods, func(in *evaluate.Input) { in.Pods = pods.pods })
	})
	c.spawn(func() {
		list, err := c.client.AppsV1().DaemonSets("").List(ctx, cached())
		c.put(kube.SourceOf(evaluate.SourceDaemonSets, "list", "daemonsets.apps", err), func(in *evaluate.Input) {
			in.DaemonSets = trim.DaemonSets(list.Items)
		})
	})
	c.spawn(func() { c.budgets(ctx) })
	if c.request.Depth == evaluate.Remove {
		c.left(ctx, c.in.Targets[0])
	}
	c.wg.Wait()
	if c.request.Depth == evaluate.Drain && evaluate.DrainNeedsVolumes(&c.in) {
		c.volumes(ctx)
	}
	c.wg.Wait()
	return nil
}

// budgets reads PodDisruptionBudgets: a typed client of policy is not worth its size.
func (c *collector) budgets(ctx context.Context) {
	var list policyv1.PodDisruptionBudgetList
	err := c.getJSON(ctx, "/apis/policy/v1/poddisruptionbudgets", &list)
	c.put(kube.SourceOf(evaluate.SourceBudgets, "list", "poddisruptionbudgets.policy", err), func(in *evaluate.Input) {
		for i := range list.Items {
			list.Items[i].ManagedFields, list.Items[i].Annotations = nil, nil
		}
		in.Budgets = list.Items
	})
}

func (c *collector) volumes(ctx context.Context) {
	c.spawn(func() {
		list, err := c.client.CoreV1().PersistentVolumeClaims("").List(ctx, cached())
		c.put(kube.SourceOf(evaluate.SourceClaims, "list", "persistentvolumeclaims", err), func(in *evaluate.Input) {
			for _, claim := range list.Items {
				in.Claims = append(in.Claims, corev1.PersistentVolumeClaim{
					ObjectMeta: metav1.ObjectMeta{Namespace: claim.Namespace, Name: claim.Name},
					Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: claim.Spec.VolumeName},
				})
			}
		})
	})
	c.spawn(func() {
		list, err := c.client.CoreV1().PersistentVolumes().List(ctx, cached())
		c.put(kube.SourceOf(evaluate.SourceVolumes, "list", "persistentvolumes", err), func(in *evaluate.Input) {
			for _, v := range list.Items {
				in.Volumes = append(in.Volumes, trimVolume(&v))
			}
		})
	})
}

// trimVolume keeps where a volume can be used, whose it is, and whether its data is on a machine.
func trimVolume(v *corev1.PersistentVolume) corev1.PersistentVolume {
	kept := corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: v.Name, Labels: v.Labels},
		Spec:       corev1.PersistentVolumeSpec{NodeAffinity: v.Spec.NodeAffinity, StorageClassName: v.Spec.StorageClassName},
		Status:     corev1.PersistentVolumeStatus{Phase: v.Status.Phase},
	}
	if ref := v.Spec.ClaimRef; ref != nil {
		kept.Spec.ClaimRef = &corev1.ObjectReference{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
	}
	kept.Spec.Local, kept.Spec.HostPath = v.Spec.Local, v.Spec.HostPath
	return kept
}

// trimDrained keeps of a pod what it is charged; of those that are to be drained and those that wait for a node also what
// decides whether it goes, and where to. No environment, no arguments, no images.
func (c *collector) trimDrained(pods []corev1.Pod) []corev1.Pod {
	for i := range pods {
		p := &pods[i]
		kept := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
			Spec: corev1.PodSpec{
				NodeName: p.Spec.NodeName, Overhead: p.Spec.Overhead, Resources: p.Spec.Resources,
				InitContainers: sizes(p.Spec.InitContainers), Containers: sizes(p.Spec.Containers),
			},
			Status: corev1.PodStatus{
				Phase: p.Status.Phase, Resources: p.Status.Resources, AllocatedResources: p.Status.AllocatedResources,
				Resize: p.Status.Resize, NodeAllocatableResourceClaimStatuses: p.Status.NodeAllocatableResourceClaimStatuses,
				InitContainerStatuses: granted(p.Status.InitContainerStatuses), ContainerStatuses: granted(p.Status.ContainerStatuses),
			},
		}
		for _, condition := range p.Status.Conditions {
			if condition.Type == corev1.PodResizePending || condition.Type == corev1.PodResizeInProgress {
				kept.Status.Conditions = append(kept.Status.Conditions, condition)
			}
		}
		if slices.Contains(c.in.Targets, p.Spec.NodeName) || p.Spec.NodeName == "" {
			keepWhole(&kept, p)
		}
		if c.request.Depth == evaluate.Remove {
			keepPart(&kept, p)
		}
		for j := range kept.Status.Conditions {
			kept.Status.Conditions[j].Message = "" // may quote what a container wrote
		}
		*p = kept
	}
	return pods
}

func keepWhole(kept, p *corev1.Pod) {
	m := &kept.ObjectMeta
	m.Labels, m.OwnerReferences, m.Finalizers = p.Labels, p.OwnerReferences, p.Finalizers
	m.DeletionTimestamp, m.DeletionGracePeriodSeconds = p.DeletionTimestamp, p.DeletionGracePeriodSeconds
	m.Annotations = trim.Keys(p.Annotations, evaluate.DrainAnnotations()...)
	s, small := &kept.Spec, kept.Spec
	*s = p.Spec
	s.InitContainers, s.Containers, s.EphemeralContainers, s.Volumes = small.InitContainers, small.Containers, nil, nil
	s.ImagePullSecrets, s.SecurityContext, s.HostAliases, s.DNSConfig = nil, nil, nil, nil
	kept.Status.Conditions = p.Status.Conditions
	for _, v := range p.Spec.Volumes {
		if v.EmptyDir != nil || v.PersistentVolumeClaim != nil {
			s.Volumes = append(s.Volumes, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{
				EmptyDir: v.EmptyDir, PersistentVolumeClaim: v.PersistentVolumeClaim,
			}})
		}
	}
}

// sizes keeps of containers what they request, and the ports that they take of the node.
func sizes(list []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for _, c := range list {
		small := corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				small.Ports = append(small.Ports, p)
			}
		}
		kept = append(kept, small)
	}
	return kept
}

// granted keeps of container statuses what a resize changes; nothing where they say nothing of that.
func granted(list []corev1.ContainerStatus) []corev1.ContainerStatus {
	var kept []corev1.ContainerStatus
	for _, s := range list {
		if s.Resources != nil || s.AllocatedResources != nil {
			kept = append(kept, corev1.ContainerStatus{Name: s.Name, Resources: s.Resources, AllocatedResources: s.AllocatedResources})
		}
	}
	return kept
}
