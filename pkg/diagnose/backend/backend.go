// Package backend says what stands behind a webhook or an aggregated API: the Service that the API server is told to call, and
// whether an endpoint of it can take the call, by what the API has recorded. It tries no connection.
package backend

import (
	"cmp"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Ref names the port of a Service.
type Ref struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Port      int32  `json:"port"`
}

// Compare orders by namespace, name and port.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(cmp.Compare(r.Namespace, o.Namespace), cmp.Compare(r.Name, o.Name), cmp.Compare(r.Port, o.Port))
}

// defaultPort is the port of a reference that names none.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference
const defaultPort = 443

// RefOf names a port, or the default one.
func RefOf(namespace, name string, port *int32) *Ref {
	r := &Ref{Namespace: namespace, Name: name, Port: defaultPort}
	if port != nil {
		r.Port = *port
	}
	return r
}

// Webhook is one webhook of a configuration, as far as it tells what is called when.
type Webhook struct {
	Kind            string                           `json:"kind"` // of the configuration
	Configuration   string                           `json:"configuration"`
	Index           int                              `json:"index"` // in the configuration
	Name            string                           `json:"name"`
	Service         *Ref                             `json:"service,omitempty"` // nil: it is called by a URL
	Ignored         bool                             `json:"ignored,omitempty"` // failurePolicy Ignore: a failed call lets the request pass
	Rules           []admissionv1.RuleWithOperations `json:"rules,omitempty"`   // none: it is never called
	Namespaces      *metav1.LabelSelector            `json:"namespaceSelector,omitempty"`
	Objects         *metav1.LabelSelector            `json:"objectSelector,omitempty"`
	MatchConditions int                              `json:"matchConditions,omitempty"`
	Changed         *metav1.Time                     `json:"changed,omitempty"` // when the configuration was written last; nil: unknown
}

// API is an aggregated API and what the API server itself says of its availability.
type API struct {
	Name      string       `json:"name"`
	Service   Ref          `json:"service"`
	Available string       `json:"available,omitempty"` // True, False or Unknown; empty: it has not been looked at
	Reason    string       `json:"reason,omitempty"`
	Message   string       `json:"message,omitempty"`
	Since     *metav1.Time `json:"since,omitempty"`
}

// State is what there is behind a reference.
type State string

// The states.
const (
	Ready       State = "ready"         // an endpoint takes calls
	NoService   State = "no Service"    // it does not exist
	NoPort      State = "no port"       // it has not that port
	NoEndpoints State = "no endpoints"  // no pod is behind that port
	NoneReady   State = "none is ready" // pods are behind it, and none takes calls
	Elsewhere   State = "elsewhere"     // an ExternalName or a Service without an address: endpoints do not tell
)

// Fails says whether no call can arrive.
func (s State) Fails() bool {
	return s == NoService || s == NoPort || s == NoEndpoints || s == NoneReady
}

// Endpoint is one that takes no calls.
type Endpoint struct {
	Pod  string // its name, if it is one
	Node string
}

// Backend is what stands behind a reference.
type Backend struct {
	Ref

	State   State
	Ready   int // endpoints that take calls
	Unready []Endpoint
}

// Of looks at what stands behind a reference, among the Services and EndpointSlices of its namespace. As in kube-proxy, endpoints that
// end and still serve take calls while no other does.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
func Of(ref Ref, services []corev1.Service, endpoints []discoveryv1.EndpointSlice) Backend {
	b := Backend{Ref: ref, State: NoService}
	at := slices.IndexFunc(services, func(s corev1.Service) bool { return s.Namespace == ref.Namespace && s.Name == ref.Name })
	if at < 0 {
		return b
	}
	service := &services[at]
	if service.Spec.Type == corev1.ServiceTypeExternalName || service.Spec.ClusterIP == corev1.ClusterIPNone {
		b.State = Elsewhere
		return b
	}
	b.State = NoPort
	port := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == ref.Port })
	if port < 0 {
		return b
	}
	ending := 0
	for i := range endpoints {
		s := &endpoints[i]
		if s.Namespace != ref.Namespace || s.Labels[discoveryv1.LabelServiceName] != ref.Name || !serves(s, service.Spec.Ports[port].Name) ||
			s.AddressType != "" && s.AddressType != family(service.Spec.ClusterIP) {
			continue
		}
		for j := range s.Endpoints {
			if b.add(&s.Endpoints[j]) {
				ending++
			}
		}
	}
	if b.Ready == 0 {
		b.Ready = ending
	}
	sorting.Func(b.Unready, func(x, y Endpoint) int { return cmp.Or(cmp.Compare(x.Pod, y.Pod), cmp.Compare(x.Node, y.Node)) })
	switch {
	case b.Ready > 0:
		b.State = Ready
	case len(b.Unready) > 0:
		b.State = NoneReady
	default:
		b.State = NoEndpoints
	}
	return b
}

// Changed is when the endpoints of a Service changed last, through their pods or the Service: by the controller's word, and zero where it
// has not left one. https://kubernetes.io/docs/reference/labels-annotations-taints/#endpoints-kubernetes-io-last-change-trigger-time
func Changed(ref Ref, endpoints []discoveryv1.EndpointSlice) time.Time {
	var last time.Time
	for i := range endpoints {
		s := &endpoints[i]
		if s.Namespace != ref.Namespace || s.Labels[discoveryv1.LabelServiceName] != ref.Name {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, s.Annotations[corev1.EndpointsLastChangeTriggerTime])
		if err == nil && at.After(last) {
			last = at
		}
	}
	return last
}

// family is that of the address which is called: a Service of two families has a slice of each with the same pods.
func family(address string) discoveryv1.AddressType {
	if strings.Contains(address, ":") {
		return discoveryv1.AddressTypeIPv6
	}
	return discoveryv1.AddressTypeIPv4
}

// add counts an endpoint, and says whether it ends and still serves.
func (b *Backend) add(e *discoveryv1.Endpoint) (ending bool) {
	c := e.Conditions
	if c.Ready == nil || *c.Ready {
		b.Ready++
		return false
	}
	var unready Endpoint
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		unready.Pod = e.TargetRef.Name
	}
	if e.NodeName != nil {
		unready.Node = *e.NodeName
	}
	b.Unready = append(b.Unready, unready)
	return c.Terminating != nil && *c.Terminating && c.Serving != nil && *c.Serving
}

// serves says whether a slice has the port of that name: one whose pods lack a named target port has none.
func serves(s *discoveryv1.EndpointSlice, name string) bool {
	return slices.ContainsFunc(s.Ports, func(p discoveryv1.EndpointPort) bool {
		return p.Name == nil && name == "" || p.Name != nil && *p.Name == name
	})
}
