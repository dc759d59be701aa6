package broken

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Fault is what becomes of the requests of one kind.
type Fault struct {
	Name string
	// before answers in the place of the real server, and says whether it is asked all the same. It is told how often this was asked.
	before func(w http.ResponseWriter, r *http.Request, times int) bool
	answer func(w http.ResponseWriter, r *http.Request, body []byte) // spoils the real answer
	stream func(w http.ResponseWriter, r *http.Request)              // spoils a watch or an upgrade
	// Harmless: the outcome must be that of a run without a fault.
	Harmless bool
	// Waits: the run waits until a limit of its own ends it.
	Waits bool
}

// Refuse answers with a Status.
func Refuse(code int, reason, message string, header ...string) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		_, _ = io.Copy(io.Discard, r.Body) // or the connection could not be used again
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
		return false
	}
}

func abort() { panic(http.ErrAbortHandler) }

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// part sends the first half of an answer that claims to be whole.
func part(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body[:len(body)/2])
	flush(w)
}

// switched agrees to an upgrade and then closes the connection; a watch gets half an event.
func switched(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		w.WriteHeader(http.StatusOK)
		fmt.Fprint(w, `{"type":"ADDED","object":{"kind":"Po`)
		flush(w)
		abort()
	}
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		abort()
	}
	fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_ = connection.Close()
}

func garbage(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(bytes.Repeat([]byte{0xff}, 64))
}

// Faults are all ways to misbehave.
func Faults() []Fault {
	hang := func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		_, _ = io.Copy(io.Discard, r.Body) // or the client's going would not be seen
		<-r.Context().Done()
		return false
	}
	return []Fault{
		{Name: "answers 0.2 s late", Harmless: true, before: func(http.ResponseWriter, *http.Request, int) bool {
			time.Sleep(200 * time.Millisecond)
			return true
		}},
		{Name: "429 once, with Retry-After", Harmless: true, before: func(w http.ResponseWriter, r *http.Request, times int) bool {
			return times > 1 || Refuse(429, "TooManyRequests", "slow down", "Retry-After", "1")(w, r, times)
		}},
		{Name: "hangs", Waits: true, before: hang},
		{Name: "drops the connection", Waits: true, before: func(http.ResponseWriter, *http.Request, int) bool { abort(); return false }},
		{Name: "reset in the middle", answer: func(w http.ResponseWriter, _ *http.Request, body []byte) { part(w, body); abort() }, stream: switched},
		{Name: "cut in the middle", answer: func(w http.ResponseWriter, _ *http.Request, body []byte) {
			flush(w) // without a length: the end looks like one
			_, _ = w.Write(body[:len(body)/2])
		}, stream: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }},
		{Name: "corrupt bytes", answer: func(w http.ResponseWriter, _ *http.Request, body []byte) {
			spoilt := slices.Clone(body)
			copy(spoilt[len(spoilt)/2:], bytes.Repeat([]byte{0xff}, len(spoilt)))
			_, _ = w.Write(spoilt)
		}, stream: garbage},
		{Name: "empty answer", answer: func(http.ResponseWriter, *http.Request, []byte) {}, stream: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
		}},
		{Name: "a login page", before: func(w http.ResponseWriter, r *http.Request, _ int) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>\n<body>Please log in</body>\n</html>")
			return false
		}},
		{Name: "one byte at a time", Waits: true, answer: func(w http.ResponseWriter, r *http.Request, body []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)+1000))
			for i := range body {
				_, _ = w.Write(body[i : i+1])
				flush(w)
				select {
				case <-r.Context().Done():
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
			<-r.Context().Done()
		}, stream: func(w http.ResponseWriter, r *http.Request) { hang(w, r, 1) }},
		{Name: "401", before: Refuse(401, "Unauthorized", "Unauthorized")},
		{Name: "403", before: Refuse(403, "Forbidden", `that is forbidden: User "u" cannot do that`)},
		{Name: "404", before: Refuse(404, "NotFound", "the server could not find the requested resource")},
		{Name: "409", before: Refuse(409, "Conflict", "the object has been modified")},
		{Name: "410", before: Refuse(410, "Expired", "the provided continue parameter is too old")},
		{Name: "429 for ever, with Retry-After", Waits: true, before: Refuse(429, "TooManyRequests", "slow down", "Retry-After", "1")},
		{Name: "429 for ever, Retry-After an hour", before: Refuse(429, "TooManyRequests", "slow down", "Retry-After", "3600")},
		{Name: "500", before: Refuse(500, "InternalError", "etcdserver: leader changed")},
		{Name: "503", before: Refuse(503, "ServiceUnavailable", "the server is currently unable to handle the request")},
		{Name: "504", before: Refuse(504, "Timeout", "the server was unable to return a response in the time allotted")},
	}
}
