package host

import "golang.org/x/sys/unix"

// NodeNamespaces are those that a node has of its own.
const NodeNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// CgroupV1 says whether the machine runs version 1, which the kubelet has to be
// told to accept.
func CgroupV1() bool {
	var stat unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &stat) == nil && stat.Type != unix.CGROUP2_SUPER_MAGIC
}

// MayLowerOOMScore says whether CAP_SYS_RESOURCE is to be had. Some sandboxes
// take it away even from root.
func MayLowerOOMScore() bool {
	have, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
	return err == nil && have == 1
}
