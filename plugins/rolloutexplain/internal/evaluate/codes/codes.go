// Package codes is the catalog: every code that a finding can have, what it means, where in a rollout its causes sit, and
// when such a cause is past what waiting is reasonable for. It knows no object of the API, so that rooms which judge pods,
// kinds or waits agree on a code without knowing each other.
package codes

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Codes of findings: stable, part of the JSON contract.
const (
	SpecUpdateNotObserved          finding.Code = "SpecUpdateNotObserved"
	ReplicaSetCreateError          finding.Code = "ReplicaSetCreateError"
	DeploymentPaused               finding.Code = "DeploymentPaused"
	PartitionedRollout             finding.Code = "PartitionedRollout"
	PartitionExcludesAllPods       finding.Code = "PartitionExcludesAllPods"
	OnDelete                       finding.Code = "OnDelete"
	RecreateWaitingForOldPods      finding.Code = "RecreateWaitingForOldPods"
	MaxUnavailableExceeded         finding.Code = "MaxUnavailableExceeded"
	StatefulSetPodNotReplaced      finding.Code = "StatefulSetPodNotReplaced"
	OrderedReadyWait               finding.Code = "OrderedReadyWait"
	StatefulSetUpdateFailed        finding.Code = "StatefulSetUpdateFailed"
	DaemonSetMaxUnavailableReached finding.Code = "DaemonSetMaxUnavailableReached"
	DaemonSetNodesExcluded         finding.Code = "DaemonSetNodesExcluded"
	SelectorMatchesAllPods         finding.Code = "SelectorMatchesAllPods"
	NamespaceTerminating           finding.Code = "NamespaceTerminating"
	ProgressDeadlineExceeded       finding.Code = "ProgressDeadlineExceeded"
	StaleProgressDeadline          finding.Code = "StaleProgressDeadline"
	ScaledToZero                   finding.Code = "ScaledToZero"
	ReplicasFlapping               finding.Code = "ReplicasFlapping"
	OldPodsTerminating             finding.Code = "OldPodsTerminating"
	NoRevisionHistory              finding.Code = "NoRevisionHistory"
	StaleChangeCause               finding.Code = "StaleChangeCause"
	DegradedAfterCompletion        finding.Code = "DegradedAfterCompletion"
	JobManagedExternally           finding.Code = "JobManagedExternally"
	PodsNotCreated                 finding.Code = "PodsNotCreated"
	QuotaExceeded                  finding.Code = "QuotaExceeded"
	QuotaRequiresResources         finding.Code = "QuotaRequiresResources"
	LimitRangeViolated             finding.Code = "LimitRangeViolated"
	PodSecurityViolated            finding.Code = "PodSecurityViolated"
	AdmissionPolicyDenied          finding.Code = "AdmissionPolicyDenied"
	AdmissionWebhookDenied         finding.Code = "AdmissionWebhookDenied"
	AdmissionWebhookCallFailed     finding.Code = "AdmissionWebhookCallFailed"
	ServiceAccountNotFound         finding.Code = "ServiceAccountNotFound"
	PriorityClassNotFound          finding.Code = "PriorityClassNotFound"
	RuntimeClassNotFound           finding.Code = "RuntimeClassNotFound"
	PodInvalid                     finding.Code = "PodInvalid"
	PVCTerminating                 finding.Code = "PVCTerminating"
	NameAlreadyExists              finding.Code = "NameAlreadyExists"
	PodCreationRejected            finding.Code = "PodCreationRejected"
	InsufficientResources          finding.Code = "InsufficientResources"
	TooManyPods                    finding.Code = "TooManyPods"
	UntoleratedTaint               finding.Code = "UntoleratedTaint"
	NodeAffinityUnsatisfied        finding.Code = "NodeAffinityUnsatisfied"
	PodAffinityUnsatisfied         finding.Code = "PodAffinityUnsatisfied"
	TopologySpreadUnsatisfied      finding.Code = "TopologySpreadUnsatisfied"
	HostPortConflict               finding.Code = "HostPortConflict"
	NodesCordoned                  finding.Code = "NodesCordoned"
	PVCNotFound                    finding.Code = "PVCNotFound"
	PVCNotBound                    finding.Code = "PVCNotBound"
	NoPersistentVolumeAvailable    finding.Code = "NoPersistentVolumeAvailable"
	VolumeNodeAffinityConflict     finding.Code = "VolumeNodeAffinityConflict"
	VolumeLimitReached             finding.Code = "VolumeLimitReached"
	ResourceClaimUnsatisfied       finding.Code = "ResourceClaimUnsatisfied"
	Unschedulable                  finding.Code = "Unschedulable"
	SchedulingGated                finding.Code = "SchedulingGated"
	NamedSchedulerNotActing        finding.Code = "NamedSchedulerNotActing"
	SchedulerNotActing             finding.Code = "SchedulerNotActing"
	PreemptionInProgress           finding.Code = "PreemptionInProgress"
	PodRejected                    finding.Code = "PodRejected"
	NodeNotReady                   finding.Code = "NodeNotReady"
	NodeNotFound                   finding.Code = "NodeNotFound"
	PodStatusNotReported           finding.Code = "PodStatusNotReported"
	FailedCreatePodSandBox         finding.Code = "FailedCreatePodSandBox"
	FailedPrepareDynamicResources  finding.Code = "FailedPrepareDynamicResources"
	FailedMount                    finding.Code = "FailedMount"
	FailedAttachVolume             finding.Code = "FailedAttachVolume"
	MultiAttachError               finding.Code = "MultiAttachError"
	ConfigMapNotFound              finding.Code = "ConfigMapNotFound"
	SecretNotFound                 finding.Code = "SecretNotFound"
	ConfigKeyNotFound              finding.Code = "ConfigKeyNotFound"
	RunAsNonRootCheckFailed        finding.Code = "RunAsNonRootCheckFailed"
	CreateContainerConfigError     finding.Code = "CreateContainerConfigError"
	InvalidImageName               finding.Code = "InvalidImageName"
	ErrImageNeverPull              finding.Code = "ErrImageNeverPull"
	ImageNotFound                  finding.Code = "ImageNotFound"
	ImagePullUnauthorized          finding.Code = "ImagePullUnauthorized"
	RegistryUnavailable            finding.Code = "RegistryUnavailable"
	NoDiskSpaceForImage            finding.Code = "NoDiskSpaceForImage"
	ImageRejected                  finding.Code = "ImageRejected"
	ErrImagePull                   finding.Code = "ErrImagePull"
	ImagePullInProgress            finding.Code = "ImagePullInProgress"
	ContainerStartError            finding.Code = "ContainerStartError"
	ContainerCrashing              finding.Code = "ContainerCrashing"
	OOMKilled                      finding.Code = "OOMKilled"
	ContainerCompleted             finding.Code = "ContainerCompleted"
	ExecFormatError                finding.Code = "ExecFormatError"
	LivenessProbeFailed            finding.Code = "LivenessProbeFailed"
	StartupProbeFailed             finding.Code = "StartupProbeFailed"
	FailedPostStartHook            finding.Code = "FailedPostStartHook"
	PostStartHookRunning           finding.Code = "PostStartHookRunning"
	InitContainerFailing           finding.Code = "InitContainerFailing"
	InitContainerRunning           finding.Code = "InitContainerRunning"
	SidecarNotStarted              finding.Code = "SidecarNotStarted"
	Evicted                        finding.Code = "Evicted"
	PodDisrupted                   finding.Code = "PodDisrupted"
	ReadinessProbeFailing          finding.Code = "ReadinessProbeFailing"
	StartupProbePending            finding.Code = "StartupProbePending"
	ReadinessGatesNotReady         finding.Code = "ReadinessGatesNotReady"
	MinReadySecondsNotElapsed      finding.Code = "MinReadySecondsNotElapsed"
	PodReadinessFlapping           finding.Code = "PodReadinessFlapping"
	PodTerminating                 finding.Code = "PodTerminating"
	FinalizerBlocksDeletion        finding.Code = "FinalizerBlocksDeletion"
	TerminatingOnNotReadyNode      finding.Code = "TerminatingOnNotReadyNode"
	PodStuckTerminating            finding.Code = "PodStuckTerminating"
	JobFailed                      finding.Code = "JobFailed"
	JobSuspended                   finding.Code = "JobSuspended"
	ArgoPaused                     finding.Code = "ArgoPaused"
	ArgoAborted                    finding.Code = "ArgoAborted"
	ArgoDegraded                   finding.Code = "ArgoDegraded"
	ArgoInvalidSpec                finding.Code = "ArgoInvalidSpec"
	NoCauseFound                   finding.Code = "NoCauseFound"
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

// entry is a code of the catalog with what a verdict and a wait ask of it besides.
type entry struct {
	finding.Entry
	layer   Layer
	crashes bool // it counts only when it repeats: a container may fail twice while what it needs comes up
}

// entries are in the order in which a rollout lives.
var entries = slices.Concat(controllerEntries, createEntries, startEntries, runEntries)

// Book is the catalog. No rule has a check, a cause or a consequence: what a finding explains hangs on which pods have it and
// on what their controller waits for. Each finding states that itself (finding.Stance), and finding.Arrange judges.
var Book = finding.NewBook(rules()...)

func rules() []finding.Rule[struct{}] {
	list := make([]finding.Rule[struct{}], 0, len(entries))
	for _, e := range entries {
		list = append(list, finding.Rule[struct{}]{Entry: e.Entry})
	}
	return list
}

var byCode = index()

func index() map[finding.Code]entry {
	m := make(map[finding.Code]entry, len(entries))
	for _, e := range entries {
		m[e.Code] = e
	}
	return m
}

// LayerOf is where in a rollout a code's causes sit.
func LayerOf(code finding.Code) Layer { return byCode[code].layer }
