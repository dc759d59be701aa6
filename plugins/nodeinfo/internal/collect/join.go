package collect

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// join reads what tells how far machines have come that become nodes: nine calls for all of them, then the pods and events of each
// that may not have joined yet, or is named.
func (c *collector) join(ctx context.Context) error {
	list, err := c.client.CoreV1().Nodes().List(ctx, cached())
	if err != nil {
		return err
	}
	c.in.Nodes = trim.Nodes(list.Items)
	c.in.Sources = append(c.in.Sources, source.Source{Name: evaluate.SourceNodes, State: source.OK})
	c.joinShared(ctx)
	names := slices.Clone(c.request.Names)
	if len(names) == 0 {
		names = evaluate.JoinCandidates(&c.in, c.now())
	}
	for i, name := range names {
		if c.hasNode(name) {
			continue
		}
		if n := c.byAlias(c.in.Nodes, name); n != nil {
			names[i] = n.Name
		}
	}
	if len(c.request.Names) > 0 {
		c.in.Depth = evaluate.JoinDepth
		if err := c.in.AimJoin(names); err != nil {
			return err
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		c.spawn(func() { c.podsOf(ctx, name) })
		c.spawn(func() { c.eventsOfNode(ctx, name) })
	}
	if c.uninitialized(names) {
		c.spawn(func() { c.cloudControllers(ctx) })
	}
	c.wg.Wait()
	c.details(ctx)
	return nil
}

// joinShared reads what concerns every machine.
func (c *collector) joinShared(ctx context.Context) {
	c.spawn(func() { c.nodeLeases(ctx) })
	c.spawn(func() { c.requests(ctx) })
	c.shared(ctx)
	c.spawn(func() { c.proxyMode(ctx) })
	c.spawn(func() {
		items, err := c.metricsOfAll(ctx)
		c.put(metricsSource(err), func(in *evaluate.Input) { in.Metrics = items })
	})
	c.spawn(func() {
		list, err := c.client.StorageV1().CSINodes().List(ctx, cached())
		c.put(kube.SourceOf(evaluate.SourceCSINodes, "list", "csinodes.storage.k8s.io", err), func(in *evaluate.Input) {
			for i := range list.Items {
				list.Items[i].ManagedFields = nil
			}
			in.CSINodes = list.Items
		})
	})
	c.wg.Wait()
}

func (c *collector) hasNode(name string) bool {
	return slices.ContainsFunc(c.in.Nodes, func(n corev1.Node) bool { return n.Name == name })
}

// uninitialized says whether one of the nodes waits for its cloud provider.
func (c *collector) uninitialized(names []string) bool {
	return slices.ContainsFunc(c.in.Nodes, func(n corev1.Node) bool {
		return slices.Contains(names, n.Name) && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key == evaluate.TaintUninitialized
		})
	})
}

// cloudControllers keeps the pods of a cloud-controller-manager in kube-system, where the published manifests put it.
func (c *collector) cloudControllers(ctx context.Context) {
	list, err := c.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, cached())
	c.put(kube.SourceOf(evaluate.SourceCloudControllers, "list", "pods in kube-system", err), func(in *evaluate.Input) {
		in.CloudControllers = trim.Pods(slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !evaluate.IsCloudController(&p) }))
	})
}
