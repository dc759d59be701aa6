package host

import (
	"os"
	"strconv"
	"strings"
)

// inotifyInstances is what several clusters of three nodes need for one user: a
// kubelet, containerd and the programs of a node take some twenty, and Linux
// allows 128 (https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files).
const inotifyInstances = 4096

// AllowInotify raises the machine's limit of inotify instances where it is too
// low. It stays raised: others may have begun to need it.
func AllowInotify() error {
	const path = "/proc/sys/fs/inotify/max_user_instances"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if have, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || have >= inotifyInstances {
		return err
	}
	return os.WriteFile(path, []byte(strconv.Itoa(inotifyInstances)), 0o644)
}
