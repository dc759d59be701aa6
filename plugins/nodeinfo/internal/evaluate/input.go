package evaluate

import "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"

// What is read of a cluster.
type (
	Input             = facts.Input
	Depth             = facts.Depth
	NodeMetrics       = facts.NodeMetrics
	Kubelet           = facts.Kubelet
	KubeletFilesystem = facts.KubeletFilesystem
)

// The depths.
const (
	Fleet = facts.Fleet
	Pods  = facts.Pods
	Full  = facts.Full
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
)

// Electing are the components of the control plane that elect a leader.
func Electing() []string { return facts.Electing() }
