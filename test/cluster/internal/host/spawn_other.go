//go:build !linux

package host

import (
	"os"
	"os/exec"
	"syscall"
)

// Self is this very program.
func Self() (string, error) { return os.Executable() }

// attributes detach a process from the terminal.
func attributes(uintptr) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func tie(*exec.Cmd) {}
