package node

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// diskSize is what the node believes to have. The file is sparse, so it uses
// what is written only; it is large enough that the kubelet's own eviction
// thresholds (10 % of the node's, 15 % of the images' file system) are far
// away in a healthy cluster.
const diskSize = 16 << 30

// CreateDisk makes the node's disk: a file system in a sparse file. Being of
// its own, it can be filled for real without touching this machine.
func (c Config) CreateDisk() error {
	file, err := os.Create(c.DiskPath())
	if err != nil {
		return err
	}
	err = file.Truncate(diskSize)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	// No journal and no reserve: the disk lives as long as the cluster.
	cmd := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", c.DiskPath())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the disk of node %q: %w: %s", c.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
