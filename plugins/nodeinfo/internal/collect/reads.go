package collect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

const metricsPath = "/apis/metrics.k8s.io/v1beta1/nodes"

// pageSize keeps one answer to a few megabytes; the server's limit of 60 s holds for each page.
const pageSize = 500

// getJSON reads a path that has no typed client here. Metrics come as JSON: their types are not worth a dependency.
func (c *collector) getJSON(ctx context.Context, path string, into any) error {
	return c.askJSON(ctx, c.client.Discovery().RESTClient().Get().AbsPath(path), into)
}

func (c *collector) askJSON(ctx context.Context, request *rest.Request, into any) error {
	result := request.SetHeader("Accept", "application/json").Do(ctx)
	if err := result.Error(); err != nil { // Raw's own error would leave out what the server said, such as the object's name
		return err
	}
	data, err := result.Raw()
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func (c *collector) metricsOfAll(ctx context.Context) ([]evaluate.NodeMetrics, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsPatience)
	defer cancel()
	var list struct {
		Items []evaluate.NodeMetrics `json:"items"`
	}
	err := c.getJSON(ctx, metricsPath, &list)
	return list.Items, err
}

// metricsPatience bounds the wait for usage figures: the metrics API is served by a pod, which hangs when the cluster is
// sick, and a table that waits for it is no use at that time.
const metricsPatience = 5 * time.Second

func metricsSource(err error) source.Source {
	s := kube.SourceOf(evaluate.SourceMetrics, "list", "nodes.metrics.k8s.io", err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.Message = "the metrics API did not respond in time"
	case s.State == source.Absent:
		s.Message = "metrics-server is not installed"
	case apierrors.IsServiceUnavailable(err):
		s.Message = "metrics-server is installed but does not respond (503)"
	case apierrors.IsInternalError(err):
		s.Message = "the metrics API returns an error (500)"
	}
	return s
}

// shared reads what concerns every node.
func (c *collector) shared(ctx context.Context) {
	c.spawn(func() {
		var version struct {
			GitVersion string `json:"gitVersion"`
		}
		err := c.getJSON(ctx, "/version", &version)
		c.put(kube.SourceOf(evaluate.SourceServerVersion, "get", "/version", err), func(in *evaluate.Input) {
			in.ServerVersion = version.GitVersion
		})
	})
	c.spawn(func() { c.systemLeases(ctx) })
	c.spawn(func() {
		list, err := c.client.AppsV1().DaemonSets("").List(ctx, cached())
		c.put(kube.SourceOf(evaluate.SourceDaemonSets, "list", "daemonsets.apps", err), func(in *evaluate.Input) {
			in.DaemonSets = trim.DaemonSets(list.Items)
		})
	})
}

func (c *collector) nodeLeases(ctx context.Context) {
	api, leases := c.client.CoordinationV1(), &kube.Items[coordinationv1.Lease, *coordinationv1.Lease]{}
	err := kube.Each(ctx, api.RESTClient(), "leases", corev1.NamespaceNodeLease, cached(), api.Leases(corev1.NamespaceNodeLease).List, leases)
	c.put(kube.SourceOf(evaluate.SourceLeases, "list", "leases.coordination.k8s.io in kube-node-lease", err), func(in *evaluate.Input) {
		in.Leases = leases.Kept
	})
}

func (c *collector) systemLeases(ctx context.Context) {
	list, err := c.client.CoordinationV1().Leases(metav1.NamespaceSystem).List(ctx, cached())
	c.put(kube.SourceOf(evaluate.SourceSystemLeases, "list", "leases.coordination.k8s.io in kube-system", err), func(in *evaluate.Input) {
		in.SystemLeases = list.Items
	})
}

// oneNode reads what concerns one node.
func (c *collector) oneNode(ctx context.Context, name string) {
	c.spawn(func() { c.leaseOf(ctx, name) })
	c.spawn(func() {
		ctx, cancel := context.WithTimeout(ctx, metricsPatience)
		defer cancel()
		var metrics evaluate.NodeMetrics
		err := c.getJSON(ctx, metricsPath+"/"+name, &metrics)
		if noSample(err, name) {
			c.putFor(name, source.Source{Name: evaluate.SourceMetrics, State: source.OK}, nil)
			return
		}
		c.putFor(name, metricsSource(err), func(in *evaluate.Input) { in.Metrics = append(in.Metrics, metrics) })
	})
	c.spawn(func() { c.csiNodeOf(ctx, name) })
	c.spawn(func() { c.podsOf(ctx, name) })
	c.spawn(func() { c.eventsOfNode(ctx, name) })
}

