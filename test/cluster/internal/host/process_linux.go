package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Identify reads the identity of a living process.
func Identify(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	start, err := startTime(stat)
	if err != nil {
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Process{PID: pid, Start: start, Boot: bootID()}, nil
}

// startTime reads field 22. The second field, the command's name, may itself
// hold blanks and brackets, so counting starts after its last bracket.
func startTime(stat []byte) (uint64, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("stat has no command name")
	}
	fields := strings.Fields(string(stat[end+1:]))
	const afterName = 22 - 3 // field 3 is the first one after the name
	if len(fields) <= afterName {
		return 0, errors.New("stat is too short")
	}
	return strconv.ParseUint(fields[afterName], 10, 64)
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(stat, ')')
	return err == nil && end >= 0 && bytes.HasPrefix(stat[end+1:], []byte(" Z"))
}

// signal reaches exactly this process: the descriptor pins it, so that between
// the check of its identity and the signal the number cannot pass to another.
func (p Process) signal(signal unix.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(fd) //nolint:errcheck // read-only
	if !p.Alive() {
		return nil
	}
	return ignoreGone(unix.PidfdSendSignal(fd, signal, nil, 0))
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
