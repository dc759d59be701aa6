//go:build !linux

package host

// Elsewhere there are no real nodes: what follows is never asked for.

// NodeNamespaces are those that a node has of its own.
const NodeNamespaces = 0

// CgroupV1 says whether the machine runs version 1 of control groups.
func CgroupV1() bool { return false }

// MayLowerOOMScore says whether a process may be made less likely to be killed.
func MayLowerOOMScore() bool { return false }
