package refusal

import (
	"cmp"
	"fmt"
	"regexp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	PodSecurityViolated        finding.Code = "PodSecurityViolated"
	AdmissionPolicyDenied      finding.Code = "AdmissionPolicyDenied"
	AdmissionWebhookDenied     finding.Code = "AdmissionWebhookDenied"
	AdmissionWebhookCallFailed finding.Code = "AdmissionWebhookCallFailed"
)

var policyRules = []rule.Rule{
	{Layer: rule.LayerCreate, Bears: []string{"securityContext", "host", "olume", "capabilities"}, Entry: finding.Entry{
		Code: PodSecurityViolated, Severity: finding.Critical, Title: "Pod violates the enforced Pod Security Standard",
		Meaning:  "The namespace enforces a Pod Security Standard that the pod template does not meet.",
		Evidence: "\"violates PodSecurity\" in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Change the securityContext in the pod template.",
	}},
	{Layer: rule.LayerCreate, Bears: []string{""}, Entry: finding.Entry{
		Code: AdmissionPolicyDenied, Severity: finding.Critical, Title: "Admission policy denies the request",
		Meaning:  "A ValidatingAdmissionPolicy denies the object, or a MutatingAdmissionPolicy cannot be applied to it.",
		Evidence: "Policy name and message in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Read the rules of the policy, then change the pod template.",
	}},
	{Layer: rule.LayerCreate, Bears: []string{""}, Entry: finding.Entry{
		Code: AdmissionWebhookDenied, Severity: finding.Critical, Title: "Admission webhook denies the request",
		Meaning: "An admission webhook denies the object.",
		Evidence: "\"admission webhook … denied the request\" in a FailedCreate event or in the ReplicaSet condition " +
			"ReplicaFailure.",
		Next: "Find the webhook and read its rules.",
	}},
	{Layer: rule.LayerCreate, Entry: finding.Entry{
		Code: AdmissionWebhookCallFailed, Severity: finding.Critical, Title: "API server cannot call an admission webhook",
		Meaning: "The API server must call an admission webhook for each pod, and the call fails. The webhook is " +
			"unreachable, times out, or its TLS certificate is not valid.",
		Evidence: "\"failed calling webhook\" in a FailedCreate event or in the ReplicaSet condition ReplicaFailure.",
		Next:     "Check the Service of the webhook and its endpoints.",
	}},
}

// remedies are what each violation of a Pod Security Standard says in brackets: which container must set what.
var remedies = regexp.MustCompile(` \([^()]*\)`)

// violations are the controls that a pod violates, without their remedies, which the evidence tells.
func violations(reason string) string { return remedies.ReplaceAllString(reason, "") }

func refusalByPolicy(e *model.Evaluation, a *admission.Refusal, w *model.Workload) Refused {
	switch a.Kind {
	case admission.PodSecurity:
		return Refused{
			Code: PodSecurityViolated, Class: report.Fatal, SelfHealing: "no",
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
			Code: AdmissionPolicyDenied, Class: report.Fatal, SelfHealing: "no",
			What: fmt.Sprintf("admission policy %q%s denies the request: %s", a.Name, binding, a.Reason),
			Next: []finding.Next{e.NextCluster(finding.Read, "Read the rules of the policy", "get", kind, a.Name, "-o", "yaml")},
		}
	case admission.WebhookDenied:
		return Refused{
			Code: AdmissionWebhookDenied, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("admission webhook %q denies the request: %s", a.Name, cmp.Or(a.Reason, "no reason given")),
			Next: []finding.Next{webhooks(e, "Find the configuration of the webhook")},
		}
	case admission.WebhookFailed:
		return Refused{
			Code: AdmissionWebhookCallFailed, Class: report.Transient, SelfHealing: "maybe",
			What: fmt.Sprintf("admission webhook %q cannot be called: %s", a.Name, cmp.Or(a.Reason, "no details reported")),
			Next: webhookService(e, a),
		}
	case admission.NotPermitted:
		may := a.Permission
		return Refused{
			Code: PodCreationRejected, Class: report.LikelyFatal, SelfHealing: "no",
			What: fmt.Sprintf("the controller lacks a permission: %s cannot %s %s", may.User, may.Verb, cmp.Or(may.Resource, may.Path)),
			Next: []finding.Next{e.NextCluster(finding.Read, "List the permissions of the controller", "auth", "can-i", "--list", "--as="+may.User)},
		}
	}
	return Refused{}
}

// webhookService leads to what should answer the call: the Service, where the refusal names one, and the log of what answered.
func webhookService(e *model.Evaluation, a *admission.Refusal) (list []finding.Next) {
	call := a.FailedCall()
	switch {
	case call.Service == "":
	case call.NoService:
		list = append(list, finding.Next{
			Command: e.Kubectl.Command(call.Namespace, "get", "deployments,services,pods"),
			Why:     "List what is left in the namespace of the Service, which does not exist", Risk: finding.Read,
		})
	default:
		list = append(list, finding.Next{
			Command: e.Kubectl.Command(call.Namespace, "describe", "service", call.Service),
			Why:     fmt.Sprintf("Check the ports, the endpoints and the pods of Service %s/%s", call.Namespace, call.Service), Risk: finding.Read,
		})
	}
	if call.Service != "" && call.Reached {
		list = append(list, finding.Next{
			Command: e.Kubectl.Command(call.Namespace, "logs", "service/"+call.Service, "--tail=20"),
			Why:     "Read the log of what answered", Risk: finding.Read,
		})
	}
	return append(list, webhooks(e, "Show the Service or URL of the webhook and its failurePolicy"))
}

func webhooks(e *model.Evaluation, why string) finding.Next {
	return e.NextCluster(finding.Read, why, "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o",
		"custom-columns=KIND:.kind,NAME:.metadata.name,HOOKS:.webhooks[*].name"+
			",SERVICE:.webhooks[*].clientConfig.service.name,URL:.webhooks[*].clientConfig.url,POLICY:.webhooks[*].failurePolicy")
}
