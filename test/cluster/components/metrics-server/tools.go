//go:build tools

// Package metricsserver pins the metrics-server that the clusters run.
package metricsserver

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"
