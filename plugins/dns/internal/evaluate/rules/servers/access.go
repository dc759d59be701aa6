package servers

import (
	"fmt"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// The codes of this file.
const (
	DNSServerForbidden finding.Code = "DNSServerForbidden"
)

// AccessRules report DNS servers that are not allowed to read the objects that they create names from.
var AccessRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSServerForbidden, Severity: finding.Critical, Title: "DNS server lacks API permissions",
			Meaning: "The DNS server is not allowed to list or watch the objects that it creates names from. Running replicas become " +
				"outdated when their watch ends; a replica that starts answers SERVFAIL.",
			Evidence: "A SubjectAccessReview for the ServiceAccount of the DNS server, or the log of the server if no review can be created.",
			Next:     "Check which roles the ServiceAccount is bound to, then restore the binding or the role.",
			Source:   "https://github.com/coredns/helm/issues/135",
		},
		Explains: []finding.Code{DNSPodsNotReady, ReplicaNotReady, ClusterNamesFailing, ReplicaStale, ReplicaWrongAnswer, HighServfailRate},
		Check:    CheckForbidden,
	},
}

// CheckForbidden reports permissions that CoreDNS lacks: it has no names of what it cannot list and watch. kube-dns needs less
// and is not judged
// (https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go, system:kube-dns).
func CheckForbidden(w *facts.Snapshot) []finding.Finding {
	if w.Provider() != "CoreDNS" {
		return nil
	}
	logged := false
	var missing []string
	var evidence []finding.Evidence
	for _, a := range w.Access {
		if !a.Allowed {
			missing = append(missing, a.Verb+" "+a.Resource)
			evidence = append(evidence, facts.NewEvidence("SubjectAccessReview", a.Verb+" "+a.Resource, "not allowed"))
		}
	}
	all := len(missing) > 0 && len(missing) == len(w.Access)
	if len(w.Access) == 0 { // not readable: the server's own log says as much
		for _, l := range w.Logs {
			if line, ok := facts.LastLine(l.Text, facts.LacksPermission); ok && !l.Previous {
				evidence = append(evidence, facts.NewEvidence("log of "+l.Pod, "", "%s", line))
				logged = true
			}
		}
	}
	lack := "lacks the permissions that the server log names"
	switch {
	case logged:
	case len(missing) == 0:
		return nil
	case len(missing) <= 2:
		lack = "cannot " + strings.Join(missing, " or ")
	default:
		lack = fmt.Sprintf("lacks %d permissions to list and watch objects", len(missing))
	}
	account, subject := w.ServiceAccount(), "the ServiceAccount of the DNS server"
	if account != "" {
		subject = "ServiceAccount " + account
	}
	return []finding.Finding{w.Make(DNSServerForbidden, finding.Critical, w.WorkloadRef(),
		fmt.Sprintf("%s %s; names become outdated now and fail after the next restart", subject, lack),
		evidence, restoreAccess(w, account, all)...)}
}

// restoreAccess: first whether a binding names the account at all. When every right is missing it is the binding that is
// gone, and the role may be intact; when some are, it is the role.
func restoreAccess(w *facts.Snapshot, account string, all bool) []finding.Next {
	if account == "" {
		return nil
	}
	bindings := w.Read("List the ClusterRoleBindings of the ServiceAccount", "", "get", "clusterrolebindings", "-o", "wide")
	bindings.Command += " | grep " + finding.Quote(account)
	next := []finding.Next{bindings}
	if account != "kube-system/coredns" || w.Workload != nil && w.Workload.Template.Labels["app.kubernetes.io/managed-by"] == "Helm" {
		return next // the names of its role and binding are the installer's own
	}
	if all {
		next = append(next, w.Change("If there is no binding, bind the ServiceAccount to the usual "+
			"ClusterRole", "", "create", "clusterrolebinding", "system:coredns",
			"--clusterrole=system:coredns", "--serviceaccount="+strings.Replace(account, "/", ":", 1)))
	}
	return append(next,
		w.Read("Read the rules of the ClusterRole", "", "describe", "clusterrole", "system:coredns"),
		w.Change("Add the missing rules to the ClusterRole", "", "edit", "clusterrole", "system:coredns"))
}
