// Package refusal reports why pods that a controller should create do not exist: it reads the errors of the API server, and
// what it means where there is none.
package refusal

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Refused is what an API server's rejection of a new object means. What is a clause for a sentence that ends in "because".
type Refused struct {
	Code              finding.Code
	What, SelfHealing string
	Class             report.Class
	Next              []finding.Next
	Quota             string // its name
}

// Read reads a rejection. An unknown text is quoted unchanged.
func Read(e *model.Evaluation, text string, w *model.Workload) Refused {
	text = plain.OneLine(text)
	a := admission.Parse(text)
	r := refusalByQuota(e, &a, w)
	if r.Code == "" {
		r = refusalByPolicy(e, &a, w)
	}
	if r.Code == "" {
		r = refusalByReference(e, &a, w)
	}
	if r.Code == "" {
		r = refusalByState(e, &a, text, w)
	}
	if r.Code == "" {
		r = Refused{
			Code: codes.PodCreationRejected, Class: report.LikelyFatal, SelfHealing: "maybe",
			What: "the API server returned: " + afterPrefix(text),
		}
	}
	if len(r.Next) == 0 {
		r.Next = []finding.Next{e.Next(w, finding.Read, "Compare the pod template with the error",
			"get", w.Slash(), "-o", "jsonpath={.spec.template}")}
	}
	return r
}

// afterPrefix drops what the controllers put before the server's words.
func afterPrefix(text string) string {
	text = strings.TrimPrefix(text, "Error creating: ")
	if _, after, ok := strings.Cut(text, " failed error: "); ok {
		return after
	}
	return text
}

func refusalByQuota(e *model.Evaluation, a *admission.Refusal, w *model.Workload) Refused {
	switch a.Kind {
	case admission.QuotaExceeded:
		return Refused{
			Code: codes.QuotaExceeded, Class: report.LikelyFatal, SelfHealing: "maybe", Quota: a.Name,
			What: fmt.Sprintf("ResourceQuota %q is exceeded: requested %s, used %s, limited to %s", a.Name,
				a.Quota.Requested, a.Quota.Used, a.Quota.Limited),
			Next: []finding.Next{e.Next(w, finding.Read, "Show the limits and the use of the ResourceQuota", "describe", "quota", a.Name)},
		}
	case admission.QuotaUnspecified:
		return Refused{
			Code: codes.QuotaRequiresResources, Class: report.Fatal, SelfHealing: "no",
			What: fmt.Sprintf("ResourceQuota %q requires each pod to set %s", a.Name, strings.TrimPrefix(a.Reason, "must specify ")),
			Next: []finding.Next{
				e.Next(w, finding.Read, "Show what the ResourceQuota counts, then set it in the template or as a LimitRange default",
					"describe", "quota", a.Name),
			},
		}
	case admission.LimitRange:
		return Refused{
			Code: codes.LimitRangeViolated, Class: report.Fatal, SelfHealing: "no", What: "the pod violates a LimitRange: " + a.Reason,
			Next: []finding.Next{e.Next(w, finding.Read, "Show the LimitRanges of the namespace, then change the resources in the template",
				"describe",
				"limitrange")},
		}
	}
	return Refused{}
}

// remedies are what each violation of a Pod Security Standard says in brackets: which container must set what.
var remedies = regexp.MustCompile(` \([^()]*\)`)

// violations are the controls that a pod violates, without their remedies, which the evidence tells.
func violations(reason string) string { return remedies.ReplaceAllString(reason, "") }

func refusalByPolicy(e *model.Evaluation, a *admission.Refusal, w *model.Workload) Refused {
	switch a.Kind {
	case admission.PodSecurity:
		return Refused{
			Code: codes.PodSecurityViolated, Class: report.Fatal, SelfHealing: "no",
			What: fmt.Sprintf("the namespace enforces Pod Security %q: %s", a.Name, violations(a.Reason)),
			Next: []finding.Next{
				e.NextCluster(finding.Read, "Show the level that the namespace enforces, then change the securityContext in the template",
					"get", "namespace",
					w.Meta.Namespace, "--show-labels"),
			},
		}
	case admission.ValidatingPolicy, admission.MutatingPolicy:
		kind, binding := "validatingadmissionpolicy", ""
		if a.Kind == admission.MutatingPolicy {
			kind = "mutatingadmissionpolicy"
		}
		if a.Binding != "" {
			binding = fmt.Sprintf(" (binding %q)", a.Binding)
		}
		return Refused{
			Code: codes.AdmissionPolicyDenied, Class: report.Fatal, SelfHealing: "no",
			What: fmt.Sprintf("admission policy %q%s denies the request: %s", a.Name, binding, a.Reason),
			Next: []finding.Next{e.NextCluster(finding.Read, "Read the rules of the policy", "get", kind, a.Name, "-o", "yaml")},
		}
	case admission.WebhookDenied:
		return Refused{
			Code: codes.AdmissionWebhookDenied, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("admission webhook %q denies the request: %s", a.Name, cmp.Or(a.Reason, "no reason given")),
			Next: []finding.Next{webhooks(e, "Find the configuration of the webhook")},
		}
	case admission.WebhookFailed:
		return Refused{
			Code: codes.AdmissionWebhookCallFailed, Class: report.Transient, SelfHealing: "maybe",
			What: fmt.Sprintf("admission webhook %q cannot be called: %s", a.Name, cmp.Or(a.Reason, "no details reported")),
			Next: webhookService(e, a.Reason),
		}
	case admission.NotPermitted:
		may := a.Permission
		return Refused{
			Code: codes.PodCreationRejected, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("the controller lacks a permission: %s cannot %s %s", may.User, may.Verb, cmp.Or(may.Resource, may.Path)),
			Next: []finding.Next{e.NextCluster(finding.Read, "List the permissions of the controller", "auth", "can-i", "--list", "--as="+may.User)},
		}
	}
	return Refused{}
}

