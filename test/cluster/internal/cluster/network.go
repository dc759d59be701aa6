package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

// choosePlan reserves networks: under one lock for the machine, the state with
// the choice is on disk before the lock is given up.
func (c *Cluster) choosePlan(ctx context.Context) error {
	release, err := host.Lock(ctx, c.Root.Join("locks", "networks"), nil)
	if err != nil {
		return err
	}
	defer release()
	names, err := Names(c.Root)
	if err != nil {
		return err
	}
	var taken []int
	for _, name := range names {
		other, err := Open(c.Root, name, c.Report)
		if err == nil && name != c.State.Name && other.State.Mode == ModeNodes {
			taken = append(taken, other.State.Plan.Index)
		}
	}
	routed, err := routes(ctx)
	if err != nil {
		return err
	}
	if c.State.Plan, err = netplan.Choose(taken, routed); err != nil {
		return err
	}
	return c.save()
}

// routes lists what the machine routes already.
func routes(ctx context.Context) ([]netip.Prefix, error) {
	out, err := host.Run(ctx, "", "ip", "-4", "route", "show", "table", "all")
	if err != nil {
		return nil, err
	}
	return parseRoutes(out), nil
}

func parseRoutes(out string) []netip.Prefix {
	var found []netip.Prefix
	for line := range strings.Lines(out) {
		for _, field := range strings.Fields(line)[:min(2, len(strings.Fields(line)))] {
			if prefix, err := netip.ParsePrefix(field); err == nil {
				found = append(found, prefix)
			} else if addr, err := netip.ParseAddr(field); err == nil {
				found = append(found, netip.PrefixFrom(addr, addr.BitLen()))
			}
		}
	}
	return found
}

// makeBridge links this machine with the nodes.
func (c *Cluster) makeBridge(ctx context.Context) error {
	p := c.State.Plan
	batch := fmt.Sprintf("link add %[1]s type bridge\naddr add %[2]s/24 dev %[1]s\nlink set %[1]s up\n", p.Bridge, p.Gateway())
	_, err := host.Run(ctx, batch, "ip", "-batch", "-")
	return err
}

// connect gives a node's network namespace its link to the bridge. It runs
// while the node's process 1 still waits, so a node never lacks its network.
func (c *Cluster) connect(ctx context.Context, n node.Config, p host.Process) error {
	veth := c.State.Plan.Veth(n.Name)
	outside := fmt.Sprintf("link add %s type veth peer name eth0 netns %d\nlink set %s master %s up\n",
		veth, p.PID, veth, c.State.Plan.Bridge)
	if _, err := host.Run(ctx, outside, "ip", "-batch", "-"); err != nil {
		return err
	}
	inside := fmt.Sprintf("link set lo up\naddr add %s/24 dev eth0\nlink set eth0 up\nroute add default via %s\n", n.IP, n.Gateway)
	_, err := host.Run(ctx, inside, "nsenter", "-t", fmt.Sprint(p.PID), "-n", "ip", "-batch", "-")
	return err
}

// conflist is the node's pod network: a bridge with addresses of the node's own
// range. It does not enforce NetworkPolicy.
func conflist(podCIDR string) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, podCIDR)
}

// ConflistPath is the pod network's configuration, inside a node.
const ConflistPath = "/etc/cni/net.d/10-pods.conflist"

// routePods tells this machine and every node where each node's pods are.
func (c *Cluster) routePods(ctx context.Context, cidrs map[string]string) error {
	for _, name := range c.State.NodeNames() {
		n, err := c.Node(name)
		if err != nil {
			return err
		}
		if _, err := host.Run(ctx, "", "ip", "route", "replace", cidrs[name], "via", n.IP); err != nil {
			return err
		}
		var batch strings.Builder
		for i, other := range c.State.NodeNames() {
			if other != name {
				fmt.Fprintf(&batch, "route replace %s via %s\n", cidrs[other], c.State.Plan.NodeIP(i))
			}
		}
		if batch.Len() == 0 {
			continue
		}
		if _, err := c.inNode(ctx, name, batch.String(), "ip", "-batch", "-"); err != nil {
			return err
		}
	}
	return nil
}

// WriteInNode writes a file of a node through its process 1's view of the file
// system, which needs no program in the node.
func (c *Cluster) WriteInNode(name, path, content string) error {
	root, err := c.NodeRoot(name)
	if err != nil {
		return err
	}
	target := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return host.WriteFile(target, []byte(content), 0o644)
}

// NodeRoot is a node's file system as this machine can reach it.
func (c *Cluster) NodeRoot(name string) (string, error) {
	p, err := c.NodeProcess(name)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/root", p.PID), nil
}

// NodeProcess is the living process 1 of a node.
func (c *Cluster) NodeProcess(name string) (host.Process, error) {
	n, err := c.Node(name)
	if err != nil {
		return host.Process{}, err
	}
	p, err := host.LoadProcess(n.RecordPath())
	if err != nil {
		return host.Process{}, err
	}
	if !p.Alive() {
		return host.Process{}, fmt.Errorf("node %q of cluster %q does not run", name, c.State.Name)
	}
	return p, nil
}
