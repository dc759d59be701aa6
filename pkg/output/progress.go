package output

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Erasure takes away a line that has no end yet, on every terminal: by spaces, not by an escape sequence, which NO_COLOR and a dumb
// terminal do not expect.
func Erasure(line string) string { return "\r" + strings.Repeat(" ", Width(line)) + "\r" }

// StartProgress writes text to w (a terminal's stderr) once more than a second has gone by, and takes the line away
// again when stop is called. Off a terminal it is silent.
func StartProgress(w io.Writer, term Terminal, text string) (stop func()) {
	if !term.TTY {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case <-done:
			return
		case <-timer.C:
		}
		text += "…"
		fmt.Fprint(w, text)
		<-done
		fmt.Fprint(w, Erasure(text))
	})
	var once sync.Once
	return func() {
		once.Do(func() { close(done) })
		wg.Wait()
	}
}
