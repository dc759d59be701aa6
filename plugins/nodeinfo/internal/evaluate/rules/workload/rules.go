// Package workload holds the findings about what runs on a node: its components, resources, volumes and pods, and what keeps
// pods off it.
package workload

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

type rule = subject.Rule

// What keeps the pods of a node from getting a network or a volume.
var (
	noSandbox = []finding.Code{NetworkPluginPodNotReady, PodIPsExhausted}
	noVolume  = []finding.Code{CSIDriverPodNotReady, CSIDriverNotRegistered, VolumeLimitReached, VolumeAttachmentError}
)

// Rules are those about what runs on the node, the deepest first.
var Rules = []rule{
	kubeletNewerThanAPIServer, kubeletTooOld, kubeProxyVersionSkew, containerRuntimeDeprecated, cgroupV1, ipvsDeprecated,
	networkPluginPodNotReady, kubeProxyNotReady, csiDriverPodNotReady, devicesNotAllocatable, deviceUnhealthy, deviceDriverNotPublishing,
	resourceClaimNotReady, claimedDeviceUnusable, overcommitted, highMemoryUsage,
	maxPodsReached, podIPsExhausted, csiDriverNotRegistered, volumeLimitReached, volumeAttachmentError, podCrashLooping, podNotStarting,
	podStuckTerminating,
	podsEvicted, daemonSetPodMissing, cordoned, newPodsKeptOff, nodeNotInitialized, nodeRemovalInProgress, nodeRemovalStuck,
	outOfService, nodeClaimNotInitialized, clusterAutoscalerNotReporting, nodeGroupScaleUpFailing,
}
