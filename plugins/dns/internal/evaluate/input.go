// Package evaluate judges what was collected about a cluster's DNS. It is pure: the same Input, time and options give
// the same report.
package evaluate

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Input is everything that was read. A list is empty where its source is not readable: rules ask Sources first.
type Input struct {
	Sources     source.List                  `json:"sources"`
	Services    []corev1.Service             `json:"services,omitempty"`
	Slices      []discoveryv1.EndpointSlice  `json:"slices,omitempty"`
	Namespaces  []corev1.Namespace           `json:"namespaces,omitempty"`
	Nodes       []corev1.Node                `json:"nodes,omitempty"`
	Pods        []corev1.Pod                 `json:"pods,omitempty"`    // of the DNS service
	Targets     []corev1.Pod                 `json:"targets,omitempty"` // that names, verify or explain look at
	Deployments []appsv1.Deployment          `json:"deployments,omitempty"`
	DaemonSets  []appsv1.DaemonSet           `json:"daemonSets,omitempty"`
	StatefulSet []appsv1.StatefulSet         `json:"statefulSets,omitempty"`
	ConfigMaps  []corev1.ConfigMap           `json:"configMaps,omitempty"`
	Policies    []networkingv1.NetworkPolicy `json:"networkPolicies,omitempty"`
	Account     string                       `json:"account,omitempty"` // NAMESPACE/NAME of the servers' service account, whose access was asked
	Access      []Access                     `json:"access,omitempty"`
	Kubelets    []Kubelet                    `json:"kubelets,omitempty"`
	Probes      []Probe                      `json:"probes,omitempty"`
	Logs        []Log                        `json:"logs,omitempty"`
	From        *FromPod                     `json:"from,omitempty"`
	Beside      []FromPod                    `json:"beside,omitempty"`   // DNS pods, with what a pod beside each got from the upstreams
	External    string                       `json:"external,omitempty"` // the random name outside the cluster that was asked
}

// Access is one permission of the DNS server's own service account.
type Access struct {
	Verb     string `json:"verb"`
	Resource string `json:"resource"`
	Allowed  bool   `json:"allowed"`
}

// Kubelet is what a kubelet tells its pods about DNS.
type Kubelet struct {
	Node          string   `json:"node"` // empty: the cluster-wide kubelet-config ConfigMap
	ClusterDNS    []string `json:"clusterDNS"`
	ClusterDomain string   `json:"clusterDomain"`
	ResolvConf    string   `json:"resolvConf"`
}

// Probe is what one replica said through a tunnel.
type Probe struct {
	Namespace    string          `json:"namespace"`
	Pod          string          `json:"pod"`
	Error        string          `json:"error,omitempty"` // no tunnel at all
	Forbidden    bool            `json:"forbidden,omitempty"`
	Answers      []report.Answer `json:"answers,omitempty"`
	Metrics      Metrics         `json:"metrics,omitempty"`
	MetricsError string          `json:"metricsError,omitempty"`
	After        Metrics         `json:"after,omitempty"` // read again, a moment after a name outside failed
	Earlier      Metrics         `json:"earlier,omitempty"`
	Seconds      float64         `json:"seconds,omitempty"` // between the two readings
}

// Log is the end of a container's log; every line begins with the kubelet's time stamp.
type Log struct {
	Pod      string `json:"pod"`
	Previous bool   `json:"previous,omitempty"`
	Text     string `json:"text"`
}

// FromPod is the suspect pod and what was seen from inside it.
type FromPod struct {
	Pod     corev1.Pod        `json:"pod"`
	Method  string            `json:"method,omitempty"`
	Error   string            `json:"error,omitempty"`
	Wanted  bool              `json:"wanted,omitempty"`  // answers from inside were asked for
	Unasked []string          `json:"unasked,omitempty"` // transports that the image has no tool for
	Files   map[string]string `json:"files,omitempty"`
	Musl    *bool             `json:"musl,omitempty"`
	Glibc   *bool             `json:"glibc,omitempty"`
	Answers []report.Answer   `json:"answers,omitempty"`
}

// Options are the user's choices that change the judgement.
type Options struct {
	Kubectl    finding.Kubectl
	Namespace  string // scope of the data rules; empty: none
	All        bool   // data rules over all namespaces
	Skip       []finding.Code
	Slow       time.Duration // an upstream that needs longer is slow
	Prober     string        // the command that runs a probe, for next steps
	Standalone bool          // a data command: the server's own state is not its subject
}

// world is the Input with what can be derived from it once.
type world struct {
	Input
	now time.Time
	o   Options

	service  *corev1.Service
	others   []*corev1.Service
	workload *Workload
	conf     corefile.File
	confRef  *finding.ObjectRef
	confRead bool
	zone     string
	records  records.Options
	engine   *records.Engine
	nodeZone map[string]string
}

