package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
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
	routed, err := routes(ctx, c.State.IPFamily)
	if err != nil {
		return err
	}
	if c.State.Plan, err = netplan.Choose(taken, routed, c.State.IPFamily); err != nil {
		return err
	}
	return c.save()
}

// routes lists what the machine routes already, in the cluster's families.
func routes(ctx context.Context, family string) ([]netip.Prefix, error) {
	var found []netip.Prefix
	for _, flag := range map[string][]string{"": {"-4"}, netplan.IPv6: {"-6"}, netplan.Dual: {"-4", "-6"}}[family] {
		out, err := host.Run(ctx, "", "ip", flag, "route", "show", "table", "all")
		if err != nil {
			return nil, err
		}
		found = append(found, parseRoutes(out)...)
	}
	return found, nil
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
	batch := fmt.Sprintf("link add %s type bridge\n", p.Bridge)
	for _, family := range p.Families() {
		batch += addAddress(family, family.Gateway(), p.Bridge)
	}
	batch += fmt.Sprintf("link set %s up\n", p.Bridge)
	_, err := host.Run(ctx, batch, "ip", "-batch", "-")
	return err
}

// addAddress is the command that gives a link an address. Nobody else has it, so nobody is asked first, which takes IPv6 a second.
func addAddress(family netplan.Ranges, address, link string) string {
	command := fmt.Sprintf("addr add %s dev %s", family.WithLength(address), link)
	if family.IsIPv6() {
		command += " nodad"
	}
	return command + "\n"
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
	inside, end := "link set lo up\n", "link set eth0 up\n"
	number := slices.Index(c.State.NodeNames(), n.Name)
	for _, family := range c.State.Plan.Families() {
		inside += addAddress(family, family.NodeIP(number), "eth0")
		end += fmt.Sprintf("route add default via %s\n", family.Gateway())
	}
	inside += end
	_, err := host.Run(ctx, inside, "nsenter", "-t", fmt.Sprint(p.PID), "-n", "ip", "-batch", "-")
	return err
}

// conflist is the node's pod network: a bridge with addresses of the node's own
// range. It does not enforce NetworkPolicy.
func conflist(podCIDRs []string) string {
	var ranges, routes []string
	for _, cidr := range podCIDRs {
		ranges = append(ranges, fmt.Sprintf(`[{"subnet": %q}]`, cidr))
		everything := "0.0.0.0/0"
		if strings.Contains(cidr, ":") {
			everything = "::/0"
		}
		routes = append(routes, fmt.Sprintf(`{"dst": %q}`, everything))
	}
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [%s], "routes": [%s]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, strings.Join(ranges, ", "), strings.Join(routes, ", "))
}

// ConflistPath is the pod network's configuration, inside a node.
func (c *Cluster) ConflistPath() string {
	if c.State.Has(build.Flannel) {
		return "/etc/cni/net.d/10-flannel.conflist"
	}
	return ownConflist
}

const ownConflist = "/etc/cni/net.d/10-pods.conflist"

// routePods tells this machine and every node where each node's pods are.
func (c *Cluster) routePods(ctx context.Context, cidrs map[string][]string) error {
	to := map[string]string{}
	for number, name := range c.State.NodeNames() {
		for _, cidr := range cidrs[name] {
			for _, family := range c.State.Plan.Families() {
				if family.IsIPv6() == strings.Contains(cidr, ":") {
					to[name] += fmt.Sprintf("route replace %s via %s\n", cidr, family.NodeIP(number))
				}
			}
		}
	}
	for _, name := range c.State.NodeNames() {
		if _, err := host.Run(ctx, to[name], "ip", "-batch", "-"); err != nil {
			return err
		}
		var batch strings.Builder
		for _, other := range c.State.NodeNames() {
			if other != name {
				batch.WriteString(to[other])
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
