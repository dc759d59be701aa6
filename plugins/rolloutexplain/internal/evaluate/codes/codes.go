// Package codes is the catalogue: every code that a finding can have, what it means, where in a rollout its causes sit, and
// when such a cause is past what waiting is reasonable for. It knows no object of the API, so that rooms which judge pods,
// kinds or waits agree on a code without knowing each other.
package codes

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Codes of findings: stable, part of the JSON contract.
const (
	ControllerNotObserving = "ControllerNotObserving"
	ReplicaSetCreateError  = "ReplicaSetCreateError"
	Paused                 = "Paused"
	PartitionHold          = "PartitionHold"
	PartitionNever         = "PartitionNever"
	OnDelete               = "OnDelete"
	RecreateWaits          = "RecreateWaits"
	BudgetEaten            = "BudgetEaten"
	StatefulSetTrap        = "StatefulSetTrap"
	StatefulSetOrderedWait = "StatefulSetOrderedWait"
	StatefulSetUpdateError = "StatefulSetUpdateError"
	DaemonSetNodeHolds     = "DaemonSetNodeHolds"
	DaemonSetNodesLeftOut  = "DaemonSetNodesLeftOut"
	SelectorClash          = "SelectorClash"
	NamespaceTerminating   = "NamespaceTerminating"
	DeadlineExceeded       = "DeadlineExceeded"
	StaleDeadline          = "StaleDeadline"
	ScaledToZero           = "ScaledToZero"
	ForeignWriter          = "ForeignWriter"
	StillEnding            = "StillEnding"
	NoHistory              = "NoHistory"
	StaleChangeCause       = "StaleChangeCause"
	BrokeAfterCompletion   = "BrokeAfterCompletion"
	JobManagedElsewhere    = "JobManagedElsewhere"
	PodsMissing            = "PodsMissing"
	QuotaExceeded          = "QuotaExceeded"
	QuotaMustSpecify       = "QuotaMustSpecify"
	LimitRangeViolated     = "LimitRangeViolated"
	PodSecurityViolated    = "PodSecurityViolated"
	AdmissionPolicyDenied  = "AdmissionPolicyDenied"
	WebhookDenied          = "WebhookDenied"
	WebhookUnreachable     = "WebhookUnreachable"
	ServiceAccountMissing  = "ServiceAccountMissing"
	PriorityClassMissing   = "PriorityClassMissing"
	RuntimeClassMissing    = "RuntimeClassMissing"
	PodInvalid             = "PodInvalid"
	ClaimDeleting          = "ClaimDeleting"
	NameConflict           = "NameConflict"
	PodCreateRefused       = "PodCreateRefused"
	InsufficientResources  = "InsufficientResources"
	TooManyPods            = "TooManyPods"
	TaintNotTolerated      = "TaintNotTolerated"
	NodeSelectorUnmet      = "NodeSelectorUnmet"
	PodAffinityUnmet       = "PodAffinityUnmet"
	TopologySpread         = "TopologySpread"
	HostPortTaken          = "HostPortTaken"
	NodesCordoned          = "NodesCordoned"
	ClaimMissing           = "ClaimMissing"
	ClaimUnbound           = "ClaimUnbound"
	VolumeElsewhere        = "VolumeElsewhere"
	VolumeLimit            = "VolumeLimit"
	ResourceClaimUnmet     = "ResourceClaimUnmet"
	Unschedulable          = "Unschedulable"
	SchedulingGated        = "SchedulingGated"
	SchedulerUnknown       = "SchedulerUnknown"
	SchedulerSilent        = "SchedulerSilent"
	Preempting             = "Preempting"
	PodRejected            = "PodRejected"
	NodeNotReady           = "NodeNotReady"
	KubeletSilent          = "KubeletSilent"
	SandboxFailed          = "SandboxFailed"
	DynamicResources       = "DynamicResources"
	VolumeMountFailed      = "VolumeMountFailed"
	VolumeAttachFailed     = "VolumeAttachFailed"
	VolumeMultiAttach      = "VolumeMultiAttach"
	ConfigMapMissing       = "ConfigMapMissing"
	SecretMissing          = "SecretMissing"
	KeyMissing             = "KeyMissing"
	RunsAsRoot             = "RunsAsRoot"
	ContainerConfigError   = "ContainerConfigError"
	InvalidImageName       = "InvalidImageName"
	ImageNeverPull         = "ImageNeverPull"
	ImageNotFound          = "ImageNotFound"
	ImageUnauthorized      = "ImageUnauthorized"
	RegistryUnreachable    = "RegistryUnreachable"
	ImageDiskFull          = "ImageDiskFull"
	ImageRejected          = "ImageRejected"
	ImagePullFailed        = "ImagePullFailed"
	ImagePulling           = "ImagePulling"
	ContainerStartError    = "ContainerStartError"
	CrashLoop              = "CrashLoop"
	OOMKilled              = "OOMKilled"
	ExitsNormally          = "ExitsNormally"
	ExecFormatError        = "ExecFormatError"
	LivenessKilled         = "LivenessKilled"
	StartupKilled          = "StartupKilled"
	PostStartHookFailed    = "PostStartHookFailed"
	PostStartHookPending   = "PostStartHookPending"
	InitContainerFails     = "InitContainerFails"
	InitRunning            = "InitRunning"
	SidecarNotStarted      = "SidecarNotStarted"
	Evicted                = "Evicted"
	PodDisrupted           = "PodDisrupted"
	ReadinessFailing       = "ReadinessFailing"
	StartupPending         = "StartupPending"
	ReadinessGate          = "ReadinessGate"
	MinReadyWait           = "MinReadyWait"
	Flapping               = "Flapping"
	EndingInGrace          = "EndingInGrace"
	FinalizerHolds         = "FinalizerHolds"
	EndsOnDeadNode         = "EndsOnDeadNode"
	KillFails              = "KillFails"
	JobFailed              = "JobFailed"
	JobSuspended           = "JobSuspended"
	ArgoPaused             = "ArgoPaused"
	ArgoAborted            = "ArgoAborted"
	ArgoDegraded           = "ArgoDegraded"
	ArgoInvalidSpec        = "ArgoInvalidSpec"
	Unexplained            = "Unexplained"
)

// Layer is where in a rollout a cause sits.
type Layer string

// The layers.
const (
	LayerController Layer = "controller" // the controller itself does not act
	LayerCreate     Layer = "create"     // pods do not come into being
	LayerPod        Layer = "pod"        // a pod does not become available, or does not go
	LayerNote       Layer = "note"       // explains, blocks nothing
)

// entry is a code of the catalogue and its layer.
type entry struct {
	finding.Entry
	layer Layer
}

// All lists every code that a finding can have, in the order in which a rollout lives.
func All() []finding.Entry {
	list := make([]finding.Entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e.Entry)
	}
	return list
}

var entries = slices.Concat(controllerEntries, createEntries, startEntries, runEntries)

var catalogue = byCode(entries)

func byCode(list []entry) map[string]entry {
	m := make(map[string]entry, len(list))
	for _, c := range list {
		m[c.Code] = c
	}
	return m
}

// Title is a code's title.
func Title(code string) string { return catalogue[code].Title }

// LayerOf is where in a rollout a code's causes sit.
func LayerOf(code string) Layer { return catalogue[code].layer }
