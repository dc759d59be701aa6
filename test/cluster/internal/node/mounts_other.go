//go:build !linux

package node

import "errors"

// mount is never reached: without Linux there are no real nodes.
func (c Config) mount() error { return errors.New("a real node needs Linux") }
