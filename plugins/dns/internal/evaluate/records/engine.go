// Package records computes what CoreDNS's kubernetes plugin must answer from the objects of the API and the options of
// the Corefile, and compares it with what came back. It is pure; a test holds it against a real CoreDNS.
package records

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
)

// Snapshot is the API at one moment. Namespaces may be nil when they could not be listed: those of objects exist then.
type Snapshot struct {
	Namespaces []corev1.Namespace
	Services   []corev1.Service
	Slices     []discoveryv1.EndpointSlice
	Pods       []corev1.Pod // for "pods verified" alone
}

// The outcomes of a lookup. NODATA is NOERROR without a record of the type.
const (
	NoError  = "NOERROR"
	NoData   = "NODATA"
	NXDomain = "NXDOMAIN"
)

// Expected is what a question must be answered with. With Open set the outcome depends on something outside the API
// (an upstream, another plugin) and cannot be predicted whole; Data then holds what is certain.
type Expected struct {
	Outcome string
	Data    []string // of the type asked for, sorted: addresses, "PORT TARGET" for SRV, names for PTR and CNAME
	Open    string
}

// Question is a name and a type.
type Question struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Engine answers questions from a snapshot.
type Engine struct {
	options    Options
	namespaces map[string]bool // nil: unknown, every name may exist
	services   map[string]*corev1.Service
	slices     map[string][]*discoveryv1.EndpointSlice
	clusterIPs map[string]*corev1.Service
	endpoints  map[string][]endpointOf
	pods       map[string]map[string]bool // namespace, IP
}

type endpointOf struct{ service, namespace, host string }

// New indexes a snapshot.
func New(s Snapshot, o Options) *Engine {
	e := &Engine{
		options: o, services: map[string]*corev1.Service{}, slices: map[string][]*discoveryv1.EndpointSlice{},
		clusterIPs: map[string]*corev1.Service{}, endpoints: map[string][]endpointOf{}, pods: map[string]map[string]bool{},
	}
	if s.Namespaces != nil {
		e.namespaces = map[string]bool{}
		for i := range s.Namespaces {
			if o.namespaceSelected(s.Namespaces[i].Labels) {
				e.namespaces[s.Namespaces[i].Name] = true
			}
		}
	}
	for i := range s.Services {
		if svc := &s.Services[i]; o.objectSelected(svc.Labels) {
			e.services[key(svc.Name, svc.Namespace)] = svc
			for _, ip := range clusterIPs(svc) {
				e.clusterIPs[canonical(ip)] = svc
			}
		}
	}
	for i := range s.Slices {
		if !o.NoEndpoints && o.objectSelected(s.Slices[i].Labels) {
			e.indexSlice(&s.Slices[i])
		}
	}
	for i := range s.Pods {
		pod := &s.Pods[i]
		if podfact.Finished(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		if e.pods[pod.Namespace] == nil {
			e.pods[pod.Namespace] = map[string]bool{}
		}
		for _, ip := range pod.Status.PodIPs {
			e.pods[pod.Namespace][ip.IP] = true
		}
	}
	return e
}

func (e *Engine) indexSlice(slice *discoveryv1.EndpointSlice) {
	service := slice.Labels[discoveryv1.LabelServiceName]
	at := key(service, slice.Namespace)
	e.slices[at] = append(e.slices[at], slice)
	for _, endpoint := range slice.Endpoints {
		if !Ready(endpoint) {
			continue
		}
		for _, address := range endpoint.Addresses {
			e.endpoints[canonical(address)] = append(e.endpoints[canonical(address)],
				endpointOf{service, slice.Namespace, e.options.Hostname(endpoint, address)})
		}
	}
}

// Ready says whether CoreDNS takes an endpoint: ready, or not said to be unready. Serving and terminating do not matter
// (https://github.com/coredns/coredns/blob/master/plugin/kubernetes/object/endpoint.go).
func Ready(e discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }

func key(name, namespace string) string { return strings.ToLower(name + "." + namespace) }

func canonical(ip string) string {
	if a, err := netip.ParseAddr(ip); err == nil {
		return a.Unmap().String()
	}
	return ip
}

func clusterIPs(svc *corev1.Service) []string {
	ips := svc.Spec.ClusterIPs
	if len(ips) == 0 {
		ips = []string{svc.Spec.ClusterIP}
	}
	var out []string
	for _, ip := range ips {
		if ip != "" && ip != corev1.ClusterIPNone {
			out = append(out, ip)
		}
	}
	return out
}

// Headless says whether a Service has no virtual address of its own.
func Headless(svc *corev1.Service) bool {
	return svc.Spec.ClusterIP == corev1.ClusterIPNone || len(svc.Spec.ClusterIPs) > 0 && svc.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

func (e *Engine) exposed(namespace string) bool {
	if len(e.options.Namespaces) > 0 && !slices.Contains(e.options.Namespaces, namespace) {
		return false
	}
	return e.namespaces == nil || e.namespaces[namespace]
}

// host is one answer of the plugin before it becomes a record: an address with its port and owner, or a CNAME target.
type host struct {
	address string
	port    int32
	owner   string // name that an SRV record points at
}

func (h host) family() string {
	a, err := netip.ParseAddr(h.address)
	switch {
	case err != nil:
		return "CNAME"
	case a.Is4() || a.Is4In6():
		return "A"
	}
	return "AAAA"
}

// Lookup gives what a question must be answered with.
func (e *Engine) Lookup(name, typ string) Expected {
	name = corefile.Fqdn(name)
	zone := e.options.zoneOf(name)
	if zone == "" {
		return Expected{Open: "the name is outside the zones of the kubernetes plugin"}
	}
	if strings.HasPrefix(name, "ns.dns.") {
		return Expected{Open: "the name of the DNS server itself"}
	}
	x := e.lookup(name, zone, typ, nil)
	if x.Outcome == NXDomain && e.options.fallsThrough(name) {
		return Expected{Open: "the kubernetes plugin has no answer and falls through to the next plugins"}
	}
	return x
}

func (e *Engine) lookup(name, zone, typ string, chain []string) Expected {
	if typ == "PTR" {
		if ip := AddressOf(name); ip != "" {
			names := e.reverse(ip)
			if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "..") }) {
				return Expected{Open: "an EndpointSlice without the label kubernetes.io/service-name has this address: CoreDNS builds a name " +
					"with an empty label from it and sends no answer"}
			}
			return found(names)
		}
	}
	hosts, exists := e.hosts(name, zone)
	switch typ {
	case "TXT":
		switch {
		case name == "dns-version."+zone:
			return Expected{Outcome: NoError, Data: []string{"1.1.0"}}
		case len(hosts) > 0:
			return Expected{Outcome: NoData}
		}
		return Expected{Outcome: NXDomain}
	case "A", "AAAA":
		return e.addresses(name, zone, typ, hosts, exists, chain)
	}
	if !exists {
		return Expected{Outcome: NXDomain}
	}
	var data []string
	for _, h := range hosts {
		switch family := h.family(); {
		case typ == "CNAME" && family == "CNAME":
			data = append(data, corefile.Fqdn(h.address))
		case typ == "SRV" && family != "CNAME" && h.port != -1:
			data = append(data, strconv.Itoa(int(h.port))+" "+h.owner)
		}
	}
	if len(data) == 0 {
		return Expected{Outcome: NoData}
	}
	return found(data)
}

