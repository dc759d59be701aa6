//go:build tools

// Package localpath pins the provisioner of volumes on the nodes' own disks.
package localpath

import _ "github.com/rancher/local-path-provisioner"
