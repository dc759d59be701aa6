//go:build !linux

package cluster

// releaseLoops has nothing to release: without Linux there are no real nodes.
func (c *Cluster) releaseLoops() error { return nil }
