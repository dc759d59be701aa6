package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

const metricsServerImage = "registry.k8s.io/metrics-server/metrics-server:" + build.MetricsServerVersion

//go:embed metrics-server.yaml
var metricsServerManifest string

// installAddons adds the cluster's DNS and the resource metrics.
func (c *Cluster) installAddons(ctx context.Context) error {
	// A pod that asks for the API server before kube-proxy knows its Service
	// sends into the void and tries again 30 s later.
	if _, err := c.Kubectl(ctx, "", "-n", "kube-system", "rollout", "status", "daemonset/kube-proxy", "--timeout=180s"); err != nil {
		return err
	}
	c.Report("kube-proxy runs")
	if c.State.Has(build.Flannel) {
		// Its pods reach the API through a Service. DNS follows when every node has a network, or both its replicas would be put on the
		// first one.
		if err := c.installPart(ctx, c.State.flannel()); err != nil {
			return err
		}
		if err := poll(ctx, 500*time.Millisecond, func() error { return c.nodesReady(ctx) }); err != nil {
			return err
		}
		c.Report("pod network runs")
	}
	if _, err := c.inNode(ctx, "cp1", "", "kubeadm", "init", "phase", "addon", "coredns", "--config", initConfigPath); err != nil {
		return err
	}
	manifest := strings.ReplaceAll(metricsServerManifest, "IMAGE", metricsServerImage)
	_, err := c.Kubectl(ctx, manifest, "apply", "-f", "-")
	return err
}

// upstreamCorefile is the world outside of the cluster: the resolver that the
// nodes use. It knows example.test, and says of the rest that it does not exist.
// The log shows a test which queries left the cluster.
const upstreamCorefile = `example.test:53 {
    bind GATEWAYS
    errors
    log
    template IN A example.test {
        match "^(?P<a>[0-9]+)-(?P<b>[0-9]+)-(?P<c>[0-9]+)-(?P<d>[0-9]+)\.ip\.example\.test\.$"
        answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
        fallthrough
    }
    file ZONE
}
.:53 {
    bind GATEWAYS
    errors
    log
    template ANY ANY . {
        rcode NXDOMAIN
        authority ". 60 IN SOA ns.example.test. admin.example.test. 1 7200 3600 1209600 60"
    }
}
`

// upstreamZone is what the world holds.
const upstreamZone = `$ORIGIN example.test.
$TTL 60
@        IN SOA   ns admin 1 7200 3600 1209600 60
@        IN NS    ns
@        IN A     192.0.2.1
@        IN MX    10 mail
@        IN TXT   "outside of the cluster"
NAMESERVER
www      IN A     192.0.2.80
api      IN A     192.0.2.81
api      IN A     192.0.2.82
mail     IN A     192.0.2.25
alias    IN CNAME www
dangling IN CNAME nowhere
loop1    IN CNAME loop2
loop2    IN CNAME loop1
v6       IN AAAA  2001:db8::1
*.wild   IN A     192.0.2.99
`

// startUpstreamDNS answers on the bridge what the cluster's DNS passes on.
func (c *Cluster) startUpstreamDNS() error {
	records := ""
	for _, family := range c.State.Plan.Families() {
		kind := "A   "
		if family.IsIPv6() {
			kind = "AAAA"
		}
		records += fmt.Sprintf("ns       IN %s  %s\n", kind, family.Gateway())
	}
	zone, corefile := c.path("dns", "zone"), c.path("dns", "Corefile")
	fill := strings.NewReplacer("GATEWAYS", strings.ReplaceAll(c.State.Plan.Gateways(), ",", " "), "ZONE", zone, "NAMESERVER\n", records)
	if err := host.WriteFile(zone, []byte(fill.Replace(upstreamZone)), 0o644); err != nil {
		return err
	}
	if err := host.WriteFile(corefile, []byte(fill.Replace(upstreamCorefile)), 0o644); err != nil {
		return err
	}
	return c.startHelper("dns", c.Bin("coredns"), "-conf", corefile)
}
