//go:build tools

// Package kwok pins the program that plays nodes where there can be no real one.
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
