//go:build tools

// Package karpenter pins Karpenter, with the provider whose machines kwok plays.
package karpenter

import _ "sigs.k8s.io/karpenter/kwok"
