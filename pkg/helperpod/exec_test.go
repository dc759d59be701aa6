package helperpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"k8s.io/client-go/rest"
)

// script is what the server does with an exec after the handshake. Nonce is that of the client's trailer.
type script func(conn *gorilla.Conn, nonce string)

// execServer speaks the v5 protocol as scripted.
func execServer(t *testing.T, play script) Container {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := gorilla.Upgrader{Subprotocols: []string{"v5.channel.k8s.io"}}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		defer conn.Close()
		nonce := ""
		if command := r.URL.Query()["command"]; len(command) > 3 {
			nonce = command[3]
		}
		play(conn, nonce)
	}))
	t.Cleanup(server.Close)
	return Container{Config: &rest.Config{Host: server.URL}, Namespace: "ns", Pod: "p", Name: "c"}
}

func say(conn *gorilla.Conn, channel byte, text string) {
	_ = conn.WriteMessage(gorilla.BinaryMessage, append([]byte{channel}, text...))
}

func bye(conn *gorilla.Conn) {
	_ = conn.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, ""), time.Now().Add(time.Second))
	time.Sleep(50 * time.Millisecond)
}

const success = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}`

func failure(code string) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"NonZeroExitCode","message":"command terminated","details":{"causes":[{"reason":"ExitCode","message":%q}]}}`, code)
}

func trailerOf(nonce string, code int) string { return fmt.Sprintf("\x1e%s:%d\x1e", nonce, code) }

// trail says on both streams how the command ended.
func trail(conn *gorilla.Conn, nonce string, code int) {
	say(conn, channelErr, trailerOf(nonce, code))
	say(conn, channelOut, trailerOf(nonce, code))
}

func TestExecBelievesOnlyWhatItCanKnow(t *testing.T) {
	tests := []struct {
		name    string
		play    script
		code    int
		unknown bool
		errText string
		stdout  string
		stderr  string
	}{
		{name: "success with its trailer", play: func(c *gorilla.Conn, n string) {
			say(c, channelOut, "hello\n")
			say(c, channelErr, "warn\n")
			trail(c, n, 0)
			say(c, channelStatus, success)
			bye(c)
		}, stdout: "hello\n", stderr: "warn\n"},
		{name: "an exit code", play: func(c *gorilla.Conn, n string) {
			trail(c, n, 7)
			say(c, channelStatus, failure("7"))
			bye(c)
		}, code: 7},
		{name: "killed before it could write a trailer", play: func(c *gorilla.Conn, _ string) {
			say(c, channelStatus, failure("137"))
			bye(c)
		}, code: 137},
		{name: "success without a trailer is the API server's guess", play: func(c *gorilla.Conn, _ string) {
			say(c, channelOut, "half")
			say(c, channelStatus, success)
			bye(c)
		}, unknown: true, errText: "reported success", stdout: "half"},
		{name: "the end of stdout is missing", play: func(c *gorilla.Conn, n string) {
			say(c, channelOut, "half")
			say(c, channelErr, trailerOf(n, 0))
			say(c, channelStatus, success)
			bye(c)
		}, unknown: true, errText: "the end of its output is missing", stdout: "half"},
		{name: "the end of stderr is missing, whatever the code", play: func(c *gorilla.Conn, n string) {
			say(c, channelErr, "half")
			say(c, channelOut, trailerOf(n, 3))
			say(c, channelStatus, failure("3"))
			bye(c)
		}, unknown: true, errText: "the end of its output is missing", stderr: "half"},
		{name: "success against a trailer that says otherwise", play: func(c *gorilla.Conn, n string) {
			trail(c, n, 3)
			say(c, channelStatus, success)
			bye(c)
		}, code: 3},
		{name: "closed in order, without a Status", play: func(c *gorilla.Conn, n string) {
			trail(c, n, 0)
			bye(c)
		}, unknown: true, errText: "closed before"},
		{name: "cut off", play: func(c *gorilla.Conn, _ string) {
			say(c, channelOut, "half")
			c.NetConn().Close()
		}, unknown: true, errText: "connection was lost", stdout: "half"},
		{name: "cut off after the Status: output may be missing", play: func(c *gorilla.Conn, n string) {
			trail(c, n, 0)
			say(c, channelStatus, success)
			c.NetConn().Close()
		}, unknown: true, errText: "after the status"},
		{name: "output that comes after the Status is kept", play: func(c *gorilla.Conn, n string) {
			say(c, channelStatus, failure("2"))
			time.Sleep(20 * time.Millisecond)
			say(c, channelOut, "late")
			bye(c)
		}, code: 2, stdout: "late"},
		{name: "a Status in two frames", play: func(c *gorilla.Conn, n string) {
			text := failure("5")
			say(c, channelStatus, text[:30])
			say(c, channelStatus, text[30:])
			bye(c)
		}, code: 5},
		{name: "a Windows code that does not fit", play: func(c *gorilla.Conn, _ string) {
			say(c, channelStatus, failure("3221225786"))
			bye(c)
		}, errText: "3221225786"},
		{name: "an internal error is not an exit code", play: func(c *gorilla.Conn, _ string) {
			say(c, channelStatus, `{"kind":"Status","status":"Failure","reason":"InternalError","message":"no such container","code":500}`)
			bye(c)
		}, unknown: true, errText: "no such container"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			code, err := execServer(t, test.play).Exec(ctx, []string{"cmd"}, Streams{Out: &stdout, Err: &stderr})
			if got := err != nil; got != (test.unknown || test.errText != "") {
				t.Fatalf("code %d, err %v", code, err)
			}
			if test.unknown && !errors.Is(err, ErrStatusUnknown) {
				t.Errorf("err %v is not ErrStatusUnknown", err)
			}
			if err != nil && !strings.Contains(err.Error(), test.errText) {
				t.Errorf("err %q lacks %q", err, test.errText)
			}
			if code != test.code || stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("code %d, stdout %q, stderr %q; want %d, %q, %q", code, stdout.String(), stderr.String(), test.code, test.stdout, test.stderr)
			}
		})
	}
}

