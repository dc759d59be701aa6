// Package faults runs every plugin against API servers that misbehave: whatever comes back, the answer is one clear line
// and the exit code of the contract, in bounded time, and never a verdict.
package faults

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks"
)

// breakage is what a server answers every request with.
type breakage struct {
	name   string
	answer http.HandlerFunc
	says   string // in the line on stderr, where one wording is right for every command
	// A report may be made of nothing, if it says so: a permission that lacks is a stated gap.
	partial bool
	silent  bool // no answer ever comes
}

func faults() []breakage {
	status := func(code int, reason, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
		}
	}
	return []breakage{
		{name: "hangs", silent: true, answer: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the client's going would not be seen
			<-r.Context().Done()
		}},
		{name: "closes the connection", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "fails (500)", answer: status(500, "InternalError", "etcdserver: leader changed"), says: "leader changed"},
		{name: "is unavailable (503)", answer: status(503, "ServiceUnavailable", "the server is currently unable to handle the request")},
		{name: "refuses the credentials", answer: status(401, "Unauthorized", "Unauthorized"), says: "credentials"},
		{name: "forbids everything", answer: status(403, "Forbidden", `everything is forbidden: User "u" cannot do anything`), partial: true},
		{name: "is a login page", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>\n<body>Please log in</body>\n</html>")
		}},
		{name: "ends in the middle of an answer", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"kind":"List","apiVersion":"v1","items":[{"metadata":{"na`)
		}},
		{name: "answers with something else", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"kind":"Widget","apiVersion":"example.test/v1"}`)
		}},
	}
}

// verdicts are the words that must not be said of what was not read.
var verdicts = []string{"Healthy", "Degraded", "Unhealthy", "Complete", "Progressing", "Stuck", "Failed"}

// command is one run of a plugin.
type command struct {
	program string
	plugin  func(*cli.Env) *cobra.Command
	args    string
	fails   int // the exit code of a failure of its own
}

func TestAServerThatMisbehavesIsNamedAndNothingIsJudged(t *testing.T) {
	commands := []command{
		{"kubectl nodeinfo", nodeinfo.New, "", cli.ExitError},
		{"kubectl nodeinfo", nodeinfo.New, "w1", cli.ExitError},
		{"kubectl nodeinfo", nodeinfo.New, "-o json", cli.ExitError},
		{"kubectl dns", dns.New, "status", cli.ExitError},
		{"kubectl dns", dns.New, "check", cli.ExitError},
		{"kubectl dns", dns.New, "verify", cli.ExitError},
		{"kubectl dns", dns.New, "pod web", cli.ExitError},
		{"kubectl rollout-explain", rolloutexplain.New, "", cli.ExitError},
		{"kubectl rollout-explain", rolloutexplain.New, "deployment/web", cli.ExitError},
		{"kubectl rollout-explain", rolloutexplain.New, "deployment/web --wait", cli.ExitError},
		{"kubectl runbooks", runbooks.New, "", cli.ExitError},
		{"kubectl nodeinfo", nodeinfo.New, "--paths", cli.ExitError},
		{"kubectl nodeinfo", nodeinfo.New, "--drain w1", cli.ExitError},
		{"kubectl nodeshell", nodeshell.New, "w1 -- true", 125},
		{"kubectl nodeshell", nodeshell.New, "w1 --dry-run", 125},
		{"kubectl nodeshell", nodeshell.New, "cleanup -A --dry-run", 125},
		{"kubectl nodeshell", nodeshell.New, "capture pod/web -w -", 125},
	}
	var all sync.WaitGroup // not t.Parallel: it runs as many at a time as there are processors, and these wait
	for _, f := range faults() {
		server := httptest.NewServer(f.answer)
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		kubeconfig := testkit.Kubeconfig(t, server.URL, "token")
		for _, c := range commands {
			all.Go(func() {
				t.Run(f.name+"/"+strings.TrimPrefix(c.program, "kubectl ")+" "+c.args, func(t *testing.T) { answers(t, f, c, kubeconfig) })
			})
		}
	}
	all.Wait()
}

func answers(t *testing.T, f breakage, c command, kubeconfig string) {
	env := testkit.NewEnv(c.program, time.Now())
	env.Now = time.Now
	// Short for a server that says nothing: what another one answers is to be told, however late a busy machine gets to it.
	read, whole := "20s", "15s"
	if f.silent {
		read, whole = "2s", "4s"
	}
	args := append([]string{"--kubeconfig", kubeconfig, "--request-timeout=" + read}, strings.Fields(c.args)...)
	if strings.Contains(c.args, "--wait") {
		args = append(args, "--timeout="+whole)
	}
	began := time.Now()
	code := env.Run(t, c.plugin, args...)
	stdout, stderr := env.Stdout.String(), env.Stderr.String()
	if f.partial && strings.HasPrefix(stdout, "Unknown: ") && code == 0 {
		return // a report that says of each source that it may not be read
	}
	if code != c.fails && code != cli.ExitTimeout {
		t.Errorf("exit %d", code)
	}
	if n := strings.Count(stderr, "\n"); n < 1 || n > 2 || !strings.Contains(stderr, f.says) || strings.Contains(stderr, "goroutine") {
		t.Errorf("stderr has %d lines, or lacks %q:\n%s", n, f.says, stderr)
	}
	for _, word := range verdicts {
		if strings.Contains(stdout, word) {
			t.Errorf("judged without having read: %s", stdout)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}
