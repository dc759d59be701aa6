// Package collect reads from a cluster what evaluate judges. Independent reads run in parallel, each ends in data or in
// a source state, and only the nodes themselves are needed for a report. It judges nothing.
package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// atOnce bounds the requests in flight: the API server's fairness queues more anyway
// (https://kubernetes.io/docs/concepts/cluster-administration/flow-control/).
const atOnce = 16

// Request says what to read.
type Request struct {
	Names         []string // named nodes: everything about each
	LabelSelector string
	FieldSelector string
	Depth         evaluate.Depth
	Kubelet       bool // ask the kubelets themselves, which needs get nodes/proxy
	Whole         bool // what is read is saved: nothing that is judged is reduced to less
}

// Result is the input of evaluate, and what a person should be told about how names were understood.
type Result struct {
	Input evaluate.Input
	Notes []string
}

// Collect reads from the cluster. The error is that of the nodes; every other failure is a source state.
func Collect(ctx context.Context, cluster *kube.Cluster, r Request) (Result, error) {
	client, err := cluster.Typed()
	if err != nil {
		return Result{}, err
	}
	c := &collector{client: client, request: r, slots: make(chan struct{}, atOnce), now: cluster.Clock.Now, attached: map[string]bool{}}
	c.in.Depth = r.Depth
	c.in.NodeSources = map[string]source.List{}
	switch {
	case r.Depth == evaluate.Drain, r.Depth == evaluate.Remove:
		err = c.drain(ctx)
	case r.Depth == evaluate.Paths:
		err = c.paths(ctx)
	case r.Depth == evaluate.JoinDepth:
		err = c.join(ctx)
	case len(r.Names) > 0:
		err = c.named(ctx)
	default:
		err = c.fleet(ctx)
	}
	if err != nil {
		return Result{}, err
	}
	switch {
	case !r.Kubelet:
	case r.Depth == evaluate.Paths:
		c.askPaths(ctx)
	default:
		c.kubelets(ctx)
		c.certificates(ctx, cluster.Config.Proxy == nil && cluster.Config.Dial == nil)
	}
	c.in.Now = cluster.Clock.Now().UTC()
	c.in.Sources.Sort()
	return Result{Input: c.in, Notes: c.notes}, nil
}

type collector struct {
	client  kube.Clients
	request Request
	slots   chan struct{}
	now     func() time.Time // by the API server's clock
	wg      sync.WaitGroup

	mu       sync.Mutex
	in       evaluate.Input
	notes    []string
	attached map[string]bool // named nodes that may have volumes attached
}

// spawn runs a read when a slot is free.
func (c *collector) spawn(read func()) {
	c.wg.Go(func() {
		c.slots <- struct{}{}
		defer func() { <-c.slots }()
		read()
	})
}

// put stores what a read gave, under the lock, together with its state.
func (c *collector) put(s source.Source, store func(in *evaluate.Input)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.Sources = append(c.in.Sources, s)
	if s.Readable() && store != nil {
		store(&c.in)
	}
}

// putFor does the same for a read that concerns one node.
func (c *collector) putFor(node string, s source.Source, store func(in *evaluate.Input)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.NodeSources[node] = append(c.in.NodeSources[node], s)
	if s.Readable() && store != nil {
		store(&c.in)
	}
}

// skip states that sources were not asked, and why.
func (c *collector) skip(why string, names ...string) {
	for _, name := range names {
		c.put(source.Source{Name: name, State: source.Skipped, Message: why}, nil)
	}
}

// cached lists from the API server's memory: never older than a moment, and no burden on etcd
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
func cached() metav1.ListOptions { return metav1.ListOptions{ResourceVersion: "0"} }

// fleet reads nodes, leases and metrics: three calls whatever the fleet's size; deeper on demand.
func (c *collector) fleet(ctx context.Context) error {
	var nodeErr error
	c.spawn(func() {
		options := cached()
		options.LabelSelector, options.FieldSelector = c.request.LabelSelector, c.request.FieldSelector
		nodes, err := c.eachNode(ctx, options)
		if err != nil {
			nodeErr = err
			return
		}
		c.put(source.Source{Name: evaluate.SourceNodes, State: source.OK}, func(in *evaluate.Input) { in.Nodes = nodes })
	})
	c.spawn(func() { c.nodeLeases(ctx) })
	c.spawn(func() {
		items, err := c.metricsOfAll(ctx)
		c.put(metricsSource(err), func(in *evaluate.Input) { in.Metrics = items })
	})
	if c.request.Depth != evaluate.Fleet {
		c.shared(ctx)
		c.spawn(func() { c.proxyMode(ctx) })
		c.spawn(func() {
			pods := &packed{whole: c.request.Whole}
			c.allPods(ctx, pods, func(in *evaluate.Input) { in.Packed = pods })
		})
	}
	requests := c.request.Depth != evaluate.Fleet || c.request.Kubelet // else the table is three calls
	if requests {
		c.spawn(func() { c.requests(ctx) })
	}
	c.wg.Wait()
	if nodeErr != nil {
		return nodeErr
	}
	c.nodeClaims(ctx)
	why := "read for named nodes only"
	if c.request.Depth == evaluate.Fleet {
		why = "not read for the table of all nodes; name the node, or use -o wide"
		c.skip(why, evaluate.SourcePods, evaluate.SourceDaemonSets, evaluate.SourceServerVersion, evaluate.SourceSystemLeases,
			evaluate.SourceProxyConfig)
		if !requests {
			c.skip(why, evaluate.SourceRequests)
		}
		why = "not read for the table of all nodes; name the node"
	}
	c.skip(why, evaluate.SourceEvents, evaluate.SourceAutoscaler, evaluate.SourceCSINodes, evaluate.SourceAttachments, evaluate.SourceReadyz)
	c.withoutKubelet()
	return nil
}

