package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// Alive says whether this very process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	now, err := Identify(p.PID)
	return err == nil && now == p && !zombie(p.PID)
}

// Kill ends exactly this process and waits until it is gone; a process that
// merely has its number is left alone.
func (p Process) Kill(signal unix.Signal, patience time.Duration) error {
	if p.PID <= 0 {
		return nil
	}
	if err := p.signal(signal); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); p.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is still there %s after %v", p.PID, patience, signal)
		}
	}
	return nil
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
