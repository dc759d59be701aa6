package collect

import (
	"context"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// paths reads what tells who reaches whom: a number of calls that grows with the namespaces of webhooks and aggregated APIs, and not
// with the nodes. With --kubelet, each node that is asked about takes up to four more.
func (c *collector) paths(ctx context.Context) error {
	list, err := c.client.CoreV1().Nodes().List(ctx, cached())
	if err != nil {
		return err
	}
	c.in.Nodes = trim.Nodes(list.Items)
	c.in.Sources = append(c.in.Sources, source.Source{Name: evaluate.SourceNodes, State: source.OK})
	if c.target(c.request.Names); len(c.in.NotFound) > 0 {
		return nil
	}
	c.spawn(func() { c.nodeLeases(ctx) })
	c.spawn(func() { c.systemLeases(ctx) })
	c.spawn(func() { c.readyz(ctx) })
	c.spawn(func() {
		items, err := c.metricsOfAll(ctx)
		c.put(metricsSource(err), func(in *evaluate.Input) { in.Metrics = items })
	})
	c.spawn(func() { c.proxyMode(ctx) })
	c.spawn(func() { c.apiAddress(ctx) })
	c.spawn(func() { c.apiServices(ctx) })
	c.spawn(func() {
		c.webhooks(ctx, evaluate.SourceMutating, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration")
	})
	c.spawn(func() {
		c.webhooks(ctx, evaluate.SourceValidating, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration")
	})
	c.spawn(func() { c.systemPods(ctx) })
	c.spawn(func() { c.refused(ctx) })
	c.wg.Wait()
	c.backends(ctx)
	for i := range c.in.Nodes {
		c.askAPIServer(ctx, &c.in.Nodes[i])
	}
	c.wg.Wait()
	return nil
}

// target notes the nodes that are asked about, and those that do not exist.
func (c *collector) target(names []string) {
	for _, name := range names {
		if !slices.ContainsFunc(c.in.Nodes, func(n corev1.Node) bool { return n.Name == name }) {
			n := c.byAlias(c.in.Nodes, name)
			if n == nil {
				c.in.NotFound = append(c.in.NotFound, name)
				continue
			}
			name = n.Name
		}
		c.in.Targets = append(c.in.Targets, name)
	}
}

// askPaths asks kubelets and, through its pods, kube-proxy, of the nodes that are asked about.
func (c *collector) askPaths(ctx context.Context) {
	all := c.in.Nodes
	if len(c.in.Targets) > 0 {
		c.in.Nodes = slices.DeleteFunc(slices.Clone(all), func(n corev1.Node) bool { return !slices.Contains(c.in.Targets, n.Name) })
	}
	for i := range c.in.Nodes {
		c.askProxy(ctx, &c.in.Nodes[i])
	}
	c.kubelets(ctx)
	c.in.Nodes = all
}

// systemPods reads the pods of kube-system and of the namespaces where a known network plugin runs.
func (c *collector) systemPods(ctx context.Context) {
	namespaces := []string{metav1.NamespaceSystem}
	list, err := c.client.AppsV1().DaemonSets("").List(ctx, cached())
	c.put(kube.SourceOf(evaluate.SourceDaemonSets, "list", "daemonsets.apps", err), func(in *evaluate.Input) {
		for _, d := range list.Items {
			if !evaluate.EachNode(d.Spec.Template.Labels) {
				continue
			}
			if !slices.Contains(namespaces, d.Namespace) {
				namespaces = append(namespaces, d.Namespace)
			}
			in.DaemonSets = append(in.DaemonSets, trim.DaemonSets([]appsv1.DaemonSet{d})...)
		}
	})
	for _, namespace := range namespaces {
		name := evaluate.SourcePods
		if namespace != metav1.NamespaceSystem {
			name += " in " + namespace
		}
		list, err := c.client.CoreV1().Pods(namespace).List(ctx, cached())
		c.put(kube.SourceOf(name, "list", "pods in "+namespace, err), func(in *evaluate.Input) {
			in.Pods = append(in.Pods, trim.Pods(list.Items)...)
		})
		if err != nil { // of what was not read no pod is missing
			c.mu.Lock()
			c.in.DaemonSets = slices.DeleteFunc(c.in.DaemonSets, func(d appsv1.DaemonSet) bool { return d.Namespace == namespace })
			c.mu.Unlock()
		}
	}
}

// apiAddress reads the address by which pods reach the API server.
func (c *collector) apiAddress(ctx context.Context) {
	service, err := c.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	c.put(kube.SourceOf(evaluate.SourceAPIAddress, "get", "services/kubernetes in default", err), func(in *evaluate.Input) {
		in.APIAddress = service.Spec.ClusterIP
	})
}

// apiServices keeps the aggregated APIs: the others are the API server's own.
func (c *collector) apiServices(ctx context.Context) {
	var list struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
			Spec     struct {
				Service *admissionv1.ServiceReference `json:"service"`
			} `json:"spec"`
			Status struct {
				Conditions []metav1.Condition `json:"conditions"`
			} `json:"status"`
		} `json:"items"`
	}
	err := c.getJSON(ctx, "/apis/apiregistration.k8s.io/v1/apiservices", &list)
	c.put(kube.SourceOf(evaluate.SourceAPIServices, "list", "apiservices.apiregistration.k8s.io", err), func(in *evaluate.Input) {
		for _, item := range list.Items {
			s := item.Spec.Service
			if s == nil {
				continue
			}
			api := backend.API{Name: item.Metadata.Name, Service: *backend.RefOf(s.Namespace, s.Name, s.Port)}
			for _, condition := range item.Status.Conditions {
				if condition.Type == "Available" {
					api.Available, api.Reason, api.Message = string(condition.Status), condition.Reason, condition.Message
					api.Since = &condition.LastTransitionTime
				}
			}
			in.APIs = append(in.APIs, api)
		}
	})
}

// webhooks reads the configurations of one kind. Both have the same fields, as far as they are kept; certificates and URLs are not.
func (c *collector) webhooks(ctx context.Context, name, resource, kind string) {
	var list admissionv1.ValidatingWebhookConfigurationList
	err := c.getJSON(ctx, "/apis/admissionregistration.k8s.io/v1/"+resource, &list)
	c.put(kube.SourceOf(name, "list", resource+".admissionregistration.k8s.io", err), func(in *evaluate.Input) {
		for i := range list.Items {
			changed := written(list.Items[i].ManagedFields)
			for j, w := range list.Items[i].Webhooks {
				kept := backend.Webhook{
					Changed: changed,
					Kind:    kind, Configuration: list.Items[i].Name, Index: j, Name: w.Name, Rules: w.Rules, MatchConditions: len(w.MatchConditions),
					Ignored: w.FailurePolicy != nil && *w.FailurePolicy == admissionv1.Ignore, Namespaces: w.NamespaceSelector, Objects: w.ObjectSelector,
				}
				if s := w.ClientConfig.Service; s != nil {
					kept.Service = backend.RefOf(s.Namespace, s.Name, s.Port)
				}
				in.Webhooks = append(in.Webhooks, kept)
			}
		}
	})
}

// written is when an object was written last.
func written(fields []metav1.ManagedFieldsEntry) (last *metav1.Time) {
	for _, f := range fields {
		if f.Time != nil && (last == nil || last.Before(f.Time)) {
			last = f.Time
		}
	}
	return last
}

// refused keeps the events of controllers whose pods were rejected because a webhook could not be called.
func (c *collector) refused(ctx context.Context) {
	selector := fields.Set{"reason": "FailedCreate", "type": corev1.EventTypeWarning}.AsSelector().String()
	list, err := c.client.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: selector, Limit: mostRefused})
	c.put(kube.SourceOf(evaluate.SourceRefused, "list", "events", err), func(in *evaluate.Input) {
		in.Refused = slices.DeleteFunc(trim.Events(list.Items), func(e corev1.Event) bool {
			return admission.Parse(e.Message).Kind != admission.WebhookFailed
		})
	})
}

