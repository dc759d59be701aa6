package helperpod

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	gorilla "github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport/websocket"
)

// The channels of the remote command protocol (first byte of each message),
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets.
const (
	channelIn = iota
	channelOut
	channelErr
	channelStatus
	channelResize
)

const (
	// pingEvery is how long nothing may come before a ping asks for something, as often as client-go pings; on a line that is
	// given up sooner, a quarter of that time.
	pingEvery = 5 * time.Second
	// silence ends a stream: twelve times that without a pong, as in client-go.
	silence = 61 * time.Second
	// dialPatience bounds the opening of a stream, all the way to the container runtime.
	dialPatience = 30 * time.Second
	// drain bounds the wait for the close frame after the Status.
	drain = 10 * time.Second
	// letGo bounds the silence after the command's own word that it has ended. Input that the command did not read can
	// stand in the way of the Status for ever, in kubectl exec, too.
	letGo = 5 * time.Second
)

// Size is a terminal's size in characters.
type Size struct {
	Width  uint16
	Height uint16
}

// Streams are the local ends of a remote command. Out and Err must not block: see Spool. Those that are a Spool, and those
// Behind them, are waited for where they are full.
type Streams struct {
	In    io.Reader // nil: none; its end is passed on
	Out   io.Writer
	Err   io.Writer // nil with TTY
	TTY   bool
	Sizes <-chan Size

	Behind []*Spool

	over  func() bool // all output has come, and the command has said that it ended; nil: it says nothing
	held  bool        // there is no input, and the command's shell waits for its end
	plain []string    // the command for a transport that cannot end its input before its reader has
}

// stream is one WebSocket connection of the v5 protocol. It is written for one purpose: to know whether a Status
// arrived and whether the connection was closed in order, which client-go's executor does not tell.
type stream struct {
	conn    *gorilla.Conn
	writing sync.Mutex
	silence time.Duration
	came    atomic.Int64 // when something came last, in Unix nanoseconds
	ending  atomic.Bool  // the read deadline is no longer that of a line's silence
	quiet   atomic.Int64 // since the command's own word that it ended: when something came last, in Unix nanoseconds
	let     atomic.Bool  // the line works, and nothing more comes
	paused  atomic.Bool  // nothing is read until the local reader has made room
	fed     sync.Once    // the end of the input is sent once
	enough  atomic.Bool  // the command has ended: no more of its input is sent
	cut     atomic.Bool  // its input had not
}

// dial opens a stream. The error keeps its type, so that the caller can decide on the SPDY fallback.
func dial(ctx context.Context, config *rest.Config, u *url.URL, quiet time.Duration) (*stream, error) {
	// A kubelet that hangs accepts the connection and never answers.
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	tripper, holder, err := websocket.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	conn, err := websocket.Negotiate(tripper, holder, request, remotecommand.StreamProtocolV5Name)
	if err != nil {
		return nil, err
	}
	if quiet == 0 {
		quiet = silence
	}
	return &stream{conn: conn, silence: quiet}, nil
}

// ended is how a stream came to its end.
type ended struct {
	status *metav1.Status // nil: none arrived
	let    bool           // let go: the command has said how it ended, and nothing came after that
	clean  bool           // closed in order, so that nothing before the end is missing
	err    error          // of the connection, or of a local writer
	heard  time.Time      // the last sign of life
}

// run moves bytes until the remote side has closed, ctx is done or the line is silent.
func (s *stream) run(ctx context.Context, local Streams) ended {
	stop := make(chan struct{})
	defer close(stop)
	go s.closeOn(ctx, stop)
	go s.ping(stop)
	if local.In != nil {
		go s.sendInput(local.In)
	}
	if local.Sizes != nil {
		go s.sendSizes(local.Sizes, stop)
	}
	end := s.receive(ctx, local)
	if cause := context.Cause(ctx); cause != nil && !end.clean {
		end.err = cause
	}
	return end
}

// closeOn makes the blocked reader return when the context ends.
func (s *stream) closeOn(ctx context.Context, stop <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-stop:
	}
	s.conn.Close()
}

func (s *stream) receive(ctx context.Context, local Streams) ended {
	var (
		end    ended
		raw    []byte
		extend = func(string) error { // at every pong and message
			end.heard = time.Now()
			s.came.Store(end.heard.UnixNano())
			if s.letGo() {
				return nil
			}
			return s.conn.SetReadDeadline(end.heard.Add(s.silence))
		}
	)
	s.conn.SetPongHandler(extend)
	_ = extend("") // an error of the connection comes back from the next read
	for {
		if room := local.room(); room != nil {
			s.waitFor(ctx, room)
			if !s.ending.Load() {
				_ = extend("")
			}
		}
		kind, message, err := s.conn.ReadMessage()
		if err != nil {
			end.clean = gorilla.IsCloseError(err, gorilla.CloseNormalClosure)
			if !end.clean {
				end.err = inWords(err)
			}
			end.let = s.let.Load() && end.status == nil && os.IsTimeout(err)
			return end
		}
		if kind != gorilla.BinaryMessage || len(message) == 0 {
			continue
		}
		s.came.Store(time.Now().UnixNano())
		if s.quiet.Load() != 0 {
			s.quiet.Store(time.Now().UnixNano())
		}
		if !s.ending.Load() {
			_ = extend("") // data is a sign of life too
		}
		if message[0] == channelStatus {
			raw = append(raw, message[1:]...)
			if status := statusOf(raw); status != nil {
				end.status = status
				s.expectEnd(drain)
			}
		}
		end.err = local.take(message)
		if end.status == nil && local.said() {
			s.commandEnded(local.held)
		}
		if end.err != nil {
			return end
		}
	}
}

