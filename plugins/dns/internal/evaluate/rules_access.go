package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// ruleForbidden: what CoreDNS may not list or watch it has no names of. kube-dns needs less, so it is not judged
// (https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go, system:kube-dns).
func ruleForbidden(w *world) []finding.Finding {
	if w.provider() != "CoreDNS" {
		return nil
	}
	var missing []string
	var evidence []finding.Evidence
	for _, a := range w.Access {
		if !a.Allowed {
			missing = append(missing, a.Verb+" "+a.Resource)
			evidence = append(evidence, seen("SubjectAccessReview", a.Verb+" "+a.Resource, "not allowed"))
		}
	}
	all := len(missing) > 0 && len(missing) == len(w.Access)
	if len(w.Access) == 0 { // not readable: the server's own complaint tells as much
		for _, l := range w.Logs {
			if line, ok := lastLine(l.Text, lacksPermission); ok && !l.Previous {
				evidence = append(evidence, seen("log of "+l.Pod, "", "%s", line))
				missing = append(missing, "what its log names")
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	missing = slices.Compact(missing)
	account, words := w.account(), "its service account"
	if account != "" {
		words = "service account " + account
	}
	return []finding.Finding{w.make("DNSServerForbidden", finding.Critical, w.workloadRef(),
		fmt.Sprintf("the DNS server may not %s: %s lacks the permission, so names go stale now and fail after its next start", strings.Join(missing, ", "), words), evidence, w.restoreAccess(account, all)...)}
}

// lacksPermission says whether a line tells that a service account was refused something.
func lacksPermission(line string) bool {
	r := admission.Parse(line)
	return r.Kind == admission.NotPermitted && strings.HasPrefix(r.Permission.User, "system:serviceaccount:")
}

// account is the one whose access was asked.
func (w *world) account() string {
	if w.Account != "" {
		return w.Account
	}
	return AccountOf(w.workload, w.Pods)
}

// restoreAccess: first whether a binding names the account at all. When every right is missing it is the binding that is
// gone, and the role may be intact; when some are, it is the role.
func (w *world) restoreAccess(account string, all bool) []finding.Next {
	if account == "" {
		return nil
	}
	bindings := w.read("see which roles it is bound to", "", "get", "clusterrolebindings", "-o", "wide")
	bindings.Command += " | grep " + finding.Quote(account)
	next := []finding.Next{bindings}
	if account != "kube-system/coredns" || w.workload != nil && w.workload.Template.Labels["app.kubernetes.io/managed-by"] == "Helm" {
		return next // the names of its role and binding are the installer's own
	}
	if all {
		next = append(next, w.change("if none is, bind it to the usual role again", "", "create", "clusterrolebinding", "system:coredns", "--clusterrole=system:coredns", "--serviceaccount="+strings.Replace(account, "/", ":", 1)))
	}
	return append(next,
		w.read("see the rules of that role", "", "describe", "clusterrole", "system:coredns"),
		w.change("give it the rules that it lacks", "", "edit", "clusterrole", "system:coredns"))
}
