package collect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/handshake"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// certificates asks of named nodes how long the kubelet's certificates are valid: the one it serves with by a TLS handshake from
// here, and both by its metrics. Neither tells anything where it fails. A connection that goes through a proxy of the kubeconfig
// says that nodes are not to be reached from here.
func (c *collector) certificates(ctx context.Context, direct bool) {
	if len(c.request.Names) == 0 {
		c.skip("read for named nodes only", evaluate.SourceCertificate)
		return
	}
	kubelets := maps.Clone(c.in.Kubelets)
	for i := range c.in.Nodes {
		n := &c.in.Nodes[i]
		if k, asked := kubelets[n.Name]; asked {
			c.spawn(func() { c.certificateOf(ctx, n, k, direct) })
		}
	}
	c.wg.Wait()
}

func (c *collector) certificateOf(ctx context.Context, n *corev1.Node, k evaluate.Kubelet, direct bool) {
	s := source.Source{Name: evaluate.SourceCertificate, State: source.OK}
	err := errors.New("the kubeconfig connects through a proxy")
	if direct {
		k.Served, err = handshake.Served(ctx, n)
	}
	if k.Healthy {
		if body, err := c.proxied(ctx, n.Name, "metrics"); err == nil {
			ttls(body, &k)
		}
	}
	if k.Served == nil && k.ServerTTL == nil {
		s.State, s.Message = source.Skipped, "the kubelet's serving certificate cannot be read from here: "+kube.OneLine(err)
	}
	c.putFor(n.Name, s, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.Kubelets[n.Name] = k
}

// ttls reads from a kubelet's metrics how long its certificates are valid; +Inf stands for one that it does not manage.
func ttls(metrics []byte, k *evaluate.Kubelet) {
	for lines := bufio.NewScanner(bytes.NewReader(metrics)); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
			continue
		}
		switch name {
		case "kubelet_certificate_manager_server_ttl_seconds":
			k.ServerTTL = &value
		case "kubelet_certificate_manager_client_ttl_seconds":
			k.ClientTTL = &value
		case "kubelet_server_expiration_renew_errors":
			k.ServerRenewErrors = int64(value)
		case "kubelet_certificate_manager_client_expiration_renew_errors":
			k.ClientRenewErrors = int64(value)
		}
	}
}
