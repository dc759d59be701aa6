package cluster

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Command prepares a command inside all namespaces of a node; the caller
// connects its streams.
func (c *Cluster) Command(ctx context.Context, name string, command ...string) (*exec.Cmd, error) {
	p, err := c.NodeProcess(name)
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, "nsenter", c.nsenter(name, p, command)...), nil
}

// nsenter enters every namespace that a node has of its own, and finds the
// cluster's programs there first.
func (c *Cluster) nsenter(name string, p host.Process, command []string) []string {
	return append([]string{
		"-t", fmt.Sprint(p.PID), "-m", "-u", "-i", "-n", "-p", "--",
		"env", "PATH=" + c.State.bin(name) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"KUBECONFIG=" + adminConfig,
	}, command...)
}

// adminConfig is where kubeadm leaves the administrator's kubeconfig.
const adminConfig = "/etc/kubernetes/admin.conf"

// inNode runs a command in a node and gives its output.
func (c *Cluster) inNode(ctx context.Context, name, input string, command ...string) (string, error) {
	p, err := c.NodeProcess(name)
	if err != nil {
		return "", err
	}
	return host.Run(ctx, input, append([]string{"nsenter"}, c.nsenter(name, p, command)...)...)
}

// InNode runs a command in a node and gives its output.
func (c *Cluster) InNode(ctx context.Context, name string, command ...string) (string, error) {
	return c.inNode(ctx, name, "", command...)
}

// Kubectl runs kubectl as the administrator.
func (c *Cluster) Kubectl(ctx context.Context, input string, args ...string) (string, error) {
	return host.Run(ctx, input, append([]string{c.Bin("kubectl"), "--kubeconfig", c.Kubeconfig()}, args...)...)
}

// InNodeNetwork runs a program of this machine in a node's network alone.
func (c *Cluster) InNodeNetwork(ctx context.Context, name, input string, command ...string) error {
	p, err := c.NodeProcess(name)
	if err != nil {
		return err
	}
	_, err = host.Run(ctx, input, append([]string{"nsenter", "-t", fmt.Sprint(p.PID), "-n", "--"}, command...)...)
	return err
}
