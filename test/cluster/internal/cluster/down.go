package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Down removes every trace of a cluster, in whatever state it is. That there is
// none is no error.
func Down(ctx context.Context, root host.Root, name string, report func(string, ...any)) error {
	c, err := Open(root, name, report)
	if err != nil && !errors.Is(err, ErrAbsent) {
		return err
	}
	release, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if c, err = Open(root, name, report); errors.Is(err, ErrAbsent) {
		return c.removeProcesses()
	} else if err != nil {
		return err
	}
	if err := c.remove(ctx); err != nil {
		return err
	}
	report("cluster %q is gone", name)
	return nil
}

// removeProcesses ends whatever runs in the cluster's group. That needs no
// record: it works when the cluster's directory was deleted under it.
func (c *Cluster) removeProcesses() error {
	if !host.CanMakeNodes() {
		return nil
	}
	return host.RemoveCgroup(c.Root.Cgroup(c.State.Name), 30*time.Second)
}

// killNodes ends the nodes' first processes. The kernel then ends everything in
// their process namespaces, and with that go mounts, links and loop devices.
func (c *Cluster) killNodes() error {
	records, err := filepath.Glob(c.path("nodes", "*", "init.json"))
	if err != nil {
		return err
	}
	var fails []error
	for _, record := range records {
		p, err := host.LoadProcess(record)
		if err != nil {
			// A record that cannot be read belongs to a process that was never
			// released; its group is swept all the same.
			continue
		}
		fails = append(fails, p.Kill(unix.SIGKILL, 20*time.Second))
	}
	return errors.Join(fails...)
}

// links are the bridge and this machine's ends of the nodes' links. A plain
// cluster has addresses for its Services alone, and another cluster may have
// the network of the same number. One that died early has none either.
func (s State) links() []string {
	if s.Mode != ModeNodes || s.Plan.Bridge == "" {
		return nil
	}
	links := []string{s.Plan.Bridge}
	for _, name := range s.NodeNames() {
		links = append(links, s.Plan.Veth(name))
	}
	return links
}

// removeLinks removes what is left of the cluster's links; routes over them go
// with them.
func (c *Cluster) removeLinks(ctx context.Context) error {
	for _, link := range c.State.links() {
		if !host.Exists("/sys/class/net/" + link) {
			continue
		}
		if _, err := host.Run(ctx, "", "ip", "link", "delete", link); err != nil && host.Exists("/sys/class/net/"+link) {
			return err
		}
	}
	return c.releaseLoops()
}
