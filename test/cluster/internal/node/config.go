// Package node makes one machine of a cluster out of namespaces: a process 1 of
// its own that keeps a container runtime and a kubelet running, with its own
// network, mounts, host name, processes and disk.
package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Config is all that a node's process 1 has to know.
type Config struct {
	Name     string `json:"name"`
	Cluster  string `json:"cluster"`
	Dir      string `json:"dir"` // the node's directory on this machine
	IP       string `json:"ip"`
	IPs      string `json:"ips"`      // those of all families, with a comma between
	Gateways string `json:"gateways"` // this machine's addresses, where the resolver is
	Bin      string `json:"bin"`      // directory of the cluster's programs
	Shared   string `json:"shared"`   // directory that this machine and the node both see; holds Dir and Bin
	CgroupV1 bool   `json:"cgroupV1"`
	// LimitOOM is set where the machine lacks CAP_SYS_RESOURCE: without it no
	// process may lower an OOM score, and the container runtime must not try.
	LimitOOM bool `json:"limitOOM"`
}

// PauseImage holds every pod's namespaces.
const PauseImage = "registry.k8s.io/pause:3.10.2"

// Paths of a node, on this machine.
func (c Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

// ConfigPath is where Load finds the configuration.
func (c Config) ConfigPath() string { return c.path("node.json") }

// RecordPath holds the identity of the node's process 1.
func (c Config) RecordPath() string { return c.path("init.json") }

// DiskPath is the file that is the node's disk.
func (c Config) DiskPath() string { return c.path("disk.img") }

// LogPath is the log of a unit ("kubelet", "containerd") or of process 1 ("init").
func (c Config) LogPath(unit string) string { return c.path("log", unit+".log") }

// Cgroup is the group below which everything of the node runs.
func (c Config) Cgroup() string { return host.Root(c.Shared).Cgroup(c.Cluster, c.Name) }

// Save writes the configuration and makes the directories.
func (c Config) Save() error {
	for _, dir := range []string{"log", "control", "status", "mnt", "root"} {
		if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return host.WriteFile(c.ConfigPath(), data, 0o644)
}

// Load reads a configuration.
func Load(path string) (Config, error) {
	var c Config
	data, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("node configuration %q: %w", path, err)
	}
	return c, nil
}

// FaultPath is the record of a fault that is injected into the node.
func (c Config) FaultPath(fault string) string { return c.path("faults", fault+".json") }

// Faults lists the faults that are injected into the node.
func (c Config) Faults() []string {
	names := []string{}
	records, _ := filepath.Glob(c.FaultPath("*") + "*")
	for _, r := range records {
		name, _, _ := strings.Cut(filepath.Base(r), ".json")
		names = append(names, name)
	}
	return names
}
