package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
)

// certified judges the fixture of unanswered requests after a change of its first request, which is for serving, and of its
// second, for the API server; both wait for a node that answers.
func certified(t *testing.T, change func(in *Input, serving, client *certificatesv1.CertificateSigningRequest)) []finding.Finding {
	t.Helper()
	in := load(t, string(machine.KubeletCertificateNotIssued))
	change(&in, &in.Requests[0], &in.Requests[1])
	return node(t, judge(in), "fires").Findings
}

func condition(kind certificatesv1.RequestConditionType, reason string) []certificatesv1.CertificateSigningRequestCondition {
	return []certificatesv1.CertificateSigningRequestCondition{{Type: kind, Reason: reason}}
}

func TestAnUnansweredRequestIsPutByWhatBecameOfIt(t *testing.T) {
	type requests = *certificatesv1.CertificateSigningRequest
	for name, tt := range map[string]struct {
		change  func(in *Input, serving, client requests)
		text    string // in one of the messages
		approve int    // how many lines approve
	}{
		"both wait": {func(*Input, requests, requests) {}, "csr-7xkqd waits for approval (created 12m ago)", 2},
		"denied at once": {func(in *Input, s, _ requests) {
			s.Status.Conditions, s.CreationTimestamp = condition("Denied", "KubectlDeny"), before(in, time.Second)
		}, "csr-7xkqd was denied", 1},
		"failed":    {func(_ *Input, s, _ requests) { s.Status.Conditions = condition("Failed", "SignerValidationFailure") }, "csr-7xkqd failed", 1},
		"no signer": {func(_ *Input, s, _ requests) { s.Status.Conditions = condition("Approved", "KubectlApprove") }, "csr-7xkqd was approved, but no signer has issued the certificate", 1},
		"made by a neighbor": {
			func(_ *Input, _, c requests) { c.Spec.Username = "system:node:near-miss" },
			"its user is system:node:near-miss, and no kubelet requests a certificate for another node", 1,
		},
		"names of another machine": {
			func(in *Input, _, _ requests) { in.Nodes[0].Status.Addresses[0].Address = "10.0.0.9" },
			"the request names 10.0.0.5, which the node does not have", 1,
		},
		"an address is missing": {
			func(in *Input, _, _ requests) {
				in.Nodes[0].Status.Addresses = append(in.Nodes[0].Status.Addresses, in.Nodes[0].Status.Addresses[0])
				in.Nodes[0].Status.Addresses[2].Address = "10.9.0.9"
			},
			"the request does not name 10.9.0.9: connections to that address will fail", 2,
		},
		"the one in use": {
			func(in *Input, _, _ requests) {
				in.Kubelets = map[string]Kubelet{"fires": {Healthy: true, ClientTTL: new(40.0 * 86400)}}
			},
			"(created 9m ago); the certificate in use expires in 40d", 2,
		},
	} {
		found := certified(t, tt.change)
		var messages []string
		approve := 0
		for _, f := range found {
			messages = append(messages, f.Message)
			for _, next := range f.Next {
				if strings.Contains(next.Command, "certificate approve") {
					approve++
					if next.Risk != finding.Change || len(next.Answers) != 1 || !strings.HasPrefix(next.Answers[0], "approved: ") {
						t.Errorf("%s: %+v says not what it trusts", name, next)
					}
				}
			}
		}
		if !strings.Contains(strings.Join(messages, "\n"), tt.text) || approve != tt.approve || len(found) != 2 {
			t.Errorf("%s: %d lines approve: %q", name, approve, messages)
		}
	}
}

// A machine that joins is no node before it has a certificate: whoever names it reads what it waits for.
func TestAMachineThatJoinsIsFoundByItsRequest(t *testing.T) {
	in := load(t, string(machine.KubeletCertificateNotIssued))
	in.Nodes, in.Leases, in.NotFound = in.Nodes[1:], in.Leases[1:], []string{"fires", "other"}
	list := judge(in)
	n := node(t, list, "fires")
	if len(n.Findings) != 1 || n.Findings[0].Code != machine.KubeletCertificateNotIssued || n.Findings[0].Severity != finding.Critical ||
		!strings.Contains(n.Summary, "a machine requests to join as this node") || !strings.Contains(n.Summary, "csr-bn2sl waits for approval") {
		t.Errorf("%s: %+v", n.Summary, n.Findings)
	}
	if len(list.Items) != 2 {
		t.Errorf("%d nodes: a name of which nothing is known is no node", len(list.Items))
	}
	in.Requests[1].Status.Certificate = []byte("issued")
	if list := judge(in); len(list.Items) != 1 {
		t.Errorf("the request was answered: %+v", list.Items)
	}
	gone := load(t, "NodeDeleted")
	gone.Requests = in.Requests
	gone.Requests[1].Status.Certificate = nil
	if n := node(t, judge(gone), "fires"); len(n.Findings) != 2 {
		t.Errorf("deleted, and joins again: %+v", n.Findings)
	}
}

