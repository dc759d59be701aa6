// Package refusal tells why pods that a controller wants are not created: it reads what the API server answered, and what its
// silence means.
package refusal

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Refused is what an API server's refusal to create something means.
type Refused struct {
	Code              finding.Code
	What, SelfHealing string
	Class             report.Class
	Next              []finding.Next
	Quota             string // its name
}

// Read reads a refusal. Every unknown text is passed on as it stands.
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
		r = Refused{Code: codes.PodCreationRejected, Class: report.LikelyFatal, SelfHealing: "maybe", What: afterPrefix(text)}
	}
	if len(r.Next) == 0 {
		r.Next = []finding.Next{e.Next(w, finding.Read, "the refusals in full", "describe", w.Slash())}
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
			What: fmt.Sprintf("quota %q is used up: requested %s, used %s, limited to %s", a.Name, a.Quota.Requested, a.Quota.Used, a.Quota.Limited),
			Next: []finding.Next{e.Next(w, finding.Read, "who may use how much", "describe", "quota", a.Name)},
		}
	case admission.QuotaUnspecified:
		return Refused{
			Code: codes.QuotaRequiresResources, Class: report.Fatal, SelfHealing: "no",
			What: fmt.Sprintf("quota %q demands that every pod says %s", a.Name, strings.TrimPrefix(a.Reason, "must specify ")),
			Next: []finding.Next{
				e.Next(w, finding.Read, "what the quota counts; then set it in the template, or a default by a LimitRange", "describe", "quota",
					a.Name),
			},
		}
	case admission.LimitRange:
		return Refused{
			Code: codes.LimitRangeViolated, Class: report.Fatal, SelfHealing: "no", What: "a LimitRange forbids it: " + a.Reason,
			Next: []finding.Next{e.Next(w, finding.Read, "the limits of the namespace; then change the template's resources", "describe",
				"limitrange")},
		}
	}
	return Refused{}
}

func refusalByPolicy(e *model.Evaluation, a *admission.Refusal, w *model.Workload) Refused {
	switch a.Kind {
	case admission.PodSecurity:
		return Refused{
			Code: codes.PodSecurityViolated, Class: report.Fatal, SelfHealing: "no",
			What: fmt.Sprintf("the namespace enforces Pod Security %q: %s", a.Name, a.Reason),
			Next: []finding.Next{
				e.NextCluster(finding.Read, "the level that the namespace enforces; then change the template's securityContext", "get", "namespace",
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
			What: fmt.Sprintf("admission policy %q%s denies it: %s", a.Name, binding, a.Reason),
			Next: []finding.Next{e.NextCluster(finding.Read, "the policy's rules", "get", kind, a.Name, "-o", "yaml")},
		}
	case admission.WebhookDenied:
		return Refused{
			Code: codes.AdmissionWebhookDenied, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("admission webhook %q denies it: %s", a.Name, cmp.Or(a.Reason, "it gave no reason")),
			Next: []finding.Next{webhooks(e, "which webhook that is and what it looks at")},
		}
	case admission.WebhookFailed:
		return Refused{
			Code: codes.AdmissionWebhookCallFailed, Class: report.Transient, SelfHealing: "maybe",
			What: fmt.Sprintf("admission webhook %q cannot be called: %s", a.Name, cmp.Or(a.Reason, "the API server says no more")),
			Next: webhookService(e, a.Reason),
		}
	case admission.NotPermitted:
		may := a.Permission
		return Refused{
			Code: codes.PodCreationRejected, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("the controller itself lacks a permission: %s cannot %s %s", may.User, may.Verb, cmp.Or(may.Resource, may.Path)),
			Next: []finding.Next{e.NextCluster(finding.Read, "what it may do", "auth", "can-i", "--list", "--as="+may.User)},
		}
	}
	return Refused{}
}

// webhookTarget is the URL of a webhook that names a Service.
var webhookTarget = regexp.MustCompile(`https://([a-z0-9-]+)\.([a-z0-9-]+)\.svc[:/]`)

// webhookService leads to what should answer the call: the Service's endpoints where the URL names a Service.
func webhookService(e *model.Evaluation, text string) []finding.Next {
	all := webhooks(e, "the Service or URL that it calls, and its failurePolicy")
	m := webhookTarget.FindStringSubmatch(text)
	if m == nil {
		return []finding.Next{all}
	}
	return []finding.Next{{
		Command: e.Kubectl.Command(m[2], "get", "endpointslices", "-l", "kubernetes.io/service-name="+m[1]),
		Why:     fmt.Sprintf("is there a pod behind the webhook's Service %s/%s", m[2], m[1]), Risk: finding.Read,
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
			Code: codes.ServiceAccountNotFound, Class: report.LikelyFatal, SelfHealing: "no", What: fmt.Sprintf("ServiceAccount %q does not exist", a.Name),
			Next: []finding.Next{
				e.Next(w, finding.Read, "the ServiceAccounts that exist", "get", "serviceaccounts"),
				e.Next(w, finding.Change, "create it, if the name is right", "create", "serviceaccount", a.Name),
			},
		}
	case admission.PriorityClassMissing:
		return Refused{
			Code: codes.PriorityClassNotFound, Class: report.LikelyFatal, SelfHealing: "maybe", What: fmt.Sprintf("PriorityClass %q does not exist", a.Name),
			Next: []finding.Next{e.NextCluster(finding.Read, "the PriorityClasses that exist", "get", "priorityclasses")},
		}
	case admission.RuntimeClassMissing:
		return Refused{
			Code: codes.RuntimeClassNotFound, Class: report.LikelyFatal, SelfHealing: "no", What: fmt.Sprintf("RuntimeClass %q does not exist", a.Name),
			Next: []finding.Next{e.NextCluster(finding.Read, "the RuntimeClasses that exist", "get", "runtimeclasses")},
		}
	}
	return Refused{}
}

// claimEnds is the StatefulSet controller's own word, without asking the API server.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/statefulset/stateful_pod_control.go (createPersistentVolumeClaims)
var claimEnds = regexp.MustCompile(`\bpvc \S+ is being deleted`)

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
			What: "its volume claim is being deleted and not gone yet: " + afterPrefix(text),
			Next: []finding.Next{e.Next(w, finding.Read, "which claim ends, and which finalizer holds it", "get", "pvc", "-o",
				"custom-columns=NAME:.metadata.name,DELETED:.metadata.deletionTimestamp,FINALIZERS:.metadata.finalizers")},
		}
	case a.Kind == admission.Invalid:
		return Refused{
			Code: codes.PodInvalid, Class: report.Fatal, SelfHealing: "no",
			What: "the API server finds the template's pod invalid: " + a.Reason,
		}
	case a.Kind == admission.Exists, a.Kind == admission.StillDeleting:
		return Refused{
			Code: codes.NameAlreadyExists, Class: report.LikelyFatal, SelfHealing: "no",
			What: "an object of that name exists and is not this workload's: " + afterPrefix(text),
		}
	}
	return Refused{}
}
