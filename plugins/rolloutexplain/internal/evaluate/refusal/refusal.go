// Package refusal tells why pods that a controller wants are not created: it reads what the API server answered, and what its
// silence means.
package refusal

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// refused is what an API server's refusal to create something means.
type refused struct {
	code, What, Heals string
	Class             report.Class
	Next              []finding.Next
	quota             string
}

// The texts with which admission refuses a pod (1.36; the words are older than that by years).
var (
	quotaExceeded = regexp.MustCompile(`exceeded quota: ([^,\s]+), requested: (.+?), used: (.+?), limited: (.+)$`)
	quotaSpecify  = regexp.MustCompile(`failed quota: ([^:\s]+): must specify (.+)$`)
	limitRange    = regexp.MustCompile(`((?:maximum|minimum) \S+ usage per \S+ is [^\]]+|\S+ max limit to request ratio per \S+ is [^\]]+)`)
	podSecurity   = regexp.MustCompile(`violates PodSecurity "([^"]+)": (.+)$`)
	policyDenied  = regexp.MustCompile(`(Validating|Mutating)AdmissionPolicy '([^']+)' with binding '([^']+)' denied request: (.+)$`)
	webhookDenied = regexp.MustCompile(`admission webhook "([^"]+)" denied the request(?: without explanation|: (.+))?$`)
	webhookTarget = regexp.MustCompile(`https://([a-z0-9-]+)\.([a-z0-9-]+)\.svc[:/]`)
	webhookFailed = regexp.MustCompile(`failed calling webhook "([^"]+)": (.+)$`)
	accountAbsent = regexp.MustCompile(`error looking up service account (\S+?)/(\S+?): (.+)$`)
	priorityNone  = regexp.MustCompile(`no PriorityClass with name (\S+) was found`)
	runtimeNone   = regexp.MustCompile(`RuntimeClass "?([^"\s]+)"? not found`)
	objectInvalid = regexp.MustCompile(`is invalid: (.+)$`)
	noRight       = regexp.MustCompile(`User "([^"]+)" cannot (\S+) resource "([^"]+)"`)
)

// Read reads a refusal. Every unknown text is passed on as it stands.
func Read(e *model.Evaluation, text string, w *model.Workload) refused {
	text = plain.OneLine(text)
	r := refusalByQuota(e, text, w)
	if r.code == "" {
		r = refusalByPolicy(e, text, w)
	}
	if r.code == "" {
		r = refusalByReference(e, text, w)
	}
	if r.code == "" {
		r = refused{code: codes.PodCreateRefused, Class: report.Likely, Heals: "maybe", What: afterPrefix(text)}
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

func refusalByQuota(e *model.Evaluation, text string, w *model.Workload) refused {
	if m := quotaExceeded.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.QuotaExceeded, Class: report.Likely, Heals: "maybe", quota: m[1],
			What: fmt.Sprintf("quota %q is used up: requested %s, used %s, limited to %s", m[1], m[2], m[3], m[4]),
			Next: []finding.Next{e.Next(w, finding.Read, "who may use how much", "describe", "quota", m[1])},
		}
	}
	if m := quotaSpecify.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.QuotaMustSpecify, Class: report.Fatal, Heals: "no",
			What: fmt.Sprintf("quota %q demands that every pod says %s", m[1], m[2]),
			Next: []finding.Next{
				e.Next(w, finding.Read, "what the quota counts; then set it in the template, or a default by a LimitRange", "describe", "quota", m[1]),
			},
		}
	}
	if m := limitRange.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.LimitRangeViolated, Class: report.Fatal, Heals: "no", What: "a LimitRange forbids it: " + strings.TrimRight(m[1], "] "),
			Next: []finding.Next{e.Next(w, finding.Read, "the limits of the namespace; then change the template's resources", "describe", "limitrange")},
		}
	}
	return refused{}
}

