package cli

import (
	"os"

	xterm "golang.org/x/term"
	"k8s.io/kubectl/pkg/util/term"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli/stdin"
)

// Size is a terminal's size in characters.
type Size struct{ Width, Height uint16 }

// Console is the person's terminal, for a plugin that hands it to a remote process. Nil functions mean there is none.
type Console struct {
	Raw   func() (restore func(), err error)     // every key becomes a byte
	Sizes func(done <-chan struct{}) <-chan Size // the size now, and at every change
	Stdin func() stdin.Purpose                   // whom standard input is for
}

func processConsole() Console {
	return Console{Raw: rawTerminal, Sizes: terminalSizes, Stdin: func() stdin.Purpose { return stdin.Meant(os.Stdin) }}
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
