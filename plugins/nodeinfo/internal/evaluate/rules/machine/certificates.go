package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// The certificates of the kubelet: whether it gets those that it requests, how long they are valid, and for which addresses.
const (
	KubeletServingCertificateMissing  finding.Code = "KubeletServingCertificateMissing"
	KubeletServingCertificateMismatch finding.Code = "KubeletServingCertificateMismatch"
	KubeletCertificateNotIssued       finding.Code = "KubeletCertificateNotIssued"
	KubeletCertificateExpired         finding.Code = "KubeletCertificateExpired"
	KubeletCertificateExpiring        finding.Code = "KubeletCertificateExpiring"
)

var kubeletServingCertificateMissing = rule{
	Entry: finding.Entry{
		Code:     KubeletServingCertificateMissing,
		Severity: finding.Warning,
		Title:    "Kubelet has no serving certificate",
		Meaning: "The kubelet requests its serving certificate from the cluster (serverTLSBootstrap), and has not received one. Until it " +
			"does, logs, exec, port-forward and usage metrics of the node's pods fail with a TLS error; the pods keep running.",
		Evidence: "Answer \"remote error: tls: internal error\" of the kubelet (--kubelet), or no usage metrics of the node, and the newest " +
			"CertificateSigningRequest of the signer kubernetes.io/kubelet-serving from the node.",
		Next:   "Check that the request comes from the node, then approve it; install an approver for the next ones.",
		Source: "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation",
	},
	CausedBy: NotReportingCodes,
	Check:    checkKubeletServingCertificateMissing,
}

// withoutServing says whether the kubelet has no certificate to serve with: by its own answer or, where it was not queried, by a
// request that waits while metrics-server has no figures of the node.
func withoutServing(c *subject.Case) (missing, said bool) {
	k, r := c.Kubelet, c.ServingRequest
	said = k != nil && k.NoServingCertificate()
	return said || k == nil && r != nil && waited(c, r) && c.Unsampled, said
}

// waited says whether a request has waited in vain.
func waited(c *subject.Case, r *certificate.Request) bool {
	return certificate.Unanswered(r, c.Now, c.Limits.CertificateRequestWait)
}

func checkKubeletServingCertificateMissing(c *subject.Case) []finding.Finding {
	missing, said := withoutServing(c)
	if !missing {
		return nil
	}
	var evidence []finding.Evidence
	message := "the kubelet probably has no serving certificate (metrics-server has no figures of the node)"
	if said {
		message = "the kubelet has no serving certificate"
		evidence = append(evidence, finding.Evidence{Source: "kubelet " + c.Object.Name, Path: "/healthz", Value: c.Kubelet.Message})
	}
	if r := c.ServingRequest; r != nil {
		text, e, next := requested(c, r)
		return c.One(message+": "+text, append(evidence, e), next...)
	}
	if gap := c.Sources.Get(facts.SourceRequests); !gap.Readable() {
		message += "; whether a request for one waits is unknown: " + gap.Reason()
	}
	return c.One(message, evidence, requestsOf(c, certificate.Serving),
		subject.OnNode("journalctl -u kubelet -n 200 --no-pager | grep -i -E 'certificate|csr'",
			"On the node, read why the kubelet has no certificate"))
}

var kubeletCertificateNotIssued = rule{
	Entry: finding.Entry{
		Code:     KubeletCertificateNotIssued,
		Severity: finding.Warning,
		Title:    "Kubelet has not received a requested certificate",
		Meaning: "The kubelet has requested a certificate, and the request was not approved, was denied, or was approved without a signer " +
			"issuing the certificate. The kubelet keeps its old certificate, if it has one. When a client certificate expires, the node " +
			"stops reporting; when a serving certificate expires, logs, exec and usage metrics of the node's pods can fail. Critical: a " +
			"machine that joins has no Node object before its request is answered.",
		Evidence: "The newest CertificateSigningRequest of the node for the signer kubernetes.io/kubelet-serving or " +
			"kubernetes.io/kube-apiserver-client-kubelet, without a certificate 2m after it was created.",
		Next:   "Check who created the request and for which names, then approve it.",
		Source: "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation",
	},
	Check: checkKubeletCertificateNotIssued,
}