// mostRefused bounds the events that are read: a webhook that is down in a large cluster fails thousands of controllers, and a few of
// them tell it.
const mostRefused = 500

// backends reads the Services and endpoints of the namespaces that webhooks and aggregated APIs name.
func (c *collector) backends(ctx context.Context) {
	var namespaces []string
	for _, w := range c.in.Webhooks {
		if w.Service != nil {
			namespaces = append(namespaces, w.Service.Namespace)
		}
	}
	for _, a := range c.in.APIs {
		namespaces = append(namespaces, a.Service.Namespace)
	}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		c.spawn(func() {
			list, err := c.client.CoreV1().Services(namespace).List(ctx, cached())
			s := kube.SourceOf(evaluate.SourceServices+" in "+namespace, "list", "services in "+namespace, err)
			c.put(s, func(in *evaluate.Input) {
				for _, service := range list.Items {
					spec := service.Spec
					in.Services = append(in.Services, corev1.Service{
						ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name},
						Spec:       corev1.ServiceSpec{Type: spec.Type, ClusterIP: spec.ClusterIP, Ports: spec.Ports, Selector: spec.Selector},
					})
				}
			})
		})
		c.spawn(func() {
			list, err := c.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, cached())
			s := kube.SourceOf(evaluate.SourceEndpoints+" in "+namespace, "list", "endpointslices.discovery.k8s.io in "+namespace, err)
			c.put(s, func(in *evaluate.Input) { in.Endpoints = append(in.Endpoints, trimEndpoints(list.Items)...) })
		})
	}
}

// trimEndpoints keeps which pod each is, where, and whether it takes calls.
func trimEndpoints(list []discoveryv1.EndpointSlice) []discoveryv1.EndpointSlice {
	for i := range list {
		s := &list[i]
		s.ObjectMeta = metav1.ObjectMeta{
			Namespace: s.Namespace, Name: s.Name, Labels: trim.Keys(s.Labels, discoveryv1.LabelServiceName),
			Annotations: trim.Keys(s.Annotations, corev1.EndpointsLastChangeTriggerTime),
		}
		for j := range s.Endpoints {
			e := s.Endpoints[j]
			s.Endpoints[j] = discoveryv1.Endpoint{Conditions: e.Conditions, NodeName: e.NodeName}
			if e.TargetRef != nil {
				s.Endpoints[j].TargetRef = &corev1.ObjectReference{Kind: e.TargetRef.Kind, Name: e.TargetRef.Name}
			}
		}
	}
	return list
}
