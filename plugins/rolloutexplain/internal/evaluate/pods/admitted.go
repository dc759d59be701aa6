package pods

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// admitted tells where a pod is not what its template says, if that bears on the cause: a webhook or a policy has put in a
// container, an image or a limit, or somebody has edited the pod since.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#what-are-they
func admitted(e *model.Evaluation, w *model.Workload, c *model.Cause) {
	if w.Template == nil || !c.Pod.IsNew || w.Kind == "Pod" {
		return
	}
	changes := foreign(diff.Templates(w.Template, &corev1.PodTemplateSpec{ObjectMeta: w.Template.ObjectMeta, Spec: c.Pod.Spec}), w.Template)
	relevant := report.Fold(diff.Mark(changes, &c.Finding, Bears(e, &c.Finding)))
	if len(relevant) == 0 {
		return
	}
	words := make([]string, 0, len(relevant))
	for _, change := range relevant {
		words = append(words, diff.Say(change))
	}
	first := relevant[0]
	switch {
	case c.Container != "" && !holds(w.Template, c.Container):
		c.Message += "; the pod template has no such container"
	case decides(first.Path):
		c.Message += "; the pod is not as its template: " + words[0]
	}
	c.WithEvidence(plain.Evidence("Pod "+c.Pod.Name, "spec, against the pod template", strings.Join(words, "; "), plain.NoTime))
	if strings.Contains(first.Path, ".resources.") && strings.Contains(c.Pod.Annotations[limitRanger], "for container "+c.Container) {
		c.WithNext(e.Next(w, finding.Read, "Show the defaults that the LimitRanges of the namespace set", "describe", "limitrange"))
		return
	}
	c.WithNext(e.Mutators("pods"))
}

// Bears names the parts of a template that may have brought a cause about; nil: none.
func Bears(e *model.Evaluation, f *report.Finding) []string {
	if words := crashBears(f); words != nil {
		return words
	}
	return e.Rules.Of(f.Code).Bears
}

// foreign leaves out what the control plane itself puts into each pod: the mount of its ServiceAccount's token, the index of
// a Job's pod, a request for each limit that has none. Outside of containers, only the node selector is compared.
func foreign(changes []report.Change, template *corev1.PodTemplateSpec) []report.Change {
	return slices.DeleteFunc(changes, func(c report.Change) bool {
		switch {
		case strings.HasPrefix(c.Path, "nodeSelector"):
			return false
		case !strings.HasPrefix(c.Path, "containers[") && !strings.HasPrefix(c.Path, "initContainers["):
			return true
		case strings.Contains(c.Path, "volumeMounts["+tokenMount), strings.Contains(c.Path, "env["+jobIndex):
			return true
		}
		_, resource, request := strings.Cut(c.Path, ".resources.requests.")
		return request && hasLimit(template, c.Path, corev1.ResourceName(resource))
	})
}

const (
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/serviceaccount/admission.go (DefaultAPITokenMountPath)
	tokenMount = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a path
	// https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
	jobIndex = "JOB_COMPLETION_INDEX"
)

// hasLimit says whether the container of a path has a limit of a resource in the template.
// https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits
func hasLimit(template *corev1.PodTemplateSpec, path string, name corev1.ResourceName) bool {
	return slices.ContainsFunc(slices.Concat(template.Spec.InitContainers, template.Spec.Containers), func(c corev1.Container) bool {
		_, has := c.Resources.Limits[name]
		return has && strings.Contains(path, "ontainers["+c.Name+"].")
	})
}

func holds(template *corev1.PodTemplateSpec, container string) bool {
	return slices.ContainsFunc(slices.Concat(template.Spec.InitContainers, template.Spec.Containers), func(c corev1.Container) bool {
		return c.Name == container
	})
}

// decides says whether a changed field alone may be the cause, so that it belongs into the sentence.
func decides(path string) bool {
	return strings.HasPrefix(path, "nodeSelector") || slices.ContainsFunc([]string{".image", ".command", ".args", ".resources.", "Probe"},
		func(part string) bool { return strings.Contains(path, part) })
}