func found(data []string) Expected {
	if len(data) == 0 {
		return Expected{Outcome: NXDomain}
	}
	slices.Sort(data)
	return Expected{Outcome: NoError, Data: slices.Compact(data)}
}

// maximum length of a CNAME chain that CoreDNS follows
// (https://github.com/coredns/coredns/blob/master/plugin/backend_lookup.go).
const maxChain = 10

func (e *Engine) addresses(name, zone, typ string, hosts []host, exists bool, chain []string) Expected {
	if !exists {
		return Expected{Outcome: NXDomain}
	}
	var data []string
	for _, h := range hosts {
		if h.family() == typ {
			data = append(data, canonical(h.address))
			continue
		}
		if h.family() != "CNAME" {
			continue
		}
		target := corefile.Fqdn(h.address)
		if target == name || len(chain) > maxChain || slices.Contains(chain, name) {
			continue
		}
		if !corefile.InZone(target, zone) {
			return Expected{Outcome: NoError, Open: "the addresses of " + target + " come from outside the cluster"}
		}
		next, ok := e.hosts(target, zone)
		x := e.addresses(target, zone, typ, next, ok, append(slices.Clone(chain), name))
		if x.Open != "" {
			return x
		}
		data = append(data, x.Data...)
	}
	if len(data) == 0 {
		return Expected{Outcome: NoData}
	}
	return found(data)
}

// hosts finds what stands behind a name, and whether the name exists at all
// (https://github.com/coredns/coredns/blob/master/plugin/kubernetes/parse.go and kubernetes.go).
func (e *Engine) hosts(name, zone string) ([]host, bool) {
	base := strings.TrimSuffix(strings.TrimSuffix(name, zone), ".")
	if base == "" {
		return nil, true
	}
	labels := strings.Split(base, ".")
	slices.Reverse(labels)
	kind := labels[0]
	switch {
	case kind != "svc" && kind != "pod":
		return nil, false
	case len(labels) == 1:
		return nil, true
	case !e.exposed(labels[1]):
		return nil, false
	case len(labels) == 2:
		return nil, kind == "svc" || e.options.Pods != PodsDisabled
	case len(labels) > 5:
		return nil, false
	case kind == "pod":
		return e.pod(labels[2], labels[1], zone)
	}
	q := serviceQuery{name: labels[2], namespace: labels[1], zone: zone}
	switch len(labels) {
	case 4:
		q.endpoint = labels[3]
	case 5:
		q.protocol, q.port = strings.TrimPrefix(labels[3], "_"), strings.TrimPrefix(labels[4], "_")
	}
	return e.service(q)
}