// eachNode lists nodes, of which what nobody judges is never held: images, and the fields that managers own.
func (c *collector) eachNode(ctx context.Context, options metav1.ListOptions) ([]corev1.Node, error) {
	api, nodes := c.client.CoreV1(), &kube.Items[corev1.Node, *corev1.Node]{Keep: trim.Node}
	err := kube.Each(ctx, api.RESTClient(), "nodes", "", options, api.Nodes().List, &kube.Smaller{Sink: nodes, Cut: trim.NodeCut})
	return nodes.Kept, err
}

func (c *collector) withoutKubelet() {
	if !c.request.Kubelet {
		c.skip("pass --kubelet to query the kubelet (needs get nodes/proxy)", evaluate.SourceKubelet)
	}
}

// named reads everything about each named node.
func (c *collector) named(ctx context.Context) error {
	if err := c.getNodes(ctx); err != nil {
		return err
	}
	if len(c.in.Nodes) == 0 {
		c.requests(ctx) // a machine that joins has no Node before its request is approved
		return nil
	}
	c.shared(ctx)
	c.spawn(func() { c.requests(ctx) })
	for i := range c.in.Nodes {
		c.oneNode(ctx, c.in.Nodes[i].Name)
	}
	c.wg.Wait()
	c.further(ctx)
	c.devices(ctx)
	c.scalers(ctx)
	c.details(ctx)
	c.withoutKubelet()
	return nil
}

// getNodes fetches the named nodes; a name that is not there is looked for among addresses and host names.
func (c *collector) getNodes(ctx context.Context) error {
	found := make([]*corev1.Node, len(c.request.Names))
	errs := make([]error, len(c.request.Names))
	for i, name := range c.request.Names {
		c.spawn(func() {
			found[i], errs[i] = c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		})
	}
	c.wg.Wait()
	var missing []string
	for i, err := range errs {
		switch {
		case err == nil:
			c.addNode(found[i])
		case apierrors.IsNotFound(err):
			missing = append(missing, c.request.Names[i])
		default:
			return err
		}
	}
	if len(missing) > 0 {
		c.resolve(ctx, missing)
	}
	c.in.Sources = append(c.in.Sources, source.Source{Name: evaluate.SourceNodes, State: source.OK})
	return nil
}

func (c *collector) addNode(n *corev1.Node) {
	if !slices.ContainsFunc(c.in.Nodes, func(have corev1.Node) bool { return have.Name == n.Name }) {
		if len(n.Status.VolumesAttached)+len(n.Status.VolumesInUse) > 0 {
			c.attached[n.Name] = true
		}
		c.in.Nodes = append(c.in.Nodes, trim.Nodes([]corev1.Node{*n})...)
	}
}

// resolve takes a name that no node has for an address, a host name or a provider ID, if exactly one node has that, and
// notes it.
func (c *collector) resolve(ctx context.Context, missing []string) {
	list, err := c.client.CoreV1().Nodes().List(ctx, cached())
	for _, name := range missing {
		if err == nil {
			if n := c.byAlias(list.Items, name); n != nil {
				c.addNode(n)
				continue
			}
		}
		c.in.NotFound = append(c.in.NotFound, name)
		c.gone(ctx, name)
	}
	c.wg.Wait()
}

// byAlias gives the one node that has the name as an alias, and notes that; nil: none, or several.
func (c *collector) byAlias(nodes []corev1.Node, name string) *corev1.Node {
	var matches []*corev1.Node
	var how string
	for i := range nodes {
		if h := alias(&nodes[i], name); h != "" {
			matches, how = append(matches, &nodes[i]), h
		}
	}
	switch len(matches) {
	case 1:
		c.notes = append(c.notes, fmt.Sprintf("%q is the %s of node %q", name, how, matches[0].Name))
		return matches[0]
	case 0:
	default:
		c.notes = append(c.notes, fmt.Sprintf("%q matches %d nodes: pass a node name", name, len(matches)))
	}
	return nil
}

func alias(n *corev1.Node, name string) string {
	for _, a := range n.Status.Addresses {
		if a.Address == name {
			return string(a.Type)
		}
	}
	switch {
	case n.Labels[corev1.LabelHostname] == name:
		return "label " + corev1.LabelHostname
	case n.Spec.ProviderID != "" && (n.Spec.ProviderID == name || strings.HasSuffix(n.Spec.ProviderID, "/"+name)):
		return "provider ID"
	}
	return ""
}
