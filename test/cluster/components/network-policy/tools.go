//go:build tools

// Package networkpolicy pins the agent that enforces NetworkPolicies on the nodes.
package networkpolicy

import _ "sigs.k8s.io/kube-network-policies/cmd"
