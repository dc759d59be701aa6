package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// The codes of this file.
const (
	DNSServerForbidden finding.Code = "DNSServerForbidden"
)

// AccessRules are about this: the servers may not read what they make names of.
var AccessRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSServerForbidden, Severity: finding.Critical, Title: "DNS server lacks API permissions",
			Meaning: "It may not list or watch what it makes names of. Running replicas go stale when their watch ends; one that starts answers " +
				"SERVFAIL.",
			Evidence: "A SubjectAccessReview for its service account, or its own log when that cannot be asked.",
			Next:     "See which roles the account is bound to, then give the binding or the role back.",
			Source:   "https://github.com/coredns/helm/issues/135",
		},
		Explains: []finding.Code{DNSPodsNotReady, ReplicaNotReady, ClusterNamesFailing, ReplicaStale, ReplicaWrongAnswer, HighServfailRate},
		Check:    CheckForbidden,
	},
}

// CheckForbidden finds this: what CoreDNS may not list or watch it has no names of. kube-dns needs less, so it is not judged
// (https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go, system:kube-dns).
func CheckForbidden(w *facts.Snapshot) []finding.Finding {
	if w.Provider() != "CoreDNS" {
		return nil
	}
	var missing []string
	var evidence []finding.Evidence
	for _, a := range w.Access {
		if !a.Allowed {
			missing = append(missing, a.Verb+" "+a.Resource)
			evidence = append(evidence, facts.NewEvidence("SubjectAccessReview", a.Verb+" "+a.Resource, "not allowed"))
		}
	}
	all := len(missing) > 0 && len(missing) == len(w.Access)
	if len(w.Access) == 0 { // not readable: the server's own complaint tells as much
		for _, l := range w.Logs {
			if line, ok := facts.LastLine(l.Text, facts.LacksPermission); ok && !l.Previous {
				evidence = append(evidence, facts.NewEvidence("log of "+l.Pod, "", "%s", line))
				missing = append(missing, "what its log names")
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	missing = slices.Compact(missing)
	account, words := w.ServiceAccount(), "its service account"
	if account != "" {
		words = "service account " + account
	}
	return []finding.Finding{w.Make(DNSServerForbidden, finding.Critical, w.WorkloadRef(),
		fmt.Sprintf("the DNS server may not %s: %s lacks the permission, so names go stale now and fail after its next start",
			strings.Join(missing, ", "), words), evidence, restoreAccess(w, account, all)...)}
}

// restoreAccess: first whether a binding names the account at all. When every right is missing it is the binding that is
// gone, and the role may be intact; when some are, it is the role.
func restoreAccess(w *facts.Snapshot, account string, all bool) []finding.Next {
	if account == "" {
		return nil
	}
	bindings := w.Read("see which roles it is bound to", "", "get", "clusterrolebindings", "-o", "wide")
	bindings.Command += " | grep " + finding.Quote(account)
	next := []finding.Next{bindings}
	if account != "kube-system/coredns" || w.Workload != nil && w.Workload.Template.Labels["app.kubernetes.io/managed-by"] == "Helm" {
		return next // the names of its role and binding are the installer's own
	}
	if all {
		next = append(next, w.Change("if none is, bind it to the usual role again", "", "create", "clusterrolebinding", "system:coredns",
			"--clusterrole=system:coredns", "--serviceaccount="+strings.Replace(account, "/", ":", 1)))
	}
	return append(next,
		w.Read("see the rules of that role", "", "describe", "clusterrole", "system:coredns"),
		w.Change("give it the rules that it lacks", "", "edit", "clusterrole", "system:coredns"))
}
