package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Units that process 1 keeps running.
const (
	Kubelet    = "kubelet"
	Containerd = "containerd"
)

// Orders to process 1 are files in the node's control directory. They need no
// process that listens, survive the death of whoever gave them, and giving one
// twice is giving it once.
const (
	orderStop    = "stop"    // keep the unit down
	orderPause   = "pause"   // keep the unit from running (SIGSTOP)
	orderRestart = "restart" // end the unit once; process 1 removes the order when done
)

// Status is what process 1 tells of a unit.
type Status struct {
	PID      int       `json:"pid"` // as the node counts; 0 when down
	Paused   bool      `json:"paused,omitempty"`
	Starts   int       `json:"starts"`
	Since    time.Time `json:"since"`
	LastExit string    `json:"lastExit,omitempty"`
}

func (c Config) order(unit, order string) string { return c.path("control", unit+"."+order) }

// SetStopped keeps a unit down, or lets it run again.
func (c Config) SetStopped(unit string, on bool) error { return c.setOrder(unit, orderStop, on) }

// SetPaused freezes a unit, or lets it go on.
func (c Config) SetPaused(unit string, on bool) error { return c.setOrder(unit, orderPause, on) }

// Stopped says whether a unit is ordered to be down.
func (c Config) Stopped(unit string) bool { return host.Exists(c.order(unit, orderStop)) }

// Paused says whether a unit is ordered to be frozen.
func (c Config) Paused(unit string) bool { return host.Exists(c.order(unit, orderPause)) }

func (c Config) setOrder(unit, order string, on bool) error {
	path := c.order(unit, order)
	if on {
		return host.WriteFile(path, nil, 0o644)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Restart ends a unit and waits until process 1 has started it anew. A unit
// that is ordered to be down stays down.
func (c Config) Restart(unit string, patience time.Duration) error {
	path := c.order(unit, orderRestart)
	if err := host.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); host.Exists(path); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s on node %q has not restarted after %s", unit, c.Name, patience)
		}
	}
	return nil
}

// Await waits for a state of a unit.
func (c Config) Await(unit string, patience time.Duration, reached func(Status) bool) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, err := c.UnitStatus(unit)
		if err == nil && reached(status) {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%s on node %q is not as ordered after %s: %+v", unit, c.Name, patience, status), err)
		}
	}
}

// UnitStatus reads what process 1 says of a unit; nothing said is the zero Status.
func (c Config) UnitStatus(unit string) (Status, error) {
	var s Status
	data, err := os.ReadFile(c.path("status", unit+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

func (c Config) tell(unit string, s Status) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return host.WriteFile(c.path("status", unit+".json"), append(data, '\n'), 0o644)
}
