package runbooks

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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

func TestACancelledCallEnds(t *testing.T) {
	kubeconfig, asked, gone := stuck(t)
	c := client(t, "--kubeconfig", kubeconfig, "--timeout=1h")
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
	s := &caller{slots: make(chan struct{}, mostCalls)}
	for range mostCalls {
		if err := s.slot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.slot(ctx); err == nil || !strings.Contains(err.Error(), "4 other calls still run") {
		t.Error(err)
	}
}