// What the runtime did not come to start is tried again; with input it cannot be, and any other failure may have begun.
func TestOnlyWhatHasNotBegunIsTriedAgain(t *testing.T) {
	const overloaded = `{"kind":"Status","status":"Failure","reason":"InternalError","message":"error executing command in container: failed to exec in container: failed to load task: context deadline exceeded","code":500}`
	tests := []struct {
		name    string
		status  string
		refused int // times, before it works
		in      io.Reader
		runs    int
		want    error
	}{
		{"twice not begun", overloaded, 2, nil, 3, nil},
		{"never", overloaded, 99, nil, execTries, ErrNotBegun},
		{"with input", overloaded, 1, strings.NewReader("x"), 1, ErrNotBegun},
		{"another failure", strings.Replace(overloaded, "load task", "start exec", 1), 1, nil, 1, ErrStatusUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var runs atomic.Int32
			c := execServer(t, func(conn *gorilla.Conn, n string) {
				if int(runs.Add(1)) <= test.refused {
					say(conn, channelStatus, test.status)
				} else {
					trail(conn, n, 0)
					say(conn, channelStatus, success)
				}
				bye(conn)
			})
			if _, err := c.Exec(t.Context(), []string{"cmd"}, Streams{In: test.in}); !errors.Is(err, test.want) || int(runs.Load()) != test.runs {
				t.Errorf("%v after %d runs; want %v after %d", err, runs.Load(), test.want, test.runs)
			}
		})
	}
}

