package facts

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// The units of a resource.
const (
	unitMillicores = "millicores"
	unitBytes      = "bytes"
	UnitCount      = "count"
)

func unit(name corev1.ResourceName) string {
	switch {
	case name == corev1.ResourceCPU:
		return unitMillicores
	case name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage, name == corev1.ResourceStorage,
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		return unitBytes
	}
	return UnitCount
}

func value(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// Amount is an entry of a list in its unit; nil where there is none.
func Amount(name corev1.ResourceName, list corev1.ResourceList) *report.Amount {
	q, ok := list[name]
	if !ok {
		return nil
	}
	return &report.Amount{Value: value(name, q), Quantity: q.String()}
}

// resources are the node's, by name; the sums of what its pods take are those of Pod.Requests and Pod.Limits.
func (c *Cluster) resources(n *Node) []report.Resource {
	s := sums{node: n.Object, capacity: n.Object.Status.Capacity, allocatable: schedule.Allocatable(n.Object)}
	if n.Read(SourcePods) {
		s.requests = corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(0, resource.DecimalSI)}
		s.limits = corev1.ResourceList{}
		for _, p := range n.Pods {
			if schedule.Charged(p.Pod) {
				schedule.Take(s.requests, p.Requests)
				schedule.Add(s.limits, p.Limits)
			}
		}
	}
	s.usage = c.usage(n)
	names := map[corev1.ResourceName]bool{}
	for _, list := range []corev1.ResourceList{s.capacity, s.allocatable, s.requests} {
		for name := range list {
			names[name] = true
		}
	}
	var out []report.Resource
	for name := range names {
		out = append(out, s.resource(name))
	}
	sorting.Func(out, func(a, b report.Resource) int {
		return cmp.Or(cmp.Compare(resourceRank(a.Name), resourceRank(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// charged are the pods that take of the node, with what they request; nil: not read.
func (n *Node) charged() iter.Seq2[*corev1.Pod, corev1.ResourceList] {
	if !n.Read(SourcePods) {
		return nil
	}
	return func(yield func(*corev1.Pod, corev1.ResourceList) bool) {
		for _, p := range n.Pods {
			if schedule.Charged(p.Pod) && !yield(p.Pod, p.Requests) {
				return
			}
		}
	}
}

func resourceRank(name string) int {
	switch corev1.ResourceName(name) {
	case corev1.ResourceCPU:
		return 0
	case corev1.ResourceMemory:
		return 1
	case corev1.ResourceEphemeralStorage:
		return 2
	case corev1.ResourcePods:
		return 3
	}
	return 4
}

// sums are the figures of a node; nil lists were not read.
type sums struct {
	node                                           *corev1.Node
	capacity, allocatable, requests, limits, usage corev1.ResourceList
}

func (s *sums) resource(name corev1.ResourceName) report.Resource {
	r := report.Resource{
		Name: string(name), Unit: unit(name),
		Capacity: Amount(name, s.capacity), Allocatable: Amount(name, s.allocatable), Usage: Amount(name, s.usage),
	}
	if r.Capacity != nil && r.Allocatable != nil {
		q := s.capacity[name].DeepCopy()
		q.Sub(s.allocatable[name])
		r.Reserved = &report.Amount{Value: value(name, q), Quantity: q.String()}
	}
	if s.requests != nil {
		q := s.requests[name]
		r.Requests = &report.Amount{Value: value(name, q), Quantity: q.String()}
		if r.Allocatable != nil {
			free := schedule.Free(s.node, s.requests, name)
			r.Free = &report.Amount{Value: value(name, free), Quantity: free.String()}
		}
		// Limits mean nothing for pods, and extended resources cannot be overcommitted.
		if name != corev1.ResourcePods && (r.Unit != UnitCount) {
			l := s.limits[name]
			r.Limits = &report.Amount{Value: value(name, l), Quantity: l.String()}
		}
	}
	r.RequestsPercent, r.LimitsPercent = percent(r.Requests, r.Allocatable), percent(r.Limits, r.Allocatable)
	r.UsagePercent = percent(r.Usage, r.Capacity)
	return r
}

// percent is nil without a whole: a node may have nothing to allocate.
func percent(part, whole *report.Amount) *float64 {
	if part == nil || whole == nil || whole.Value <= 0 {
		return nil
	}
	p := math.Round(float64(part.Value)/float64(whole.Value)*1000) / 10
	return &p
}

// usage is the node's sample, if it is fresh: an old or missing one is unknown, not zero, and a gap among the sources.
func (c *Cluster) usage(n *Node) corev1.ResourceList {
	if !n.Read(SourceMetrics) {
		return nil
	}
	gap := func(text string) corev1.ResourceList {
		n.Sources = slices.DeleteFunc(n.Sources, func(s source.Source) bool { return s.Name == SourceMetrics })
		n.Sources = append(n.Sources, source.Source{Name: SourceMetrics, State: source.Absent, Message: text})
		return nil
	}
	m := c.metrics[n.Object.Name]
	if m == nil {
		return gap("metrics-server has no sample of the node (--kubelet shows whether the kubelet is reachable)")
	}
	window, err := time.ParseDuration(m.Window)
	if err != nil || window <= 0 {
		window = time.Minute
	}
	// metrics-server scrapes every 15 s to 1 min; a sample that is older than that and two windows is of the past.
	if old := n.Age(m.Timestamp); old > time.Minute+2*window {
		return gap(fmt.Sprintf("the last sample is %s old", output.Age(old)))
	}
	return m.Usage
}

// scaler is who adds and removes the machine of the node. What keeps it from removing the node is told of a named node alone: of a
// fleet neither the volumes and annotations of pods are read, nor the budgets.
func (c *Cluster) scaler(n *Node) {
	var pods []*corev1.Pod
	for _, p := range n.Pods {
		pods = append(pods, p.Pod)
	}
	var shares []autoscaler.Share
	for _, r := range n.Resources {
		named := r.Name == string(corev1.ResourceCPU) || r.Name == string(corev1.ResourceMemory)
		if named && r.RequestsPercent != nil && len(n.Devices) == 0 { // of a node with a GPU, the GPU alone decides
			shares = append(shares, autoscaler.Share{Resource: r.Name, Percent: *r.RequestsPercent})
		}
	}
	n.Scaling = &c.scaling
	n.Scaler = c.scaling.Of(n.Object, pods, c.in.Depth == Full && n.Read(SourcePods), shares, n.Now)
}

// Claims are the NodeClaims that were read.
func (c *Cluster) Claims() []autoscaler.NodeClaim { return c.in.NodeClaims }
