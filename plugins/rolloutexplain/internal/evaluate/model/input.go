package model

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// Input is what was read of the cluster. Every list may be in any order and may hold more than the rollouts asked for.
// No secret is in it; --save-input writes it with secret-looking values masked.
type Input struct {
	Collected time.Time           `json:"collected"`
	Targets   []finding.ObjectRef `json:"targets,omitempty"` // asked for; empty: every workload that is here
	Context   []string            `json:"context,omitempty"` // connection flags for next commands

	Deployments         []appsv1.Deployment         `json:"deployments,omitempty"`
	ReplicaSets         []appsv1.ReplicaSet         `json:"replicaSets,omitempty"`
	StatefulSets        []appsv1.StatefulSet        `json:"statefulSets,omitempty"`
	DaemonSets          []appsv1.DaemonSet          `json:"daemonSets,omitempty"`
	ControllerRevisions []appsv1.ControllerRevision `json:"controllerRevisions,omitempty"`
	Jobs                []batchv1.Job               `json:"jobs,omitempty"`
	Rollouts            []map[string]any            `json:"rollouts,omitempty"` // argoproj.io
	Pods                []corev1.Pod                `json:"pods,omitempty"`
	Packed              Packed                      `json:"-"` // pods that are not in Pods; nil: none
	Events              []corev1.Event              `json:"events,omitempty"`

	// Read only when a cause asks for it (see Needs).
	Namespaces     []corev1.Namespace             `json:"namespaces,omitempty"`
	Nodes          []corev1.Node                  `json:"nodes,omitempty"`
	NodePods       []NodePod                      `json:"nodePods,omitempty"`
	Quotas         []corev1.ResourceQuota         `json:"quotas,omitempty"`
	Claims         []corev1.PersistentVolumeClaim `json:"claims,omitempty"`
	Volumes        []corev1.PersistentVolume      `json:"volumes,omitempty"`
	StorageClasses []storagev1.StorageClass       `json:"storageClasses,omitempty"`
	DeviceClaims   []device.Claim                 `json:"deviceClaims,omitempty"`
	Leases         []coordinationv1.Lease         `json:"leases,omitempty"`
	Held           []Held                         `json:"held,omitempty"` // ConfigMaps and Secrets that exist
	Logs           []PodLog                       `json:"logs,omitempty"`

	Fetched []Need      `json:"fetched,omitempty"` // needs that were asked for, answered or not
	Sources source.List `json:"sources"`
}

// Packed are the pods of many workloads, which would fill the memory together.
type Packed interface {
	Of(owner types.UID) []corev1.Pod // those that it controls
}

// NodePod is what a pod takes of its node, for the room that is left.
type NodePod struct {
	Node        string              `json:"node"`
	Namespace   string              `json:"namespace"`
	Name        string              `json:"name"`
	Owner       string              `json:"owner,omitempty"` // UID of the controlling owner
	Requests    corev1.ResourceList `json:"requests,omitempty"`
	HostPorts   []int32             `json:"hostPorts,omitempty"`
	Terminating bool                `json:"terminating,omitempty"`
	Ends        *time.Time          `json:"ends,omitempty"` // end of the grace period of a terminating pod
}

// Held is a ConfigMap or a Secret: its name and, as its managedFields tell them, its keys; never a value. No keys: not known.
type Held struct {
	finding.ObjectRef
	Keys    []string     `json:"keys,omitempty"`
	Changed *metav1.Time `json:"changed,omitempty"` // the newest write of keys or values; nil: not known
}

// PodLog is the tail of a container's log.
type PodLog struct {
	UID       string   `json:"uid"`
	Container string   `json:"container"`
	Previous  bool     `json:"previous"`
	Lines     []string `json:"lines,omitempty"`
}

// NeedKind is a lookup that only some causes ask for.
type NeedKind string

// The lookups.
const (
	NeedEvents         NeedKind = "events"         // of one object by UID, or of a namespace with the reason Name
	NeedWarnings       NeedKind = "warnings"       // Warning events of a namespace
	NeedNamespace      NeedKind = "namespace"      // its phase and labels
	NeedNodes          NeedKind = "nodes"          // all of them
	NeedNode           NeedKind = "node"           // one
	NeedNodePods       NeedKind = "nodePods"       // requests of all pods
	NeedQuotas         NeedKind = "quotas"         // of the namespace
	NeedClaim          NeedKind = "claim"          // one PersistentVolumeClaim
	NeedVolume         NeedKind = "volume"         // one PersistentVolume
	NeedStorageClasses NeedKind = "storageClasses" // all
	NeedDeviceClaim    NeedKind = "deviceClaim"    // one ResourceClaim
	NeedLease          NeedKind = "lease"          // of a control-plane component, in kube-system, or of a node
	NeedNames          NeedKind = "names"          // ConfigMaps or Secrets of the namespace, their names and keys
	NeedLog            NeedKind = "log"            // last lines of a container
)

// Need asks collect for one lookup.
type Need struct {
	Kind      NeedKind `json:"kind"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name,omitempty"` // object, or "configmaps"/"secrets" for names
	UID       string   `json:"uid,omitempty"`
	Container string   `json:"container,omitempty"`
	Previous  bool     `json:"previous,omitempty"`
}

// Options are the wishes that change what is said.
type Options struct {
	Wide     bool  // a table of many: only lookups that all rollouts share
	LogLines int   // last log lines to show; 0: none
	WideLogs bool  // a table of many reads logs, too: of the first failing containers
	History  bool  // list revisions
	DiffFrom int64 // revisions of --diff; 0: the one before the wanted
	DiffTo   int64 // 0: the wanted one
	Diff     bool  // full difference
	Revision int64 // pinned: another one is Superseded
}

// Names of sources, as in Input.Sources.
const (
	SourceWorkload  = "workloads"
	SourceRevisions = "revisions"
	SourcePods      = "pods"
	SourceEvents    = "events"

	// Lookups.
	SourceNamespace      = "namespace"
	SourceNodes          = "nodes"
	SourceNodePods       = "pods of all nodes"
	SourceQuotas         = "quotas"
	SourceLeases         = "leases"
	SourceClaims         = "claims"
	SourceVolumes        = "volumes"
	SourceStorageClasses = "storageclasses"
	SourceDeviceClaims   = "resourceclaims"
	SourceLogs           = "logs"
)

// lookups are the sources of lookups in which a cause may be found.
var lookups = map[string]bool{
	SourceNamespace: true, SourceNodes: true, SourceNodePods: true, SourceQuotas: true, SourceLeases: true, SourceClaims: true,
	SourceVolumes: true, SourceStorageClasses: true, SourceDeviceClaims: true, SourceLogs: true,
}

// Lists says whether a lookup lists a kind that every API server has: "not found" is no answer to it.
func (n Need) Lists() bool {
	switch n.Kind {
	case NeedNamespace, NeedNode, NeedClaim, NeedVolume, NeedDeviceClaim, NeedLease, NeedLog:
		return false
	}
	return true
}