func checkKubeletCertificateNotIssued(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	missing, _ := withoutServing(c)
	for _, r := range []*certificate.Request{c.ServingRequest, c.ClientRequest} {
		if r == nil || !waited(c, r) || r.Use == certificate.Serving && missing {
			continue
		}
		text, evidence, next := requested(c, r)
		message := fmt.Sprintf("the kubelet has not received the %s certificate that it requested: %s", r.Use, text)
		for _, have := range c.Certificates {
			if have.Use == r.Use && have.Left > 0 {
				message += "; the certificate in use expires in " + output.Age(have.Left)
			}
		}
		list = append(list, c.Found(message, []finding.Evidence{evidence}, next...))
	}
	return list
}

// Joins puts the request of a machine that is not a node before it has an answer.
func Joins(c *subject.Case, r *certificate.Request) (string, finding.Evidence, []finding.Next) {
	text, evidence, next := requested(c, r)
	return "a machine requests to join as this node, and has not received its client certificate: " + text, evidence, next
}

// Requested puts what became of a request that was not answered with a certificate, the evidence for that, and what to do.
func Requested(c *subject.Case, r *certificate.Request) (string, finding.Evidence, []finding.Next) {
	return requested(c, r)
}

// requested puts what became of a request, the evidence for that, and what to do.
func requested(c *subject.Case, r *certificate.Request) (string, finding.Evidence, []finding.Next) {
	describe := func(why string) finding.Next { return c.Look(why, "", "describe", "csr", r.Name) }
	state, next := "waits for approval", approval(c, r)
	switch r.State {
	case certificate.Denied:
		state, next = "was denied", []finding.Next{describe("Read why the request was denied, and by whom")}
	case certificate.Failed:
		state, next = "failed", []finding.Next{describe("Read why the signer failed")}
	case certificate.Unsigned:
		state = "was approved, but no signer has issued the certificate"
		next = []finding.Next{
			subject.Answered(c.Look("Check that kube-controller-manager, which signs for kubelets, has a leader", "kube-system",
				"get", "lease", facts.ControllerManager), "a leader: read its log for the name of the request"),
		}
	}
	text := fmt.Sprintf("CertificateSigningRequest %s %s (created %s ago)", r.Name, state, c.Ago(r.Made))
	evidence := finding.Evidence{
		Source: "CertificateSigningRequest " + r.Name, Path: "status.conditions", Time: facts.Time(r.Made),
		Value: strings.TrimSuffix(state+": "+strings.TrimSpace(r.Reason+" "+r.Message), ": "),
	}
	return text + doubts(c, r), evidence, next
}

// doubts are what is odd about a request: another node made it, or the names in it are not those of the node.
func doubts(c *subject.Case, r *certificate.Request) string {
	if r.Foreign() {
		return fmt.Sprintf("; its user is %s, and no kubelet requests a certificate for another node", r.Requestor)
	}
	if r.Use != certificate.Serving || !r.Readable {
		return ""
	}
	if strange := certificate.Strange(r.Names, c.Object); len(strange) > 0 {
		return fmt.Sprintf("; the request names %s, which the node does not have", strings.Join(strange, ", "))
	}
	if lacks := certificate.Lacks(r.Names, c.Object); len(lacks) > 0 {
		return fmt.Sprintf("; the request does not name %s: connections to that address will fail", strings.Join(lacks, ", "))
	}
	return ""
}

// approval leads to an approval where nothing speaks against it, and says what is trusted then.
func approval(c *subject.Case, r *certificate.Request) []finding.Next {
	foreign := r.Foreign() || r.Use == certificate.Serving && len(certificate.Strange(r.Names, c.Object)) > 0
	look := c.Look("Check who created the request and for which names", "", "describe", "csr", r.Name)
	if foreign {
		return []finding.Next{subject.Answered(look, "a user or names that are not this node's: find out who created it, and do not approve it")}
	}
	answer := "requesting user system:node:" + c.Object.Name + " and the names and addresses of the node: approve it"
	trust := "approved: the holder of the request's key then serves as " + strings.Join(namesOr(r, c.Object.Name), ", ") +
		": the API server sends logs and exec of the node's pods there"
	if r.Use == certificate.Client {
		answer = "requesting user " + r.Requestor + ", and the machine is yours: approve it"
		trust = "approved: the holder of the request's key then acts as node " + c.Object.Name + ", and can read the Secrets of its pods"
	}
	return []finding.Next{
		subject.Answered(look, answer),
		subject.Answered(c.Change("Approve the request", "certificate", "approve", r.Name), trust),
	}
}

func namesOr(r *certificate.Request, name string) []string {
	if len(r.Names) == 0 {
		return []string{name}
	}
	return r.Names
}