func TestInputIsPassedOnByteExactWithItsEnd(t *testing.T) {
	input := bytes.Repeat([]byte("0123456789\x00\xff\r\n~"), 100_000)
	c := execServer(t, func(conn *gorilla.Conn, n string) {
		for {
			_, message, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if message[0] == channelIn {
				say(conn, channelOut, string(message[1:]))
				continue
			}
			if message[0] == 255 && message[1] == channelIn { // half close
				trail(conn, n, 0)
				say(conn, channelStatus, success)
				bye(conn)
				return
			}
		}
	})
	var stdout bytes.Buffer
	code, err := c.Exec(t.Context(), []string{"cat"}, Streams{In: bytes.NewReader(input), Out: &stdout})
	if err != nil || code != 0 {
		t.Fatalf("code %d, err %v", code, err)
	}
	if !bytes.Equal(stdout.Bytes(), input) {
		t.Errorf("%d bytes came back of %d", stdout.Len(), len(input))
	}
}

// Input that nobody reads keeps a kubelet from saying how the command ended; the command's own word is enough.
func TestUnreadInputDoesNotHoldTheEndBack(t *testing.T) {
	t.Parallel()
	c := execServer(t, func(conn *gorilla.Conn, n string) {
		trail(conn, n, 3)
		time.Sleep(time.Second)
		say(conn, channelOut, "late")
		time.Sleep(time.Minute)
	})
	var stdout bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	code, err := c.Exec(ctx, []string{"head", "-1"}, Streams{In: bytes.NewReader(make([]byte, 20<<20)), Out: &stdout})
	if code != 3 || err != nil || stdout.String() != "late" {
		t.Errorf("code %d, err %v, stdout %q", code, err, stdout.String())
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// The input ends when the command has, though nobody ends it here: what the command has left is read over there until then.
func TestTheInputEndsWithTheCommand(t *testing.T) {
	t.Parallel()
	waiting, never := io.Pipe()
	defer never.Close()
	for name, in := range map[string]io.Reader{"more than it reads": endless{}, "a pipe that nobody fills": waiting} {
		c := execServer(t, func(conn *gorilla.Conn, n string) {
			trail(conn, n, 3)
			for {
				_, message, err := conn.ReadMessage()
				if err != nil {
					return
				}
				if message[0] == 255 && message[1] == channelIn {
					say(conn, channelStatus, failure("3"))
					bye(conn)
					return
				}
			}
		})
		began := time.Now()
		code, err := c.Exec(t.Context(), []string{"head", "-1"}, Streams{In: in})
		if took := time.Since(began); code != 3 || err != nil || took > letGo {
			t.Errorf("%s: code %d, err %v after %s", name, code, err, took)
		}
	}
}

// The shell's own words, by a shell: what the command reads, that its code is on both streams, and who waits for the end of the input.
func TestAWrappedCommand(t *testing.T) {
	tests := []struct {
		name   string
		in     input
		argv   []string
		stdout string
		waits  bool
	}{
		{"a terminal's or SPDY's input is the command's", asIs, []string{"sh", "-c", "read x; echo $x; exit 7"}, "one\n", false},
		{"no input", heldInput, []string{"sh", "-c", "cat; exit 7"}, "", true},
		{"more input than it reads", ownInput, []string{"sh", "-c", "read x; echo $x; exit 7"}, "one\n", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			words := withTrailer("sh", "nonce", test.argv, test.in)
			command := exec.CommandContext(t.Context(), words[0], words[1:]...)
			command.Stderr = &stderr
			stdin, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(stdin, "one\ntwo\n"); err != nil {
				t.Fatal(err)
			}
			want := test.stdout + trailerOf("nonce", 7)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(stdout, got); err != nil || string(got) != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.Copy(io.Discard, stdout)
			}()
			if test.waits {
				select {
				case <-ended:
					t.Error("it does not wait for the end of its input")
				case <-time.After(300 * time.Millisecond):
				}
			} else {
				select {
				case <-ended:
				case <-time.After(10 * time.Second):
					t.Error("it waits for the end of its input")
				}
			}
			stdin.Close()
			<-ended
			var exit *exec.ExitError
			if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 || stderr.String() != trailerOf("nonce", 7) {
				t.Errorf("%v, stderr %q", err, stderr.String())
			}
		})
	}
}

