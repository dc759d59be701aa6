package helperpod

import (
	"io"
	"os"
	"sync"
)

// spoolMemory is how much a spool holds in memory before it goes to an unlinked temporary file, and spoolDisk how much of
// that there may be, in bytes.
const (
	spoolMemory = 8 << 20
	spoolDisk   = 512 << 20
)

// Spool stands between a stream and a reader that may pause (less, Ctrl-S, a full pipe): Write never blocks. A blocked
// reader would otherwise stop the stream's pongs, and a pause of a minute would lose the rest of the output
// (https://github.com/kubernetes/kubernetes/issues/124571). It is bounded by the stream, which reads nothing while there is
// no Room: the remote command then waits for its reader, as in a pipe.
type Spool struct {
	to io.Writer

	mu      sync.Mutex
	more    *sync.Cond
	memory  []byte   // not yet taken; always older than what is in file
	file    *os.File // overflow
	bound   int64    // of file
	rest    []byte   // newer than what is in file, which the disk has not taken
	free    chan struct{}
	read    int64 // taken from file
	written int64 // put into file
	closed  bool
	err     error
	done    chan struct{}
}

// NewSpool starts a spool that copies to w.
func NewSpool(w io.Writer) *Spool {
	s := &Spool{to: w, bound: spoolDisk, done: make(chan struct{})}
	s.more = sync.NewCond(&s.mu)
	go s.pump()
	return s
}

// Write takes p. The error is that of an earlier write to the reader: it is gone, and the stream may end.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.written == s.read && len(s.memory)+len(p) <= spoolMemory {
		s.memory = append(s.memory, p...)
	} else {
		s.overflow(p)
	}
	s.more.Signal()
	return len(p), nil
}

// overflow puts p behind what is in memory. A disk that is full makes the spool full, and loses nothing.
func (s *Spool) overflow(p []byte) {
	if s.file == nil {
		if f, err := os.CreateTemp("", "kubectl-runbooks-spool-"); err == nil {
			os.Remove(f.Name()) // the open file lives on; nothing is left after kill -9
			s.file = f
		}
	}
	if len(s.rest) == 0 && s.file != nil {
		n, _ := s.file.WriteAt(p, s.written)
		s.written += int64(n)
		p = p[n:]
	}
	if s.read == s.written {
		s.memory = append(s.memory, p...)
		return
	}
	s.rest = append(s.rest, p...)
}

// full says that the reader has to read first.
func (s *Spool) full() bool {
	return s.err == nil && (s.written >= s.bound || len(s.rest) > 0 || len(s.memory) > spoolMemory)
}

// Room gives a channel that is closed as soon as the stream may be read on; nil is at once.
func (s *Spool) Room() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.full() {
		return nil
	}
	if s.free == nil {
		s.free = make(chan struct{})
	}
	return s.free
}

// opens tells who waits for room that there is some.
func (s *Spool) opens() {
	if s.free != nil && !s.full() {
		close(s.free)
		s.free = nil
	}
}

// take gives the next block, oldest first, or nil at the end.
func (s *Spool) take(block []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.memory) == 0 && s.read == s.written && !s.closed {
		s.more.Wait()
	}
	if len(s.memory) > 0 {
		n := copy(block, s.memory)
		s.memory = s.memory[n:]
		if len(s.memory) == 0 {
			s.memory = nil // release what append has grown
		}
		s.opens()
		return block[:n]
	}
	if s.read == s.written {
		return nil
	}
	n, err := s.file.ReadAt(block[:min(int64(len(block)), s.written-s.read)], s.read)
	if n == 0 && err != nil {
		s.err = err
		s.opens()
		return nil
	}
	s.read += int64(n)
	if s.read == s.written {
		s.read, s.written = 0, 0
		_ = s.file.Truncate(0) // only to give the disk back early
		s.memory, s.rest = s.rest, nil
		s.opens()
	}
	return block[:n]
}

func (s *Spool) pump() {
	defer close(s.done)
	block := make([]byte, 64<<10)
	for {
		p := s.take(block)
		if p == nil {
			return
		}
		if _, err := s.to.Write(p); err != nil {
			s.mu.Lock()
			s.err = err
			s.opens()
			s.mu.Unlock()
			return
		}
	}
}

// Close waits until the reader has everything, or stop is closed, and gives the error of writing to it.
func (s *Spool) Close(stop <-chan struct{}) error {
	s.mu.Lock()
	s.closed = true
	s.more.Signal()
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-stop:
		return nil // the reader may be blocked for ever: the process ends under it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Close()
	}
	return s.err
}
