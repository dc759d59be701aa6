package pods

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ConfigMapNotFound          finding.Code = "ConfigMapNotFound"
	SecretNotFound             finding.Code = "SecretNotFound"
	ConfigKeyNotFound          finding.Code = "ConfigKeyNotFound"
	RunAsNonRootCheckFailed    finding.Code = "RunAsNonRootCheckFailed"
	CreateContainerConfigError finding.Code = "CreateContainerConfigError"
)

var configRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"configMap", "olume", ".env", "nodeName"}, Entry: finding.Entry{
		Code: ConfigMapNotFound, Severity: finding.Critical, Title: "ConfigMap does not exist",
		Meaning: "The pod template references a ConfigMap that does not exist. The pods start without a change once it " +
			"is created.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Create the ConfigMap, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"secret", "olume", ".env"}, Entry: finding.Entry{
		Code: SecretNotFound, Severity: finding.Critical, Title: "Secret does not exist",
		Meaning: "The pod template references a Secret that does not exist. The pods start without a change once it is " +
			"created.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Create the Secret, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".env", "olume"}, Entry: finding.Entry{
		Code: ConfigKeyNotFound, Severity: finding.Critical, Title: "ConfigMap or Secret lacks a referenced key",
		Meaning:  "The ConfigMap or Secret exists but does not contain the key that the pod template references.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Add the key, or correct its name in the pod template.",
	}},
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
	objectAbsent = regexp.MustCompile(`(configmap|secret)s? "([^"]+)" not found`)
	keyAbsent    = regexp.MustCompile(`couldn't find key (\S+) in (ConfigMap|Secret) (\S+)`)
	keyRefAbsent = regexp.MustCompile(`references non-existent (config|secret) key: (\S+)`)
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
	c := missingObject(e, w, p, wait.Message)
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

// missingObject recognizes a ConfigMap, a Secret or a key in one that is not there.
func missingObject(e *model.Evaluation, w *model.Workload, p *model.Pod, text string) *model.Cause {
	if m := keyAbsent.FindStringSubmatch(text); m != nil {
		name := m[3][strings.LastIndex(m[3], "/")+1:]
		return e.Cause(p, model.StageConfig, ConfigKeyNotFound, report.LikelyFatal, "%s %q has no key %q", m[2], name, m[1]).
			WithKey(m[2] + name + m[1]).
			WithNext(e.Next(w, finding.Read, "List the existing keys", "describe", strings.ToLower(m[2]), name))
	}
	if m := keyRefAbsent.FindStringSubmatch(text); m != nil {
		kind := map[string]string{"config": "ConfigMap", "secret": "Secret"}[m[1]]
		c := e.Cause(p, model.StageConfig, ConfigKeyNotFound, report.LikelyFatal, "a mounted %s has no key %q", kind, m[2]).
			WithKey(kind + m[2])
		if name := volumeSourceOf(p, kind, m[2]); name != "" {
			c.Message = fmt.Sprintf("%s %q has no key %q, which a volume mounts", kind, name, m[2])
			c.WithNext(e.Next(w, finding.Read, "List the existing keys", "describe", strings.ToLower(kind), name))
		}
		return c
	}
	m := objectAbsent.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	kind, code := "ConfigMap", ConfigMapNotFound
	if m[1] == "secret" {
		kind, code = "Secret", SecretNotFound
	}
	c := e.Cause(p, model.StageConfig, code, report.LikelyFatal, "%s %q does not exist", kind, m[2]).WithKey(m[2])
	c.SelfHealing = "no"
	likeNamed(e, p.Namespace, kind, m[2], c)
	return c.WithNext(e.Next(w, finding.Read, "List the existing objects; the pods start without a change once the missing one exists",
		"get", strings.ToLower(kind)+"s"))
}

// volumeSourceOf finds which object a mounted key belongs to.
func volumeSourceOf(p *model.Pod, kind, key string) string {
	holds := func(items []corev1.KeyToPath) bool {
		return slices.ContainsFunc(items, func(i corev1.KeyToPath) bool { return i.Key == key })
	}
	for _, v := range p.Spec.Volumes {
		switch {
		case kind == "ConfigMap" && v.ConfigMap != nil && holds(v.ConfigMap.Items):
			return v.ConfigMap.Name
		case kind == "Secret" && v.Secret != nil && holds(v.Secret.Items):
			return v.Secret.SecretName
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if kind == "ConfigMap" && s.ConfigMap != nil && holds(s.ConfigMap.Items) {
					return s.ConfigMap.Name
				}
				if kind == "Secret" && s.Secret != nil && holds(s.Secret.Items) {
					return s.Secret.Name
				}
			}
		}
	}
	return ""
}

// likeNamed adds a near miss: an object whose name is a small slip away.
func likeNamed(e *model.Evaluation, namespace, kind, name string, c *model.Cause) {
	if e.Opts.Wide || !e.Asks.Have(model.Need{Kind: model.NeedNames, Namespace: namespace, Name: strings.ToLower(kind) + "s"}) {
		return
	}
	best, least := "", 3
	for _, n := range e.In.Names {
		if n.Kind != kind || n.Namespace != namespace {
			continue
		}
		if n.Name == name {
			c.Message = fmt.Sprintf("the kubelet does not find %s %q, which exists now: it looks again within 1 to 2 minutes", kind, name)
			c.Class, c.SelfHealing = report.Transient, "yes"
			return
		}
		if d := distance(n.Name, name); d <= least && (d < least || best == "" || n.Name < best) {
			best, least = n.Name, d
		}
	}
	if best != "" {
		c.Message += fmt.Sprintf("; closest existing name: %q", best)
	}
}

// distance is how many letters differ (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j], diagonal = min(row[j]+1, row[j-1]+1, diagonal+cost), row[j]
		}
	}
	return row[len(b)]
}
