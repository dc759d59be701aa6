package diff

import (
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// bearing lists, for a cause, the parts of a template that may bring it about.
var bearing = map[finding.Code][]string{
	codes.ImageNotFound: {".image"}, codes.ImageUnauthorized: {".image", "imagePullSecrets", "serviceAccount"},
	codes.RegistryUnreachable: {".image"}, codes.InvalidImageName: {".image"},
	codes.ImageNeverPull: {".image", "imagePullPolicy"}, codes.ImagePullFailed: {".image"}, codes.ImageRejected: {".image"},
	codes.ExecFormatError: {".image"},
	codes.OOMKilled:       {".resources", ".image", ".env", ".args", ".command"}, codes.CrashLoop: {""}, codes.InitContainerFails: {""},
	codes.ExitsNormally:       {".command", ".args", ".image"},
	codes.ContainerStartError: {".command", ".args", ".image", "workingDir", "olumeMounts", "securityContext"},
	codes.PostStartHookFailed: {"lifecycle", ".image"}, codes.PostStartHookPending: {"lifecycle", ".image"},
	codes.LivenessKilled:   {"livenessProbe", ".ports", ".image", ".env", ".command", ".args", ".resources"},
	codes.StartupKilled:    {"startupProbe", ".ports", ".image", ".env", ".command", ".args", ".resources"},
	codes.StartupPending:   {"startupProbe", ".image"},
	codes.ReadinessFailing: {"readinessProbe", ".ports", ".image", ".env", ".command", ".args"},
	codes.Flapping:         {"readinessProbe", ".image", ".env", ".resources"},
	codes.ReadinessGate:    {"readinessGates"}, codes.SidecarNotStarted: {"initContainers"}, codes.InitRunning: {"initContainers"},
	codes.ConfigMapMissing: {"configMap", "olume", ".env", "nodeName"}, codes.SecretMissing: {"secret", "olume", ".env"},
	codes.KeyMissing: {".env", "olume"}, codes.RunsAsRoot: {"securityContext", ".image"},
	codes.InsufficientResources: {".resources", "nodeSelector", "affinity", "overhead"},
	codes.TaintNotTolerated:     {"tolerations", "nodeSelector", "affinity"}, codes.NodeSelectorUnmet: {"nodeSelector", "affinity"},
	codes.PodAffinityUnmet: {"affinity"}, codes.TopologySpread: {"topologySpread"}, codes.HostPortTaken: {".ports", "hostNetwork"},
	codes.ClaimMissing: {"olume"}, codes.ClaimUnbound: {"olume"}, codes.VolumeElsewhere: {"olume"},
	codes.Unschedulable: {".resources", "nodeSelector", "affinity", "tolerations", "olume"}, codes.SchedulerUnknown: {"schedulerName"},
	codes.SchedulingGated: {"schedulingGates"},
	codes.QuotaExceeded:   {".resources"}, codes.QuotaMustSpecify: {".resources"}, codes.LimitRangeViolated: {".resources"},
	codes.PodSecurityViolated:   {"securityContext", "host", "olume", "capabilities"},
	codes.AdmissionPolicyDenied: {""}, codes.WebhookDenied: {""}, codes.ServiceAccountMissing: {"serviceAccount"},
	codes.PriorityClassMissing: {"priorityClassName"}, codes.RuntimeClassMissing: {"runtimeClassName"}, codes.PodInvalid: {""},
	codes.VolumeMountFailed: {"olume"}, codes.Evicted: {".resources", "olume", ".image"}, codes.NodeNotReady: {"nodeName"},
	codes.PodRejected: {""}, codes.SandboxFailed: {"runtimeClassName"}, codes.ContainerConfigError: {""},
	codes.ResourceClaimUnmet: {"resourceClaims"}, codes.BrokeAfterCompletion: {""},
}

// Bears says whether a cause may come of a template at all.
func Bears(code finding.Code) bool { return bearing[code] != nil }

// Mark flags the changes that bear on a cause, those in the cause's own container first.
func Mark(changes []report.Change, f *report.Finding) (relevant []report.Change) {
	words := bearing[f.Code]
	for i := range changes {
		path := changes[i].Path
		if strings.HasPrefix(path, "metadata.") || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(path, w) }) {
			continue
		}
		if f.Container != "" && strings.Contains(path, "ontainers[") && !strings.Contains(path, "ontainers["+f.Container+"]") {
			continue
		}
		changes[i].Relevant = true
		relevant = append(relevant, changes[i])
	}
	return relevant
}
