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
	codes.ImageNotFound: {".image"}, codes.ImagePullUnauthorized: {".image", "imagePullSecrets", "serviceAccount"},
	codes.RegistryUnavailable: {".image"}, codes.InvalidImageName: {".image"},
	codes.ErrImageNeverPull: {".image", "imagePullPolicy"}, codes.ErrImagePull: {".image"}, codes.ImageRejected: {".image"},
	codes.ExecFormatError:   {".image", ".command", ".args", "olume"},
	codes.OOMKilled:         {".resources", ".image", ".env", ".args", ".command"},
	codes.ContainerCrashing: {""}, codes.InitContainerFailing: {""},
	codes.ContainerCompleted:  {".command", ".args", ".image"},
	codes.ContainerStartError: {".command", ".args", ".image", "workingDir", "olumeMounts", "securityContext"},
	codes.FailedPostStartHook: {"lifecycle", ".image"}, codes.PostStartHookRunning: {"lifecycle", ".image"},
	codes.LivenessProbeFailed:    {"livenessProbe", ".ports", ".image", ".env", ".command", ".args", ".resources"},
	codes.StartupProbeFailed:     {"startupProbe", ".ports", ".image", ".env", ".command", ".args", ".resources"},
	codes.StartupProbePending:    {"startupProbe", ".image"},
	codes.ReadinessProbeFailing:  {"readinessProbe", ".ports", ".image", ".env", ".command", ".args"},
	codes.PodReadinessFlapping:   {"readinessProbe", ".image", ".env", ".resources"},
	codes.ReadinessGatesNotReady: {"readinessGates"},
	codes.SidecarNotStarted:      {"initContainers"}, codes.InitContainerRunning: {"initContainers"},
	codes.ConfigMapNotFound: {"configMap", "olume", ".env", "nodeName"}, codes.SecretNotFound: {"secret", "olume", ".env"},
	codes.ConfigKeyNotFound: {".env", "olume"}, codes.RunAsNonRootCheckFailed: {"securityContext", ".image"},
	codes.InsufficientResources: {".resources", "nodeSelector", "affinity", "overhead"},
	codes.UntoleratedTaint:      {"tolerations", "nodeSelector", "affinity"}, codes.NodeAffinityUnsatisfied: {"nodeSelector", "affinity"},
	codes.PodAffinityUnsatisfied: {"affinity"}, codes.TopologySpreadUnsatisfied: {"topologySpread"},
	codes.HostPortConflict: {".ports", "hostNetwork"},
	codes.PVCNotFound:      {"olume"}, codes.PVCNotBound: {"olume"}, codes.VolumeNodeAffinityConflict: {"olume"},
	codes.Unschedulable: {".resources", "nodeSelector", "affinity", "tolerations", "olume"}, codes.NamedSchedulerNotActing: {"schedulerName"},
	codes.SchedulingGated: {"schedulingGates"},
	codes.QuotaExceeded:   {".resources"}, codes.QuotaRequiresResources: {".resources"}, codes.LimitRangeViolated: {".resources"},
	codes.PodSecurityViolated:   {"securityContext", "host", "olume", "capabilities"},
	codes.AdmissionPolicyDenied: {""}, codes.AdmissionWebhookDenied: {""}, codes.ServiceAccountNotFound: {"serviceAccount"},
	codes.PriorityClassNotFound: {"priorityClassName"}, codes.RuntimeClassNotFound: {"runtimeClassName"}, codes.PodInvalid: {""},
	codes.FailedMount: {"olume"}, codes.Evicted: {".resources", "olume", ".image"},
	codes.NodeNotReady: {"nodeName"}, codes.NodeNotFound: {"nodeName"},
	codes.PodRejected: {""}, codes.FailedCreatePodSandBox: {"runtimeClassName"}, codes.CreateContainerConfigError: {""},
	codes.ResourceClaimUnsatisfied: {"resourceClaims"}, codes.DegradedAfterCompletion: {""},
}

// Bears says whether a cause may come of a template at all.
func Bears(code finding.Code) bool { return bearing[code] != nil }

// crashBearing is what bears on a crash whose own words say its kind; nil: they do not. An added variable has nothing to do with
// a program that is not there, nor, unless it names a port, with a port in use.
func crashBearing(f *report.Finding) []string {
	if f.Code != codes.ContainerCrashing && f.Code != codes.InitContainerFailing {
		return nil
	}
	text := f.Message
	if f.Log != nil {
		text += " " + strings.Join(f.Log.Lines, " ")
	}
	text = strings.ToLower(text)
	switch {
	case strings.Contains(text, "address already in use"):
		return []string{".ports", ".command", ".args", ".image", "hostNetwork", "PORT", "ADDR", "LISTEN"}
	case strings.Contains(text, "exit code 127"), strings.Contains(text, "exit code 126"):
		return []string{".command", ".args", ".image", "olume", "workingDir", "env[PATH]"}
	}
	return nil
}

// Mark flags the changes that bear on a cause, those in the cause's own container first.
func Mark(changes []report.Change, f *report.Finding) (relevant []report.Change) {
	words := bearing[f.Code]
	if narrower := crashBearing(f); narrower != nil {
		words = narrower
	}
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
