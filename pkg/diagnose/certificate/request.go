// Package certificate says what is true of a kubelet's certificates: of a request for one, who made it, for which names, and
// what became of it; of one that is there, how soon it ends, whose it is, and which addresses it lacks.
package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// Use is what a kubelet needs a certificate for.
type Use string

// The uses.
const (
	Serving Use = "serving" // others reach the kubelet: logs, exec, usage
	Client  Use = "client"  // the kubelet reaches the API server
)

// State is what became of a request.
type State string

// The states. A kubelet waits for the certificate: an approval alone gives it none.
const (
	Pending  State = "pending"
	Denied   State = "denied"
	Failed   State = "failed"   // approved, and the signer refused
	Unsigned State = "unsigned" // approved, and no signer has answered
	Issued   State = "issued"
)

// nodeUser begins the name of a kubelet's user
// (https://kubernetes.io/docs/reference/access-authn-authz/node/).
const nodeUser = "system:node:"

// Request is a CertificateSigningRequest of a kubelet.
type Request struct {
	Name            string
	Use             Use
	Node            string // for which node a certificate is requested
	Requestor       string // the user who made the request
	Made            time.Time
	State           State
	Reason, Message string // of the denial, the failure or the approval
	Names           []string
	Readable        bool // the request itself could be read: Names are known
}

// RequestOf reads a request for one of a kubelet's certificates; false: it is for something else, or for no node.
func RequestOf(r *certificatesv1.CertificateSigningRequest) (Request, bool) {
	out := Request{Name: r.Name, Requestor: r.Spec.Username, Made: r.CreationTimestamp.Time, State: stateOf(r)}
	switch r.Spec.SignerName {
	case certificatesv1.KubeletServingSignerName:
		out.Use = Serving
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		out.Use = Client
	default:
		return Request{}, false
	}
	subject := r.Spec.Username // a kubelet that renews its certificate; one that joins has a bootstrap token
	if block, _ := pem.Decode(r.Spec.Request); block != nil {
		if parsed, err := x509.ParseCertificateRequest(block.Bytes); err == nil {
			out.Readable, subject = true, parsed.Subject.CommonName
			out.Names = slices.Clone(parsed.DNSNames)
			for _, ip := range parsed.IPAddresses {
				out.Names = append(out.Names, ip.String())
			}
			slices.Sort(out.Names)
		}
	}
	node, ok := strings.CutPrefix(subject, nodeUser)
	if !ok || node == "" {
		return Request{}, false
	}
	out.Node = node
	for _, condition := range r.Status.Conditions {
		switch string(condition.Type) {
		case string(certificatesv1.CertificateApproved), string(certificatesv1.CertificateDenied), string(certificatesv1.CertificateFailed):
			out.Reason, out.Message = condition.Reason, condition.Message
		}
	}
	return out, true
}

// stateOf goes by what cannot be taken back: an approval and a denial exclude each other, and a failure comes after an approval.
// https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
func stateOf(r *certificatesv1.CertificateSigningRequest) State {
	has := func(kind certificatesv1.RequestConditionType) bool {
		return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == kind })
	}
	switch {
	case len(r.Status.Certificate) > 0:
		return Issued
	case has(certificatesv1.CertificateDenied):
		return Denied
	case has(certificatesv1.CertificateFailed):
		return Failed
	case has(certificatesv1.CertificateApproved):
		return Unsigned
	}
	return Pending
}

// Foreign says whether another node made the request: no kubelet does that for a neighbor.
func (r *Request) Foreign() bool {
	maker, isNode := strings.CutPrefix(r.Requestor, nodeUser)
	return isNode && maker != r.Node
}

// Unanswered says whether a request has waited in vain for longer than approver and signer take; a denial and a failure are final.
func Unanswered(r *Request, now time.Time, wait time.Duration) bool {
	switch r.State {
	case Issued:
		return false
	case Denied, Failed:
		return true
	}
	return now.Sub(r.Made) >= wait
}

// superseded is how long a kubelet's request can be its last one: four times what it takes to make another.
const superseded = time.Hour

// Newest is a node's last request for a use; nil: there is none, or it was answered with a certificate. A kubelet that waits in
// vain makes a new one every quarter of an hour or so, and takes the answer to the last alone.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/client-go/util/certificate/certificate_manager.go
//
// One of a kubelet itself that has waited for longer than superseded belongs to a kubelet that has its certificate by now: the
// controller manager deletes answered requests after an hour, and those that wait only after a day.
func Newest(list []Request, node string, use Use, now time.Time) *Request {
	var newest *Request
	for i := range list {
		r := &list[i]
		waits := r.State == Pending || r.State == Unsigned
		if r.Node != node || r.Use != use || waits && r.Requestor == nodeUser+node && now.Sub(r.Made) > superseded {
			continue
		}
		if newest == nil || newest.Made.Before(r.Made) || newest.Made.Equal(r.Made) && r.Name < newest.Name {
			newest = r
		}
	}
	if newest == nil || newest.State == Issued {
		return nil
	}
	return newest
}
