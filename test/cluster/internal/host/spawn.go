package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// gate is the descriptor on which a spawned process waits for its release.
const gate = 3

// OneThread is the GOMAXPROCS of what a cluster runs all the time. Small clusters leave a processor idle mostly, and the threads of a
// hundred Go programs would wake each other for nothing: on two processors an idle cluster took 0.38 of one with Go's own number,
// and 0.28 with this; thirty questions of kubectl and of a plugin took 28.8 s of processor time, and 21.6 s.
const OneThread = "1"

// LateCollection is the GOGC of the same programs: 47 scenarios of rollout-explain took 151 s of the machine's processor time with
// Go's own, and 142 s with this (and kubectl with it).
const LateCollection = "400"

// Spawn describes a process that outlives the program.
type Spawn struct {
	Args   []string // arguments for this very program
	Log    string   // file for its output
	Record string   // where its identity is kept
	Clone  uintptr  // namespaces of its own
	// Prepare runs when the process exists but does not do anything yet.
	Prepare func(Process) error
}

// Start runs the program anew. The new process waits until its identity is on
// disk: killed at any moment, the parent leaves either no process (the gate
// closes and the child ends) or one that is recorded and can be taken down.
func (s Spawn) Start() (Process, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return Process{}, err
	}
	defer log.Close() //nolint:errcheck // the child holds its own
	read, write, err := os.Pipe()
	if err != nil {
		return Process{}, err
	}
	defer write.Close() //nolint:errcheck // closing is all it is for
	self, err := Self()
	if err != nil {
		return Process{}, err
	}
	cmd := exec.Command(self, s.Args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{read}
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+OneThread, "GOGC="+LateCollection)
	cmd.SysProcAttr = attributes(s.Clone)
	err = cmd.Start()
	read.Close() //nolint:errcheck // the child holds its own
	if err != nil {
		return Process{}, fmt.Errorf("start %q: %w", s.Args, err)
	}
	go cmd.Wait() //nolint:errcheck // only so that no zombie stays while the program runs
	p, err := Identify(cmd.Process.Pid)
	if err == nil {
		err = p.Save(s.Record)
	}
	if err == nil && s.Prepare != nil {
		err = s.Prepare(p)
	}
	if err == nil {
		_, err = write.Write([]byte{1})
	}
	if err != nil {
		return Process{}, fmt.Errorf("start %q: %w", s.Args, err)
	}
	return p, nil
}

// AwaitRelease is the child's side of the gate.
func AwaitRelease() error {
	unix.CloseOnExec(gate)
	file := os.NewFile(gate, "gate")
	defer file.Close() //nolint:errcheck // read-only
	if n, err := file.Read(make([]byte, 1)); n != 1 {
		return errors.Join(errors.New("the parent has gone before it recorded this process"), err)
	}
	return nil
}
