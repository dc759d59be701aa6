package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseLoops frees loop devices of the cluster's disks. The kernel does it by
// itself once the last mount is gone; only a node that was killed between the
// attachment and the mount leaves one.
func (c *Cluster) releaseLoops() error {
	backings, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	for _, path := range backings {
		data, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(data), c.Dir()+"/") {
			continue
		}
		device, err := os.Open(filepath.Join("/dev", filepath.Base(filepath.Dir(filepath.Dir(path)))))
		if err != nil {
			return err
		}
		// A device that is still busy is freed by the kernel at its last close.
		err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
		device.Close() //nolint:errcheck // read-only
		if err != nil && !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}
