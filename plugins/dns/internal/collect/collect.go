// Package collect is the only code of kubectl dns that talks to a cluster. It fills evaluate's Input and judges nothing:
// every read gives data or a source that says why not.
package collect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// Wants says what a command needs to know; what it does not need is not read.
type Wants struct {
	Servers    bool // the DNS pods' workload and configuration
	Namespaces bool
	Policies   bool
	Access     bool
	Events     bool // warnings about the DNS pods
	KubeletMap bool // the cluster-wide kubelet-config ConfigMap
	Kubelets   bool // each kubelet's own configuration: needs get nodes/proxy
	Logs       bool
	LogSince   time.Duration
	LogLines   int64
	Metrics    bool
	// Outside says that what is asked lies outside the cluster: then the metrics are read as well, and again after a failure.
	Outside      func(evaluate.Input) bool
	Interval     time.Duration // between two readings of the metrics; 0: one reading
	StatefulSets bool
	Scope        string // namespace of the pods and StatefulSets below
	Pods         bool   // pods in Scope ("": all)
	From         *From
	Only         string // the one DNS pod to ask; empty: all
	Direct       *Probe // ask each server's upstreams from pods made by this probe
	External     string // domain under which a random name is asked, to see an upstream work
	// Questions for every replica, decided when the objects and the Corefile are known.
	Questions func(evaluate.Input, time.Time) []records.Question
}

// From names the suspect pod.
type From struct {
	Namespace, Pod, Container string
	Ask                       bool // ask DNS from inside it
	Files                     bool // read its resolv.conf
	Lookup                    bool // the questions are those of a lookup, which follow from that file
	Questions                 func(evaluate.Input, time.Time) []InPodQuestion
	Probe                     Probe
}

// Collector reads one cluster.
type Collector struct {
	Cluster *kube.Cluster
	Timeout time.Duration // of each read
	Slow    time.Duration // how long an external name may take
	Nonce   string        // makes names that no cache knows

	client kube.Clients
	mu     sync.Mutex
	in     evaluate.Input
}

// Collect reads what is wanted, as much as possible at once.
func (c *Collector) Collect(ctx context.Context, w Wants) (evaluate.Input, error) {
	client, err := c.Cluster.Typed()
	if err != nil {
		return c.in, err
	}
	c.client = client
	if err := c.objects(ctx, w); err != nil {
		return c.in, err
	}
	service, _ := discover.FindService(c.in.Services, clusterDNS(c.in))
	if service != nil && w.Servers {
		c.configs(ctx, service, c.servers(ctx, w, service))
	}
	if service == nil && w.Servers && c.in.Sources.Get("services").Readable() {
		c.orphans(ctx)
	}
	if w.From != nil && c.in.From != nil {
		c.insidePod(ctx, *w.From) // first: the servers are asked about the search domains found there
	}
	var wg sync.WaitGroup
	if service != nil {
		c.replicas(ctx, &wg, w)
	}
	if w.Kubelets {
		c.kubelets(ctx, &wg)
	}
	wg.Wait()
	if service != nil && w.Questions != nil {
		c.leases(ctx)
	}
	if w.Direct != nil {
		c.sameNode(ctx, *w.Direct)
	}
	c.in.Sources.Sort()
	return c.in, ctx.Err()
}

func clusterDNS(in evaluate.Input) []string {
	for _, k := range in.Kubelets {
		if k.Node == "" {
			return k.ClusterDNS
		}
	}
	return nil
}

// note records the state of a source; the worst of several reads under one name stays.
func (c *Collector) note(name, verb, resource string, err error) {
	c.noteSource(kube.SourceOf(name, verb, resource, err))
}

func (c *Collector) noteSource(s source.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, old := range c.in.Sources {
		if old.Name == s.Name {
			if old.Readable() {
				c.in.Sources[i] = s
			}
			return
		}
	}
	c.in.Sources = append(c.in.Sources, s)
}

func (c *Collector) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.Timeout)
}

// objects reads what needs nothing else first. Only an API server that answers nothing at all ends the run.
func (c *Collector) objects(ctx context.Context, w Wants) error {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	// resourceVersion 0: the API server answers lists from its cache instead of asking etcd
	cached := metav1.ListOptions{ResourceVersion: "0"}
	var wg sync.WaitGroup
	var servicesErr error
	wg.Go(func() { servicesErr = c.services(ctx, cached) })
	wg.Go(func() {
		list, err := c.client.DiscoveryV1().EndpointSlices("").List(ctx, cached)
		c.note("endpointslices", "list", "endpointslices.discovery.k8s.io", err)
		if err == nil {
			c.in.Slices = trimmed(list.Items)
		}
	})
	wg.Go(func() {
		list, err := c.client.CoreV1().Nodes().List(ctx, cached)
		c.note("nodes", "list", "nodes", err)
		if err == nil {
			c.in.Nodes = trimmed(list.Items)
			for i := range c.in.Nodes {
				c.in.Nodes[i].Status.Images = nil
			}
		}
	})
	c.optional(ctx, &wg, w, cached)
	wg.Wait()
	// Refused credentials are no permission that lacks: nothing will be answered.
	if apierrors.IsUnauthorized(servicesErr) || len(c.in.Services) == 0 && servicesErr != nil && !c.anyAnswer() {
		return servicesErr
	}
	return c.target(w)
}

