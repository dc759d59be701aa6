package host

import (
	"os/exec"
	"syscall"
)

// Self is this very program, also when its file has been replaced or removed
// since it started.
func Self() (string, error) { return "/proc/self/exe", nil }

// attributes detach a process from the terminal and give it namespaces.
func attributes(clone uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Cloneflags: clone}
}

// tie ends a command with this program.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
