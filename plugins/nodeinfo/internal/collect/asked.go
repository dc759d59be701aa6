package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// What is asked only of whom it concerns: kube-proxy, kubelets without a certificate, nodes that are gone.

// askProxy asks kube-proxy of a node that is Ready, through its pod, whether it works: Ready says that its process runs. The
// right to do so (get pods/proxy) reaches the ports of every pod, so that the published role is without it, and who has it not
// lacks nothing that was promised.
func (c *collector) askProxy(ctx context.Context, n *corev1.Node) {
	at := slices.IndexFunc(c.in.Pods, func(p corev1.Pod) bool { return p.Spec.NodeName == n.Name && evaluate.IsProxy(&p) })
	if at < 0 || !nodefact.PostedReady(n) {
		return
	}
	p, skipped := &c.in.Pods[at], source.Source{Name: evaluate.SourceProxyHealth, State: source.Skipped}
	port := evaluate.ProxyPort(p, c.in.ProxyHealthz)
	switch {
	case port == 0:
		skipped.Message = "kube-proxy serves its health on the loopback address only"
	case c.in.Sources.Get(evaluate.SourceProxyConfig).State == source.Forbidden:
		skipped.Message = "needs " + "get configmaps/kube-proxy in kube-system (health port)"
	default:
		name, node := fmt.Sprintf("http:%s:%d", p.Name, port), n.Name
		c.spawn(func() { c.proxyHealth(ctx, p.Namespace, name, node, port) })
		return
	}
	c.putFor(n.Name, skipped, nil)
}

// proxyHealth takes for an answer that kube-proxy is well, that it says it is not, or that nothing listens. Everything else
// may be between here and there.
func (c *collector) proxyHealth(ctx context.Context, namespace, pod, node string, port int) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := c.client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("proxy").Suffix("livez").
		SetHeader("Accept", "application/json, */*").Do(ctx).Raw()
	answer, s := evaluate.ProxyHealth{Port: port}, source.Source{Name: evaluate.SourceProxyHealth, State: source.OK}
	text := strings.TrimSpace(string(body))
	switch {
	case err == nil:
		answer.Healthy = true
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		s.State, s.Message = source.Skipped, "needs get pods/proxy in "+namespace
	case strings.Contains(text+err.Error(), "connect: connection refused"):
		answer.Refused, answer.Message = true, "connection refused"
	// Its own words: https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/proxy/healthcheck/proxy_health.go
	case strings.Contains(text, `"lastUpdated"`):
		answer.Message = text
	default:
		s.State, s.Message = source.Skipped, "port "+fmt.Sprint(port)+" of kube-proxy gives no answer through the API server"
		if !errors.Is(err, context.DeadlineExceeded) {
			s.Message += ": " + kube.OneLine(kube.Explain(err))
		}
	}
	c.putFor(node, s, func(in *evaluate.Input) {
		if in.ProxyHealth == nil {
			in.ProxyHealth = map[string]evaluate.ProxyHealth{}
		}
		in.ProxyHealth[node] = answer
	})
}

// askAPIServer asks an API server that is late with its Lease, through its pod, what ails it. Others of the same cluster answer
// the requests of this run. The right is that of askProxy; without it the Lease alone speaks.
func (c *collector) askAPIServer(ctx context.Context, n *corev1.Node) {
	pod, port := evaluate.LateAPIServer(&c.in, n, c.now())
	if pod == nil {
		return
	}
	namespace, name, node := pod.Namespace, "https:"+pod.Name+":"+port, n.Name
	c.spawn(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		body, err := c.client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name(name).SubResource("proxy").
			Suffix("readyz").Param("verbose", "").SetHeader("Accept", "application/json, */*").Do(ctx).Raw()
		var answer evaluate.APIAnswer
		s := source.Source{Name: evaluate.SourceAPIServer, State: source.OK}
		switch text := textOf(body, err); {
		case strings.Contains(text, readyzEnd), strings.Contains(text, "[-]"):
			answer.Readyz = text
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "pods/proxy"):
			s.State, s.Message = source.Skipped, "needs get pods/proxy in "+namespace
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err): // the request arrives there without credentials
			s.State, s.Message = source.Skipped, "the API server on the node does not answer anonymous requests"
		case err != nil && strings.Contains(text+err.Error(), "connect: connection refused"):
			answer.Refused = true
		default:
			s.State, s.Message = source.Skipped, "port "+port+" gives no answer through another API server"
		}
		c.putFor(node, s, func(in *evaluate.Input) {
			if in.APIServers == nil {
				in.APIServers = map[string]evaluate.APIAnswer{}
			}
			in.APIServers[node] = answer
		})
	})
}

// textOf is what was answered in plain text, also where that came with an error: then client-go keeps 2,048 bytes of it, in the
// details of the error alone.
func textOf(body []byte, err error) string {
	var status apierrors.APIStatus
	if len(body) > 0 || !errors.As(err, &status) || status.Status().Details == nil {
		return string(body)
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
			return cause.Message
		}
	}
	return ""
}

var kubeletSigners = []string{certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName}

// requests reads the certificate requests of kubelets: those that wait are few, and the controller manager deletes the others
// after an hour, and these after a day
// (https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#request-signing-process).
func (c *collector) requests(ctx context.Context) {
	var list certificatesv1.CertificateSigningRequestList
	err := c.askJSON(ctx, c.client.Discovery().RESTClient().Get().AbsPath("/apis/certificates.k8s.io/v1/certificatesigningrequests").
		Param("resourceVersion", "0"), &list)
	c.put(kube.SourceOf(evaluate.SourceRequests, "list", "certificatesigningrequests.certificates.k8s.io", err), func(in *evaluate.Input) {
		for i := range list.Items {
			r := &list.Items[i]
			if !slices.Contains(kubeletSigners, r.Spec.SignerName) {
				continue
			}
			r.ManagedFields, r.Annotations, r.Spec.Extra = nil, nil, nil
			if len(r.Status.Certificate) > 0 {
				r.Status.Certificate = []byte("issued")
			}
			in.Requests = append(in.Requests, *r)
		}
	})
}

// gone reads what is left of a node that does not exist: the event of its removal, the pods bound to it, its lease.
func (c *collector) gone(ctx context.Context, name string) {
	c.spawn(func() { c.eventsOfNode(ctx, name) })
	c.spawn(func() { c.podsOf(ctx, name) })
	c.spawn(func() { c.leaseOf(ctx, name) })
}
