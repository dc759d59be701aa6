package paths

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
)

func count(n int) string { return strconv.Itoa(n) }

// effect is what a webhook that cannot be called does to requests.
func effect(w *backend.Webhook) string {
	if w.Ignored {
		return "requests pass unchecked: " + requests(w)
	}
	return "the API server rejects " + requests(w)
}

// scope is what a webhook is called for.
func scope(w *backend.Webhook) string {
	policy := "Fail"
	if w.Ignored {
		policy = "Ignore"
	}
	return "failurePolicy " + policy + ", called for " + requests(w)
}

// requests puts into words which requests a webhook is called for.
func requests(w *backend.Webhook) string {
	var list []string
	for i := range w.Rules {
		list = append(list, ruleWords(&w.Rules[i]))
	}
	slices.Sort(list)
	list = slices.Compact(list)
	const most = 3
	if len(list) > most {
		list = append(list[:most], count(len(list)-most)+" more")
	}
	text := strings.Join(list, ", ")
	if where := namespaces(w.Namespaces); !clusterScoped(w) {
		text += " in " + where
		if where != everywhere && slices.ContainsFunc(w.Rules, func(r admissionv1.RuleWithOperations) bool { return !namespaced(r) }) {
			text += " (cluster-scoped ones always)"
		}
	}
	if objects := labels(w.Objects); objects != "" {
		text += ", of objects " + objects
	}
	if w.MatchConditions > 0 {
		text += ", if its matchConditions hold"
	}
	return text
}

// clusterScoped says whether every rule is for objects without a namespace alone, which a namespaceSelector never excludes.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-namespaceselector
func clusterScoped(w *backend.Webhook) bool {
	return len(w.Rules) > 0 && !slices.ContainsFunc(w.Rules, func(r admissionv1.RuleWithOperations) bool {
		return r.Scope == nil || *r.Scope != admissionv1.ClusterScope || slices.Contains(r.Resources, "namespaces")
	})
}

// inNamespaces are resources of Kubernetes' own that every reader knows to be in namespaces. Of a Namespace itself a selector of
// namespaces reads its own labels.
var inNamespaces = []string{
	"namespaces", "pods", "services", "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts", "deployments", "statefulsets",
	"daemonsets",
	"replicasets", "jobs", "cronjobs", "ingresses", "networkpolicies", "roles", "rolebindings",
}

// namespaced says whether a rule is for objects in namespaces alone.
func namespaced(r admissionv1.RuleWithOperations) bool {
	if r.Scope != nil && *r.Scope == admissionv1.NamespacedScope {
		return true
	}
	return !slices.ContainsFunc(r.Resources, func(resource string) bool {
		name, _, _ := strings.Cut(resource, "/")
		return !slices.Contains(inNamespaces, name)
	})
}

const everywhere = "all namespaces"

// ruleWords is "CREATE and UPDATE of deployments.apps".
func ruleWords(r *admissionv1.RuleWithOperations) string {
	operations := make([]string, 0, len(r.Operations))
	for _, o := range r.Operations {
		operations = append(operations, string(o))
	}
	what := strings.Join(operations, "/")
	if slices.Contains(operations, "*") {
		what = "every operation"
	}
	var resources []string
	for _, resource := range r.Resources {
		for _, group := range r.APIGroups {
			name := resource
			switch {
			case resource == "*" && group == "*", resource == "*/*" && group == "*":
				name = "every resource"
			case resource == "*" || resource == "*/*":
				name = "every resource of " + cmp.Or(group, "the core group")
			case group == "*":
				name += " of any group"
			case group != "":
				name += "." + group
			}
			resources = append(resources, name)
		}
	}
	return what + " of " + named(resources)
}

// namespaces puts a namespaceSelector into words. The label with a namespace's own name is the API server's.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
func namespaces(s *metav1.LabelSelector) string {
	if s == nil {
		return everywhere
	}
	var only, but []string
	rest := metav1.LabelSelector{MatchLabels: map[string]string{}}
	for key, value := range s.MatchLabels {
		if key == corev1.LabelMetadataName {
			only = append(only, value)
		} else {
			rest.MatchLabels[key] = value
		}
	}
	for _, e := range s.MatchExpressions {
		switch {
		case e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpIn:
			only = append(only, e.Values...)
		case e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpNotIn:
			but = append(but, e.Values...)
		default:
			rest.MatchExpressions = append(rest.MatchExpressions, e)
		}
	}
	slices.Sort(only)
	slices.Sort(but)
	text := labels(&rest)
	switch {
	case len(only) > 0:
		text = strings.TrimSpace("namespace " + strings.Join(only, " or ") + " " + text)
	case text != "":
		text = "namespaces " + text
	default:
		text = everywhere
	}
	if len(but) > 0 {
		text += " but " + named(but)
	}
	return text
}

// labels puts a selector into words; empty: it selects everything.
func labels(s *metav1.LabelSelector) string {
	if s == nil {
		return ""
	}
	var with, without []string
	for key, value := range s.MatchLabels {
		with = append(with, key+"="+value)
	}
	for _, e := range s.MatchExpressions {
		values := slices.Sorted(slices.Values(e.Values))
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			with = append(with, e.Key+"="+strings.Join(values, "|"))
		case metav1.LabelSelectorOpExists:
			with = append(with, e.Key)
		case metav1.LabelSelectorOpNotIn:
			without = append(without, e.Key+"="+strings.Join(values, "|"))
		case metav1.LabelSelectorOpDoesNotExist:
			without = append(without, e.Key)
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	var parts []string
	if len(with) > 0 {
		parts = append(parts, "with label "+strings.Join(with, " and "))
	}
	if len(without) > 0 {
		parts = append(parts, "without label "+strings.Join(without, " or "))
	}
	return strings.Join(parts, " and ")
}