// A request that has just been made or was answered says nothing, and none of another node does.
func TestARequestThatIsAnsweredInTimeIsQuiet(t *testing.T) {
	found := certified(t, func(in *Input, s, c *certificatesv1.CertificateSigningRequest) {
		s.CreationTimestamp = before(in, 119*time.Second)
		c.Status.Certificate, c.Status.Conditions = []byte("issued"), condition("Approved", "AutoApproved")
	})
	if len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

func TestHowMuchTheEndOfACertificateMatters(t *testing.T) {
	const day = 86400.0
	signed := func(left float64) *certificate.Served {
		end := load(t, "healthy").Now.Add(time.Duration(left * float64(time.Second)))
		return &certificate.Served{Address: "a", Subject: "system:node:w1", Names: []string{"10.0.0.5"}, NotBefore: end.Add(-365 * 24 * time.Hour), NotAfter: end}
	}
	own := func(left float64) *certificate.Served { s := signed(left); s.SelfSigned = true; return s }
	const (
		expiring, expired = machine.KubeletCertificateExpiring, machine.KubeletCertificateExpired
		none              = finding.Severity("")
	)
	for name, tt := range map[string]struct {
		kubelet  Kubelet
		code     finding.Code
		severity finding.Severity
	}{
		"31 days":                     {Kubelet{Healthy: true, Served: signed(31 * day)}, "", none},
		"30 days":                     {Kubelet{Healthy: true, Served: signed(30 * day)}, expiring, finding.Warning},
		"5 days":                      {Kubelet{Healthy: true, Served: signed(5 * day)}, expiring, finding.Critical},
		"5 days, self-signed":         {Kubelet{Healthy: true, Served: own(5 * day)}, expiring, finding.Info},
		"expired, verified":           {Kubelet{Served: signed(-day), Message: "x509: certificate has expired or is not yet valid"}, expired, finding.Critical},
		"expired, not verified":       {Kubelet{Healthy: true, Served: signed(-day)}, expired, finding.Warning},
		"expired, self-signed":        {Kubelet{Healthy: true, Served: own(-day)}, expired, finding.Info},
		"by the API server's word":    {Kubelet{Message: "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"}, expired, finding.Critical},
		"by metrics, 5 days":          {Kubelet{Healthy: true, ClientTTL: new(5 * day)}, expiring, finding.Info},
		"by metrics, renewals fail":   {Kubelet{Healthy: true, ClientTTL: new(5 * day), ClientRenewErrors: 3}, expiring, finding.Warning},
		"by metrics, 20 days":         {Kubelet{Healthy: true, ServerTTL: new(20 * day), ServerRenewErrors: 1}, expiring, finding.Warning},
		"by metrics, over":            {Kubelet{Healthy: true, ClientTTL: new(-1.0)}, expired, finding.Critical},
		"by metrics, 40 days":         {Kubelet{Healthy: true, ClientTTL: new(40 * day), ServerTTL: new(40 * day)}, "", none},
		"the handshake goes first":    {Kubelet{Healthy: true, Served: signed(31 * day), ServerTTL: new(5 * day), ServerRenewErrors: 1}, "", none},
		"a kubelet without an answer": {Kubelet{}, machine.KubeletUnreachable, finding.Warning},
	} {
		in := load(t, "healthy")
		in.Kubelets = map[string]Kubelet{"w1": tt.kubelet}
		found := node(t, judge(in), "w1").Findings
		if tt.code == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || found[0].Code != tt.code || found[0].Severity != tt.severity {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// The names matter to who verifies them: the API server says so, metrics-server has no figures; and a self-signed certificate
// is not verified by anybody.
func TestACertificateForOtherNames(t *testing.T) {
	const code = machine.KubeletServingCertificateMismatch
	for name, tt := range map[string]struct {
		change   func(in *Input)
		severity finding.Severity
	}{
		"no figures":  {func(*Input) {}, finding.Warning},
		"self-signed": {func(in *Input) { in.Kubelets["fires"].Served.SelfSigned = true }, finding.Info},
		"all names":   {func(in *Input) { in.Kubelets["fires"].Served.Names = []string{"10.0.0.5"} }, ""},
		"no metrics-server": {func(in *Input) {
			in.Sources[slices.Index(sourceNames(in), SourceMetrics)].State = "absent"
		}, ""},
		"a node of a minute": {func(in *Input) { in.Nodes[0].CreationTimestamp = before(in, time.Minute) }, ""},
		"no IP SANs": {func(in *Input) {
			in.Kubelets["fires"] = Kubelet{Message: "x509: cannot validate certificate for 10.0.0.5 because it doesn't contain any IP SANs"}
		}, finding.Warning},
		"another name": {func(in *Input) {
			in.Kubelets["fires"] = Kubelet{Message: "tls: failed to verify certificate: x509: certificate is valid for 10.0.0.6, not 10.0.0.5"}
		}, finding.Warning},
	} {
		in := load(t, string(code))
		tt.change(&in)
		found := node(t, judge(in), "fires").Findings
		got := finding.Severity("")
		for _, f := range found {
			if f.Code == code {
				got = f.Severity
			}
		}
		if got != tt.severity || len(found) > 1 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func sourceNames(in *Input) []string {
	var names []string
	for _, s := range in.Sources {
		names = append(names, s.Name)
	}
	return names
}
