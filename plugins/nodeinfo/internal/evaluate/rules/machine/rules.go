// Package machine holds the findings about the node itself: whether it reports, what it says of itself, its events, and the
// control plane.
package machine

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

type rule = subject.Rule

// What makes everything else on a node unknown, or follow from it.
var (
	NotReportingCodes = []finding.Code{APIWritesStopped, KubeletNotReporting, ReadyConditionStale, KubeletNeverReported}
	StoppedCodes      = slices.Concat(NotReportingCodes, []finding.Code{ContainerRuntimeDown, NodeShuttingDown})
	offlineCodes      = slices.Concat(StoppedCodes, []finding.Code{NetworkPluginNotReady, NetworkUnavailable})
	PressureCodes     = slices.Concat(offlineCodes, []finding.Code{DiskPressure, MemoryPressure, PIDPressure, NodeNotReady, NodeJoining})
)

// PressureBut are the PressureCodes without some.
func PressureBut(but ...finding.Code) []finding.Code {
	return slices.DeleteFunc(slices.Clone(PressureCodes), func(c finding.Code) bool { return slices.Contains(but, c) })
}

// Rules are those about the node itself, the deepest first.
var Rules = []rule{
	apiWritesStopped, localAPIServerNotReady, kubeletNotReporting, readyConditionStale, leaseNotRenewed, heartbeatLate,
	kubeletNeverReported, nodeStatusStale, clockSkew, containerRuntimeDown, networkPluginNotReady, nodeShuttingDown,
	nodeNotReady, nodeJoining, diskPressure, pidPressure,
	memoryPressure, evictionNear, networkUnavailable, conditionProblem, maintenanceScheduled, systemOOM,
	kubeletServingCertificateMissing, kubeletCertificateExpired, kubeletServingCertificateMismatch, kubeletCertificateNotIssued,
	kubeletCertificateExpiring, kubeletRestarting, kubeletUnreachable, kubeletError,
	warningEvents, rebooted, nodeReadinessFlapping, controlPlaneComponentNotReady, localAPIServerNotReporting,
	leaderLeaseExpired, apiServerNotReady, controlPlaneVersionSkew,
}
