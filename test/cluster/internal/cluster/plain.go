package cluster

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/pki"
)

// Ports of a plain cluster, in the order in which State keeps them.
const (
	portAPI = iota
	portEtcd
	portEtcdPeer
	portCount
)

// plainParts are the processes of a plain cluster, in the order of their start.
var plainParts = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}

// makePlain builds a cluster of plain processes on loopback: it needs neither
// root nor namespaces. Everything above the nodes is real; kwok plays those.
func (c *Cluster) makePlain(ctx context.Context, _ build.Binaries) error {
	ports, err := freePorts(portCount)
	if err != nil {
		return err
	}
	// Addresses are mere names here: nothing routes them.
	c.State.Ports, c.State.Plan = ports, netplan.For(0, netplan.IPv4)
	if err := c.save(); err != nil {
		return err
	}
	if err := c.writePlainFiles(); err != nil {
		return err
	}
	for _, part := range plainParts[:2] {
		if err := c.startPlain(part); err != nil {
			return err
		}
	}
	err = poll(ctx, 200*time.Millisecond, func() error {
		if p, err := host.LoadProcess(c.helperRecord("kube-apiserver")); err != nil || !p.Alive() {
			return hopeless{fmt.Errorf("the API server has died%s", logTail(c.HelperLog("kube-apiserver")))}
		}
		_, err := c.Kubectl(ctx, "", "get", "--raw", "/readyz", "--request-timeout=2s")
		return err
	})
	if err != nil {
		return err
	}
	c.Report("API server runs")
	stages, err := host.Run(ctx, "", c.Bin("kwok-stages"))
	if err != nil {
		return err
	}
	if err := host.WriteFile(c.stagesPath(), []byte(stages), 0o644); err != nil {
		return err
	}
	for _, part := range plainParts[2:] {
		if err := c.startPlain(part); err != nil {
			return err
		}
	}
	if err := c.makeFakeNodes(ctx); err != nil {
		return err
	}
	if err := poll(ctx, 300*time.Millisecond, func() error { return c.nodesReady(ctx) }); err != nil {
		return err
	}
	c.Report("nodes ready")
	// Without its account the first pod of a namespace is refused.
	return poll(ctx, 300*time.Millisecond, func() error {
		_, err := c.Kubectl(ctx, "", "get", "serviceaccount", "default")
		return err
	})
}

// freePorts finds ports of loopback that nobody listens on.
func freePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Closed at the end only, so that all differ.
		defer listener.Close() //nolint:errcheck // nothing was sent
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// writePlainFiles makes certificates and kubeconfigs.
func (c *Cluster) writePlainFiles() error {
	authority, err := pki.NewAuthority(c.State.Name)
	if err != nil {
		return err
	}
	server, err := authority.Server("kube-apiserver",
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		[]net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)})
	if err != nil {
		return err
	}
	accounts, err := pki.NewAuthority("service-accounts")
	if err != nil {
		return err
	}
	for name, pair := range map[string]pki.Pair{"ca": authority, "server": server, "accounts": accounts} {
		if err := host.WriteFile(c.path("pki", name+".crt"), pair.CertPEM, 0o644); err != nil {
			return err
		}
		if err := host.WriteFile(c.path("pki", name+".key"), pair.KeyPEM, 0o600); err != nil {
			return err
		}
	}
	for user, group := range map[string]string{
		"kubernetes-admin": "system:masters", "kwok": "system:masters",
		"system:kube-controller-manager": "", "system:kube-scheduler": "",
	} {
		if err := c.writeKubeconfig(authority, user, group); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfigPath is a user's kubeconfig; the administrator's is the cluster's.
func (c *Cluster) kubeconfigPath(user string) string {
	if user == "kubernetes-admin" {
		return c.Kubeconfig()
	}
	return c.path("pki", strings.TrimPrefix(user, "system:")+".kubeconfig")
}

func (c *Cluster) writeKubeconfig(authority pki.Pair, user, group string) error {
	var groups []string
	if group != "" {
		groups = []string{group}
	}
	client, err := authority.Client(user, groups...)
	if err != nil {
		return err
	}
	name := user + "@" + c.State.Name
	data, err := yaml.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []object{{"name": c.State.Name, "cluster": object{
			"server": fmt.Sprintf("https://127.0.0.1:%d", c.State.Ports[portAPI]), "certificate-authority-data": authority.CertPEM,
		}}},
		"users":    []object{{"name": name, "user": object{"client-certificate-data": client.CertPEM, "client-key-data": client.KeyPEM}}},
		"contexts": []object{{"name": name, "context": object{"cluster": c.State.Name, "user": name}}},
	})
	if err != nil {
		return err
	}
	return host.WriteFile(c.kubeconfigPath(user), data, 0o600)
}