// signers are who answers requests of kubelets, by use.
var signers = map[certificate.Use]string{
	certificate.Serving: "kubernetes.io/kubelet-serving", certificate.Client: "kubernetes.io/kube-apiserver-client-kubelet",
}

func requestsOf(c *subject.Case, use certificate.Use) finding.Next {
	return c.Look("List the requests of kubelets for a "+string(use)+" certificate", "", "get", "csr",
		"--field-selector=spec.signerName="+signers[use])
}

var kubeletServingCertificateMismatch = rule{
	Entry: finding.Entry{
		Code:     KubeletServingCertificateMismatch,
		Severity: finding.Warning,
		Title:    "Kubelet serving certificate lacks an address",
		Meaning: "The serving certificate of the kubelet is not valid for the address by which others reach the kubelet. A client that " +
			"verifies it fails: the API server (logs, exec, port-forward), or metrics-server (usage metrics).",
		Evidence: "An x509 error of the API server on the kubelet's /healthz, or the names in the certificate that the kubelet presents " +
			"(--kubelet) against the addresses of the Node, where metrics-server has no figures of the node.",
		Next:   "Let the cluster sign serving certificates (serverTLSBootstrap), or issue one that names the address.",
		Source: "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#kubelet-serving-certs",
	},
	CausedBy: NotReportingCodes,
	Check:    checkKubeletServingCertificateMismatch,
}

func checkKubeletServingCertificateMismatch(c *subject.Case) []finding.Finding {
	k := c.Kubelet
	if k == nil {
		return nil
	}
	step := subject.OnNode("openssl s_client -connect 127.0.0.1:10250 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName -dates",
		"On the node, read the names and the dates of the certificate that the kubelet presents")
	if k.OtherNames() {
		return c.One("the API server rejects the kubelet's serving certificate for the address of the node: "+k.Message+
			"; logs, exec and usage metrics of the node's pods fail",
			[]finding.Evidence{{Source: "kubelet " + c.Object.Name, Path: "/healthz", Value: k.Message}}, step)
	}
	if k.Served == nil || !c.Unsampled {
		return nil
	}
	lacks := certificate.Lacks(k.Served.Names, c.Object)
	if len(lacks) == 0 {
		return nil
	}
	f := c.Found(fmt.Sprintf("the kubelet's serving certificate does not name %s, and metrics-server has no figures of the node: most likely "+
		"metrics-server rejects the certificate", strings.Join(lacks, ", ")), []finding.Evidence{servedEvidence(c, k.Served)}, step)
	if k.Served.SelfSigned {
		f.Severity = finding.Info // who takes such a certificate does not verify it
	}
	return []finding.Finding{f}
}

func servedEvidence(c *subject.Case, s *certificate.Served) finding.Evidence {
	signed := "signed by an authority"
	if s.SelfSigned {
		signed = "self-signed"
	}
	return finding.Evidence{
		Source: "kubelet " + c.Object.Name, Path: "certificate at " + s.Address,
		Value: fmt.Sprintf("%s (%s) for %s, valid until %s", s.Subject, signed, strings.Join(s.Names, ", "),
			s.NotAfter.UTC().Format(time.RFC3339)),
	}
}

var kubeletCertificateExpired = rule{
	Entry: finding.Entry{
		Code:     KubeletCertificateExpired,
		Severity: finding.Critical,
		Title:    "Kubelet certificate has expired",
		Meaning: "A certificate of the kubelet is no longer valid. With an expired client certificate the node stops reporting. With an " +
			"expired serving certificate, every client that verifies it fails: logs, exec, port-forward and usage metrics of the node's pods " +
			"(warning: the API server does not verify it; info: it is self-signed, and no client can verify it).",
		Evidence: "The certificate that the kubelet presents (--kubelet), an x509 error of the API server, or the kubelet's metrics.",
		Next:     "Read the kubelet log for failed renewals, and check the certificate requests of the node.",
		Source:   "https://kubernetes.io/docs/tasks/tls/certificate-rotation/",
	},
	Check: checkKubeletCertificateExpired,
}

