package runbooks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// said is a line of the server.
type said struct {
	Version string          `json:"jsonrpc"`
	ID      any             `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

const hello = `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` +
	"\n" + `{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"

// replay gives the server all input at once, and what it says to it, by id.
func replay(t *testing.T, kubeconfig, input string) map[string][]said {
	t.Helper()
	env := testkit.NewEnv("kubectl runbooks", now)
	env.Now = time.Now
	env.Streams.In = strings.NewReader(input)
	if code := cli.Run(context.Background(), env.Env, New(env.Env), []string{"mcp", "--kubeconfig", kubeconfig}); code != 0 {
		t.Errorf("exit %d: %s", code, env.Stderr.String())
	}
	all := map[string][]said{}
	for line := range strings.Lines(env.Stdout.String()) {
		var s said
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Version != "2.0" {
			t.Fatalf("not the protocol: %v: %s", err, line)
		}
		all[fmt.Sprint(s.ID)] = append(all[fmt.Sprint(s.ID)], s)
	}
	return all
}

func TestCallsBeforeTheEndOfTheInputAreAnswered(t *testing.T) {
	var input strings.Builder
	input.WriteString(hello)
	const calls = 3 * mostCalls // some wait for a slot
	for i := range calls {
		fmt.Fprintf(&input, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"triage","arguments":{}}}`+"\n", i)
	}
	input.WriteString(`{"jsonrpc":"2.0","id":"last","method":"ping"}`) // and no end of the line
	all := replay(t, server(t).Kubeconfig(t), input.String())
	for i := range calls {
		if got := all[fmt.Sprint(i)]; len(got) != 1 || !strings.Contains(string(got[0].Result), "KubeletNotReporting") {
			t.Errorf("call %d: %d answers", i, len(got))
		}
	}
	if got := all["last"]; len(got) != 1 || string(got[0].Result) != "{}" {
		t.Errorf("ping: %+v", got)
	}
}

func TestWhatIsNoMessageEndsNothing(t *testing.T) {
	all := replay(t, server(t).Kubeconfig(t), hello+strings.Join([]string{
		`garbage`,
		``,
		`{"jsonrpc":"2.0","id":1,"method":`,
		strings.Repeat("[", 1<<19),
		`{"jsonrpc":"1.0","id":7,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}`,
		`[{"jsonrpc":"2.0","id":"batch","method":"ping"}]`,
		`{"jsonrpc":"2.0","id":"long","method":"ping","params":{"a":"` + strings.Repeat("a", mostMessage) + `"}}`,
		`{"jsonrpc":"2.0","id":"method","method":"nope"}`,
		`{"jsonrpc":"2.0","id":"tool","method":"tools/call","params":{"name":"nodeshell","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":"type","method":"tools/call","params":{"name":"nodeinfo","arguments":{"names":"w1"}}}`,
		`{"jsonrpc":"2.0","id":"ping","method":"ping"}`,
	}, "\r\n")+"\n")
	var codes []int
	for _, s := range all["<nil>"] {
		codes = append(codes, s.Error.Code)
	}
	if got := fmt.Sprint(codes); got != "[-32700 -32700 -32700 -32600 -32600 -32600]" {
		t.Error(got)
	}
	for id, code := range map[string]int{"7": -32600, "method": -32601, "tool": -32602} {
		if got := all[id]; len(got) != 1 || got[0].Error == nil || got[0].Error.Code != code || strings.Contains(got[0].Error.Message, "\n") {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if got := all["type"]; len(got) != 1 || !strings.Contains(string(got[0].Result), `"isError":true`) {
		t.Errorf("a text for a list: %+v", got)
	}
	if got := all["ping"]; len(got) != 1 || got[0].Error != nil {
		t.Errorf("ping: %+v", got)
	}
}

func TestTheVersionOfTheProtocolIsAgreed(t *testing.T) {
	for asked, want := range map[string]string{"2024-11-05": "2024-11-05", "2025-06-18": "2025-06-18", "1999-01-01": "2025-11-25"} {
		all := replay(t, server(t).Kubeconfig(t), strings.Replace(hello, "2025-06-18", asked, 1))
		if got := all["hello"]; len(got) != 1 || !strings.Contains(string(got[0].Result), `"protocolVersion":"`+want+`"`) {
			t.Errorf("%s: %+v", asked, got)
		}
	}
}

// stuck is an API server that never answers; the channel tells of requests that were given up.
func stuck(t *testing.T) (kubeconfig string, asked, gone chan struct{}) {
	t.Helper()
	asked, gone = make(chan struct{}, 1000), make(chan struct{}, 1000)
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
			gone <- struct{}{}
		case <-end:
		}
	}))
	t.Cleanup(func() {
		close(end)
		s.Close()
	})
	return testkit.Kubeconfig(t, s.URL, "test-token"), asked, gone
}

// cancellations counts the calls that a client has told the server to end: the SDK tells it some time after the call is back.
type cancellations struct {
	io.WriteCloser

	told chan struct{}
}

func (c cancellations) Write(b []byte) (int, error) {
	n, err := c.WriteCloser.Write(b)
	if bytes.Contains(b, []byte(`"notifications/cancelled"`)) { //nolint:misspell // the name of the method
		c.told <- struct{}{}
	}
	return n, err
}

func TestACancelledCallEnds(t *testing.T) {
	kubeconfig, asked, gone := stuck(t)
	told := make(chan struct{}, 100)
	c := clientThat(t, nil, func(w io.WriteCloser) io.WriteCloser { return cancellations{w, told} }, "--kubeconfig", kubeconfig, "--timeout=1h")
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range 2 * mostCalls { // the half of them waits for a slot
		wait.Go(func() {
			if _, err := c.CallTool(ctx, &mcp.CallToolParams{Name: "nodeinfo"}); err == nil {
				t.Error("a call that nobody answers is answered")
			}
		})
	}
	<-asked
	cancel()
	wait.Wait()
	for range 2 * mostCalls { // at the end of the input the server would wait for a call that nobody has ended
		<-told
	}
	<-gone
	if _, text, failed := ask(t, c, "explain_code", map[string]any{"code": "KubeletNotReporting"}); failed {
		t.Error(text)
	}
}

func TestACallEndsAtItsTimeout(t *testing.T) {
	kubeconfig, _, _ := stuck(t)
	c := client(t, "--kubeconfig", kubeconfig, "--timeout=200ms")
	for _, tool := range []string{"nodeinfo", "dns_check", "rollout_explain", "triage"} {
		if _, text, failed := ask(t, c, tool, nil); !failed || strings.Contains(text, "\n") {
			t.Errorf("%s: %s", tool, text)
		}
	}
}

// The client has gone, and a call was canceled: nothing is left to wait for.
func TestACancelledCallIsNotAwaitedAtTheEnd(t *testing.T) {
	kubeconfig, asked, _ := stuck(t)
	env := testkit.NewEnv("kubectl runbooks", now)
	in, toServer := io.Pipe()
	fromServer, out := io.Pipe()
	env.Streams.In, env.Streams.Out = in, out
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(context.Background(), env.Env, New(env.Env), []string{"mcp", "--kubeconfig", kubeconfig, "--timeout=1h"})
	}()
	go func() { // what is said is read
		for lines := bufio.NewScanner(fromServer); lines.Scan(); {
			continue
		}
	}()
	write := func(text string) {
		if _, err := io.WriteString(toServer, text); err != nil {
			t.Error(err)
		}
	}
	write(hello + `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nodeinfo","arguments":{}}}` + "\n")
	<-asked
	write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\n") //nolint:misspell // the name of the method
	if err := toServer.Close(); err != nil {
		t.Error(err)
	}
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit %d: %s", code, env.Stderr.String())
		}
	case <-time.After(20 * time.Second):
		t.Error("still waiting")
	}
}

func TestCallsBeyondTheSlotsWait(t *testing.T) {
	slots := make(chan struct{}, mostCalls)
	for range mostCalls {
		slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := within(ctx, slots, func() (int, error) { return 1, nil })
	if err == nil || !strings.Contains(err.Error(), "4 other calls still run") {
		t.Error(err)
	}
}

func TestALongCallTellsThatItRuns(t *testing.T) {
	kubeconfig, _, _ := stuck(t)
	told := make(chan *mcp.ProgressNotificationParams, 100)
	options := &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { told <- r.Params }}
	limit := progressInterval + time.Second
	c := clientThat(t, options, func(w io.WriteCloser) io.WriteCloser { return w }, "--kubeconfig", kubeconfig, "--timeout="+limit.String())
	p := &mcp.CallToolParams{Name: "triage"}
	p.SetProgressToken("token")
	if r, err := c.CallTool(t.Context(), p); err != nil || !r.IsError {
		t.Errorf("%v %+v", err, r)
	}
	select {
	case got := <-told:
		if got.ProgressToken != "token" || got.Progress != 2 || got.Total != limit.Seconds() || got.Message != "reading the cluster for 2s; the limit is 3s" {
			t.Errorf("%+v", got)
		}
	default:
		t.Error("nothing was told")
	}
	if _, _, failed := ask(t, c, "nodeinfo", nil); !failed || len(told) > 0 {
		t.Errorf("%d told of a call that did not ask for it", len(told))
	}
}

// What was read by the end of a call is its answer, and what was not is stated.
func TestACallThatTakesTooLongAnswersWithWhatItHas(t *testing.T) {
	whole := server(t)
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/apis/apps/") || r.URL.Path == "/api/v1/services" {
			select {
			case <-r.Context().Done():
			case <-end:
			}
			return
		}
		whole.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		close(end)
		s.Close()
	})
	c := client(t, "--kubeconfig", testkit.Kubeconfig(t, s.URL, "test-token"), "--timeout=1500ms")
	for tool, want := range map[string]string{"triage": `"code":"KubeletNotReporting"`, "changes": "Ready became Unknown", "nodeinfo": `"code":"KubeletNotReporting"`} {
		got, text, failed := ask(t, c, tool, nil)
		if failed || !strings.Contains(text, want) || !strings.Contains(text, `"sources":`) {
			t.Errorf("%s: %s", tool, text)
		}
		if tool != "nodeinfo" && (got.Complete || len(got.NotChecked) == 0) {
			t.Errorf("%s: a gap is not stated: %s", tool, text)
		}
	}
}

