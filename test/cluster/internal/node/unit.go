package node

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unit is a program that process 1 keeps running. All of it happens in one
// goroutine: starting, ending and collecting cannot race.
type unit struct {
	name    string
	command func() []string // nil: not yet possible
	status  Status
	next    time.Time // not started before
	killAt  time.Time // SIGTERM was sent; SIGKILL follows then
}

const (
	restartDelay = 500 * time.Millisecond
	termPatience = 5 * time.Second
)

// step compares orders with what is, and acts on the difference.
func (u *unit) step(c Config) {
	restart := c.order(u.name, orderRestart)
	running := u.status.PID != 0
	switch {
	case running && (c.Stopped(u.name) || exists(restart)):
		u.end()
	case running:
		u.pause(c, c.Paused(u.name))
	case c.Stopped(u.name):
		os.Remove(restart) //nolint:errcheck // down stays down; often there is none
	case time.Now().After(u.next):
		if err := u.start(c); err != nil {
			fmt.Fprintf(os.Stderr, "start %s: %v\n", u.name, err)
			u.next = time.Now().Add(restartDelay)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// end asks once and then insists. A paused unit could not hear it.
func (u *unit) end() {
	switch {
	case u.killAt.IsZero():
		u.killAt = time.Now().Add(termPatience)
		unix.Kill(u.status.PID, unix.SIGTERM) //nolint:errcheck // our own child, not yet collected
		unix.Kill(u.status.PID, unix.SIGCONT) //nolint:errcheck // as above
	case time.Now().After(u.killAt):
		unix.Kill(u.status.PID, unix.SIGKILL) //nolint:errcheck // as above
	}
}

func (u *unit) pause(c Config, on bool) {
	if on == u.status.Paused {
		return
	}
	signal := unix.SIGCONT
	if on {
		signal = unix.SIGSTOP
	}
	if unix.Kill(u.status.PID, signal) == nil {
		u.status.Paused = on
		u.tell(c)
	}
}

func (u *unit) start(c Config) error {
	command := u.command()
	if command == nil {
		return nil
	}
	log, err := os.OpenFile(c.LogPath(u.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the child holds its own
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close() //nolint:errcheck // as above
	pid, err := syscall.ForkExec(command[0], command, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	u.status = Status{PID: pid, Starts: u.status.Starts + 1, Since: time.Now(), LastExit: u.status.LastExit}
	u.killAt = time.Time{}
	u.tell(c)
	os.Remove(c.order(u.name, orderRestart)) //nolint:errcheck // often there is none
	return nil
}

func (u *unit) ended(c Config, status unix.WaitStatus) {
	exit := fmt.Sprintf("exit code %d", status.ExitStatus())
	if status.Signaled() {
		exit = "signal " + status.Signal().String()
	}
	u.status = Status{Starts: u.status.Starts, Since: time.Now(), LastExit: exit}
	u.next = time.Now().Add(restartDelay)
	u.tell(c)
}

func (u *unit) tell(c Config) {
	if err := c.tell(u.name, u.status); err != nil {
		fmt.Fprintf(os.Stderr, "status of %s: %v\n", u.name, err)
	}
}
