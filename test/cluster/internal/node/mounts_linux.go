package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// diskDirs lie on the node's disk itself. The rest of the node's file system is
// an overlay, on which the runtime's own overlays could not be stacked, and what
// is on the disk itself is what the kubelet measures.
var diskDirs = []string{
	"/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods", "/var/log/containers", "/var/lib/etcd",
}

// ownDirs begin empty on a node, whatever this machine has there.
var ownDirs = []string{"/etc/kubernetes", "/etc/cni/net.d", "/etc/containerd/certs.d", "/opt/cni/bin", "/var/lib/cni"}

// mount lays out the node's file system: this machine's, seen through an overlay
// that keeps every change on the node's disk. The process is in a mount namespace
// of its own, so all of it vanishes with the node's last process.
func (c Config) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	disk, root := c.path("mnt"), c.path("root")
	// mount(8) sets up the loop device so that the kernel frees it with the
	// last mount: a killed node leaves no device behind.
	if out, err := exec.Command("mount", "-o", "loop,noatime", c.DiskPath(), disk).CombinedOutput(); err != nil {
		return fmt.Errorf("mount the disk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	upper, work := filepath.Join(disk, "upper"), filepath.Join(disk, "work")
	if err := makeDirs(upper, work); err != nil {
		return err
	}
	overlay := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", upper, work)
	if err := unix.Mount("node", root, "overlay", 0, overlay); err != nil {
		return fmt.Errorf("mount the node's file system: %w", err)
	}
	if err := c.mountKernel(root); err != nil {
		return err
	}
	for _, dir := range diskDirs {
		own := filepath.Join(disk, strings.ReplaceAll(dir[1:], "/", "-"))
		if err := bind(own, filepath.Join(root, dir), 0); err != nil {
			return err
		}
	}
	for _, dir := range ownDirs {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	if err := c.writeIdentity(root); err != nil {
		return err
	}
	return enter(root)
}

// mountKernel adds what is no file: devices, control groups, processes, and the
// directory through which node and machine talk.
func (c Config) mountKernel(root string) error {
	for _, dir := range []string{"/dev", "/sys"} {
		if err := bind(dir, filepath.Join(root, dir), unix.MS_REC); err != nil {
			return err
		}
	}
	// Programs and the control directory lie below the cache, where a change has
	// to be seen on both sides.
	if err := bind(c.Shared, filepath.Join(root, c.Shared), 0); err != nil {
		return err
	}
	run, proc := filepath.Join(root, "run"), filepath.Join(root, "proc")
	if err := makeDirs(run, proc); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", run, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return makeDirs(filepath.Join(run, "lock"), filepath.Join(run, "containerd"), filepath.Join(run, "netns"))
}

// writeIdentity gives the node the files that name it.
func (c Config) writeIdentity(root string) error {
	files := map[string]string{
		"hostname":    c.Name + "\n",
		"hosts":       c.hosts(),
		"resolv.conf": "nameserver " + strings.ReplaceAll(c.Gateways, ",", "\nnameserver ") + "\n",
		// Equal ids would make nodes look like copies of one machine.
		"machine-id": machineID(c.Cluster+"/"+c.Name) + "\n",
	}
	for name, content := range files {
		// WriteFile replaces, also a symbolic link, which resolv.conf often is.
		if err := host.WriteFile(filepath.Join(root, "etc", name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return unix.Sethostname([]byte(c.Name))
}

// hosts is the node's file of names that need no resolver.
func (c Config) hosts() string {
	text := "127.0.0.1 localhost\n"
	if strings.Contains(c.IPs, ":") {
		text += "::1 localhost\n"
	}
	for ip := range strings.SplitSeq(c.IPs, ",") {
		text += ip + " " + c.Name + "\n"
	}
	return text
}

// enter makes root the node's root and lets go of this machine's.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// Old and new root on one place, as pivot_root(2) describes: no directory
	// has to be made for the old one.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// The kubelet passes mounts on to pods that ask for it.
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

func makeDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// bind shows the directory source at target.
func bind(source, target string, flags uintptr) error {
	if err := makeDirs(source, target); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|flags, ""); err != nil {
		return fmt.Errorf("bind %q to %q: %w", source, target, err)
	}
	return nil
}
