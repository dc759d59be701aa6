// Package facts holds what was read of a cluster (Input) and what follows from it (Snapshot). New builds a Snapshot in one pass;
// nothing changes it afterwards: rules and reports read the same facts in whatever order they run. What a fact means for
// a reader is for the rules to say.
package facts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Snapshot is the Input with what can be derived from it once.
type Snapshot struct {
	Input
	Now     time.Time
	Options Options

	Service  *corev1.Service
	Others   []*corev1.Service
	Workload *discover.Workload
	Conf     corefile.File
	ConfRef  *finding.ObjectRef
	ConfRead bool
	Zone     string
	Records  records.Options
	Engine   *records.Engine
	NodeZone map[string]string
}

func New(in Input, now time.Time, o Options) *Snapshot {
	w := &Snapshot{Input: in, Now: now, Options: o, NodeZone: map[string]string{}}
	sortInput(&w.Input)
	w.Service, w.Others = discover.FindService(w.Services, w.ClusterDNS())
	w.Workload = discover.FindWorkload(w.Service, w.Deployments, w.DaemonSets)
	if own := discover.DNSPods(w.Pods, w.Workload); len(own) > 0 || w.Workload != nil {
		w.Pods = own // otherwise nothing tells which they are
	}
	w.readCorefile()
	w.Engine = records.New(records.Snapshot{Namespaces: w.knownNamespaces(), Services: w.Services, Slices: w.Slices, Pods: w.Targets},
		w.Records)
	for _, n := range w.Nodes {
		w.NodeZone[n.Name] = n.Labels[corev1.LabelTopologyZone]
	}
	return w
}

func (w *Snapshot) knownNamespaces() []corev1.Namespace {
	if !w.Sources.Get("namespaces").Readable() {
		return nil
	}
	if w.Namespaces == nil {
		return []corev1.Namespace{}
	}
	return w.Namespaces
}

// ClusterDNS is what the cluster-wide kubelet configuration says.
func (w *Snapshot) ClusterDNS() []string {
	for _, k := range w.Kubelets {
		if k.Node == "" {
			return k.ClusterDNS
		}
	}
	return nil
}

// readCorefile takes the Corefile from the volumes of a DNS pod, or failing that from the workload's template.
func (w *Snapshot) readCorefile() {
	specs, namespace := make([]corev1.PodSpec, 0, len(w.Pods)+1), ""
	for i := range w.Pods {
		specs, namespace = append(specs, w.Pods[i].Spec), w.Pods[i].Namespace
	}
	if w.Workload != nil {
		specs, namespace = append(specs, w.Workload.Template.Spec), w.Workload.Ref.Namespace
	}
	w.Zone, w.Records = "cluster.local.", records.Default("cluster.local")
	for _, k := range w.Kubelets {
		if k.Node == "" && k.ClusterDomain != "" {
			w.Zone = corefile.Fqdn(k.ClusterDomain)
			w.Records = records.Default(w.Zone)
		}
	}
	for _, spec := range specs {
		files, main, ref := discover.CorefileOf(spec, w.ConfigMaps)
		if ref == nil {
			continue
		}
		ref.Namespace = namespace
		w.Conf, w.ConfRef, w.ConfRead = corefile.Parse(files, main), ref, true
		if o, ok := records.FromCorefile(w.Conf); ok {
			w.Records, w.Zone = o, o.Primary()
		}
		return
	}
}

func (w *Snapshot) NamespaceExists(name string) bool {
	if w.Sources.Get("namespaces").Readable() {
		return slices.ContainsFunc(w.Namespaces, func(n corev1.Namespace) bool { return n.Name == name })
	}
	return slices.ContainsFunc(w.Services, func(s corev1.Service) bool { return s.Namespace == name })
}

// NamespaceMissing says that there is no such namespace, and false where that could not be read.
func (w *Snapshot) NamespaceMissing(name string) bool {
	return w.Sources.Get("namespaces").Readable() && !w.NamespaceExists(name)
}

// ServiceAccount is the one whose access was asked.
func (w *Snapshot) ServiceAccount() string {
	if w.Account != "" {
		return w.Account
	}
	return discover.AccountOf(w.Workload, w.Pods)
}

// ClusterServers are the addresses at which cluster DNS answers: the Service's and the node caches'.
func (w *Snapshot) ClusterServers() []string {
	var list []string
	if w.Service != nil {
		list = append(list, discover.ClusterIPs(w.Service)...)
	}
	for _, other := range w.Others {
		if w.ReadyEndpoints(other) > 0 {
			list = append(list, discover.ClusterIPs(other)...)
		}
	}
	if cache := w.NodeCache(); cache != nil {
		list = append(list, cache.IPs...)
	}
	for i := range w.Pods {
		if w.Pods[i].Spec.HostNetwork {
			list = append(list, Addresses(&w.Pods[i])...)
		}
	}
	return list
}

func (w *Snapshot) WorkloadRef() *finding.ObjectRef {
	if w.Workload == nil {
		return nil
	}
	ref := w.Workload.Ref
	return &ref
}

func (w *Snapshot) Provider() string {
	for i := range w.Pods {
		if p := discover.Provider(w.Pods[i].Spec); p != "" {
			return p
		}
	}
	switch {
	case len(w.Pods) > 0:
		return "unknown"
	case w.Service != nil && w.Workload != nil:
		return cmp.Or(discover.Provider(w.Workload.Template.Spec), "CoreDNS")
	case w.Service != nil:
		return "managed"
	}
	return ""
}

func (w *Snapshot) ServiceReport(svc *corev1.Service) *report.Service {
	r := &report.Service{
		Namespace: svc.Namespace, Name: svc.Name, ClusterIPs: discover.ClusterIPs(svc), Ports: []string{},
		Ready: w.ReadyEndpoints(svc),
	}
	for _, p := range svc.Spec.Ports {
		r.Ports = append(r.Ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return r
}

func (w *Snapshot) Routes() []report.Route {
	routes := []report.Route{}
	for _, b := range w.Conf.Blocks {
		port := ""
		if len(b.Zones) > 0 {
			port = b.Zones[0].Port
		}
		for _, d := range b.Effective() {
			r := report.Route{Port: port, Via: d.Name, Line: d.Line}
			switch d.Name {
			case "kubernetes":
				r.Zones = d.Args
			case "forward":
				if len(d.Args) == 0 {
					continue
				}
				r.Zones, r.To = []string{d.Args[0]}, d.Args[1:]
				if d.Args[0] == "." {
					r.Zones = b.ZoneNames()
				}
			case "hosts", "template", "file", "auto", "etcd", "k8s_external", "route53", "clouddns", "azure", "rewrite", "grpc":
				r.Zones = slices.DeleteFunc(slices.Clone(d.Args), func(a string) bool {
					return strings.HasPrefix(a, "/") || a == "IN" || a == "ANY" || records.CommonType(a)
				})
			default:
				continue
			}
			if len(r.Zones) == 0 {
				r.Zones = b.ZoneNames()
			}
			routes = append(routes, r)
		}
	}
	return routes
}

// Control is the name of the Service that every cluster has.
func (w *Snapshot) Control() string {
	if svc := w.Engine.Service("default", "kubernetes"); svc != nil || !w.Sources.Get("services").Readable() {
		return "kubernetes.default.svc." + w.Zone
	}
	return ""
}
