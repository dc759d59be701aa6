package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// unanswered counts the nodes of a fleet whose certificate requests were not answered, by what became of these.
type unanswered map[outcome]int

type outcome struct {
	use   certificate.Use
	state certificate.State
}

// note counts the requests of a node that a finding is about: whatever its age, one of a kubelet that has nothing to serve with.
func (u unanswered) note(n *facts.Node, out *report.Node) {
	told := func(code finding.Code) bool {
		return slices.ContainsFunc(out.Findings, func(f finding.Finding) bool { return f.Code == code })
	}
	missing := told(machine.KubeletServingCertificateMissing)
	for _, r := range []*certificate.Request{n.ServingRequest, n.ClientRequest} {
		if r != nil && (missing && r.Use == certificate.Serving ||
			told(machine.KubeletCertificateNotIssued) && certificate.Unanswered(r, n.Now, n.Limits.CertificateRequestWait)) {
			u[outcome{r.Use, r.State}]++
		}
	}
}

// text says what became of requests, and what to check where those of several nodes had one outcome: who approves serving
// certificates is no part of Kubernetes, all else is done by kube-controller-manager.
// https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation
func (o outcome) text() (what, remedy string) {
	approver := "the approver of kube-controller-manager (csrapproving) and its permissions for the group system:nodes"
	if o.use == certificate.Serving {
		approver = "whether an approver of kubernetes.io/kubelet-serving requests is running (Kubernetes has none of its own)"
	}
	switch o.state {
	case certificate.Denied:
		return "were denied", "who denied them (kubectl get csr)"
	case certificate.Failed:
		return "failed after their approval", "the reason that the signer gave (kubectl get csr)"
	case certificate.Unsigned:
		return "were approved, but no signer has issued a certificate", "the signer of kube-controller-manager (csrsigning) and its log"
	}
	return "wait for approval", approver
}

// causes names outcomes that several nodes have in common.
func (u unanswered) causes(nodes int) []string {
	var list []string
	for o, n := range u {
		if n > 1 {
			what, remedy := o.text()
			list = append(list, fmt.Sprintf("%s certificate requests of %d of %d nodes %s: check first %s, not each node",
				o.use, n, nodes, what, remedy))
		}
	}
	slices.Sort(list)
	return list
}

// requesting names the machines that wait for a certificate to become nodes.
func requesting(list []certificate.Request, now time.Time, wait time.Duration) []string {
	var names []string
	for i := range list {
		if r := &list[i]; certificate.Unanswered(r, now, wait) {
			names = append(names, r.Node)
		}
	}
	if len(names) == 0 {
		return nil
	}
	const most = 3
	text := strings.Join(names[:min(most, len(names))], ", ")
	if rest := len(names) - most; rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return []string{short(fmt.Sprintf("%s to join and %s received no client certificate: %s; name one as NODE for the reason",
		output.Plural(len(names), "machine requests", "machines request"), map[bool]string{true: "has", false: "have"}[len(names) == 1], text))}
}
