//go:build tools

// Package containerd pins the container runtime that the nodes run; but for its
// shim, its commands are built straight from their module.
package containerd

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
