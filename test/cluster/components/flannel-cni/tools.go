//go:build tools

// Package flannelcni pins flannel's CNI plugin.
package flannelcni

import _ "github.com/containernetworking/plugins/plugins/meta/flannel"