func newWorld(in Input, now time.Time, o Options) *world {
	w := &world{Input: in, now: now, o: o, nodeZone: map[string]string{}}
	sortInput(&w.Input)
	w.service, w.others = FindService(w.Services, w.clusterDNS())
	w.workload = FindWorkload(w.service, w.Deployments, w.DaemonSets)
	if own := DNSPods(w.Pods, w.workload); len(own) > 0 || w.workload != nil {
		w.Pods = own // otherwise nothing tells which they are
	}
	w.readCorefile()
	w.engine = records.New(records.Snapshot{Namespaces: w.knownNamespaces(), Services: w.Services, Slices: w.Slices, Pods: w.Targets}, w.records)
	for _, n := range w.Nodes {
		w.nodeZone[n.Name] = n.Labels[corev1.LabelTopologyZone]
	}
	return w
}

func (w *world) knownNamespaces() []corev1.Namespace {
	if !w.Sources.Get("namespaces").Readable() {
		return nil
	}
	if w.Namespaces == nil {
		return []corev1.Namespace{}
	}
	return w.Namespaces
}

// sortInput makes reports independent of the order in which the API lists.
func sortInput(in *Input) {
	in.Services, in.Slices, in.Namespaces, in.Nodes = slices.Clone(in.Services), slices.Clone(in.Slices), slices.Clone(in.Namespaces), slices.Clone(in.Nodes)
	in.Pods, in.Targets, in.Probes, in.Logs = slices.Clone(in.Pods), slices.Clone(in.Targets), slices.Clone(in.Probes), slices.Clone(in.Logs)
	in.Policies, in.Access, in.Kubelets, in.Beside = slices.Clone(in.Policies), slices.Clone(in.Access), slices.Clone(in.Kubelets), slices.Clone(in.Beside)
	in.Deployments, in.DaemonSets, in.StatefulSet, in.ConfigMaps = slices.Clone(in.Deployments), slices.Clone(in.DaemonSets), slices.Clone(in.StatefulSet), slices.Clone(in.ConfigMaps)
	sortByName(in.Services)
	sortByName(in.Slices)
	sortByName(in.Namespaces)
	sortByName(in.Nodes)
	sortByName(in.Pods)
	sortByName(in.Targets)
	sortByName(in.Policies)
	sortByName(in.Deployments)
	sortByName(in.DaemonSets)
	sortByName(in.StatefulSet)
	sortByName(in.ConfigMaps)
	sort.Slice(in.Probes, func(i, j int) bool { return in.Probes[i].Pod < in.Probes[j].Pod })
	slices.SortFunc(in.Logs, func(a, b Log) int {
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), boolOrder(b.Previous, a.Previous))
	})
	slices.SortFunc(in.Access, func(a, b Access) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Verb, b.Verb))
	})
	sort.Slice(in.Beside, func(i, j int) bool { return in.Beside[i].Pod.Name < in.Beside[j].Pod.Name })
	slices.SortFunc(in.Kubelets, func(a, b Kubelet) int { return cmp.Compare(a.Node, b.Node) })
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// sortByName orders objects by namespace and name. It is sort.Slice, because slices.SortFunc is compiled anew for each of
// the ten kinds: half a megabyte of the binary.
func sortByName[T any, P interface {
	*T
	metav1.Object
}](list []T) {
	sort.Slice(list, func(i, j int) bool {
		x, y := P(&list[i]), P(&list[j])
		return cmp.Or(cmp.Compare(x.GetNamespace(), y.GetNamespace()), cmp.Compare(x.GetName(), y.GetName())) < 0
	})
}

// FindService picks the cluster's DNS Service, and names the others that look like one. Installers differ in
// namespace and name; what they share is the label k8s-app=kube-dns or a name, and port 53. A Service that kubelets
// point at wins over every name.
func FindService(services []corev1.Service, clusterDNS []string) (*corev1.Service, []*corev1.Service) {
	type candidate struct {
		svc   *corev1.Service
		score int
	}
	var found []candidate
	for i := range services {
		if score := serviceScore(&services[i], clusterDNS); score > 0 {
			found = append(found, candidate{&services[i], score})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.svc.Namespace, b.svc.Namespace), cmp.Compare(a.svc.Name, b.svc.Name))
	})
	if len(found) == 0 {
		return nil, nil
	}
	var others []*corev1.Service
	for _, c := range found[1:] {
		if c.score >= 20 {
			others = append(others, c.svc)
		}
	}
	return found[0].svc, others
}

