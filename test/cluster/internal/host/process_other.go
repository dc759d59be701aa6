//go:build !linux

package host

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Identify reads the identity of a living process. Without /proc, ps tells its
// start, to the second, with the date: that holds across boots as well.
func Identify(pid int) (Process, error) {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", fmt.Sprint(pid)).Output()
	start := strings.TrimSpace(string(out))
	if err != nil || start == "" {
		return Process{}, fmt.Errorf("process %d: %w", pid, errors.Join(unix.ESRCH, err))
	}
	sum := fnv.New64a()
	sum.Write([]byte(start)) //nolint:errcheck // never fails
	return Process{PID: pid, Start: sum.Sum64()}, nil
}

func zombie(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(pid)).Output()
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// signal reaches this process, unless its number passes to another between the
// check and the signal, which takes a whole turn of all numbers.
func (p Process) signal(signal unix.Signal) error {
	if !p.Alive() {
		return nil
	}
	if err := unix.Kill(p.PID, signal); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
