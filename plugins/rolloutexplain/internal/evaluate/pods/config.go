package pods

import (
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	RunAsNonRootCheckFailed    finding.Code = "RunAsNonRootCheckFailed"
	CreateContainerConfigError finding.Code = "CreateContainerConfigError"
)

var configRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"securityContext", ".image"}, Entry: finding.Entry{
		Code: RunAsNonRootCheckFailed, Severity: finding.Critical, Title: "Container fails the runAsNonRoot check",
		Meaning:  "runAsNonRoot is set, and runAsUser is 0, or the user of the image is root or not a number.",
		Evidence: "Container state CreateContainerConfigError with a message about runAsNonRoot.",
		Next:     "Set runAsUser to a number other than 0, or use an image with a numeric user other than 0.",
	}},
	{Layer: rule.LayerPod, Bears: []string{""}, Entry: finding.Entry{
		Code: CreateContainerConfigError, Severity: finding.Critical, Title: "Container configuration cannot be created",
		Meaning:  "The kubelet cannot create the configuration of the container.",
		Evidence: "Container state CreateContainerConfigError.",
		Next:     "Read the error in the container state.",
	}},
}

var (
	// v1.37 begins the sentence otherwise (reportMultiAttachError in
	// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/controller/volume/attachdetach/reconciler/reconciler.go).
	multiAttach = regexp.MustCompile(`(?:Multi-Attach error|Waiting for detach) for volume "([^"]+)"(?: Volume is)?(.*)$`)
	usedBy      = regexp.MustCompile(`used by pod\(s\) ([^ ,]+(?:, [^ ,]+)*)`)
	// Before v1.37 the message ended after what was wanted: a path that does not exist was told no other way than one of another type.
	// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/volume/hostpath/host_path.go (typeMatchedOrError)
	hostPathType = regexp.MustCompile(
		`hostPath type check failed[:,] (.+?) is not an? ([^,]+)(?:, (?:it's an? ([^,]+)|unable to determine its type: (.+)))?$`)
	// The kubelet ends its security errors with the pod's name and UID, which are known
	// (https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/kuberuntime/security_context.go).
	podSuffix = regexp.MustCompile(` \(pod: "[^"]*", container: [^)]*\)$`)
	// The kubelet says the one when it mounts, and the attacher the other before that.
	driverAbsent = regexp.MustCompile(
		`driver name (\S+) not found in the list of registered CSI drivers|CSINode \S+ does not contain driver (\S+)`)
)

// configError decodes CreateContainerConfigError.
func configError(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container,
	wait *corev1.ContainerStateWaiting,
) *model.Cause {
	c := config.Missing(e, w, p, wait.Message)
	switch {
	case c != nil:
		c.Message = fmt.Sprintf("%s cannot start: %s", p.Called(spec.Name), c.Message)
	case plain.ContainsAny(wait.Message, "failed to sync configmap cache", "failed to sync secret cache", "not registered"):
		// The kubelet's own cache is late: https://github.com/kubernetes/kubernetes/issues/74412
		c = e.Cause(p, model.StageConfig, CreateContainerConfigError, report.Transient, "%s waits for the cache of the kubelet: %s",
			p.Called(spec.Name), plain.OneLine(wait.Message)).MarkSelfHealing()
	case plain.ContainsAny(wait.Message, "runAsNonRoot", "run as root", "breaks non-root policy"):
		c = e.Cause(p, model.StageConfig, RunAsNonRootCheckFailed, report.Fatal, "%s fails the runAsNonRoot check: %s",
			p.Called(spec.Name), plain.OneLine(podSuffix.ReplaceAllString(wait.Message, ""))).
			WithNext(e.Next(w, finding.Read, "Read the securityContext; set runAsUser, or use an image with a numeric non-root user",
				"get", w.Slash(), "-o", "jsonpath={.spec.template.spec}"))
	default:
		c = e.Cause(p, model.StageConfig, CreateContainerConfigError, report.LikelyFatal,
			"the configuration of %s cannot be created: %s", p.Called(spec.Name), plain.OneLine(wait.Message)).
			WithNext(e.Next(w, finding.Read, "Read the environment and the volumes of the containers", "get", "pod", p.Name, "-o",
				"jsonpath={.spec}"))
	}
	c.In(spec.Name).Since(p.CreationTimestamp.Time)
	c.Stage = model.StageConfig
	c.WithEvidence(plain.Evidence("Pod "+p.Name, p.StatusPath(spec.Name)+".state.waiting", wait.Reason+": "+wait.Message, plain.NoTime))
	if ev := eventfact.Newest(e.PodEvents(p), "Failed"); ev != nil {
		c.Attempts = max(c.Attempts, ev.Count)
	}
	return c
}
