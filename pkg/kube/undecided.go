package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// undecidedTransport tells a refusal from a server that cannot judge. An API server that has started and not read its roles, since etcd
// does not answer or since a moment has not passed yet, refuses everybody everything with 403, an administrator, too: that is no lack of
// a permission, but a server that is not ready (503). It refuses then what everybody may read, of which /version is asked
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles). Once it has its roles it keeps them, so that the
// first answer is the last question.
type undecidedTransport struct {
	next http.RoundTripper

	mu      *sync.Mutex
	decides *bool
}

func newUndecidedTransport(next http.RoundTripper) http.RoundTripper {
	return undecidedTransport{next: next, mu: &sync.Mutex{}, decides: new(bool)}
}

// undecided is what a caller is told instead of the refusal. Without roles only who needs none learns more.
const undecided = "the API server has not read its roles from etcd, and refuses everything; " +
	"as system:masters (kubeadm: /etc/kubernetes/super-admin.conf) see why: kubectl get --raw '/readyz?verbose'"

// refusalSize is how much of a refusal is looked at, in bytes: it is one sentence.
const refusalSize = 64 << 10

// versionTime is how long the answer may take: it comes from memory.
const versionTime = 5 * time.Second

// anonymous is who came without valid credentials, and may not even read the version on some clusters.
const anonymous = "system:anonymous"

func (t undecidedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	root, ofKubernetes := rootOf(request.URL.Path)
	if err != nil || response.StatusCode != http.StatusForbidden || !ofKubernetes || request.Header.Get("Upgrade") != "" {
		return response, err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, refusalSize))
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), response.Body), response.Body}
	if err != nil || !isRefusal(text) || bytes.Contains(text, []byte(anonymous)) || t.hasRoles(request, root) {
		return response, nil //nolint:nilerr // who reads the body meets it again
	}
	response.Body.Close() //nolint:errcheck // it was read
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Reason: metav1.StatusReasonServiceUnavailable, Code: http.StatusServiceUnavailable, Message: undecided,
	})
	if err != nil {
		return nil, err
	}
	response.StatusCode, response.Status = http.StatusServiceUnavailable, "503 "+http.StatusText(http.StatusServiceUnavailable)
	response.Header = http.Header{"Content-Type": {"application/json"}, "Date": response.Header.Values("Date")}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return response, nil
}

// isRefusal says whether authorization refused. Admission does it with the same code, but in other words: it has judged.
// https://github.com/kubernetes/apiserver/blob/v0.37.2/pkg/endpoints/handlers/responsewriters/errors.go (forbiddenMessage)
func isRefusal(text []byte) bool { return bytes.Contains(text, []byte(" cannot ")) }

// rootOf is the path at which the API of Kubernetes begins, which is not / behind some proxies.
func rootOf(path string) (root string, ok bool) {
	for _, begin := range []string{"/apis/", "/api/"} {
		if i := strings.Index(path, begin); i >= 0 {
			return path[:i], true
		}
	}
	return "", false
}

// hasRoles says whether the server judges permissions. Where it does not tell, it does, and is not asked again.
func (t undecidedTransport) hasRoles(request *http.Request, root string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *t.decides {
		return true
	}
	ctx, cancel := context.WithTimeout(request.Context(), versionTime)
	defer cancel()
	question := request.Clone(ctx)
	question.Method, question.Body, question.GetBody, question.ContentLength = http.MethodGet, nil, nil, 0
	question.URL.Path, question.URL.RawPath, question.URL.RawQuery = root+"/version", "", ""
	question.Header.Del("Content-Type")
	question.Header.Set("Accept", "*/*")
	*t.decides = true
	response, err := t.next.RoundTrip(question)
	if err != nil {
		return true
	}
	defer response.Body.Close() //nolint:errcheck // it is read whole
	text, err := io.ReadAll(io.LimitReader(response.Body, refusalSize))
	*t.decides = err != nil || response.StatusCode != http.StatusForbidden || !isRefusal(text)
	return *t.decides
}

// WrappedRoundTripper lets client-go find the transport below (k8s.io/apimachinery/pkg/util/net.RoundTripperWrapper).
func (t undecidedTransport) WrappedRoundTripper() http.RoundTripper { return t.next }
