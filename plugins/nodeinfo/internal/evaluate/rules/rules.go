package rules

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// rule is a finding with its code, its catalog entry, its causes and its check.
type rule = finding.Rule[Case]

// giving gives a check's findings the code of its rule.
func giving(code finding.Code, check func(*Case) []finding.Finding) func(*Case) []finding.Finding {
	return func(c *Case) []finding.Finding {
		list := check(c)
		for i := range list {
			list[i].Code = code
		}
		return list
	}
}

// What makes everything else on a node unknown, or follow from it.
var (
	notReportingCodes = []finding.Code{APIWritesStopped, KubeletNotReporting, ReadyConditionStale, KubeletNeverReported}
	stoppedCodes      = slices.Concat(notReportingCodes, []finding.Code{ContainerRuntimeDown, NodeShuttingDown})
	offlineCodes      = slices.Concat(stoppedCodes, []finding.Code{NetworkPluginNotReady, NetworkUnavailable})
	pressureCodes     = slices.Concat(offlineCodes, []finding.Code{DiskPressure, MemoryPressure, PIDPressure, NodeNotReady, NodeJoining})
)

// What keeps the pods of a node from getting a network or a volume.
var (
	noSandbox = []finding.Code{NetworkPluginPodNotReady, PodIPsExhausted}
	noVolume  = []finding.Code{CSIDriverPodNotReady, VolumeLimitReached, VolumeAttachmentError}
)

// book is the rules: the deeper the layer, the earlier it is named.
var book = finding.NewBook(
	apiWritesStopped, kubeletNotReporting, readyConditionStale, leaseNotRenewed, heartbeatLate, kubeletNeverReported, nodeStatusStale,
	clockSkew, containerRuntimeDown, networkPluginNotReady, nodeShuttingDown, nodeNotReady, nodeJoining, diskPressure, pidPressure,
	memoryPressure, networkUnavailable, conditionProblem, systemOOM, kubeletServingCertificateMissing, kubeletUnreachable, kubeletError,
	warningEvents, rebooted, nodeReadinessFlapping, controlPlaneComponentNotReady, leaderLeaseExpired, apiServerNotReady,
	kubeletNewerThanAPIServer, kubeletTooOld, kubeProxyVersionSkew, containerRuntimeDeprecated, cgroupV1, ipvsDeprecated,
	networkPluginPodNotReady, kubeProxyNotReady, csiDriverPodNotReady, devicesNotAllocatable, overcommitted, highMemoryUsage,
	maxPodsReached, podIPsExhausted, volumeLimitReached, volumeAttachmentError, podCrashLooping, podNotStarting, podStuckTerminating,
	podsEvicted, daemonSetPodMissing, nodeDeleted, cordoned, newPodsKeptOff, nodeNotInitialized, nodeRemovalInProgress, nodeRemovalStuck,
	outOfService,
	rule{Entry: finding.UnexplainedEntry()}, // of package account
)

// Encompassing are the codes of what makes everything else on a node follow or unknown.
func Encompassing() []finding.Code { return slices.Clone(pressureCodes) }

// Check gives the findings that stand by themselves, worst first and within a severity the deeper cause, and those that one
// of them explains.
func Check(c *Case) ([]finding.Finding, []finding.Consequence) {
	return book.Settle(book.Check(c))
}

// Catalog is every finding code, sorted.
func Catalog() []finding.Entry { return book.Catalog() }
