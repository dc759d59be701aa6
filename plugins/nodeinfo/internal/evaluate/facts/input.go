package facts

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
)

// Depth is how much was read.
type Depth string

// The depths. What a depth does not read is a skipped source.
const (
	Fleet Depth = "fleet" // nodes, leases, metrics: three calls whatever the fleet's size
	Pods  Depth = "pods"  // and every pod: the figures of -o wide, json and yaml
	Full  Depth = "full"  // everything about named nodes
	Drain Depth = "drain" // what decides about a drain: all nodes and pods, budgets, volumes
	// Remove is what decides about taking a node out for good: that, and what its Node leaves behind.
	Remove Depth = "remove"
	Join   Depth = "join"  // what tells how far machines have come that become nodes
	Paths  Depth = "paths" // what tells who reaches whom: all nodes, the system's pods, webhooks and aggregated APIs
)

// The names of the sources.
const (
	SourceNodes         = "nodes"
	SourceLeases        = "leases"
	SourceMetrics       = "metrics"
	SourcePods          = "pods"
	SourceEvents        = "events"
	SourceDaemonSets    = "daemonsets"
	SourceCSINodes      = "csinodes"
	SourceAttachments   = "volumeattachments"
	SourceSystemLeases  = "control-plane leases"
	SourceServerVersion = "version"
	SourceReadyz        = "readyz"
	SourceProxyConfig   = "kube-proxy configuration"
	SourceKubelet       = "kubelet"
	SourceProxyHealth   = "kube-proxy health"
	SourceRequests      = "certificate requests"
	SourceCertificate   = "kubelet certificate"
	SourceAPIServer     = "API server of the node"
	SourceBudgets       = "poddisruptionbudgets"
	SourceClaims        = "persistentvolumeclaims"
	SourceVolumes       = "persistentvolumes"
	SourceMutating      = "mutating webhooks"
	SourceValidating    = "validating webhooks"
	SourceAPIServices   = "apiservices"
	SourceServices      = "services"       // " in NAMESPACE" follows
	SourceEndpoints     = "endpointslices" // " in NAMESPACE" follows
	SourceAPIAddress    = "service kubernetes"
	SourceRefused       = "events of refused pods"
	SourceSlices        = "resourceslices"
	SourceDeviceClaims  = "resourceclaims" // " in NAMESPACE" follows
	SourceAutoscaler    = "cluster autoscaler status"
	SourceScaling       = "cluster autoscaler events"
	SourceRefusals      = "karpenter events"
	SourceNodeClaims    = "nodeclaims"
	SourceNodePools     = "nodepools"

	SourceCloudControllers = "cloud-controller-manager pods"
)

// Input is everything that was read, as API objects: a fixture is what `kubectl get -o yaml` prints, and --save-input can
// be replayed. Now is the API server's clock at the end of the reading.
type Input struct {
	Now               time.Time                                  `json:"now"`
	Depth             Depth                                      `json:"depth"`
	Nodes             []corev1.Node                              `json:"nodes"`
	NotFound          []string                                   `json:"notFound,omitempty"`
	Leases            []coordinationv1.Lease                     `json:"leases,omitempty"`
	Metrics           []NodeMetrics                              `json:"metrics,omitempty"`
	Pods              []corev1.Pod                               `json:"pods,omitempty"`
	Packed            Packed                                     `json:"-"` // pods that are not in Pods; nil: none
	Events            []corev1.Event                             `json:"events,omitempty"`
	DaemonSets        []appsv1.DaemonSet                         `json:"daemonSets,omitempty"`
	Unscheduled       []corev1.Pod                               `json:"unscheduled,omitempty"` // pods of DaemonSets that have no node
	CSINodes          []storagev1.CSINode                        `json:"csiNodes,omitempty"`
	VolumeAttachments []storagev1.VolumeAttachment               `json:"volumeAttachments,omitempty"`
	SystemLeases      []coordinationv1.Lease                     `json:"systemLeases,omitempty"`
	Components        []corev1.Pod                               `json:"components,omitempty"` // control plane, where a leader's lease is old
	ServerVersion     string                                     `json:"serverVersion,omitempty"`
	Readyz            string                                     `json:"readyz,omitempty"`              // the text of /readyz?verbose
	APIServers        map[string]APIAnswer                       `json:"apiServers,omitempty"`          // by node, where one answered
	ProxyMode         string                                     `json:"proxyMode,omitempty"`           // "mode" in kube-proxy's ConfigMap
	ProxyHealthz      string                                     `json:"proxyHealthz,omitempty"`        // and "healthzBindAddress"
	ProxyHealth       map[string]ProxyHealth                     `json:"proxyHealth,omitempty"`         // by node, where it answered
	Requests          []certificatesv1.CertificateSigningRequest `json:"certificateRequests,omitempty"` // of kubelets
	CloudControllers  []corev1.Pod                               `json:"cloudControllers,omitempty"`    // where a node waits for one
	Kubelets          map[string]kubelet.Answer                  `json:"kubelets,omitempty"`            // answers of the kubelets themselves
	Slices            []device.Slice                             `json:"resourceSlices,omitempty"`      // where pods use claims
	DeviceClaims      []device.Claim                             `json:"resourceClaims,omitempty"`      // in their namespaces
	ClusterAutoscaler *autoscaler.Status                         `json:"clusterAutoscaler,omitempty"`   // nil: the cluster has none
	NodeClaims        []autoscaler.NodeClaim                     `json:"nodeClaims,omitempty"`          // of Karpenter
	NodePools         []autoscaler.NodePool                      `json:"nodePools,omitempty"`           // of the named nodes
	Targets           []string                                   `json:"targets,omitempty"`             // of a preview, --paths or --join
	Budgets           []policyv1.PodDisruptionBudget             `json:"budgets,omitempty"`
	Claims            []corev1.PersistentVolumeClaim             `json:"claims,omitempty"`
	Volumes           []corev1.PersistentVolume                  `json:"volumes,omitempty"`
	Webhooks          []backend.Webhook                          `json:"webhooks,omitempty"`
	APIs              []backend.API                              `json:"apiServices,omitempty"` // aggregated ones
	Services          []corev1.Service                           `json:"services,omitempty"`    // of the namespaces of those
	Endpoints         []discoveryv1.EndpointSlice                `json:"endpointSlices,omitempty"`
	APIAddress        string                                     `json:"apiAddress,omitempty"` // of Service default/kubernetes
	Refused           []corev1.Event                             `json:"refused,omitempty"`    // whose webhook could not be called
	Sources           source.List                                `json:"sources"`              // reads for all nodes
	NodeSources       map[string]source.List                     `json:"nodeSources,omitempty"`
}

