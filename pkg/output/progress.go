package output

import (
	"fmt"
	"io"
	"sync"
	"time"
)

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
		fmt.Fprintf(w, "%s…", text)
		<-done
		fmt.Fprint(w, "\r\x1b[K")
	})
	var once sync.Once
	return func() {
		once.Do(func() { close(done) })
		wg.Wait()
	}
}
