package admission

import (
	"regexp"
	"sync"
)

// form is a text of the API server's. Its mark is what stands in every such text: looking for it is fast. The groups of its
// pattern are fields of a Refusal.
type form struct {
	kind    Kind
	mark    string
	pattern func() *regexp.Regexp
}

// lazy compiles an expression when a text has its mark: most runs see no refusal, and a start that compiles all is longer.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// quoted is the inside of what Go's %q writes.
const quoted = `(?:[^"\\]|\\.)*`

var forms = []form{
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
	// (checkQuotas, CheckRequest)
	{QuotaExceeded, "exceeded quota: ", lazy(
		`exceeded quota: (?P<name>[^,\s]+), requested: (?P<requested>\S+), used: (?P<used>\S+), limited: (?P<limited>[^\s\]]+[^\s\],.;])`)},
	{QuotaUnspecified, "failed quota: ", lazy(`failed quota: (?P<name>[^:\s]+): (?P<reason>must specify .+)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/limitranger/admission.go; several are put into brackets.
	{LimitRange, " usage per ", lazy(`(?P<reason>(?:maximum|minimum) \S+ usage per \S+ is [^\]]+)`)},
	{LimitRange, " max limit to request ratio per ", lazy(`(?P<reason>[^\s\[]+ max limit to request ratio per \S+ is [^\]]+)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/pod-security-admission/admission/admission.go (EvaluatePod)
	{PodSecurity, "violates PodSecurity ", lazy(`violates PodSecurity "(?P<name>` + quoted + `)": (?P<reason>.+)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating/dispatcher.go
	{ValidatingPolicy, "denied request: ", lazy(
		`ValidatingAdmissionPolicy '(?P<name>[^']+)'(?: with binding '(?P<binding>[^']+)')? denied request: (?P<reason>.+)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go
	// (PolicyError, which only mutating ones use)
	{MutatingPolicy, "denied request: ", lazy(
		`\bpolicy ['"](?P<name>[^'"]+)['"](?: with binding '(?P<binding>[^']+)')? denied request: (?P<reason>.+)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go
	{WebhookDenied, " denied the request", lazy(
		`admission webhook "(?P<name>` + quoted + `)" denied the request(?: without explanation|: (?P<reason>.+))`)},
	{WebhookNoDryRun, " does not support dry run", lazy(
		`admission webhook "(?P<name>` + quoted + `)" does not support dry run`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/util/webhook/error.go
	{WebhookFailed, "failed calling webhook ", lazy(
		`failed calling webhook "(?P<name>` + quoted + `)"(?:: (?P<reason>.+)|;)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go
	// (forbiddenMessage; what the authorizer adds comes after a colon)
	{NotPermitted, "forbidden: User ", lazy(
		`\bforbidden: User "(?P<user>` + quoted + `)" cannot (?P<verb>\S+) (?:path "(?P<path>` + quoted + `)"|` +
			`resource "(?P<of>[^"]+)" in API group "(?P<group>[^"]*)" ` +
			`(?:in the namespace "(?P<in>[^"]+)"|at the cluster scope))(?:: (?P<reason>.+))?`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go
	{NamespaceTerminating, " because it is being terminated", lazy(
		`unable to create new content in namespace (?P<name>\S+) because it is being terminated`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/serviceaccount/admission.go (getServiceAccount); the same
	// words with another end mean that it could not be looked up.
	{ServiceAccountMissing, "error looking up service account ", lazy(
		`error looking up service account (?P<namespace>[^/\s]+)/(?P<name>[^:\s]+): (?P<reason>serviceaccounts? "` + quoted + `" not found)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/priority/admission.go
	{PriorityClassMissing, "no PriorityClass with name ", lazy(`no PriorityClass with name (?P<name>\S+) was found`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/runtimeclass/admission.go
	{RuntimeClassMissing, "pod rejected: RuntimeClass ", lazy(
		`pod rejected: RuntimeClass "(?P<name>` + quoted + `)" not found`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go
	// (NewInvalid, NewAlreadyExists, NewConflict)
	{Invalid, " is invalid: ", lazy(`(?P<resource>[\w.-]+) "(?P<name>` + quoted + `)" is invalid: (?P<reason>.+)`)},
	{Exists, " already exists", lazy(`(?P<resource>[\w./-]+) "(?P<name>` + quoted + `)" already exists`)},
	{Conflict, "Operation cannot be fulfilled on ", lazy(
		`Operation cannot be fulfilled on (?P<resource>\S+) "(?P<name>` + quoted + `)": (?P<reason>.+)`)},
	// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go (create)
	{StillDeleting, "object is being deleted: ", lazy(
		`object is being deleted: (?P<resource>[\w./-]+) "(?P<name>` + quoted + `)" already exists`)},
}
