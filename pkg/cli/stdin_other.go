//go:build !linux

package cli

// standardInput sees nothing of the callers here: input is passed on where it is asked for (-i).
func standardInput() Stdin { return Stdin{} }