func refusalByPolicy(e *model.Evaluation, text string, w *model.Workload) refused {
	if m := podSecurity.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.PodSecurityViolated, Class: report.Fatal, Heals: "no",
			What: fmt.Sprintf("the namespace enforces Pod Security %q: %s", m[1], m[2]),
			Next: []finding.Next{
				e.NextCluster(finding.Read, "the level that the namespace enforces; then change the template's securityContext", "get", "namespace", w.Meta.Namespace, "--show-labels"),
			},
		}
	}
	if m := policyDenied.FindStringSubmatch(text); m != nil {
		kind := strings.ToLower(m[1]) + "admissionpolicy"
		return refused{
			code: codes.AdmissionPolicyDenied, Class: report.Fatal, Heals: "no",
			What: fmt.Sprintf("admission policy %q (binding %q) denies it: %s", m[2], m[3], m[4]),
			Next: []finding.Next{e.NextCluster(finding.Read, "the policy's rules", "get", kind, m[2], "-o", "yaml")},
		}
	}
	if m := webhookDenied.FindStringSubmatch(text); m != nil {
		why := m[2]
		if why == "" {
			why = "it gave no reason"
		}
		return refused{
			code: codes.WebhookDenied, Class: report.Likely, Heals: "no", What: fmt.Sprintf("admission webhook %q denies it: %s", m[1], why),
			Next: []finding.Next{webhooks(e, "which webhook that is and what it looks at")},
		}
	}
	if m := webhookFailed.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.WebhookUnreachable, Class: report.Transient, Heals: "maybe", What: fmt.Sprintf("admission webhook %q cannot be called: %s", m[1], m[2]),
			Next: webhookService(e, m[2]),
		}
	}
	if strings.Contains(text, "because it is being terminated") {
		NamespaceTerminating(e, w)
		return refused{code: codes.NamespaceTerminating, Class: report.Fatal, Heals: "no", What: "the namespace is being deleted"}
	}
	if m := noRight.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.PodCreateRefused, Class: report.Likely, Heals: "no", What: fmt.Sprintf("the controller itself lacks a permission: %s cannot %s %s", m[1], m[2], m[3]),
			Next: []finding.Next{e.NextCluster(finding.Read, "what it may do", "auth", "can-i", "--list", "--as="+m[1])},
		}
	}
	return refused{}
}

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
	return e.NextCluster(finding.Read, why, "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o", "custom-columns=KIND:.kind,NAME:.metadata.name,HOOKS:.webhooks[*].name,SERVICE:.webhooks[*].clientConfig.service.name,URL:.webhooks[*].clientConfig.url,POLICY:.webhooks[*].failurePolicy")
}

func refusalByReference(e *model.Evaluation, text string, w *model.Workload) refused {
	if m := accountAbsent.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.ServiceAccountMissing, Class: report.Likely, Heals: "no", What: fmt.Sprintf("ServiceAccount %q does not exist", m[2]),
			Next: []finding.Next{
				e.Next(w, finding.Read, "the ServiceAccounts that exist", "get", "serviceaccounts"),
				e.Next(w, finding.Change, "create it, if the name is right", "create", "serviceaccount", m[2]),
			},
		}
	}
	if m := priorityNone.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.PriorityClassMissing, Class: report.Likely, Heals: "maybe", What: fmt.Sprintf("PriorityClass %q does not exist", m[1]),
			Next: []finding.Next{e.NextCluster(finding.Read, "the PriorityClasses that exist", "get", "priorityclasses")},
		}
	}
	if m := runtimeNone.FindStringSubmatch(text); m != nil {
		return refused{
			code: codes.RuntimeClassMissing, Class: report.Likely, Heals: "no", What: fmt.Sprintf("RuntimeClass %q does not exist", m[1]),
			Next: []finding.Next{e.NextCluster(finding.Read, "the RuntimeClasses that exist", "get", "runtimeclasses")},
		}
	}
	if strings.Contains(text, "is being deleted") && plain.ContainsAny(text, "persistentvolumeclaim", "pvc", "claim") {
		return refused{
			code: codes.ClaimDeleting, Class: report.Likely, Heals: "maybe", What: "its volume claim is being deleted and not gone yet: " + afterPrefix(text),
			Next: []finding.Next{e.Next(w, finding.Read, "which claim ends, and which finalizer holds it", "get", "pvc", "-o", "custom-columns=NAME:.metadata.name,DELETED:.metadata.deletionTimestamp,FINALIZERS:.metadata.finalizers")},
		}
	}
	if m := objectInvalid.FindStringSubmatch(text); m != nil {
		return refused{code: codes.PodInvalid, Class: report.Fatal, Heals: "no", What: "the API server finds the template's pod invalid: " + m[1]}
	}
	if strings.Contains(text, "already exists") {
		return refused{code: codes.NameConflict, Class: report.Likely, Heals: "no", What: "an object of that name exists and is not this workload's: " + afterPrefix(text)}
	}
	return refused{}
}
