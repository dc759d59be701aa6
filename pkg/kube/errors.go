package kube

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// SourceOf turns the outcome of one read into the state of a source. Verb and resource are what the read needs (list
// leases.coordination.k8s.io), said when it is forbidden.
func SourceOf(name, verb, resource string, err error) source.Source {
	s := source.Source{Name: name}
	switch {
	case err == nil:
		s.State = source.OK
	case apierrors.IsForbidden(err):
		s.State, s.Verb, s.Resource = source.Forbidden, verb, resource
		s.Message = OneLine(err)
	case apierrors.IsUnauthorized(err): // no permission would help
		s.State, s.Message = source.Forbidden, OneLine(Explain(err))
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		s.State, s.Message = source.Absent, resource+" not found"
	default:
		s.State, s.Message = source.Unreachable, OneLine(Explain(err))
	}
	return s
}

// OneLine gives an error's text without line breaks.
func OneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// explained is an error in words for a person, with the original kept for errors.Is and errors.As.
type explained struct {
	text string
	err  error
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.err }

// Explain puts the errors that every user meets (no configuration, wrong address, expired login, slow server) into one
// line that says what was wrong and what would be right. Others pass unchanged.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if text := explanation(err); text != "" {
		return explained{text: text, err: err}
	}
	return err
}

func explanation(err error) string {
	var (
		done       explained
		negotiated runtime.NegotiateError
	)
	switch {
	case errors.As(err, &done):
		return ""
	case clientcmd.IsEmptyConfig(err):
		return "no cluster is configured: set KUBECONFIG, or pass --kubeconfig or --server"
	case apierrors.IsUnauthorized(err):
		return "the API server rejects the credentials (401 Unauthorized); log in again, or renew the token or certificate in the kubeconfig"
	case apierrors.IsForbidden(err):
		text := OneLine(err)
		if object, reason, ok := admission.Forbidden(text); ok {
			text = strings.TrimSpace(object + ": " + reason)
		}
		return "not allowed: " + text
	case apierrors.IsTooManyRequests(err):
		if _, why, ok := strings.Cut(OneLine(err), notRead); ok {
			return "the API server has not read this from etcd (" + notRead + why + "); see why: kubectl get --raw '/readyz?verbose'"
		}
		return "the API server is overloaded (429 Too Many Requests); try again later"
	case errors.As(err, &negotiated):
		return fmt.Sprintf("the answer is %q, which no API server sends; is a proxy or a login page in between?", negotiated.ContentType)
	}
	if m := toKubelet.FindStringSubmatch(OneLine(err)); m != nil {
		return fmt.Sprintf("the API server cannot reach the kubelet at %s: %s", cmp.Or(m[1], m[2]), m[3])
	}
	if text := tlsExplanation(err); text != "" {
		return text
	}
	return networkExplanation(err)
}

// notRead is how an API server says that it has none of the objects that it was asked for in its memory, as after its start while etcd
// has no quorum. It says so with 429, as if it had too much to do.
// https://github.com/kubernetes/apiserver/blob/v0.37.2/pkg/storage/cacher/ready.go (readGenerationLocked)
const notRead = "storage is (re)initializing"

// toKubelet is how an API server says that it could not pass a request on to a kubelet: for logs, the request that it made, which names the
// kubelet; for exec, attach and port-forward, the connection. Where that refused to become a stream, the words are all that is left of it.
// https://github.com/kubernetes/apimachinery/blob/v0.37.2/pkg/util/proxy/upgradeaware.go ("error dialing backend")
var toKubelet = regexp.MustCompile(`(?:\bGet "https?://([^/"]+)/containerLogs/[^"]*": (?:dial tcp [^ ]+: )?|` +
	`\berror dialing backend: dial tcp ([^ ]+): )(?:connect: )?(.+)$`)

func tlsExplanation(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return at(err) + " presents a certificate that the certificate authority of the kubeconfig did not sign; " +
			"check the server address and certificate-authority-data"
	case errors.As(err, &hostname):
		return fmt.Sprintf("%s presents a certificate for other names: %s", at(err), OneLine(hostname))
	case errors.As(err, &invalid):
		return fmt.Sprintf("%s presents an invalid certificate: %s", at(err), OneLine(invalid))
	}
	return ""
}

func networkExplanation(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("%s cannot be resolved: no address for %q", at(err), dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return at(err) + " refuses connections; check whether the API server is running and whether address and port are correct"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return at(err) + " is unreachable: no route from this machine"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return at(err) + " did not respond in time"
	case utilnet.IsConnectionReset(err), utilnet.IsProbableEOF(err):
		return at(err) + " closed the connection"
	}
	return ""
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout() || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err)
}

// at names the server that the error speaks of.
func at(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if parsed, parseErr := url.Parse(u.URL); parseErr == nil && parsed.Host != "" {
			return fmt.Sprintf("the API server at %s://%s", parsed.Scheme, parsed.Host)
		}
	}
	return "the API server"
}