func (c *Cluster) startPlain(part string) error {
	return c.startHelper(part, append([]string{c.Bin(part)}, c.plainArgs(part)...)...)
}

// plainArgs is the command line of a part, in kubeadm's manner where it has one.
func (c *Cluster) plainArgs(part string) []string {
	plan, pkiFile := c.State.Plan, func(name string) string { return c.path("pki", name) }
	etcd := fmt.Sprintf("http://127.0.0.1:%d", c.State.Ports[portEtcd])
	peer := fmt.Sprintf("http://127.0.0.1:%d", c.State.Ports[portEtcdPeer])
	switch part {
	case "etcd":
		return []string{
			"--name=etcd", "--data-dir=" + c.path("etcd"), "--unsafe-no-fsync",
			"--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=etcd=" + peer,
		}
	case "kube-apiserver":
		return []string{
			"--etcd-servers=" + etcd, "--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", c.State.Ports[portAPI]),
			// Nobody reaches the API server through its Service here, and a
			// loopback address is none that may be advertised.
			"--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none",
			"--tls-cert-file=" + pkiFile("server.crt"), "--tls-private-key-file=" + pkiFile("server.key"),
			"--client-ca-file=" + pkiFile("ca.crt"),
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + pkiFile("accounts.crt"), "--service-account-signing-key-file=" + pkiFile("accounts.key"),
			"--service-cluster-ip-range=" + plan.Services,
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		}
	case "kube-controller-manager":
		return []string{
			"--kubeconfig=" + c.kubeconfigPath("system:kube-controller-manager"), "--leader-elect=false", "--secure-port=0",
			"--use-service-account-credentials=true", "--root-ca-file=" + pkiFile("ca.crt"),
			"--service-account-private-key-file=" + pkiFile("accounts.key"),
			"--cluster-signing-cert-file=" + pkiFile("ca.crt"), "--cluster-signing-key-file=" + pkiFile("ca.key"),
			"--allocate-node-cidrs=true", "--cluster-cidr=" + plan.Pods, "--service-cluster-ip-range=" + plan.Services,
		}
	case "kube-scheduler":
		return []string{"--kubeconfig=" + c.kubeconfigPath("system:kube-scheduler"), "--leader-elect=false", "--secure-port=0"}
	}
	return []string{
		"--kubeconfig=" + c.kubeconfigPath("kwok"), "--config=" + c.stagesPath(),
		"--manage-all-nodes=true", "--node-lease-duration-seconds=40", "--server-address=127.0.0.1:0",
	}
}

// stagesPath tells kwok how nodes and pods live.
func (c *Cluster) stagesPath() string { return c.path("helpers", "kwok-stages.yaml") }

// makeFakeNodes registers the nodes that kwok then plays.
func (c *Cluster) makeFakeNodes(ctx context.Context) error {
	for i, name := range c.State.NodeNames() {
		labels := object{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": platform().Architecture}
		spec := object{}
		if name == "cp1" {
			labels["node-role.kubernetes.io/control-plane"] = ""
			spec["taints"] = []object{{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}}
		}
		manifest, err := yaml.Marshal(object{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": name, "labels": labels}, "spec": spec})
		if err != nil {
			return err
		}
		if _, err := c.Kubectl(ctx, string(manifest), "create", "-f", "-"); err != nil {
			return err
		}
		resources := `{"cpu":"4","memory":"8Gi","ephemeral-storage":"16Gi","pods":"110"}`
		status := fmt.Sprintf(`{"status":{"capacity":%[1]s,"allocatable":%[1]s,"addresses":[{"type":"InternalIP","address":%[2]q},{"type":"Hostname","address":%[3]q}],`+
			`"nodeInfo":{"kubeletVersion":%[4]q,"operatingSystem":"linux","architecture":%[5]q}}}`,
			resources, c.State.Plan.NodeIP(i), name, c.State.Version, platform().Architecture)
		if _, err := c.Kubectl(ctx, "", "patch", "node", name, "--subresource=status", "--type=merge", "-p", status); err != nil {
			return err
		}
	}
	return nil
}