type serviceQuery struct{ name, namespace, zone, endpoint, port, protocol string }

func (q serviceQuery) wants(port, protocol string) bool {
	return (q.port == "" || strings.EqualFold(q.port, port)) && (q.protocol == "" || strings.EqualFold(q.protocol, protocol))
}

func (e *Engine) service(q serviceQuery) ([]host, bool) {
	svc := e.services[key(q.name, q.namespace)]
	if svc == nil {
		return nil, false
	}
	owner := strings.ToLower(svc.Name+"."+svc.Namespace) + ".svc." + q.zone
	external := svc.Spec.Type == corev1.ServiceTypeExternalName
	if e.options.IgnoreEmpty && !external && !Headless(svc) && !e.hasReady(svc) {
		return nil, false
	}
	switch {
	case external:
		_, err := netip.ParseAddr(svc.Spec.ExternalName)
		if q.endpoint != "" || q.port != "" || q.protocol != "" || err == nil {
			return nil, false
		}
		return []host{{address: svc.Spec.ExternalName}}, true
	case Headless(svc) || q.endpoint != "":
		hosts := e.endpointHosts(svc, q, owner)
		return hosts, len(hosts) > 0
	}
	var hosts []host
	exists := false
	for _, p := range svc.Spec.Ports {
		if !q.wants(p.Name, string(p.Protocol)) {
			continue
		}
		exists = true
		for _, ip := range clusterIPs(svc) {
			hosts = append(hosts, host{ip, p.Port, owner})
		}
	}
	return hosts, exists
}

func (e *Engine) hasReady(svc *corev1.Service) bool {
	for _, slice := range e.slices[key(svc.Name, svc.Namespace)] {
		for _, endpoint := range slice.Endpoints {
			if Ready(endpoint) && len(endpoint.Addresses) > 0 {
				return true
			}
		}
	}
	return false
}

func (e *Engine) endpointHosts(svc *corev1.Service, q serviceQuery, owner string) []host {
	var hosts []host
	for _, slice := range e.slices[key(svc.Name, svc.Namespace)] {
		for _, endpoint := range slice.Endpoints {
			if !Ready(endpoint) {
				continue
			}
			for _, address := range endpoint.Addresses {
				name := e.options.Hostname(endpoint, address)
				if q.endpoint != "" && !strings.EqualFold(q.endpoint, name) {
					continue
				}
				for _, p := range slicePorts(slice) {
					if q.wants(p.name, p.protocol) {
						hosts = append(hosts, host{address, p.port, strings.ToLower(name) + "." + owner})
					}
				}
			}
		}
	}
	return hosts
}

type slicePort struct {
	name, protocol string
	port           int32
}

// slicePorts gives the ports of a slice; a slice without ports counts as one that has no number.
func slicePorts(slice *discoveryv1.EndpointSlice) []slicePort {
	if len(slice.Ports) == 0 {
		return []slicePort{{port: -1}}
	}
	out := make([]slicePort, 0, len(slice.Ports))
	for _, p := range slice.Ports {
		s := slicePort{port: -1}
		if p.Port != nil {
			s.port = *p.Port
		}
		if p.Name != nil {
			s.name = *p.Name
		}
		if p.Protocol != nil {
			s.protocol = string(*p.Protocol)
		}
		out = append(out, s)
	}
	return out
}

func (e *Engine) pod(label, namespace, zone string) ([]host, bool) {
	if e.options.Pods == PodsDisabled {
		return nil, false
	}
	ip := strings.ReplaceAll(label, "-", ":")
	if strings.Count(label, "-") == 3 && !strings.Contains(label, "--") {
		ip = strings.ReplaceAll(label, "-", ".")
	}
	if e.options.Pods == PodsVerified {
		if !e.pods[namespace][ip] {
			return nil, false
		}
	} else if a, err := netip.ParseAddr(ip); err != nil || a.Zone() != "" {
		return nil, false
	}
	return []host{{address: ip, owner: label + "." + namespace + ".pod." + zone}}, true
}

// NamesOf gives the names that an address of the cluster has, whatever zones are served.
func (e *Engine) NamesOf(ip string) []string { return e.reverse(canonical(ip)) }

func (e *Engine) reverse(ip string) []string {
	primary := e.options.Primary()
	if svc := e.clusterIPs[ip]; svc != nil && e.reversible(svc.Namespace) {
		return []string{strings.ToLower(svc.Name+"."+svc.Namespace) + ".svc." + primary}
	}
	var names []string
	for _, at := range e.endpoints[ip] {
		if e.reversible(at.namespace) {
			names = append(names, strings.ToLower(at.host+"."+at.service+"."+at.namespace)+".svc."+primary)
		}
	}
	return names
}

// reversible follows CoreDNS: for addresses only the "namespaces" option filters, "namespace_labels" does not.
func (e *Engine) reversible(namespace string) bool {
	return len(e.options.Namespaces) == 0 || e.exposed(namespace)
}