// process is the command as a process of its own.
func process(t *testing.T, kubeconfig string, args ...string) (command *exec.Cmd, in io.WriteCloser, out io.ReadCloser) {
	t.Helper()
	command = exec.Command(os.Args[0], append([]string{"mcp", "--kubeconfig", kubeconfig}, args...)...)
	command.Env = append(os.Environ(), playEnv+"=1")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if out, err = command.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() }) //nolint:errcheck // it has ended
	if _, err := io.WriteString(in, hello+`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"triage","arguments":{}}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	return command, in, out
}

// playEnv makes the test binary play the command.
const playEnv = "RUNBOOKS_TEST_PLAY"

func TestMain(m *testing.M) {
	if os.Getenv(playEnv) != "" {
		os.Exit(cli.Main(New))
	}
	os.Exit(m.Run())
}

// A client that has gone, or that wants an end, has one soon, whatever the limit of the call that it leaves behind.
func TestAClientThatLeavesEndsTheServer(t *testing.T) {
	for name, leave := range map[string]func(command *exec.Cmd, in, out io.Closer) []error{
		"it closes both sides": func(_ *exec.Cmd, in, out io.Closer) []error { return []error{in.Close(), out.Close()} },
		"it sends a signal": func(command *exec.Cmd, _, _ io.Closer) []error {
			return []error{command.Process.Signal(syscall.SIGTERM)}
		},
		"it closes one side, and sends a signal": func(command *exec.Cmd, in, _ io.Closer) []error {
			return []error{in.Close(), command.Process.Signal(syscall.SIGTERM)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			kubeconfig, asked, gone := stuck(t)
			command, in, out := process(t, kubeconfig, "--timeout=1h")
			<-asked
			began := time.Now()
			if err := errors.Join(leave(command, in, out)...); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			select {
			case err := <-ended:
				var exit *exec.ExitError
				if code := command.ProcessState.ExitCode(); err != nil && !errors.As(err, &exit) || code != 0 && code != 143 {
					t.Errorf("%v, exit %d", err, code)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it still runs")
			}
			<-gone // the request was given up
			t.Logf("after %s", time.Since(began).Round(time.Millisecond))
		})
	}
}

// Nothing of a session is left in a program that has one.
func TestNoGoroutineOutlivesASession(t *testing.T) {
	kubeconfig, asked, _ := stuck(t)
	before := goroutines()
	for _, end := range []string{`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}` + "\n", ""} { //nolint:misspell // the name of the method
		env := testkit.NewEnv("kubectl runbooks", now)
		in, toServer := io.Pipe()
		env.Streams.In = in
		var left atomic.Bool
		env.Unread = left.Load
		ended := make(chan int, 1)
		go func() {
			ended <- cli.Run(context.Background(), env.Env, New(env.Env), []string{"mcp", "--kubeconfig", kubeconfig, "--timeout=1h"})
		}()
		call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"triage","arguments":{},"_meta":{"progressToken":1}}}` + "\n"
		if _, err := io.WriteString(toServer, hello+call); err != nil {
			t.Fatal(err)
		}
		<-asked
		left.Store(end == "")
		if _, err := io.WriteString(toServer, end); err != nil {
			t.Fatal(err)
		}
		if err := toServer.Close(); err != nil {
			t.Fatal(err)
		}
		if code := <-ended; code != 0 {
			t.Errorf("exit %d: %s", code, env.Stderr.String())
		}
		running := "?"
		for deadline := time.Now().Add(20 * time.Second); running != "" && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			running = ours(before)
		}
		if running != "" {
			t.Errorf("left behind after %q:\n%s", end, running)
		}
	}
}

// goroutines are the stacks of those that there are, by the name of the goroutine.
func goroutines() map[string]string {
	stacks := make([]byte, 4<<20)
	list := map[string]string{}
	for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		name, _, _ := strings.Cut(g, " [")
		list[name] = g
	}
	return list
}

// ours are the goroutines that there were not before, in which code of the command, of its reads or of the protocol runs.
func ours(before map[string]string) string {
	var list []string
	for name, g := range goroutines() {
		if before[name] == "" && (strings.Contains(g, "kubectl-runbooks/") || strings.Contains(g, "go-sdk")) {
			list = append(list, g)
		}
	}
	return strings.Join(list, "\n\n")
}

// client-go awaits a credential plugin without a limit, such as one that waits for a person: the call ends, and keeps its slot.
func TestACallThatCannotBeEndedDoesNotHoldUpItsClient(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	slots := make(chan struct{}, 1)
	_, err := within(ctx, slots, func() (int, error) {
		<-release
		return 1, nil
	})
	if err == nil || !strings.Contains(err.Error(), "a credential plugin of the kubeconfig may be waiting") || len(slots) != 1 {
		t.Errorf("%v, %d slots taken", err, len(slots))
	}
}