// Without input the stream has one all the same, whose end says that all output has come.
func TestTheClientEndsACommandThatHasNoInputWhenItHasAllOutput(t *testing.T) {
	t.Parallel()
	var ended atomic.Bool
	c := execServer(t, func(conn *gorilla.Conn, n string) {
		half := make(chan struct{})
		go func() {
			for {
				_, message, err := conn.ReadMessage()
				if err != nil {
					return
				}
				if message[0] == 255 && message[1] == channelIn {
					close(half)
				}
			}
		}()
		say(conn, channelErr, trailerOf(n, 3))
		select {
		case <-half:
			t.Error("the input ended before all output had come")
		case <-time.After(100 * time.Millisecond):
		}
		say(conn, channelOut, "last"+trailerOf(n, 3))
		select {
		case <-half:
			ended.Store(true)
		case <-time.After(5 * time.Second):
		}
		say(conn, channelStatus, failure("3"))
		bye(conn)
	})
	var stdout bytes.Buffer
	code, err := c.Exec(t.Context(), []string{"cmd"}, Streams{Out: &stdout})
	if code != 3 || err != nil || stdout.String() != "last" || !ended.Load() {
		t.Errorf("code %d, err %v, stdout %q, ended %t", code, err, stdout.String(), ended.Load())
	}
}

// A line that stalls is no end: what comes after the command's own word still counts.
func TestAStalledLineAfterTheTrailerLosesNothing(t *testing.T) {
	t.Parallel()
	c := execServer(t, func(conn *gorilla.Conn, n string) {
		say(conn, channelOut, "first")
		trail(conn, n, 0)
		time.Sleep(letGo + 2*time.Second) // no pong either: nobody reads here
		say(conn, channelOut, "rest")
		say(conn, channelStatus, success)
		bye(conn)
	})
	var stdout bytes.Buffer
	code, err := c.Exec(t.Context(), []string{"cat"}, Streams{In: strings.NewReader("x"), Out: &stdout})
	if code != 0 || err != nil || stdout.String() != "firstrest" {
		t.Errorf("code %d, err %v, stdout %q", code, err, stdout.String())
	}
}

// A reader that pauses for longer than the stream's silence limit must lose nothing: the stream is read all the same.
func TestPausedReaderLosesNothing(t *testing.T) {
	const size = 12 << 20 // more than a spool holds in memory
	block := bytes.Repeat([]byte("x"), 32<<10)
	c := execServer(t, func(conn *gorilla.Conn, n string) {
		for range size / len(block) {
			say(conn, channelOut, string(block))
		}
		trail(conn, n, 0)
		say(conn, channelStatus, success)
		bye(conn)
	})
	c.silence = 3 * time.Second // less, and a busy machine is silent by itself
	pipeReader, pipeWriter := io.Pipe()
	spool := NewSpool(pipeWriter)
	code, err := c.Exec(t.Context(), []string{"cmd"}, Streams{Out: spool})
	if err != nil || code != 0 {
		t.Fatalf("code %d, err %v", code, err)
	}
	time.Sleep(c.silence + time.Second/2) // nothing has been read yet
	read := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, pipeReader)
		read <- n
	}()
	if err := spool.Close(nil); err != nil {
		t.Fatal(err)
	}
	pipeWriter.Close()
	if n := <-read; n != size {
		t.Errorf("read %d of %d", n, size)
	}
}

// What reaches an API server that has written its last word makes it throw away what a slow reader has not got yet.
func TestNoPingIsSentWhileOutputComes(t *testing.T) {
	t.Parallel()
	var during, after atomic.Int64
	c := execServer(t, func(conn *gorilla.Conn, n string) {
		pings := &during
		var counting sync.Mutex
		conn.SetPingHandler(func(data string) error {
			counting.Lock()
			defer counting.Unlock()
			pings.Add(1)
			return conn.WriteControl(gorilla.PongMessage, []byte(data), time.Now().Add(time.Second))
		})
		go func() {
			for {
				if _, _, err := conn.ReadMessage(); err != nil {
					return
				}
			}
		}()
		for range 500 {
			say(conn, channelOut, "x")
			time.Sleep(10 * time.Millisecond)
		}
		counting.Lock()
		pings = &after
		counting.Unlock()
		time.Sleep(5 * time.Second)
		trail(conn, n, 0)
		say(conn, channelStatus, success)
		bye(conn)
	})
	c.silence = 8 * time.Second // a ping after 2 s
	code, err := c.Exec(t.Context(), []string{"cmd"}, Streams{Out: io.Discard})
	if code != 0 || err != nil || during.Load() > 0 || after.Load() == 0 {
		t.Errorf("code %d, err %v, %d pings while output came, %d after it", code, err, during.Load(), after.Load())
	}
}

