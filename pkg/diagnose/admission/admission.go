// Package admission reads the words with which an API server refuses something: who refuses, and why. Events and conditions
// carry nothing else. The words are those of 1.36, and older than that by years.
package admission

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Kind is who refuses, or for what.
type Kind string

// The kinds. Unknown is every text that is none of them for certain.
const (
	Unknown               Kind = ""
	QuotaExceeded         Kind = "QuotaExceeded"         // a ResourceQuota is used up
	QuotaUnspecified      Kind = "QuotaUnspecified"      // a ResourceQuota demands requests or limits that are not set
	LimitRange            Kind = "LimitRange"            // outside the bounds of a LimitRange, which is not named
	PodSecurity           Kind = "PodSecurity"           // against the level that the namespace enforces
	ValidatingPolicy      Kind = "ValidatingPolicy"      // a ValidatingAdmissionPolicy denies it
	MutatingPolicy        Kind = "MutatingPolicy"        // a MutatingAdmissionPolicy could not be applied
	WebhookDenied         Kind = "WebhookDenied"         // an admission webhook denies it
	WebhookFailed         Kind = "WebhookFailed"         // an admission webhook must be asked, and cannot be called
	WebhookNoDryRun       Kind = "WebhookNoDryRun"       // an admission webhook cannot be asked without consequences
	NotPermitted          Kind = "NotPermitted"          // no authorizer allows the user to do that
	NamespaceTerminating  Kind = "NamespaceTerminating"  // nothing is created any more in a namespace that ends
	ServiceAccountMissing Kind = "ServiceAccountMissing" // the pod's ServiceAccount does not exist
	PriorityClassMissing  Kind = "PriorityClassMissing"
	RuntimeClassMissing   Kind = "RuntimeClassMissing"
	Invalid               Kind = "Invalid"       // a field is not valid
	Exists                Kind = "Exists"        // an object of that name is there
	StillDeleting         Kind = "StillDeleting" // an object of that name is there, and ends
	Conflict              Kind = "Conflict"      // somebody else has written the object in between
)

// Refusal is a refusal in its parts, as far as its kind has them.
type Refusal struct {
	Kind Kind
	// Name is the quota's, policy's, webhook's, namespace's, ServiceAccount's, class's or object's; of PodSecurity it is
	// level and version ("restricted:latest").
	Name string
	// Reason is what the one who refuses says, in its own words; empty where it says no more.
	Reason     string
	Namespace  string     // of ServiceAccountMissing
	Resource   string     // of Exists, StillDeleting and Conflict ("persistentvolumeclaims"); of Invalid the kind ("Deployment.apps")
	Binding    string     // of the policies; empty where none is named
	Quota      Quota      // of QuotaExceeded
	Permission Permission // of NotPermitted
}

// Quota is what was refused, as lists of the form "pods=1,requests.cpu=500m": only what the quota lacks is in them.
type Quota struct{ Requested, Used, Limited string }

// Permission is what the user may not do. Of a URL that is no resource only the path is set.
type Permission struct {
	User, Verb      string
	Resource, Group string // "pods/exec"; the group of the core API is empty
	Namespace       string // empty at the scope of the cluster
	Path            string
}

// Parse reads a refusal, whatever a controller or client has put before the server's words. Of several that are joined or
// nested it gives the one that comes first: a webhook may say anything in its own reason.
func Parse(text string) Refusal {
	text = strings.Join(strings.Fields(text), " ")
	r := parse(text)
	if r.Kind == Unknown && strings.Contains(text, `\"`) { // a structured log has quoted the whole
		r = parse(strings.ReplaceAll(text, `\"`, `"`))
	}
	return r
}

func parse(text string) Refusal {
	first, at := Refusal{}, len(text)
	for i := range forms {
		f := &forms[i]
		if !strings.Contains(text, f.mark) {
			continue
		}
		m := f.pattern().FindStringSubmatchIndex(text)
		if m == nil || m[0] >= at {
			continue
		}
		first, at = Refusal{Kind: f.kind}, m[0]
		for k, group := range f.pattern().SubexpNames() {
			if to := first.field(group); to != nil && m[2*k] >= 0 {
				*to = strings.TrimSpace(text[m[2*k]:m[2*k+1]])
			}
		}
	}
	for _, quoted := range []*string{&first.Name, &first.Permission.User, &first.Permission.Path} {
		if plain, err := strconv.Unquote(`"` + *quoted + `"`); err == nil {
			*quoted = plain
		}
	}
	return first
}

// field gives the place of a group of the patterns.
func (r *Refusal) field(group string) *string {
	switch group {
	case "name":
		return &r.Name
	case "reason":
		return &r.Reason
	case "namespace":
		return &r.Namespace
	case "resource":
		return &r.Resource
	case "binding":
		return &r.Binding
	case "requested":
		return &r.Quota.Requested
	case "used":
		return &r.Quota.Used
	case "limited":
		return &r.Quota.Limited
	case "user":
		return &r.Permission.User
	case "verb":
		return &r.Permission.Verb
	case "of":
		return &r.Permission.Resource
	case "group":
		return &r.Permission.Group
	case "in":
		return &r.Permission.Namespace
	case "path":
		return &r.Permission.Path
	}
	return nil
}

// Amounts reads a list of a quota; false if it is none.
func Amounts(list string) (corev1.ResourceList, bool) {
	amounts := corev1.ResourceList{}
	for pair := range strings.SplitSeq(list, ",") {
		name, amount, ok := strings.Cut(strings.TrimSpace(pair), "=")
		q, err := resource.ParseQuantity(amount)
		if !ok || err != nil {
			return nil, false
		}
		amounts[corev1.ResourceName(name)] = q
	}
	return amounts, true
}

// Forbidden splits the form of every 403 into the object that is refused and the reason.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go (NewForbidden)
func Forbidden(text string) (object, reason string, ok bool) {
	object, reason, ok = strings.Cut(text, " is forbidden:")
	return object, strings.TrimSpace(reason), ok
}
