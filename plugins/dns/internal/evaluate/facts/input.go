package facts

import (
	"cmp"
	"slices"
	"sort"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Input is everything that was read. A list is empty where its source is not readable: rules ask Sources first.
type Input struct {
	Sources     source.List                  `json:"sources"`
	Services    []corev1.Service             `json:"services,omitempty"`
	Slices      []discoveryv1.EndpointSlice  `json:"slices,omitempty"`
	Namespaces  []corev1.Namespace           `json:"namespaces,omitempty"`
	Nodes       []corev1.Node                `json:"nodes,omitempty"`
	Leases      []coordinationv1.Lease       `json:"leases,omitempty"`    // heartbeats of the nodes whose DNS pod did not answer
	Pods        []corev1.Pod                 `json:"pods,omitempty"`      // of the DNS service
	CachePods   []corev1.Pod                 `json:"cachePods,omitempty"` // of NodeLocal DNSCache
	Targets     []corev1.Pod                 `json:"targets,omitempty"`   // that names, verify or explain look at
	Deployments []appsv1.Deployment          `json:"deployments,omitempty"`
	DaemonSets  []appsv1.DaemonSet           `json:"daemonSets,omitempty"`
	StatefulSet []appsv1.StatefulSet         `json:"statefulSets,omitempty"`
	ConfigMaps  []corev1.ConfigMap           `json:"configMaps,omitempty"`
	Policies    []networkingv1.NetworkPolicy `json:"networkPolicies,omitempty"`
	// NAMESPACE/NAME of the servers' service account, whose access was asked
	Account  string         `json:"account,omitempty"`
	Access   []Access       `json:"access,omitempty"`
	Events   []corev1.Event `json:"events,omitempty"` // warnings about the DNS pods
	Kubelets []Kubelet      `json:"kubelets,omitempty"`
	Probes   []Probe        `json:"probes,omitempty"`
	Logs     []Log          `json:"logs,omitempty"`
	From     *FromPod       `json:"from,omitempty"`
	Beside   []FromPod      `json:"beside,omitempty"`   // DNS pods, with what a pod on the node of each got from the upstreams
	External string         `json:"external,omitempty"` // the random name outside the cluster that was asked
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

// Probe is what one replica answered over a port-forward.
type Probe struct {
	Namespace    string          `json:"namespace"`
	Pod          string          `json:"pod"`
	Error        string          `json:"error,omitempty"` // port-forward failed
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
	Pod corev1.Pod `json:"pod"`
	// Container is the one whose files were read; empty: a probe's
	Container string            `json:"container,omitempty"`
	Method    string            `json:"method,omitempty"`
	Error     string            `json:"error,omitempty"`
	Wanted    bool              `json:"wanted,omitempty"`  // answers from inside were asked for
	Unasked   []string          `json:"unasked,omitempty"` // transports that the image has no tool for
	Files     map[string]string `json:"files,omitempty"`
	Musl      *bool             `json:"musl,omitempty"`
	Glibc     *bool             `json:"glibc,omitempty"`
	Answers   []report.Answer   `json:"answers,omitempty"`
}

// Options are the user's choices that change the judgement.
type Options struct {
	Kubectl    finding.Kubectl
	Namespace  string // scope of the data rules; empty: none
	All        bool   // data rules over all namespaces
	Skip       []finding.Code
	Slow       time.Duration // an upstream that needs longer is slow
	Prober     string        // the command that runs a probe, for next steps
	Typed      string        // the name as the user gave it, before it was completed
	Standalone bool          // a data command: the server's own state is not its subject
}

// sortInput makes reports independent of the order in which the API lists.
func sortInput(in *Input) {
	in.Services, in.Slices = slices.Clone(in.Services), slices.Clone(in.Slices)
	in.Namespaces, in.Nodes, in.Leases = slices.Clone(in.Namespaces), slices.Clone(in.Nodes), slices.Clone(in.Leases)
	in.Pods, in.CachePods, in.Targets = slices.Clone(in.Pods), slices.Clone(in.CachePods), slices.Clone(in.Targets)
	in.Probes, in.Logs = slices.Clone(in.Probes), slices.Clone(in.Logs)
	in.Policies, in.Access = slices.Clone(in.Policies), slices.Clone(in.Access)
	in.Kubelets, in.Beside = slices.Clone(in.Kubelets), slices.Clone(in.Beside)
	in.Deployments, in.DaemonSets = slices.Clone(in.Deployments), slices.Clone(in.DaemonSets)
	in.StatefulSet, in.ConfigMaps = slices.Clone(in.StatefulSet), slices.Clone(in.ConfigMaps)
	sortByName(in.Services)
	sortByName(in.Slices)
	sortByName(in.Namespaces)
	sortByName(in.Nodes)
	sortByName(in.Leases)
	sortByName(in.Pods)
	sortByName(in.CachePods)
	sortByName(in.Targets)
	sortByName(in.Policies)
	sortByName(in.Deployments)
	sortByName(in.DaemonSets)
	sortByName(in.StatefulSet)
	sortByName(in.ConfigMaps)
	in.Events = slices.Clone(in.Events)
	sortByName(in.Events)
	sort.Slice(in.Probes, func(i, j int) bool { return in.Probes[i].Pod < in.Probes[j].Pod })
	sort.Slice(in.Logs, func(i, j int) bool {
		a, b := in.Logs[i], in.Logs[j]
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), BoolOrder(b.Previous, a.Previous)) < 0
	})
	sort.Slice(in.Access, func(i, j int) bool {
		a, b := in.Access[i], in.Access[j]
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Verb, b.Verb)) < 0
	})
	sort.Slice(in.Beside, func(i, j int) bool { return in.Beside[i].Pod.Name < in.Beside[j].Pod.Name })
	sort.Slice(in.Kubelets, func(i, j int) bool { return in.Kubelets[i].Node < in.Kubelets[j].Node })
}

func BoolOrder(a, b bool) int {
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

// Timeless is a moment for derivations that do not judge ages.
func (Input) Timeless() time.Time { return time.Time{} }
