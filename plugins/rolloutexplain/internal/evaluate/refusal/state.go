package refusal

import (
	"fmt"
	"regexp"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	PodInvalid        finding.Code = "PodInvalid"
	PVCTerminating    finding.Code = "PVCTerminating"
	NameAlreadyExists finding.Code = "NameAlreadyExists"
)

var stateRules = []rule.Rule{
	{Layer: rule.LayerCreate, Bears: []string{""}, Entry: finding.Entry{
		Code: PodInvalid, Severity: finding.Critical, Title: "Pod spec is invalid",
		Meaning:  "The API server rejects the pod because a field of its spec is invalid.",
		Evidence: "\"is invalid\" and the field in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Correct the field in the pod template.",
	}},
	{Layer: rule.LayerCreate, Entry: finding.Entry{
		Code: PVCTerminating, Severity: finding.Critical, Title: "PersistentVolumeClaim is still being deleted",
		Meaning:  "A PersistentVolumeClaim with the required name is still being deleted, so the pod cannot be created.",
		Evidence: "\"is being deleted\" and the name of the claim in a FailedCreate event.",
		Next:     "Check which finalizer or pod blocks the deletion of the PersistentVolumeClaim.",
	}},
	{Layer: rule.LayerCreate, Entry: finding.Entry{
		Code: NameAlreadyExists, Severity: finding.Critical, Title: "Object with the required name already exists",
		Meaning:  "An object that does not belong to this workload has the name that the new object requires.",
		Evidence: "\"already exists\" in a FailedCreate event.",
		Next:     "Rename or delete the other object.",
	}},
}

// claimEnds is the StatefulSet controller's own word, without asking the API server.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/statefulset/stateful_pod_control.go (createPersistentVolumeClaims)
var claimEnds = regexp.MustCompile(`\bpvc \S+ is being deleted`)

// aboveLimit is a request above its limit.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/validation/validation.go (validateContainerResources)
var aboveLimit = regexp.MustCompile(`spec\.(c|initC)ontainers\[(\d+)\]\.resources\.requests: .* must be less than or equal to (\S+) limit`)

// defaultedLimit names the resource whose limit a request exceeds although the template sets none.
func defaultedLimit(reason string, w *model.Workload) string {
	m := aboveLimit.FindStringSubmatch(reason)
	if m == nil || w.Template == nil {
		return ""
	}
	containers := w.Template.Spec.Containers
	if m[1] == "initC" {
		containers = w.Template.Spec.InitContainers
	}
	i, err := strconv.Atoi(m[2])
	if err != nil || i >= len(containers) { // a webhook's own container
		return ""
	}
	if _, set := containers[i].Resources.Limits[corev1.ResourceName(m[3])]; set {
		return ""
	}
	return m[3]
}

// refusalByState is for what is there already, or is about to go.
func refusalByState(e *model.Evaluation, a *admission.Refusal, text string, w *model.Workload) Refused {
	switch {
	case a.Kind == admission.NamespaceTerminating:
		EndingNamespace(e, w)
		return Refused{Code: NamespaceTerminating, Class: report.Fatal, SelfHealing: "no", What: "the namespace is being deleted"}
	case a.Kind == admission.StillDeleting && a.Resource == "persistentvolumeclaims", a.Kind == admission.Unknown &&
		claimEnds.MatchString(text):
		return Refused{
			Code: PVCTerminating, Class: report.LikelyFatal, SelfHealing: "maybe",
			What: "a PersistentVolumeClaim of the pod is still being deleted: " + afterPrefix(text),
			Next: []finding.Next{e.Next(w, finding.Read, "Show which PersistentVolumeClaim is being deleted, and its finalizers", "get", "pvc", "-o",
				"custom-columns=NAME:.metadata.name,DELETED:.metadata.deletionTimestamp,FINALIZERS:.metadata.finalizers")},
		}
	case a.Kind == admission.Invalid:
		r := Refused{
			Code: PodInvalid, Class: report.Fatal, SelfHealing: "no",
			What: "the API server rejects the pod as invalid: " + a.Reason,
		}
		if resource := defaultedLimit(a.Reason, w); resource != "" {
			r.What += fmt.Sprintf("; the template sets no %s limit, so a LimitRange default or a webhook does", resource)
			r.Next = []finding.Next{e.Next(w, finding.Read, "Show the defaults of the LimitRanges of the namespace", "describe", "limitrange")}
		}
		return r
	case a.Kind == admission.Exists, a.Kind == admission.StillDeleting:
		return Refused{
			Code: NameAlreadyExists, Class: report.LikelyFatal, SelfHealing: "no",
			What: "an object of that name exists and does not belong to this workload: " + afterPrefix(text),
		}
	}
	return Refused{}
}