func (c *Collector) anyAnswer() bool {
	return slices.ContainsFunc(c.in.Sources, func(s source.Source) bool { return s.State != source.Unreachable })
}

func (c *Collector) services(ctx context.Context, o metav1.ListOptions) error {
	list, err := c.client.CoreV1().Services("").List(ctx, o)
	c.note("services", "list", "services", err)
	if err == nil {
		c.in.Services = trimmed(list.Items)
		return nil
	}
	// with rights in kube-system alone the usual Service can still be found by its name
	if svc, getErr := c.client.CoreV1().Services(metav1.NamespaceSystem).Get(ctx, "kube-dns", metav1.GetOptions{}); getErr == nil {
		c.in.Services = trimmed([]corev1.Service{*svc})
	}
	return err
}

func (c *Collector) optional(ctx context.Context, wg *sync.WaitGroup, w Wants, cached metav1.ListOptions) {
	if w.Namespaces {
		wg.Go(func() {
			list, err := c.client.CoreV1().Namespaces().List(ctx, cached)
			c.note("namespaces", "list", "namespaces", err)
			if err == nil {
				c.in.Namespaces = trimmed(list.Items)
			}
		})
	}
	if w.Policies {
		wg.Go(func() {
			list, err := c.client.NetworkingV1().NetworkPolicies("").List(ctx, cached)
			c.note("networkpolicies", "list", "networkpolicies.networking.k8s.io", err)
			if err == nil {
				c.in.Policies = trimmed(list.Items)
			}
		})
	}
	if w.StatefulSets {
		wg.Go(func() {
			list, err := c.client.AppsV1().StatefulSets(w.Scope).List(ctx, cached)
			c.note("statefulsets", "list", "statefulsets.apps", err)
			if err == nil {
				c.in.StatefulSet = trimmed(list.Items)
			}
		})
	}
	if w.Pods {
		wg.Go(func() {
			list, err := c.client.CoreV1().Pods(w.Scope).List(ctx, cached)
			c.note("targets", "list", "pods", err)
			if err == nil {
				c.in.Targets = trimmed(list.Items)
			}
		})
	}
	if w.KubeletMap {
		wg.Go(func() { c.kubeletMap(ctx) })
	}
	if w.From != nil {
		wg.Go(func() {
			pod, err := c.client.CoreV1().Pods(w.From.Namespace).Get(ctx, w.From.Pod, metav1.GetOptions{})
			c.note("pod", "get", "pods", err)
			if err == nil {
				pod.ManagedFields = nil
				c.mu.Lock()
				c.in.From = &evaluate.FromPod{Pod: *pod}
				c.mu.Unlock()
			}
		})
	}
}

// target fails for a named pod that is not there: the one thing that the run was about.
func (c *Collector) target(w Wants) error {
	if w.From == nil || c.in.From != nil {
		return nil
	}
	s := c.in.Sources.Get("pod")
	if s.State == source.Absent {
		return fmt.Errorf("there is no pod %q in namespace %q", w.From.Pod, w.From.Namespace)
	}
	return fmt.Errorf("pod %q in namespace %q could not be read: %s", w.From.Pod, w.From.Namespace, s.Reason())
}

// servers reads the pods of the DNS Service and gives what runs them.
func (c *Collector) servers(ctx context.Context, w Wants, service *corev1.Service) *discover.Workload {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	namespace := service.Namespace
	var wg sync.WaitGroup
	wg.Go(func() {
		selector := labels.SelectorFromSet(service.Spec.Selector).String()
		list, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		c.note("pods", "list", "pods in "+namespace, err)
		if err == nil && len(service.Spec.Selector) > 0 {
			c.in.Pods = trimmed(list.Items)
		}
	})
	wg.Go(func() {
		list, err := c.client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		c.note("deployments", "list", "deployments.apps in "+namespace, err)
		if err == nil {
			c.in.Deployments = trimmed(list.Items)
		}
	})
	wg.Go(func() {
		list, err := c.client.AppsV1().DaemonSets(namespace).List(ctx, metav1.ListOptions{})
		c.note("daemonsets", "list", "daemonsets.apps in "+namespace, err)
		if err == nil {
			c.in.DaemonSets = trimmed(list.Items)
		}
	})
	if w.Events {
		wg.Go(func() { c.warnings(ctx, namespace) })
	}
	wg.Wait()
	c.cachePods(ctx)
	workload := discover.FindWorkload(service, c.in.Deployments, c.in.DaemonSets)
	c.misselected(ctx, service, workload)
	c.in.Events = slices.DeleteFunc(c.in.Events, func(e corev1.Event) bool {
		return !slices.ContainsFunc(c.in.Pods, func(p corev1.Pod) bool { return p.UID == e.InvolvedObject.UID })
	})
	if w.Access {
		c.access(ctx, workload)
	}
	return workload
}