func (c *collector) csiNodeOf(ctx context.Context, name string) {
	csi, err := c.client.StorageV1().CSINodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.putFor(name, source.Source{Name: evaluate.SourceCSINodes, State: source.OK}, nil) // read: there is none
		return
	}
	c.putFor(name, kube.SourceOf(evaluate.SourceCSINodes, "get", "csinodes.storage.k8s.io", err), func(in *evaluate.Input) {
		in.CSINodes = append(in.CSINodes, *csi)
	})
}

func (c *collector) leaseOf(ctx context.Context, name string) {
	lease, err := c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.putFor(name, source.Source{Name: evaluate.SourceLeases, State: source.OK}, nil) // read: there is none
		return
	}
	s := kube.SourceOf(evaluate.SourceLeases, "get", "leases.coordination.k8s.io in kube-node-lease", err)
	c.putFor(name, s, func(in *evaluate.Input) { in.Leases = append(in.Leases, *lease) })
}

// eventsOfNode reads without a UID: the kubelet's own events carry none (https://github.com/kubernetes/kubectl/issues/1838).
func (c *collector) eventsOfNode(ctx context.Context, name string) {
	selector := fields.Set{"involvedObject.kind": "Node", "involvedObject.name": name}.AsSelector().String()
	list, err := c.client.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: selector})
	c.putFor(name, kube.SourceOf(evaluate.SourceEvents, "list", "events in default", err), func(in *evaluate.Input) {
		in.Events = append(in.Events, trim.Events(list.Items)...)
	})
}

// noSample says whether the metrics API has no object of the node, rather than that there is no such API.
func noSample(err error, node string) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Name == node
}

// podsOf lists one node's pods from the cache, which has an index by node; the limit is a hint of the answer's size for
// the server's fairness.
func (c *collector) podsOf(ctx context.Context, name string) {
	options := cached()
	options.FieldSelector = "spec.nodeName=" + name
	options.Limit = pageSize
	list, err := c.client.CoreV1().Pods("").List(ctx, options)
	c.putFor(name, kube.SourceOf(evaluate.SourcePods, "list", "pods", err), func(in *evaluate.Input) {
		if slices.ContainsFunc(list.Items, attaches) {
			c.attached[name] = true
		}
		in.Pods = append(in.Pods, trim.Named(list.Items)...)
	})
}

// allPods hands every pod to sink, as it arrives; store puts what that kept into the input.
func (c *collector) allPods(ctx context.Context, sink kube.Sink, store func(*evaluate.Input)) {
	core := c.client.CoreV1()
	err := kube.Each(ctx, core.RESTClient(), "pods", "", cached(), core.Pods("").List, sink)
	c.put(kube.SourceOf(evaluate.SourcePods, "list", "pods", err), store)
}

// most is of how many objects the details are read.
const most = 8

// details reads why pods do not start, of a few: the events of pods that are not Ready and of DaemonSets that lack pods, and
// the pods of DaemonSets that have no node. What cannot be read takes a detail from a message, nothing from a verdict.
func (c *collector) details(ctx context.Context) {
	pending := 0
	for i := range c.in.Pods {
		p := &c.in.Pods[i]
		unwell := p.Status.Phase == corev1.PodPending ||
			p.Status.Phase == corev1.PodRunning && p.Namespace == metav1.NamespaceSystem && !podfact.Ready(p)
		if unwell && p.DeletionTimestamp == nil && pending < most {
			pending++
			c.spawn(func() { c.eventsAbout(ctx, p.Namespace, p.UID) })
		}
	}
	lacking, unready := 0, map[string]bool{}
	for i := range c.in.DaemonSets {
		d := &c.in.DaemonSets[i]
		if d.Status.CurrentNumberScheduled < d.Status.DesiredNumberScheduled && lacking < most {
			lacking++
			c.spawn(func() { c.eventsAbout(ctx, d.Namespace, d.UID) })
		}
		if d.Status.NumberReady < d.Status.DesiredNumberScheduled && len(unready) < most && !unready[d.Namespace] {
			unready[d.Namespace] = true
			c.spawn(func() { c.unscheduled(ctx, d.Namespace) })
		}
	}
	for i := range c.in.Nodes {
		c.askProxy(ctx, &c.in.Nodes[i])
		c.askAPIServer(ctx, &c.in.Nodes[i])
	}
	if slices.ContainsFunc(c.in.SystemLeases, c.leaderless) {
		c.spawn(func() { c.components(ctx) })
	}
	c.wg.Wait()
}

