package cli

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	xterm "golang.org/x/term"
	"k8s.io/kubectl/pkg/util/term"
)

// Size is a terminal's size in characters.
type Size struct{ Width, Height uint16 }

// Console is the person's terminal, for a plugin that hands it to a remote process. Nil functions mean there is none.
type Console struct {
	Raw        func() (restore func(), err error)     // every key becomes a byte
	Sizes      func(done <-chan struct{}) <-chan Size // the size now, and at every change
	StdinGiven func() bool                            // standard input was meant for this command
}

func processConsole() Console {
	return Console{Raw: rawTerminal, Sizes: terminalSizes, StdinGiven: stdinGiven}
}

func rawTerminal() (func(), error) {
	fd := int(os.Stdin.Fd())
	state, err := xterm.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	return func() { _ = xterm.Restore(fd, state) }, nil // nothing can be done about a terminal that has gone
}

func terminalSizes(done <-chan struct{}) <-chan Size {
	tty := term.TTY{In: os.Stdin, Out: os.Stdout, Raw: true}
	queue := tty.MonitorSize(tty.GetSize())
	sizes := make(chan Size)
	if queue == nil {
		return sizes
	}
	go func() {
		for {
			size := queue.Next()
			if size == nil {
				return
			}
			select {
			case sizes <- Size{Width: size.Width, Height: size.Height}:
			case <-done:
				return
			}
		}
	}()
	return sizes
}

// stdinGiven tells a pipe or file that was put there for this command (data | kubectl …, < file) from one that belongs
// to the caller, as in `while read n; do kubectl nodeshell $n -- uptime; done`, where reading it would eat the list: the
// calling shell then has the same file as its own standard input. Programs between (timeout, nice, sudo) are passed
// over. Where it cannot be seen, the answer is no.
func stdinGiven() bool {
	own, err := os.Stdin.Stat()
	if err != nil || own.Mode()&os.ModeCharDevice != 0 || runtime.GOOS != "linux" {
		return false
	}
	for pid := os.Getppid(); pid > 1; {
		theirs, err := os.Stat(fmt.Sprintf("/proc/%d/fd/0", pid))
		if err != nil {
			return false
		}
		if !os.SameFile(own, theirs) {
			return true
		}
		name, parent, ok := process(pid)
		if !ok || shells[name] {
			return false
		}
		pid = parent
	}
	return false
}

var shells = map[string]bool{"sh": true, "bash": true, "dash": true, "ash": true, "zsh": true, "ksh": true, "fish": true, "busybox": true}

// process reads a process's name and parent (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
func process(pid int) (name string, parent int, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, false
	}
	_, rest, _ := strings.Cut(string(data), "(")
	end := strings.LastIndexByte(rest, ')') // a name may hold parentheses
	if end < 0 {
		return "", 0, false
	}
	var state string
	if _, err := fmt.Sscan(rest[end+1:], &state, &parent); err != nil {
		return "", 0, false
	}
	return rest[:end], parent, true
}
