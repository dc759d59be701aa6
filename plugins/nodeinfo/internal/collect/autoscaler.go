package collect

import (
	"context"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

const (
	statusMap     = "cluster-autoscaler-status"
	karpenterPath = "/apis/karpenter.sh/v1/"
)

// clusterAutoscaler reads what Cluster Autoscaler reports. That there is none is an answer.
func (c *collector) clusterAutoscaler(ctx context.Context) {
	object, err := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, statusMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.put(source.Source{Name: evaluate.SourceAutoscaler, State: source.OK}, nil)
		return
	}
	s := kube.SourceOf(evaluate.SourceAutoscaler, "get", "configmaps/"+statusMap+" in kube-system", err)
	var status *autoscaler.Status
	if s.Readable() {
		status, s = scalerStatus(object)
	}
	c.put(s, func(in *evaluate.Input) { in.ClusterAutoscaler = status })
}

func scalerStatus(object *corev1.ConfigMap) (*autoscaler.Status, source.Source) {
	s := source.Source{Name: evaluate.SourceAutoscaler, State: source.OK}
	status, err := autoscaler.Read(object)
	if err != nil {
		s.State, s.Message = source.Unreachable, err.Error()
	}
	return status, s
}

// scalers reads what decides about the removal of the named nodes, where an autoscaler is known.
func (c *collector) scalers(ctx context.Context) {
	pools := map[string]bool{}
	for i := range c.in.Nodes {
		n := &c.in.Nodes[i]
		if pool := n.Labels[autoscaler.NodePoolLabel]; pool != "" && !pools[pool] {
			pools[pool] = true
			c.spawn(func() { getEach(ctx, c, evaluate.SourceNodePools, "nodepools", pool, &c.in.NodePools) })
		}
		if claim := autoscaler.ClaimOf(n); claim != "" && autoscaler.OfKarpenter(n) {
			c.spawn(func() { getEach(ctx, c, evaluate.SourceNodeClaims, "nodeclaims", claim, &c.in.NodeClaims) })
		}
	}
	if c.in.ClusterAutoscaler != nil {
		c.spawn(func() { c.scalingEvents(ctx) })
	}
	if len(pools) > 0 {
		c.spawn(func() { c.refusals(ctx) })
	}
	if c.in.ClusterAutoscaler != nil || len(pools) > 0 {
		c.spawn(func() { c.budgets(ctx) })
	}
	c.wg.Wait()
}

// getEach gets an object of Karpenter. That there is no such object, or no such API, is an answer.
func getEach[T any](ctx context.Context, c *collector, name, resource, object string, into *[]T) {
	var one T
	err := c.getJSON(ctx, karpenterPath+resource+"/"+object, &one)
	if apierrors.IsNotFound(err) {
		c.put(source.Source{Name: name, State: source.OK}, nil)
		return
	}
	c.put(kube.SourceOf(name, "get", resource+".karpenter.sh", err), func(*evaluate.Input) { *into = append(*into, one) })
}

// nodeClaims reads the NodeClaims of a fleet, of which some may have no node, where Karpenter made a node or has led in kube-system.
func (c *collector) nodeClaims(ctx context.Context) {
	led := func(l coordinationv1.Lease) bool { return l.Name == autoscaler.KarpenterLease }
	made := func(n corev1.Node) bool { return autoscaler.OfKarpenter(&n) }
	if !slices.ContainsFunc(c.in.SystemLeases, led) && !slices.ContainsFunc(c.in.Nodes, made) {
		return
	}
	var list struct {
		Items []autoscaler.NodeClaim `json:"items"`
	}
	err := c.askJSON(ctx, c.client.Discovery().RESTClient().Get().AbsPath(karpenterPath+"nodeclaims").Param("resourceVersion", "0"), &list)
	if apierrors.IsNotFound(err) {
		return
	}
	s := kube.SourceOf(evaluate.SourceNodeClaims, "list", "nodeclaims.karpenter.sh", err)
	c.put(s, func(in *evaluate.Input) { in.NodeClaims = list.Items })
}

// scalingEvents reads why nodes are not added: events of the autoscaler about its node groups, and about pods.
func (c *collector) scalingEvents(ctx context.Context) {
	options := metav1.ListOptions{FieldSelector: "involvedObject.name=" + statusMap}
	about, err := c.client.CoreV1().Events(metav1.NamespaceSystem).List(ctx, options)
	if err == nil {
		var pods *corev1.EventList
		options = metav1.ListOptions{FieldSelector: "reason=" + autoscaler.NotTriggered, Limit: pageSize}
		if pods, err = c.client.CoreV1().Events("").List(ctx, options); err == nil {
			about.Items = append(about.Items, c.ofWaiting(ctx, pods.Items)...)
		}
	}
	c.put(kube.SourceOf(evaluate.SourceScaling, "list", "events", err), func(in *evaluate.Input) {
		in.Events = append(in.Events, trim.Events(about.Items)...)
	})
}

// refusals reads why Karpenter adds no nodes: its events about pods, which have the reason of the scheduler's.
func (c *collector) refusals(ctx context.Context) {
	selector := "reason=" + autoscaler.FailedScheduling + ",source!=" + corev1.DefaultSchedulerName
	list, err := c.client.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: selector, Limit: pageSize})
	var waiting []corev1.Event
	if err == nil {
		waiting = c.ofWaiting(ctx, list.Items)
	}
	c.put(kube.SourceOf(evaluate.SourceRefusals, "list", "events", err), func(in *evaluate.Input) {
		in.Events = append(in.Events, trim.Events(waiting)...)
	})
}

// ofWaiting are the events of pods that have no node: those of a pod that got one, or is gone, stay for an hour. Where there are too many
// pods, or they cannot be read, all events are kept.
func (c *collector) ofWaiting(ctx context.Context, events []corev1.Event) []corev1.Event {
	if len(events) == 0 {
		return nil
	}
	pods, err := c.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=", Limit: pageSize})
	if err != nil || pods.Continue != "" {
		return events
	}
	return slices.DeleteFunc(events, func(e corev1.Event) bool {
		return !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.UID == e.InvolvedObject.UID })
	})
}
