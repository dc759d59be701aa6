package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process identifies one process for certain. A pid alone is reused sooner or
// later; together with the start time and the boot it never is.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, field 22 of /proc/PID/stat
	Boot  string `json:"boot"`
}

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

// Alive says whether this very process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	now, err := Identify(p.PID)
	return err == nil && now == p && !zombie(p.PID)
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(stat, ')')
	return err == nil && end >= 0 && bytes.HasPrefix(stat[end+1:], []byte(" Z"))
}

// Kill ends exactly this process and waits until it is gone; a process that
// merely has its number is left alone.
func (p Process) Kill(signal unix.Signal, patience time.Duration) error {
	if p.PID <= 0 {
		return nil
	}
	// The descriptor pins the process, so that between the check of its
	// identity and the signal the number cannot pass to another.
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(fd) //nolint:errcheck // read-only
	if !p.Alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil {
		return ignoreGone(err)
	}
	for deadline := time.Now().Add(patience); p.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is still there %s after %v", p.PID, patience, signal)
		}
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// Save records the process at path.
func (p Process) Save(path string) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return WriteFile(path, append(data, '\n'), 0o644)
}

// LoadProcess reads what Save wrote; a missing record is the zero Process,
// which is never alive.
func LoadProcess(path string) (Process, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Process{}, nil
	}
	if err != nil {
		return Process{}, err
	}
	var p Process
	if err := json.Unmarshal(data, &p); err != nil {
		return Process{}, fmt.Errorf("process record %q: %w", path, err)
	}
	return p, nil
}
