package facts

import (
	"cmp"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/thresholds"
)

// Cluster finds what belongs to a node without searching. Several nodes may be gathered at once.
type Cluster struct {
	in     *Input
	now    time.Time
	limits thresholds.Values
	bad    map[string]string

	leases      map[string]*coordinationv1.Lease
	metrics     map[string]*NodeMetrics
	pods        map[string][]*corev1.Pod
	events      map[string][]eventfact.Event // by node name, newest first
	byObject    map[string][]eventfact.Event // of pods and DaemonSets, by UID, newest first
	csi         map[string]*storagev1.CSINode
	attachments map[string][]*storagev1.VolumeAttachment
	daemonSets  []*appsv1.DaemonSet
	requests    map[string][]certificate.Request // by node
	scaling     autoscaler.Cluster
	charges     sync.Map             // what a pod of a shape takes: charge by int
	askAlone    sync.Once            // fills alone
	alone       map[string]bool      // components that a ready pod runs without a leader
	askServers  sync.Once            // fills servers
	servers     map[string]Component // pods of API servers, by the names of their machines
}

// By makes other thresholds count.
func (c *Cluster) By(limits thresholds.Values) *Cluster {
	c.limits = limits
	return c
}

// Of reads each list of the input once. patience is the age of a heartbeat from which Ready=True is not believed; bad says
// which status of a custom condition is a problem, "" for none.
func Of(in *Input, now time.Time, patience time.Duration, bad map[string]string) *Cluster {
	c := &Cluster{
		in: in, now: now, limits: thresholds.Default(), bad: bad,
		leases: map[string]*coordinationv1.Lease{}, metrics: map[string]*NodeMetrics{}, pods: map[string][]*corev1.Pod{},
		events: map[string][]eventfact.Event{}, byObject: map[string][]eventfact.Event{}, csi: map[string]*storagev1.CSINode{},
		attachments: map[string][]*storagev1.VolumeAttachment{}, alone: map[string]bool{}, servers: map[string]Component{},
		requests: map[string][]certificate.Request{},
	}
	c.limits.StaleAfter = patience
	c.scaling = autoscaler.Cluster{Claims: in.NodeClaims, Pools: in.NodePools, Status: in.ClusterAutoscaler}
	c.scaling.Budgets = autoscaler.Budgets{List: in.Budgets, Read: in.Sources.Get(SourceBudgets).Readable()}
	for i := range in.Leases {
		c.leases[in.Leases[i].Name] = &in.Leases[i]
	}
	for i := range in.Metrics {
		c.metrics[in.Metrics[i].Metadata.Name] = &in.Metrics[i]
	}
	for i := range in.Pods {
		if node := in.Pods[i].Spec.NodeName; node != "" {
			c.pods[node] = append(c.pods[node], &in.Pods[i])
		}
	}
	for _, pods := range c.pods {
		sorting.Func(pods, func(a, b *corev1.Pod) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
	}
	for _, e := range eventfact.ReadAll(in.Events) {
		switch e.About.Kind {
		case "Node":
			c.events[e.About.Name] = append(c.events[e.About.Name], e)
		case "Pod", "DaemonSet":
			c.byObject[string(e.About.UID)] = append(c.byObject[string(e.About.UID)], e)
		}
		if autoscaler.Heeds(&e) {
			c.scaling.Events = append(c.scaling.Events, e)
		}
	}
	for i := range in.CSINodes {
		c.csi[in.CSINodes[i].Name] = &in.CSINodes[i]
	}
	for i := range in.VolumeAttachments {
		node := in.VolumeAttachments[i].Spec.NodeName
		c.attachments[node] = append(c.attachments[node], &in.VolumeAttachments[i])
	}
	for i := range in.Requests {
		if r, ok := certificate.RequestOf(&in.Requests[i]); ok {
			c.requests[r.Node] = append(c.requests[r.Node], r)
		}
	}
	for i := range in.DaemonSets {
		c.daemonSets = append(c.daemonSets, &in.DaemonSets[i])
	}
	sorting.Func(c.daemonSets, func(a, b *appsv1.DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return c
}