func TestSilentLineEndsTheStream(t *testing.T) {
	c := execServer(t, func(conn *gorilla.Conn, _ string) { time.Sleep(2 * time.Second) })
	c.silence = 300 * time.Millisecond
	began := time.Now()
	_, err := c.Exec(t.Context(), []string{"cmd"}, Streams{})
	if !errors.Is(err, ErrStatusUnknown) || time.Since(began) > 1500*time.Millisecond {
		t.Errorf("err %v after %s", err, time.Since(began))
	}
}

func TestCancelledExecEndsAtOnceWithItsCause(t *testing.T) {
	cause := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := execServer(t, func(conn *gorilla.Conn, _ string) { time.Sleep(3 * time.Second) })
	time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
	began := time.Now()
	_, err := c.Exec(ctx, []string{"cmd"}, Streams{})
	if !errors.Is(err, cause) || time.Since(began) > 2*time.Second {
		t.Errorf("err %v after %s", err, time.Since(began))
	}
}

func TestForbiddenStreamNamesThePermission(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"no","code":403}`)
	}))
	defer server.Close()
	c := Container{Config: &rest.Config{Host: server.URL}, Namespace: "ns", Pod: "p", Name: "c"}
	_, err := c.Exec(t.Context(), []string{"cmd"}, Streams{})
	if err == nil || !strings.Contains(err.Error(), "create pods/exec") {
		t.Errorf("err %v", err)
	}
}

// A proxy that stands in the way is named, and what to do about it.
func TestAProxyThatRefusesStreamsIsNamed(t *testing.T) {
	for want, answer := range map[string]http.HandlerFunc{
		"kubectl proxy --reject-paths='^$'": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Forbidden", http.StatusForbidden)
		},
		"does not pass on the upgrade": func(w http.ResponseWriter, _ *http.Request) { // it drops the headers, and the API server says so
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","message":"Upgrade request required","code":400}`)
		},
	} {
		server := httptest.NewServer(answer)
		defer server.Close()
		c := Container{Config: &rest.Config{Host: server.URL}, Namespace: "ns", Pod: "p", Name: "c"}
		if _, err := c.Exec(t.Context(), []string{"cmd"}, Streams{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err %v; want %s", err, want)
		}
	}
}

func TestTrailerIsTakenOutHoweverItIsCut(t *testing.T) {
	const nonce = "abc"
	text := "one\x1etwo" + trailerOf(nonce, 42) + "three\x1e" + "\x1eabx:1\x1e"
	want := "one\x1etwothree\x1e\x1eabx:1\x1e"
	for size := 1; size <= len(text); size++ {
		var out bytes.Buffer
		var seen trailers
		f := newTrailerFilter(&out, nonce, &seen)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := f.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		f.flush()
		code, all := seen.get()
		if out.String() != want || !all || *code != 42 {
			t.Fatalf("writes of %d: %q, code %v %v", size, out.String(), code, all)
		}
	}
}