// Packed are the pods of a fleet, of which the decoded objects would fill the memory: those of a node are decoded when it is
// judged.
type Packed interface {
	On(node string) []Bound // trimmed, by namespace and name
}

// Bound is a pod of a node. Those of one shape, which is not 0, take the same.
type Bound struct {
	corev1.Pod

	Shape int
}

// Unpack puts the packed pods of the nodes into Pods, for a file.
func (in *Input) Unpack() {
	if in.Packed == nil {
		return
	}
	for i := range in.Nodes {
		for _, p := range in.Packed.On(in.Nodes[i].Name) {
			in.Pods = append(in.Pods, p.Pod)
		}
	}
	in.Packed = nil
}

// NodeMetrics is an object of metrics.k8s.io.
type NodeMetrics struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Timestamp time.Time           `json:"timestamp"`
	Window    string              `json:"window"`
	Usage     corev1.ResourceList `json:"usage"`
}

// Select keeps the named nodes of a saved input; without names all stay. A name that it does not have is missing.
func (in *Input) Select(names []string) {
	if len(names) == 0 {
		return
	}
	var kept []corev1.Node
	in.NotFound = nil // those of the saved run, which may have named others
	for _, name := range names {
		at := slices.IndexFunc(in.Nodes, func(n corev1.Node) bool { return n.Name == name })
		if at < 0 {
			in.NotFound = append(in.NotFound, name)
			continue
		}
		kept = append(kept, in.Nodes[at])
	}
	in.Nodes = kept
}

// AimPaths chooses the nodes whose paths are told, of an input that was saved for that; without names, all.
func (in *Input) AimPaths(names []string) error {
	if in.Depth != Paths {
		return errors.New("the file was not saved with --paths")
	}
	in.Targets, in.NotFound = nil, nil
	for _, name := range names {
		if slices.ContainsFunc(in.Nodes, func(n corev1.Node) bool { return n.Name == name }) {
			in.Targets = append(in.Targets, name)
		} else {
			in.NotFound = append(in.NotFound, name)
		}
	}
	return nil
}

// AimJoin chooses the machines that are told of an input that was saved for that; without names, all that it was saved for. A name
// that has neither a Node nor a request for a certificate is missing.
func (in *Input) AimJoin(names []string) error {
	if in.Depth != Join {
		return errors.New("the file was not saved with --join: it lacks what that reads")
	}
	if len(names) == 0 {
		return nil
	}
	in.Targets, in.NotFound = nil, nil
	for _, name := range names {
		exists := slices.ContainsFunc(in.Nodes, func(n corev1.Node) bool { return n.Name == name })
		if _, read := in.NodeSources[name]; exists && !read && len(in.NodeSources) > 0 {
			return fmt.Errorf("node %q: the file was saved for other nodes: %s", name, strings.Join(slices.Sorted(maps.Keys(in.NodeSources)), ", "))
		}
		if exists || in.requested(name) {
			in.Targets = append(in.Targets, name)
		} else {
			in.NotFound = append(in.NotFound, name)
		}
	}
	return nil
}

// requested says whether a machine of that name has requested a client certificate.
func (in *Input) requested(name string) bool {
	return slices.ContainsFunc(in.Requests, func(c certificatesv1.CertificateSigningRequest) bool {
		r, ok := certificate.RequestOf(&c)
		return ok && r.Node == name && r.Use == certificate.Client
	})
}

// Aim chooses the nodes to drain of an input that was saved for that.
func (in *Input) Aim(names []string) error { return in.aim(names, Drain, "drain") }

// AimRemove chooses the node to remove of an input that was saved for that.
func (in *Input) AimRemove(names []string) error { return in.aim(names, Remove, "removal") }

func (in *Input) aim(names []string, depth Depth, what string) error {
	if in.Depth != depth {
		return fmt.Errorf("the file was not saved with --%s: it lacks what that reads", depth)
	}
	for _, name := range names {
		if !slices.Contains(in.Targets, name) && slices.ContainsFunc(in.Nodes, func(n corev1.Node) bool { return n.Name == name }) {
			return fmt.Errorf("node %q: the file was saved for the %s of %s", name, what, strings.Join(in.Targets, ", "))
		}
	}
	in.Targets = slices.Clone(names)
	return nil
}