// webhookTarget is the URL of a webhook that names a Service.
var webhookTarget = regexp.MustCompile(`https://([a-z0-9-]+)\.([a-z0-9-]+)\.svc[:/]`)

// webhookService leads to what should answer the call: the Service's endpoints where the URL names a Service.
func webhookService(e *model.Evaluation, text string) []finding.Next {
	all := webhooks(e, "Show the Service or URL of the webhook and its failurePolicy")
	m := webhookTarget.FindStringSubmatch(text)
	if m == nil {
		return []finding.Next{all}
	}
	return []finding.Next{{
		Command: e.Kubectl.Command(m[2], "get", "endpointslices", "-l", "kubernetes.io/service-name="+m[1]),
		Why:     fmt.Sprintf("Check whether Service %s/%s of the webhook has endpoints", m[2], m[1]), Risk: finding.Read,
	}, all}
}

func webhooks(e *model.Evaluation, why string) finding.Next {
	return e.NextCluster(finding.Read, why, "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o",
		"custom-columns=KIND:.kind,NAME:.metadata.name,HOOKS:.webhooks[*].name"+
			",SERVICE:.webhooks[*].clientConfig.service.name,URL:.webhooks[*].clientConfig.url,POLICY:.webhooks[*].failurePolicy")
}

func refusalByReference(e *model.Evaluation, a *admission.Refusal, w *model.Workload) Refused {
	switch a.Kind {
	case admission.ServiceAccountMissing:
		return Refused{
			Code: codes.ServiceAccountNotFound, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("ServiceAccount %q does not exist", a.Name),
			Next: []finding.Next{
				e.Next(w, finding.Read, "List the existing ServiceAccounts", "get", "serviceaccounts"),
				e.Next(w, finding.Change, "Create the ServiceAccount if the name is correct", "create", "serviceaccount", a.Name),
			},
		}
	case admission.PriorityClassMissing:
		return Refused{
			Code: codes.PriorityClassNotFound, Class: report.LikelyFatal, SelfHealing: "maybe",
			What: fmt.Sprintf("PriorityClass %q does not exist", a.Name),
			Next: []finding.Next{e.NextCluster(finding.Read, "List the existing PriorityClasses", "get", "priorityclasses")},
		}
	case admission.RuntimeClassMissing:
		return Refused{
			Code: codes.RuntimeClassNotFound, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("RuntimeClass %q does not exist", a.Name),
			Next: []finding.Next{e.NextCluster(finding.Read, "List the existing RuntimeClasses", "get", "runtimeclasses")},
		}
	}
	return Refused{}
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
		NamespaceTerminating(e, w)
		return Refused{Code: codes.NamespaceTerminating, Class: report.Fatal, SelfHealing: "no", What: "the namespace is being deleted"}
	case a.Kind == admission.StillDeleting && a.Resource == "persistentvolumeclaims", a.Kind == admission.Unknown &&
		claimEnds.MatchString(text):
		return Refused{
			Code: codes.PVCTerminating, Class: report.LikelyFatal, SelfHealing: "maybe",
			What: "a PersistentVolumeClaim of the pod is still being deleted: " + afterPrefix(text),
			Next: []finding.Next{e.Next(w, finding.Read, "Show which PersistentVolumeClaim is being deleted, and its finalizers", "get", "pvc", "-o",
				"custom-columns=NAME:.metadata.name,DELETED:.metadata.deletionTimestamp,FINALIZERS:.metadata.finalizers")},
		}
	case a.Kind == admission.Invalid:
		r := Refused{
			Code: codes.PodInvalid, Class: report.Fatal, SelfHealing: "no",
			What: "the API server rejects the pod as invalid: " + a.Reason,
		}
		if resource := defaultedLimit(a.Reason, w); resource != "" {
			r.What += fmt.Sprintf("; the template sets no %s limit, so a LimitRange default or a webhook does", resource)
			r.Next = []finding.Next{e.Next(w, finding.Read, "Show the defaults of the LimitRanges of the namespace", "describe", "limitrange")}
		}
		return r
	case a.Kind == admission.Exists, a.Kind == admission.StillDeleting:
		return Refused{
			Code: codes.NameAlreadyExists, Class: report.LikelyFatal, SelfHealing: "no",
			What: "an object of that name exists and does not belong to this workload: " + afterPrefix(text),
		}
	}
	return Refused{}
}