func TestSpoolKeepsOrderThroughMemoryAndFile(t *testing.T) {
	reader, writer := io.Pipe()
	s := NewSpool(writer)
	var want bytes.Buffer
	got := make(chan []byte)
	go func() {
		time.Sleep(200 * time.Millisecond)
		data, _ := io.ReadAll(reader)
		got <- data
	}()
	for i := range 3000 {
		p := bytes.Repeat([]byte{byte(i)}, 7000) // 21 MB: beyond memory
		want.Write(p)
		if _, err := s.Write(p); err != nil {
			t.Fatal(err)
		}
		if i == 2000 {
			time.Sleep(400 * time.Millisecond) // the reader catches up, and memory is used again
		}
	}
	if err := s.Close(nil); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if data := <-got; !bytes.Equal(data, want.Bytes()) {
		t.Errorf("%d bytes of %d, or another order", len(data), want.Len())
	}
}

func TestSpoolTellsThatItsReaderIsGone(t *testing.T) {
	reader, writer := io.Pipe()
	reader.CloseWithError(io.ErrClosedPipe)
	s := NewSpool(writer)
	s.Write([]byte("x"))
	if err := s.Close(nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("err %v", err)
	}
}

// A reader that pauses for longer than the line may be silent stops the command at last, and loses nothing. The line is
// not cut for that, and an end of the run is not held up.
func TestAReaderThatPausesStopsTheCommandAtLast(t *testing.T) {
	const size = 64 << 20 // more than the spool and all buffers of the connection hold
	block := bytes.Repeat([]byte("x"), 32<<10)
	var sent atomic.Int64
	c := execServer(t, func(conn *gorilla.Conn, n string) {
		for range size / len(block) {
			if conn.WriteMessage(gorilla.BinaryMessage, append([]byte{channelOut}, block...)) != nil {
				return
			}
			sent.Add(int64(len(block)))
		}
		trail(conn, n, 0)
		say(conn, channelStatus, success)
		bye(conn)
	})
	c.silence = 3 * time.Second // less, and a busy machine is silent by itself
	pipeReader, pipeWriter := io.Pipe()
	spool := NewSpool(pipeWriter)
	spool.bound = 1 << 20
	var held, n int64
	read := make(chan struct{})
	go func() {
		defer close(read)
		time.Sleep(1500 * time.Millisecond)
		held = sent.Load()
		n, _ = io.Copy(io.Discard, pipeReader)
	}()
	code, err := c.Exec(t.Context(), []string{"cmd"}, Streams{Out: spool})
	if err != nil || code != 0 {
		t.Fatalf("code %d, err %v", code, err)
	}
	if err := spool.Close(nil); err != nil {
		t.Fatal(err)
	}
	pipeWriter.Close()
	if <-read; n != size || held >= size {
		t.Errorf("read %d of %d, sent %d before the first byte was read", n, size, held)
	}
}

func TestAReaderThatPausesHoldsUpNoEnd(t *testing.T) {
	c := execServer(t, func(conn *gorilla.Conn, _ string) {
		for conn.WriteMessage(gorilla.BinaryMessage, append([]byte{channelOut}, make([]byte, 32<<10)...)) == nil {
		}
	})
	_, pipeWriter := io.Pipe() // nobody reads
	spool := NewSpool(pipeWriter)
	spool.bound = 1 << 20
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if _, err := c.Exec(ctx, []string{"cmd"}, Streams{Out: spool, Behind: []*Spool{spool}}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 4*time.Second {
		t.Errorf("err %v after %s", err, time.Since(began))
	}
}

// A disk that is full loses nothing, and keeps the order.
func TestASpoolWithoutADiskIsFullAndLosesNothing(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "no-such-directory"))
	reader, writer := io.Pipe()
	s := NewSpool(writer)
	var want bytes.Buffer
	for i := range 2000 {
		p := bytes.Repeat([]byte{byte(i)}, 7000) // 14 MB: beyond memory
		want.Write(p)
		if _, err := s.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	room := s.Room()
	if room == nil {
		t.Fatal("there is room")
	}
	got := make(chan []byte)
	go func() {
		data, _ := io.ReadAll(reader)
		got <- data
	}()
	<-room
	if err := s.Close(nil); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if data := <-got; !bytes.Equal(data, want.Bytes()) {
		t.Errorf("%d bytes of %d, or another order", len(data), want.Len())
	}
}