// leaderless says whether a lease is that of a component which nobody leads by it.
func (c *collector) leaderless(l coordinationv1.Lease) bool {
	named := slices.ContainsFunc(evaluate.Electing(), func(name string) bool { return nodefact.LeaseOfComponent(&l, name) })
	return named && nodefact.LeaderOf(&l, c.now()).Expired
}

// components reads the static pods of the control plane, which may work without a leader.
func (c *collector) components(ctx context.Context) {
	list, err := c.client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx,
		metav1.ListOptions{LabelSelector: "tier=control-plane", Limit: pageSize})
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.in.Components = trim.Pods(list.Items)
	}
}

// eventsAbout reads the events of an object. They are matched by UID, because one that was recreated may have its
// predecessor's name.
func (c *collector) eventsAbout(ctx context.Context, namespace string, uid types.UID) {
	list, err := c.client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(uid)})
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.in.Events = append(c.in.Events, trim.Events(list.Items)...)
	}
}

// unscheduled reads the pods of a namespace that have no node, keeping of a DaemonSet's what tells for which node it is and
// why the scheduler does not bind it.
func (c *collector) unscheduled(ctx context.Context, namespace string) {
	list, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=", Limit: pageSize})
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list.Items {
		p := &list.Items[i]
		if owner := metav1.GetControllerOf(p); owner == nil || owner.Kind != "DaemonSet" {
			continue
		}
		c.in.Unscheduled = append(c.in.Unscheduled, unbound(p))
	}
}

// unbound keeps of a pod without a node what is judged.
func unbound(p *corev1.Pod) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, UID: p.UID, CreationTimestamp: p.CreationTimestamp, OwnerReferences: p.OwnerReferences,
		},
		Spec:   corev1.PodSpec{Affinity: p.Spec.Affinity},
		Status: corev1.PodStatus{Phase: p.Status.Phase, Conditions: p.Status.Conditions},
	}
}

// patience with one kubelet: a black-holed one must not stall the run.
const patience = 4 * time.Second

// kubelets asks the kubelets themselves, through the API server.
func (c *collector) kubelets(ctx context.Context) {
	c.in.Kubelets = map[string]evaluate.Kubelet{}
	for i := range c.in.Nodes {
		name := c.in.Nodes[i].Name
		c.spawn(func() {
			answer, err := c.kubelet(ctx, name)
			s := source.Source{Name: evaluate.SourceKubelet, State: source.OK}
			if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
				s = kube.SourceOf(evaluate.SourceKubelet, "get", "nodes/proxy", err)
			}
			c.putFor(name, s, func(in *evaluate.Input) { in.Kubelets[name] = answer })
		})
	}
	c.wg.Wait()
}

// proxied reads a path of a node (NAME, or SCHEME:NAME:PORT) through the API server.
func (c *collector) proxied(ctx context.Context, node, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.client.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix(path).
		SetHeader("Accept", "application/json, */*").Do(ctx).Raw()
}

// kubelet asks a kubelet whether it is well. Where it does not answer, kube-proxy's health port tells whether the machine
// lives: it needs neither a kubelet nor the API server
// (https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/, --healthz-bind-address).
func (c *collector) kubelet(ctx context.Context, node string) (evaluate.Kubelet, error) {
	body, err := c.proxied(ctx, node, "healthz")
	if err == nil {
		answer := evaluate.Kubelet{Healthy: true}
		if body, err := c.proxied(ctx, node, "stats/summary"); err == nil {
			answer.ReadSummary(body)
			answer.ReadStalls(body)
		}
		if body, err := c.proxied(ctx, node, "configz"); err == nil {
			answer.ReadThresholds(body)
			answer.ReadSwapBehavior(body)
		}
		return answer, nil
	}
	answer := evaluate.Kubelet{
		Message: cmp.Or(unreached(body), kube.OneLine(kube.Explain(err))),
		Refused: strings.Contains(string(body)+err.Error(), "connect: connection refused"),
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		answer.Message = fmt.Sprintf("no answer within %s", patience)
	case answer.Refused:
		answer.Message = "connection refused"
	}
	if !apierrors.IsForbidden(err) {
		_, proxyErr := c.proxied(ctx, "http:"+node+":10256", "livez")
		answer.MachineAnswers = answer.Refused || proxyErr == nil
	}
	return answer, err
}

// unreached is what the API server says of a connection that it could not make, which is more than its status says; empty: it
// says nothing of that.
func unreached(body []byte) string {
	text := string(body)
	var status metav1.Status
	if json.Unmarshal(body, &status) == nil {
		text = status.Message
	}
	if _, reason, ok := strings.Cut(text, "error trying to reach service: "); ok {
		return strings.Join(strings.Fields(reason), " ")
	}
	return ""
}