func serviceScore(svc *corev1.Service, clusterDNS []string) int {
	port53 := slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == 53 })
	system := svc.Namespace == metav1.NamespaceSystem
	labelled := svc.Labels["k8s-app"] == "kube-dns"
	score := 0
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName, strings.Contains(svc.Name, "metrics"):
		return 0
	case svc.Name == "kube-dns-upstream": // NodeLocal DNSCache's way to the real servers
		return 0
	case labelled && system && svc.Name == "kube-dns":
		score = 90
	case labelled && port53:
		score = 80
	case svc.Namespace == "openshift-dns" && svc.Name == "dns-default":
		score = 80
	case system && port53 && slices.Contains([]string{"kube-dns", "coredns", "rke2-coredns-rke2-coredns"}, svc.Name):
		score = 70
	case port53 && svc.Labels["kubernetes.io/cluster-service"] == "true":
		score = 60
	case port53 && system:
		score = 30
	}
	if port53 && slices.ContainsFunc(clusterIPsOf(svc), func(ip string) bool { return slices.Contains(clusterDNS, ip) }) {
		score += 100
	}
	return score
}

func clusterIPsOf(svc *corev1.Service) []string {
	var ips []string
	for _, ip := range append(slices.Clone(svc.Spec.ClusterIPs), svc.Spec.ClusterIP) {
		if ip != "" && ip != corev1.ClusterIPNone && !slices.Contains(ips, ip) {
			ips = append(ips, ip)
		}
	}
	return ips
}

// clusterDNS is what the cluster-wide kubelet configuration says.
func (w *world) clusterDNS() []string {
	for _, k := range w.Kubelets {
		if k.Node == "" {
			return k.ClusterDNS
		}
	}
	return nil
}

// readCorefile takes the Corefile from the volumes of a DNS pod, or failing that from the workload's template.
func (w *world) readCorefile() {
	specs := make([]corev1.PodSpec, 0, len(w.Pods)+1)
	for i := range w.Pods {
		specs = append(specs, w.Pods[i].Spec)
	}
	if w.workload != nil {
		specs = append(specs, w.workload.Template.Spec)
	}
	w.zone, w.records = "cluster.local.", records.Default("cluster.local")
	for _, k := range w.Kubelets {
		if k.Node == "" && k.ClusterDomain != "" {
			w.zone = corefile.Fqdn(k.ClusterDomain)
			w.records = records.Default(w.zone)
		}
	}
	for _, spec := range specs {
		files, main, ref := CorefileOf(spec, w.ConfigMaps)
		if ref == nil {
			continue
		}
		ref.Namespace = w.service.Namespace
		w.conf, w.confRef, w.confRead = corefile.Parse(files, main), ref, true
		if o, ok := records.FromCorefile(w.conf); ok {
			w.records, w.zone = o, o.Primary()
		}
		return
	}
}

// CorefileOf gives the text files that a DNS pod sees under its mounted ConfigMaps, the path of its Corefile, and the
// ConfigMap that holds it; nil when that was not read.
func CorefileOf(spec corev1.PodSpec, maps []corev1.ConfigMap) (map[string]string, string, *finding.ObjectRef) {
	files := map[string]string{}
	var ref *finding.ObjectRef
	main := ""
	for _, c := range spec.Containers {
		conf := confArg(c)
		if conf == "" {
			continue
		}
		main = conf
		for _, mount := range c.VolumeMounts {
			cm, items := configMapVolume(spec, mount.Name)
			i := slices.IndexFunc(maps, func(m corev1.ConfigMap) bool { return cm != "" && m.Name == cm })
			if i < 0 {
				continue
			}
			for file, text := range mounted(maps[i], items) {
				path := strings.TrimSuffix(mount.MountPath, "/") + "/" + file
				if mount.SubPath != "" {
					path = mount.MountPath
				}
				files[path] = text
				if path == main {
					ref = &finding.ObjectRef{Kind: "ConfigMap", Name: cm}
				}
			}
		}
	}
	return files, main, ref
}

func mounted(cm corev1.ConfigMap, items []corev1.KeyToPath) map[string]string {
	if len(items) == 0 {
		return cm.Data
	}
	out := map[string]string{}
	for _, item := range items {
		if text, ok := cm.Data[item.Key]; ok {
			out[item.Path] = text
		}
	}
	return out
}

func configMapVolume(spec corev1.PodSpec, name string) (string, []corev1.KeyToPath) {
	for _, v := range spec.Volumes {
		if v.Name == name && v.ConfigMap != nil {
			return v.ConfigMap.Name, v.ConfigMap.Items
		}
	}
	return "", nil
}

// ConfigMapsOf names the ConfigMaps that a pod mounts.
func ConfigMapsOf(spec corev1.PodSpec) []string {
	var names []string
	for _, v := range spec.Volumes {
		if v.ConfigMap != nil && !slices.Contains(names, v.ConfigMap.Name) && v.ConfigMap.Name != "kube-root-ca.crt" {
			names = append(names, v.ConfigMap.Name)
		}
	}
	return names
}

func confArg(c corev1.Container) string {
	args := append(slices.Clone(c.Command), c.Args...)
	for i, a := range args {
		if (a == "-conf" || a == "--conf") && i+1 < len(args) {
			return args[i+1]
		}
		for _, p := range []string{"-conf=", "--conf="} {
			if value, ok := strings.CutPrefix(a, p); ok {
				return value
			}
		}
	}
	return ""
}