func checkKubeletCertificateExpired(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for i := range c.Certificates {
		k := &c.Certificates[i]
		if k.Urgency != certificate.Ended {
			continue
		}
		message := fmt.Sprintf("the %s certificate of the kubelet expired %s ago", k.Use, output.Age(-k.Left))
		severity := finding.Critical
		switch {
		case selfSigned(k):
			message, severity = message+"; it is self-signed, so no client can verify it", finding.Info
		case k.Use == certificate.Serving && c.Kubelet.Healthy:
			message += "; the API server does not verify it, but clients that do, such as metrics-server, fail"
			severity = finding.Warning
		case k.Use == certificate.Serving:
			message += ": logs, exec and usage metrics of the node's pods fail"
		}
		list = append(list, expiry(c, k, message, severity))
	}
	ofServing := func(k kubelet.Certificate) bool {
		return k.Use == certificate.Serving && k.Urgency == certificate.Ended
	}
	if c.Kubelet != nil && c.Kubelet.CertificateEnded() && !slices.ContainsFunc(c.Certificates, ofServing) {
		list = append(list, c.Found("the API server rejects the expired serving certificate of the kubelet: logs, exec and usage metrics of the "+
			"node's pods fail", []finding.Evidence{{Source: "kubelet " + c.Object.Name, Path: "/healthz", Value: c.Kubelet.Message}},
			renewals()))
	}
	return list
}

var kubeletCertificateExpiring = rule{
	Entry: finding.Entry{
		Code:     KubeletCertificateExpiring,
		Severity: finding.Warning,
		Title:    "Kubelet certificate expires soon",
		Meaning: "A certificate of the kubelet expires within 30 days (critical: 7 days), although a kubelet renews its certificates when 70% " +
			"to 90% of their time has passed. A certificate that lives for less than a year counts within its last tenth (critical: last " +
			"fortieth). Info: it is self-signed, and no client can verify it, or its lifetime is unknown and no renewal has failed; of an " +
			"unknown lifetime it is never critical.",
		Evidence: "The certificate that the kubelet presents (--kubelet) or, where no connection from here reaches the kubelet, its metrics " +
			"kubelet_certificate_manager_server_ttl_seconds and kubelet_certificate_manager_client_ttl_seconds.",
		Next:   "Read the kubelet log for failed renewals, and check the certificate requests of the node.",
		Source: "https://kubernetes.io/docs/tasks/tls/certificate-rotation/",
	},
	Check: checkKubeletCertificateExpiring,
}

func checkKubeletCertificateExpiring(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for i := range c.Certificates {
		k := &c.Certificates[i]
		severity := finding.Warning
		switch k.Urgency {
		case certificate.VerySoon:
			if k.Life > 0 { // what is a short time depends on it
				severity = finding.Critical
			}
		case certificate.Soon:
		default:
			continue
		}
		message := fmt.Sprintf("the %s certificate of the kubelet expires in %s", k.Use, output.Age(k.Left))
		switch {
		case selfSigned(k):
			message, severity = message+"; it is self-signed, so no client can verify it", finding.Info
		case k.Errors > 0:
			message += fmt.Sprintf("; the kubelet failed to renew it %s", output.Plural(int(k.Errors), "time"))
		case waiting(c, k.Use):
			message += "; a request for the next one waits"
		case k.Life == 0:
			message, severity = message+"; no renewal has failed, and its lifetime is unknown", finding.Info
		}
		list = append(list, expiry(c, k, message, severity))
	}
	return list
}

func selfSigned(k *kubelet.Certificate) bool { return k.Served != nil && k.Served.SelfSigned }

func waiting(c *subject.Case, use certificate.Use) bool {
	if use == certificate.Serving {
		return c.ServingRequest != nil
	}
	return c.ClientRequest != nil
}

// expiry is a finding about the end of a certificate.
func expiry(c *subject.Case, k *kubelet.Certificate, message string, severity finding.Severity) finding.Finding {
	evidence := finding.Evidence{
		Source: "kubelet " + c.Object.Name, Path: "/metrics",
		Value: fmt.Sprintf("%s certificate valid until %s", k.Use, k.Ends.UTC().Format(time.RFC3339)),
	}
	if k.Served != nil {
		evidence = servedEvidence(c, k.Served)
	}
	next := []finding.Next{renewals()}
	if waiting(c, k.Use) {
		next = append([]finding.Next{requestsOf(c, k.Use)}, next...)
	}
	if selfSigned(k) {
		next = []finding.Next{subject.OnNode("ls -l /var/lib/kubelet/pki/kubelet.crt /var/lib/kubelet/pki/kubelet.key",
			"On the node, find the certificate; a kubelet that starts without both files creates a new one")}
	}
	f := c.Found(message, []finding.Evidence{evidence}, next...)
	f.Severity = severity
	return f
}

func renewals() finding.Next {
	return subject.OnNode("journalctl -u kubelet --no-pager | grep -i certificate | tail -n 20",
		"On the node, read the kubelet log for failed renewals of its certificates")
}
