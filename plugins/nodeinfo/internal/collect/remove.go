package collect

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
)

// left reads what a Node leaves behind that is removed: its Lease and CSINode, attachments, and the volumes of the cluster.
func (c *collector) left(ctx context.Context, name string) {
	c.spawn(func() { c.leaseOf(ctx, name) })
	c.spawn(func() { c.csiNodeOf(ctx, name) })
	c.spawn(func() { c.attachments(ctx) })
	c.volumes(ctx)
}

// partArguments are those of a part of the control plane that tell which etcd member it is or uses, and how that is asked.
var partArguments = []string{
	"--name=", "--cert-file=", "--key-file=", "--trusted-ca-file=", "--listen-client-urls=", "--etcd-servers=", "--advertise-address=",
}

// keepPart keeps of a part of the control plane what it is, whether it works, and of its arguments the names of files and
// addresses.
func keepPart(kept, p *corev1.Pod) {
	if component.ControlPlane(p) == "" {
		return
	}
	if kept.Labels == nil {
		kept.Labels = trim.Keys(p.Labels, "component", "tier")
	}
	kept.Annotations = trim.Keys(p.Annotations, trim.PodAnnotations...)
	if ready := podfact.ReadyCondition(p); ready != nil && podfact.ReadyCondition(kept) == nil {
		kept.Status.Conditions = append(slices.Clone(kept.Status.Conditions), *ready)
	}
	for i := range p.Spec.Containers {
		for _, arg := range slices.Concat(p.Spec.Containers[i].Command, p.Spec.Containers[i].Args) {
			if slices.ContainsFunc(partArguments, func(beginning string) bool { return strings.HasPrefix(arg, beginning) }) {
				kept.Spec.Containers[i].Args = append(kept.Spec.Containers[i].Args, arg)
			}
		}
	}
}
