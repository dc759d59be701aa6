package runbooks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// mostMessage bounds a message of a client, in bytes: a call has some hundred.
const mostMessage = 1 << 20

// stdio carries one message a line. Unlike the SDK's own, what is no message is answered with an error and ends nothing, and at
// the end of the input the calls that came before it are still answered.
type stdio struct {
	in       io.Reader
	out      io.Writer
	patience time.Duration // of the end of the input with calls that are not answered
	unread   func() bool   // nobody reads what is written any more; nil: that cannot be seen
}

func (s stdio) Connect(context.Context) (mcp.Connection, error) {
	c := &lines{
		out: s.out, patience: s.patience, unread: s.unread, read: make(chan line), closed: make(chan struct{}),
		pending: map[any]bool{}, answered: make(chan struct{}, 1),
	}
	go c.scan(bufio.NewReaderSize(s.in, 1<<16))
	return c, nil
}

type line struct {
	data  []byte
	whole bool  // false: longer than mostMessage, and cut
	err   error // the input ended, with an error where it is not io.EOF
}

// lines is the connection of stdio.
type lines struct {
	patience time.Duration
	unread   func() bool
	read     chan line
	closed   chan struct{}
	closing  sync.Once

	mu       sync.Mutex
	out      io.Writer
	pending  map[any]bool  // the ids of calls without an answer
	answered chan struct{} // tells that the last one has been answered
}

func (c *lines) scan(r *bufio.Reader) {
	for {
		l := line{whole: true}
		for more := true; more; {
			var part []byte
			part, l.err = r.ReadSlice('\n')
			if l.whole = l.whole && len(l.data)+len(part) <= mostMessage; l.whole {
				l.data = append(l.data, part...)
			}
			more = errors.Is(l.err, bufio.ErrBufferFull)
		}
		select {
		case c.read <- l:
		case <-c.closed:
			return
		}
		if l.err != nil {
			return
		}
	}
}

// Read gives the next message.
func (c *lines) Read(ctx context.Context) (jsonrpc.Message, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.closed:
			return nil, io.EOF
		case l := <-c.read:
			if l.err != nil {
				c.read = ended(l.err)
			}
			if len(bytes.TrimSpace(l.data)) == 0 && l.whole {
				if l.err != nil {
					return nil, c.end(ctx, l.err)
				}
				continue
			}
			message, refusal := decode(l)
			if refusal == nil {
				c.note(message)
				return message, nil
			}
			data, err := json.Marshal(refusal)
			if err == nil {
				err = c.write(data)
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

// ended is an input whose last line was read.
func ended(err error) chan line {
	end := make(chan line, 1)
	end <- line{whole: true, err: err}
	return end
}

// glance is how often the server looks whether its client still reads, once that has said its last.
const glance = 200 * time.Millisecond

// end waits until all calls are answered, or nobody is there to read the answers, and gives the error that ends the session.
func (c *lines) end(ctx context.Context, err error) error {
	limit, look := time.NewTimer(c.patience), time.NewTicker(glance)
	defer limit.Stop()
	defer look.Stop()
	for c.open() && (c.unread == nil || !c.unread()) {
		select {
		case <-look.C:
		case <-c.answered:
		case <-c.closed:
			return err
		case <-ctx.Done():
			return err
		case <-limit.C:
			return err
		}
	}
	return err
}

func (c *lines) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0
}

// note counts a call as open. A canceled one is answered, too: by the SDK, with an error.
func (c *lines) note(message jsonrpc.Message) {
	if request, ok := message.(*jsonrpc.Request); ok && request.IsCall() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pending[request.ID.Raw()] = true
	}
}

func (c *lines) settle(id jsonrpc.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id.Raw())
	select {
	case c.answered <- struct{}{}:
	default:
	}
}

// refusal answers what is no message. Without an id its client cannot tell which line is meant: JSON-RPC has null for that.
type refusal struct {
	Version string        `json:"jsonrpc"`
	ID      any           `json:"id"`
	Error   jsonrpc.Error `json:"error"`
}

func decode(l line) (jsonrpc.Message, *refusal) {
	refuse := func(code int64, id any, text string) (jsonrpc.Message, *refusal) {
		return nil, &refusal{Version: "2.0", ID: id, Error: jsonrpc.Error{Code: code, Message: text}}
	}
	switch {
	case !l.whole:
		return refuse(jsonrpc.CodeInvalidRequest, nil, fmt.Sprintf("a message may have %d bytes", mostMessage))
	case !json.Valid(l.data): // it also bounds the depth
		return refuse(jsonrpc.CodeParseError, nil, "the line is not JSON")
	}
	message, err := jsonrpc.DecodeMessage(l.data)
	if err == nil {
		return message, nil
	}
	var request struct {
		ID any `json:"id"`
	}
	if json.Unmarshal(l.data, &request) != nil {
		request.ID = nil
	}
	switch request.ID.(type) {
	case string, float64:
	default:
		request.ID = nil
	}
	return refuse(jsonrpc.CodeInvalidRequest, request.ID, "the line is not one JSON-RPC 2.0 message")
}

// Write sends a message.
func (c *lines) Write(_ context.Context, message jsonrpc.Message) error {
	data, err := jsonrpc.EncodeMessage(message)
	if err != nil {
		return err
	}
	if err := c.write(data); err != nil {
		return err
	}
	if response, ok := message.(*jsonrpc.Response); ok {
		c.settle(response.ID)
	}
	return nil
}

func (c *lines) write(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.out.Write(append(data, '\n'))
	return err
}

// Close ends reading; the streams are the process'.
func (c *lines) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return nil
}

// SessionID is empty: a process has one session.
func (c *lines) SessionID() string { return "" }
