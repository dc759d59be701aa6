package cli

import (
	"fmt"
	"os"
	"runtime"

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
	return func() { xterm.Restore(fd, state) }, nil
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
// caller then has the same file as its own standard input. Where that cannot be seen, the answer is no.
func stdinGiven() bool {
	own, err := os.Stdin.Stat()
	if err != nil || own.Mode()&os.ModeCharDevice != 0 || runtime.GOOS != "linux" {
		return false
	}
	parent, err := os.Stat(fmt.Sprintf("/proc/%d/fd/0", os.Getppid()))
	return err == nil && !os.SameFile(own, parent)
}
