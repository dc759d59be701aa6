package evaluate

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/settled"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/thresholds"
)

// What is read of a cluster.
type (
	Input             = facts.Input
	Depth             = facts.Depth
	Bound             = facts.Bound
	NodeMetrics       = facts.NodeMetrics
	Kubelet           = kubelet.Answer
	KubeletFilesystem = kubelet.Filesystem
	PodUse            = kubelet.PodUse
	KubeletStall      = kubelet.Stall
	KubeletShare      = kubelet.Share
	KubeletSwap       = kubelet.Swap
	ProxyHealth       = facts.ProxyHealth
	APIAnswer         = facts.APIAnswer
)

// Thresholds are the numbers behind findings that an operator may change.
type Thresholds = thresholds.Values

// ParseThresholds reads a file of them.
func ParseThresholds(data []byte) (Thresholds, error) { return thresholds.Parse(data) }

// The depths.
const (
	Fleet     = facts.Fleet
	Pods      = facts.Pods
	Full      = facts.Full
	Drain     = facts.Drain
	JoinDepth = facts.Join
	Paths     = facts.Paths
	Remove    = facts.Remove
)

// The names of the sources.
const (
	SourceNodes         = facts.SourceNodes
	SourceLeases        = facts.SourceLeases
	SourceMetrics       = facts.SourceMetrics
	SourcePods          = facts.SourcePods
	SourceEvents        = facts.SourceEvents
	SourceDaemonSets    = facts.SourceDaemonSets
	SourceCSINodes      = facts.SourceCSINodes
	SourceAttachments   = facts.SourceAttachments
	SourceSystemLeases  = facts.SourceSystemLeases
	SourceServerVersion = facts.SourceServerVersion
	SourceReadyz        = facts.SourceReadyz
	SourceProxyConfig   = facts.SourceProxyConfig
	SourceKubelet       = facts.SourceKubelet
	SourceProxyHealth   = facts.SourceProxyHealth
	SourceRequests      = facts.SourceRequests
	SourceCertificate   = facts.SourceCertificate
	SourceAPIServer     = facts.SourceAPIServer
	SourceBudgets       = facts.SourceBudgets
	SourceClaims        = facts.SourceClaims
	SourceVolumes       = facts.SourceVolumes
	SourceMutating      = facts.SourceMutating
	SourceValidating    = facts.SourceValidating
	SourceAPIServices   = facts.SourceAPIServices
	SourceServices      = facts.SourceServices
	SourceEndpoints     = facts.SourceEndpoints
	SourceAPIAddress    = facts.SourceAPIAddress
	SourceRefused       = facts.SourceRefused
	SourceSlices        = facts.SourceSlices
	SourceDeviceClaims  = facts.SourceDeviceClaims
	SourceAutoscaler    = facts.SourceAutoscaler
	SourceScaling       = facts.SourceScaling
	SourceRefusals      = facts.SourceRefusals
	SourceNodeClaims    = facts.SourceNodeClaims
	SourceNodePools     = facts.SourceNodePools

	SourceCloudControllers = facts.SourceCloudControllers
)

// TaintUninitialized is that of a node which waits for its cloud provider.
const TaintUninitialized = facts.TaintUninitialized

// IsProxy says whether the pod is kube-proxy's and runs.
func IsProxy(p *corev1.Pod) bool { return facts.IsProxy(p) }

// ProxyPort is where kube-proxy serves its health; 0: not for others to reach.
func ProxyPort(p *corev1.Pod, configured string) int { return facts.ProxyPort(p, configured) }

// LateAPIServer is the pod of a node's API server and its port, if that server is late with its Lease while another one is not.
func LateAPIServer(in *Input, n *corev1.Node, now time.Time) (pod *corev1.Pod, port string) {
	return facts.LateAPIServer(in, n, now)
}

// EachNode says whether the pods of a DaemonSet, by their labels, are the network plugin or kube-proxy.
func EachNode(labels map[string]string) bool { return component.EachNode(labels) }

// Electing are the components of the control plane that elect a leader.
func Electing() []string { return facts.Electing() }

// Settled reduces a pod of which nothing is to be said but what it takes of its node; false: it is to be judged whole.
func Settled(p *corev1.Pod) (corev1.Pod, bool) { return settled.Reduce(p) }