// cachePods reads the pods of NodeLocal DNSCache, if there is one.
func (c *Collector) cachePods(ctx context.Context) {
	set := discover.NodeCache(c.in.DaemonSets)
	if set == nil || set.Spec.Selector == nil {
		return
	}
	selector := metav1.FormatLabelSelector(set.Spec.Selector)
	list, err := c.client.CoreV1().Pods(set.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	c.note("cache-pods", "list", "pods in "+set.Namespace, err)
	if err == nil {
		c.in.CachePods = trimmed(list.Items)
	}
}

// warnings reads the Warning events about pods of a namespace.
func (c *Collector) warnings(ctx context.Context, namespace string) {
	list, err := c.client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning,involvedObject.kind=Pod"})
	c.note("events", "list", "events in "+namespace, err)
	if err == nil {
		c.in.Events = trimmed(list.Items)
	}
}

// orphans looks for DNS servers without a Service.
func (c *Collector) orphans(ctx context.Context) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	list, err := c.client.AppsV1().Deployments(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	c.note("deployments", "list", "deployments.apps in "+metav1.NamespaceSystem, err)
	if err == nil {
		c.in.Deployments = trimmed(list.Items)
	}
	sets, err := c.client.AppsV1().DaemonSets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	c.note("daemonsets", "list", "daemonsets.apps in "+metav1.NamespaceSystem, err)
	if err == nil {
		c.in.DaemonSets = trimmed(sets.Items)
	}
}

// misselected keeps the DNS servers among the pods that the Service selects. Where its selector leads to none, it looks
// for them by the labels of their workload, or by the usual one.
func (c *Collector) misselected(ctx context.Context, service *corev1.Service, workload *discover.Workload) {
	own := discover.DNSPods(c.in.Pods, workload)
	if len(own) > 0 || len(service.Spec.Selector) == 0 || !c.in.Sources.Get("pods").Readable() {
		c.in.Pods = own
		return
	}
	selector := discover.UsualSelector
	if workload != nil {
		selector = workload.Pods().String()
	}
	list, err := c.client.CoreV1().Pods(service.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	c.note("pods", "list", "pods in "+service.Namespace, err)
	if err == nil && (len(list.Items) > 0 || workload != nil) {
		c.in.Pods = trimmed(list.Items)
	}
}

// configs reads the ConfigMaps that a DNS pod mounts, by name.
func (c *Collector) configs(ctx context.Context, service *corev1.Service, workload *discover.Workload) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	specs := make([]corev1.PodSpec, 0, 2)
	if len(c.in.Pods) > 0 {
		specs = append(specs, c.in.Pods[0].Spec)
	}
	if workload != nil {
		specs = append(specs, workload.Template.Spec)
	}
	var names []string
	for _, spec := range specs {
		for _, name := range discover.ConfigMapsOf(spec) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			cm, err := c.client.CoreV1().ConfigMaps(service.Namespace).Get(ctx, name, metav1.GetOptions{})
			c.note("configmaps", "get", "configmaps in "+service.Namespace, err)
			if err == nil {
				c.mu.Lock()
				c.in.ConfigMaps = append(c.in.ConfigMaps, *cm)
				c.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// trimmed drops what is large and never judged: of managedFields the times alone stay, since they date changes.
func trimmed[T any](list []T) []T {
	for i := range list {
		object, ok := any(&list[i]).(metav1.Object)
		if !ok {
			continue
		}
		fields := object.GetManagedFields()
		for f := range fields {
			fields[f] = metav1.ManagedFieldsEntry{Time: fields[f].Time}
		}
		object.SetManagedFields(fields)
		if annotations := object.GetAnnotations(); annotations != nil {
			delete(annotations, corev1.LastAppliedConfigAnnotation)
		}
	}
	return list
}

// the kinds that trimmed is used with
var (
	_ metav1.Object = &corev1.Service{}
	_ metav1.Object = &discoveryv1.EndpointSlice{}
	_ metav1.Object = &appsv1.Deployment{}
	_ metav1.Object = &networkingv1.NetworkPolicy{}
)
