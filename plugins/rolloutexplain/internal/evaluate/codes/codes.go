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
	ControllerNotObserving finding.Code = "ControllerNotObserving"
	ReplicaSetCreateError  finding.Code = "ReplicaSetCreateError"
	Paused                 finding.Code = "Paused"
	PartitionHold          finding.Code = "PartitionHold"
	PartitionNever         finding.Code = "PartitionNever"
	OnDelete               finding.Code = "OnDelete"
	RecreateWaits          finding.Code = "RecreateWaits"
	BudgetEaten            finding.Code = "BudgetEaten"
	StatefulSetTrap        finding.Code = "StatefulSetTrap"
	StatefulSetOrderedWait finding.Code = "StatefulSetOrderedWait"
	StatefulSetUpdateError finding.Code = "StatefulSetUpdateError"
	DaemonSetNodeHolds     finding.Code = "DaemonSetNodeHolds"
	DaemonSetNodesLeftOut  finding.Code = "DaemonSetNodesLeftOut"
	SelectorClash          finding.Code = "SelectorClash"
	NamespaceTerminating   finding.Code = "NamespaceTerminating"
	DeadlineExceeded       finding.Code = "DeadlineExceeded"
	StaleDeadline          finding.Code = "StaleDeadline"
	ScaledToZero           finding.Code = "ScaledToZero"
	ForeignWriter          finding.Code = "ForeignWriter"
	StillEnding            finding.Code = "StillEnding"
	NoHistory              finding.Code = "NoHistory"
	StaleChangeCause       finding.Code = "StaleChangeCause"
	BrokeAfterCompletion   finding.Code = "BrokeAfterCompletion"
	JobManagedElsewhere    finding.Code = "JobManagedElsewhere"
	PodsMissing            finding.Code = "PodsMissing"
	QuotaExceeded          finding.Code = "QuotaExceeded"
	QuotaMustSpecify       finding.Code = "QuotaMustSpecify"
	LimitRangeViolated     finding.Code = "LimitRangeViolated"
	PodSecurityViolated    finding.Code = "PodSecurityViolated"
	AdmissionPolicyDenied  finding.Code = "AdmissionPolicyDenied"
	WebhookDenied          finding.Code = "WebhookDenied"
	WebhookUnreachable     finding.Code = "WebhookUnreachable"
	ServiceAccountMissing  finding.Code = "ServiceAccountMissing"
	PriorityClassMissing   finding.Code = "PriorityClassMissing"
	RuntimeClassMissing    finding.Code = "RuntimeClassMissing"
	PodInvalid             finding.Code = "PodInvalid"
	ClaimDeleting          finding.Code = "ClaimDeleting"
	NameConflict           finding.Code = "NameConflict"
	PodCreateRefused       finding.Code = "PodCreateRefused"
	InsufficientResources  finding.Code = "InsufficientResources"
	TooManyPods            finding.Code = "TooManyPods"
	TaintNotTolerated      finding.Code = "TaintNotTolerated"
	NodeSelectorUnmet      finding.Code = "NodeSelectorUnmet"
	PodAffinityUnmet       finding.Code = "PodAffinityUnmet"
	TopologySpread         finding.Code = "TopologySpread"
	HostPortTaken          finding.Code = "HostPortTaken"
	NodesCordoned          finding.Code = "NodesCordoned"
	ClaimMissing           finding.Code = "ClaimMissing"
	ClaimUnbound           finding.Code = "ClaimUnbound"
	VolumeElsewhere        finding.Code = "VolumeElsewhere"
	VolumeLimit            finding.Code = "VolumeLimit"
	ResourceClaimUnmet     finding.Code = "ResourceClaimUnmet"
	Unschedulable          finding.Code = "Unschedulable"
	SchedulingGated        finding.Code = "SchedulingGated"
	SchedulerUnknown       finding.Code = "SchedulerUnknown"
	SchedulerSilent        finding.Code = "SchedulerSilent"
	Preempting             finding.Code = "Preempting"
	PodRejected            finding.Code = "PodRejected"
	NodeNotReady           finding.Code = "NodeNotReady"
	KubeletSilent          finding.Code = "KubeletSilent"
	SandboxFailed          finding.Code = "SandboxFailed"
	DynamicResources       finding.Code = "DynamicResources"
	VolumeMountFailed      finding.Code = "VolumeMountFailed"
	VolumeAttachFailed     finding.Code = "VolumeAttachFailed"
	VolumeMultiAttach      finding.Code = "VolumeMultiAttach"
	ConfigMapMissing       finding.Code = "ConfigMapMissing"
	SecretMissing          finding.Code = "SecretMissing"
	KeyMissing             finding.Code = "KeyMissing"
	RunsAsRoot             finding.Code = "RunsAsRoot"
	ContainerConfigError   finding.Code = "ContainerConfigError"
	InvalidImageName       finding.Code = "InvalidImageName"
	ImageNeverPull         finding.Code = "ImageNeverPull"
	ImageNotFound          finding.Code = "ImageNotFound"
	ImageUnauthorized      finding.Code = "ImageUnauthorized"
	RegistryUnreachable    finding.Code = "RegistryUnreachable"
	ImageDiskFull          finding.Code = "ImageDiskFull"
	ImageRejected          finding.Code = "ImageRejected"
	ImagePullFailed        finding.Code = "ImagePullFailed"
	ImagePulling           finding.Code = "ImagePulling"
	ContainerStartError    finding.Code = "ContainerStartError"
	CrashLoop              finding.Code = "CrashLoop"
	OOMKilled              finding.Code = "OOMKilled"
	ExitsNormally          finding.Code = "ExitsNormally"
	ExecFormatError        finding.Code = "ExecFormatError"
	LivenessKilled         finding.Code = "LivenessKilled"
	StartupKilled          finding.Code = "StartupKilled"
	PostStartHookFailed    finding.Code = "PostStartHookFailed"
	PostStartHookPending   finding.Code = "PostStartHookPending"
	InitContainerFails     finding.Code = "InitContainerFails"
	InitRunning            finding.Code = "InitRunning"
	SidecarNotStarted      finding.Code = "SidecarNotStarted"
	Evicted                finding.Code = "Evicted"
	PodDisrupted           finding.Code = "PodDisrupted"
	ReadinessFailing       finding.Code = "ReadinessFailing"
	StartupPending         finding.Code = "StartupPending"
	ReadinessGate          finding.Code = "ReadinessGate"
	MinReadyWait           finding.Code = "MinReadyWait"
	Flapping               finding.Code = "Flapping"
	EndingInGrace          finding.Code = "EndingInGrace"
	FinalizerHolds         finding.Code = "FinalizerHolds"
	EndsOnDeadNode         finding.Code = "EndsOnDeadNode"
	KillFails              finding.Code = "KillFails"
	JobFailed              finding.Code = "JobFailed"
	JobSuspended           finding.Code = "JobSuspended"
	ArgoPaused             finding.Code = "ArgoPaused"
	ArgoAborted            finding.Code = "ArgoAborted"
	ArgoDegraded           finding.Code = "ArgoDegraded"
	ArgoInvalidSpec        finding.Code = "ArgoInvalidSpec"
	Unexplained            finding.Code = "Unexplained"
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

func byCode(list []entry) map[finding.Code]entry {
	m := make(map[finding.Code]entry, len(list))
	for _, c := range list {
		m[c.Code] = c
	}
	return m
}

// Title is a code's title.
func Title(code finding.Code) string { return catalogue[code].Title }

// LayerOf is where in a rollout a code's causes sit.
func LayerOf(code finding.Code) Layer { return catalogue[code].layer }
