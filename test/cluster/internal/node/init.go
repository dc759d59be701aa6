package node

import (
	"crypto/md5" //nolint:gosec // an identifier, not a secret
	"encoding/hex"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Run is the node's process 1. It returns only when the node cannot start.
func Run(configPath string) error {
	if err := host.AwaitRelease(); err != nil {
		return err
	}
	c, err := Load(configPath)
	if err != nil {
		return err
	}
	// Group first: from here on, whatever runs can be found by its membership.
	system := filepath.Join(c.Cgroup(), "system")
	if err := host.CreateCgroup(system); err != nil {
		return err
	}
	if err := host.EnterCgroup(system); err != nil {
		return err
	}
	if err := c.mount(); err != nil {
		return err
	}
	if err := c.sysctls(); err != nil {
		return err
	}
	if err := os.Setenv("PATH", c.Bin+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	if err := os.WriteFile(containerdConfigPath, []byte(c.containerdConfig()), 0o644); err != nil {
		return err
	}
	supervise(c, []*unit{c.containerdUnit(), c.kubeletUnit()})
	return nil
}

// sysctls sets what routing between pods needs. They belong to the network
// namespace, so this machine's own stay as they are.
func (c Config) sysctls() error {
	values := map[string]string{
		"net/ipv4/ip_forward": "1",
		// Replies between pods of one node cross the bridge only; they have to
		// pass the rules all the same, or a Service's address is not restored.
		"net/bridge/bridge-nf-call-iptables": "1",
	}
	if strings.Contains(c.IPs, ":") {
		values["net/ipv6/conf/all/forwarding"] = "1"
		values["net/bridge/bridge-nf-call-ip6tables"] = "1"
	}
	for key, value := range values {
		path := filepath.Join("/proc/sys", key)
		if !host.Exists(path) {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			return fmt.Errorf("set %q: %w", key, err)
		}
	}
	return nil
}

// machineID derives an id of systemd's form from a name.
func machineID(name string) string {
	sum := md5.Sum([]byte(name)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

const containerdConfigPath = "/run/containerd/config.toml"

// ContainerdSocket is where the runtime listens, inside the node.
const ContainerdSocket = "/run/containerd/containerd.sock"

func (c Config) containerdConfig() string {
	return fmt.Sprintf(`version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %q
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = %t
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/opt/cni/bin", "/usr/lib/cni"]
  conf_dir = "/etc/cni/net.d"
`, ContainerdSocket, PauseImage, c.LimitOOM)
}

func (c Config) containerdUnit() *unit {
	return &unit{name: Containerd, command: func() []string {
		return []string{filepath.Join(c.Bin, "containerd"), "-c", containerdConfigPath}
	}}
}

// kubeletUnit waits for kubeadm to write the kubelet's configuration.
func (c Config) kubeletUnit() *unit {
	return &unit{name: Kubelet, command: func() []string {
		if !host.Exists("/var/lib/kubelet/config.yaml") {
			return nil
		}
		flags, _ := os.ReadFile("/var/lib/kubelet/kubeadm-flags.env")
		return append([]string{
			filepath.Join(c.Bin, "kubelet"),
			"--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
			"--kubeconfig=/etc/kubernetes/kubelet.conf",
			"--config=/var/lib/kubelet/config.yaml",
		}, kubeadmFlags(string(flags))...)
	}}
}

// kubeadmFlags reads KUBELET_KUBEADM_ARGS="…" as systemd would.
func kubeadmFlags(file string) []string {
	for line := range strings.Lines(file) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "KUBELET_KUBEADM_ARGS="); ok {
			return strings.Fields(strings.Trim(value, `"`))
		}
	}
	return nil
}

// tick is how often process 1 looks for orders; a dead child wakes it at once.
const tick = 100 * time.Millisecond

func supervise(c Config, units []*unit) {
	children := make(chan os.Signal, 16)
	signal.Notify(children, unix.SIGCHLD)
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	for {
		reap(c, units)
		for _, u := range units {
			u.step(c)
		}
		select {
		case <-children:
		case <-time.After(tick):
		}
	}
}

// reap collects every dead child: orphans of the whole node end up here.
func reap(c Config, units []*unit) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
		for _, u := range units {
			if u.status.PID == pid {
				u.ended(c, status)
			}
		}
	}
}
