package nodeshell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// stage is a moment in a session's life at which its client dies.
type stage struct {
	name    string
	args    func(mark int) []string
	tty     bool
	reached func(t *testing.T, c *harness.Cluster, namespace string, mark int) bool
}

func podIn(phase string) func(*testing.T, *harness.Cluster, string, int) bool {
	return func(t *testing.T, c *harness.Cluster, namespace string, _ int) bool {
		t.Helper()
		phases := c.MustKubectl(t, "get", "pods", "-n", namespace, "-l", "app.kubernetes.io/managed-by=kubectl-nodeshell", "-o", "jsonpath={.items[*].status.phase}")
		return phases == phase
	}
}

func marked(words string) func(*testing.T, *harness.Cluster, string, int) bool {
	return func(t *testing.T, c *harness.Cluster, _ string, mark int) bool {
		t.Helper()
		return processes(t, c, "w1", fmt.Sprintf(words, mark)) != ""
	}
}

// silentRegistry accepts connections and never answers: a pull from it goes on and on.
func silentRegistry(t *testing.T, c *harness.Cluster) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			if _, err := listener.Accept(); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	gateway := strings.Fields(c.OnNode(t, "w1", "ip", "-4", "route", "show", "default").Stdout)
	if len(gateway) < 3 {
		t.Fatalf("no default route on w1: %q", gateway)
	}
	return fmt.Sprintf("%s:%d/x:1", gateway[2], listener.Addr().(*net.TCPAddr).Port)
}

// However its client dies, and whenever: nothing is left a minute later, neither object nor process.
func TestNothingIsLeftBehind(t *testing.T) {
	c := cluster(t)
	image := silentRegistry(t, c)
	endless := "setsid nohup sleep %[1]d >/dev/null 2>&1 & while :; do echo x; sleep 1; done"
	stages := []stage{
		{"pulling", func(int) []string { return []string{"--image", image, "--", "true"} }, false, podIn("Pending")},
		{"command", func(mark int) []string { return []string{"--eval", fmt.Sprintf(endless, mark)} }, false, marked("sleep %d")},
		{"terminal", func(mark int) []string { return []string{"--eval", fmt.Sprintf(endless, mark)} }, true, marked("sleep %d")},
		{"capture", func(mark int) []string {
			return []string{"-w", "-", "--", fmt.Sprintf("ip or tcp port %d", mark%60000)}
		}, false, nil},
	}
	stages[3].reached = func(t *testing.T, c *harness.Cluster, _ string, mark int) bool {
		return strings.Contains(processes(t, c, "w1", "tcpdump"), fmt.Sprintf("tcp port %d", mark%60000))
	}
	ways := []string{"HUP", "INT", "TERM", "PIPE", "KILL", "CUT"}
	var wg sync.WaitGroup
	slots, pulls := make(chan struct{}, 6), make(chan struct{}, 1) // kubelets pull one image at a time
	mark := 700_000
	for _, s := range stages {
		for _, way := range ways {
			if way == "PIPE" && (s.tty || s.name == "pulling") {
				continue // no pipe that could close, and nothing written to it
			}
			mark++
			own := mark
			wg.Go(func() {
				queue := slots
				if s.name == "pulling" {
					queue = pulls
				}
				queue <- struct{}{}
				defer func() { <-queue }()
				t.Run(s.name+"/"+way, func(t *testing.T) { dies(t, c, s, way, own) })
			})
		}
	}
	wg.Wait()
}

// dies starts a session, ends its client at the stage, and looks for what is left.
func dies(t *testing.T, c *harness.Cluster, s stage, way string, mark int) {
	ns := c.Namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	args := append([]string{"nodeshell", "w1", "-n", ns}, s.args(mark)...)
	if s.name == "capture" {
		args = append([]string{"nodeshell", "capture", "node/w1", "-n", ns}, s.args(mark)...)
	}
	cmd := c.Command(ctx, "kubectl", args...)
	if s.tty {
		quoted := "exec kubectl"
		for _, a := range args {
			quoted += " '" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		cmd = c.Command(ctx, "script", "-qefc", quoted, "/dev/null")
		in, err := cmd.StdinPipe() // stays open: an end of input would end the terminal
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		return "the stage is not reached", s.reached(t, c, ns, mark)
	})
	end(t, cmd, s, way, func() { stdout.Close() })
	died := time.Now()
	harness.Eventually(t, time.Minute, func() (string, bool) {
		rest := left(t, c, ns)
		return fmt.Sprintf("after %s: %s\n%s", time.Since(died).Round(time.Second), rest, stderr.String()), rest == ""
	})
	processGone(t, c, "w1", fmt.Sprintf("sleep %d", mark), time.Minute-time.Since(died)+5*time.Second)
	if found := processes(t, c, "w1", "tcpdump"); strings.Contains(found, fmt.Sprintf("tcp port %d", mark%60000)) {
		t.Errorf("still there: %s", found)
	}
	t.Logf("clean %s after %s", time.Since(died).Round(100*time.Millisecond), way)
	if way == "CUT" {
		_ = cmd.Process.Signal(syscall.SIGCONT)
	}
	cancel()
	_ = cmd.Wait() // its code is not the matter here
}

// end lets the client die. A lost network is a client that is stopped: not a byte of it arrives any more.
func end(t *testing.T, cmd *exec.Cmd, s stage, way string, closePipe func()) {
	t.Helper()
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "CUT": syscall.SIGSTOP}
	if way == "PIPE" {
		closePipe()
		return
	}
	pid := cmd.Process.Pid
	if s.tty {
		pid = child(t, pid)
	}
	if err := syscall.Kill(pid, signals[way]); err != nil {
		t.Fatal(err)
	}
}

// child finds the client below script(1).
func child(t *testing.T, pid int) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "pid=", "--ppid", fmt.Sprint(pid)).Output()
	var found int
	if _, scanErr := fmt.Sscan(string(out), &found); err != nil || scanErr != nil {
		t.Fatalf("no client below script: %v %v", err, scanErr)
	}
	return found
}