// said is whether a command whose input is to end with it has said that it ended.
func (local Streams) said() bool {
	return (local.In != nil || local.held) && local.over != nil && local.over()
}

// commandEnded is for the command's own word, and what comes after it.
func (s *stream) commandEnded(held bool) {
	if !held {
		s.quiet.Store(time.Now().UnixNano()) // anew after each message: what comes late still comes
	}
	if !s.enough.Swap(true) {
		go s.endInput(!held) // it may have to wait until what is on its way has been read
	}
}

// inWords keeps no more than the text of what broke a line that was open: one that fell silent is no API server that does
// not answer.
func inWords(err error) error { return errors.New(err.Error()) }

// waitFor reads nothing until there is room. What the line was silent in the meantime does not count: nobody listened.
func (s *stream) waitFor(ctx context.Context, room <-chan struct{}) {
	s.paused.Store(true)
	defer s.paused.Store(false)
	select {
	case <-room:
	case <-ctx.Done():
	}
	if s.quiet.Load() != 0 {
		s.quiet.Store(time.Now().UnixNano())
	}
	if s.ending.Load() {
		s.expectEnd(drain)
	}
}

// room gives what a full reader has to be waited for with; nil is nothing.
func (local Streams) room() <-chan struct{} {
	for _, w := range []io.Writer{local.Out, local.Err} {
		if f, ok := w.(*trailerFilter); ok {
			w = f.to
		}
		if s, ok := w.(*Spool); ok {
			if room := s.Room(); room != nil {
				return room
			}
		}
	}
	for _, s := range local.Behind {
		if room := s.Room(); room != nil {
			return room
		}
	}
	return nil
}

// take writes what came for one of the local streams.
func (local Streams) take(message []byte) error {
	switch message[0] {
	case channelOut:
		return write(local.Out, message[1:])
	case channelErr:
		return write(local.Err, message[1:])
	}
	return nil
}

// statusOf reads a status that may not be there as a whole yet.
func statusOf(raw []byte) *metav1.Status {
	var status metav1.Status
	if json.Unmarshal(raw, &status) != nil || status.Status == "" {
		return nil
	}
	return &status
}

// letGo ends the reading when the line was quiet for long enough after the command's own word. It is asked at a pong, which
// proves that the line works, and where a ping cannot be sent because unread input stands in its way.
func (s *stream) letGo() bool {
	at := s.quiet.Load()
	if at == 0 || s.ending.Load() || s.paused.Load() || time.Since(time.Unix(0, at)) < letGo {
		return false
	}
	s.let.Store(true)
	_ = s.conn.SetReadDeadline(time.Now())
	return true
}

// expectEnd makes a deadline of the next read that no pong and no ping puts off.
func (s *stream) expectEnd(within time.Duration) {
	s.ending.Store(true)
	s.conn.SetPongHandler(func(string) error { return nil })
	_ = s.conn.SetReadDeadline(time.Now().Add(within))
}

func write(w io.Writer, p []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(p)
	return err
}

// ping keeps the line known to be alive. A ping that cannot be sent because a data frame waits for the remote side to
// read its stdin says nothing about the line, so it extends the deadline itself; nor does one that stands behind input which
// the command has left, where nothing over there takes that.
func (s *stream) ping(stop <-chan struct{}) {
	every := min(pingEvery, s.silence/4)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if !s.still(every) {
			continue
		}
		err := s.conn.WriteControl(gorilla.PingMessage, nil, time.Now().Add(time.Second))
		var timeout interface{ Timeout() bool }
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			if !s.ending.Load() && !s.letGo() {
				_ = s.conn.SetReadDeadline(time.Now().Add(s.silence))
			}
		case s.cut.Load() && time.Since(time.Unix(0, s.quiet.Load())) > 2*letGo:
			s.letGo()
		}
	}
}

// still says whether nothing has come for so long, though it would have been read. Only then may a ping be sent: an API server
// closes the connection as soon as it has written the Status, and what reaches it after that, or lies there unread, makes its
// kernel throw away what a slow reader has not got yet, the Status with it. client-go's executor pings all the same.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/staging/src/k8s.io/apiserver/pkg/util/proxy/streamtranslator.go
func (s *stream) still(every time.Duration) bool {
	for range 2 {
		if s.paused.Load() || s.ending.Load() || time.Since(time.Unix(0, s.came.Load())) < every {
			return false
		}
		time.Sleep(every / 50) // on a machine that gave this process no time, what came is read first
	}
	return true
}

func (s *stream) send(channel byte, p []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	w, err := s.conn.NextWriter(gorilla.BinaryMessage)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte{channel}); err != nil {
		return err
	}
	if _, err := w.Write(p); err != nil {
		return err
	}
	return w.Close()
}

// sendInput copies stdin and passes its end on (half close). It may stay blocked in Read after the command has ended:
// nobody waits for it.
func (s *stream) sendInput(in io.Reader) {
	block := make([]byte, 32<<10)
	for {
		n, err := in.Read(block)
		if s.enough.Load() {
			return
		}
		if n > 0 {
			if s.send(channelIn, block[:n]) != nil {
				return
			}
		}
		if err != nil {
			s.endInput(false) // the reading side sees what broke it
			return
		}
	}
}

// endInput sends the end of the input, once; cut is before its end was reached here.
func (s *stream) endInput(cut bool) {
	s.fed.Do(func() {
		s.cut.Store(cut)
		_ = s.send(remotecommand.StreamClose, []byte{channelIn})
	})
}

func (s *stream) sendSizes(sizes <-chan Size, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			message, err := json.Marshal(size)
			if err != nil || s.send(channelResize, message) != nil {
				return
			}
		}
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
