package capture

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// progress tells a person that every tcpdump listens (what is tried before that would be missed), and then how much
// there is. Off a terminal it is silent.
type progress struct {
	say     func(text string) // nil: nobody looks
	packets atomic.Int64
	bytes   atomic.Int64

	mu   sync.Mutex
	line string // what stands there without the line's end
}

func (p *progress) listening(name, tool, device string) {
	p.print(fmt.Sprintf("%s: capturing on %s (tcpdump of the %s); press Ctrl-C to stop\n",
		output.Sanitize(name), output.Sanitize(device), output.Sanitize(tool)), false)
}

func (p *progress) print(text string, open bool) {
	if p.say == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	said := text
	if p.line != "" {
		said = output.Erasure(p.line) + text
	}
	p.line = ""
	if open {
		p.line = text
	}
	p.say(said)
}

// count shows the sum every second until stop is called.
func (p *progress) count() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				p.print("", false)
				return
			case <-tick.C:
			}
			if n := p.packets.Load(); n > 0 {
				p.print(fmt.Sprintf("%s, %s", output.Plural(int(n), "packet"), output.Bytes(p.bytes.Load())), true)
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}
