package cli

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// A library's log is no text of ours, unless it is asked for.
func TestTheLogIsQuietUnlessAskedFor(t *testing.T) {
	for args, want := range map[string]bool{"": false, "-v=1": true} {
		command := exec.Command(os.Args[0], strings.Fields(args)...)
		command.Env = append(os.Environ(), "CLI_TEST_PLAY=log")
		out, err := command.CombinedOutput()
		if got := strings.Contains(string(out), "a read was given up"); err != nil || got != want {
			t.Errorf("%q: %v, %q", args, err, out)
		}
	}
}

func TestDisplayName(t *testing.T) {
	tests := map[string]string{
		"/usr/bin/kubectl-nodeinfo":       "kubectl nodeinfo",
		"kubectl-rollout_explain":         "kubectl rollout-explain",
		"kubectl-dns.exe":                 "kubectl dns",
		"/opt/kubectl-node_health-check":  "kubectl node-health check",
		"/home/me/go/bin/nodeinfo.debug1": "nodeinfo.debug1",
	}
	for arg0, want := range tests {
		if got := displayName(arg0); got != want {
			t.Errorf("%s: got %q, want %q", arg0, got, want)
		}
		if got, file := fileName(want), strings.TrimSuffix(filepath.Base(arg0), ".exe"); got != file {
			t.Errorf("%s: the way back gives %q, want %q", want, got, file)
		}
	}
}

// The test binary plays a plugin when it is called back: it says that it runs and waits for its context.
func TestMain(m *testing.M) {
	switch os.Getenv("CLI_TEST_PLAY") {
	case "wait":
		os.Exit(Main(func(env *Env) *cobra.Command {
			return &cobra.Command{Use: "wait", RunE: func(c *cobra.Command, _ []string) error {
				env.Warn("running")
				<-c.Context().Done()
				env.Warn("cleaned up")
				return c.Context().Err()
			}}
		}))
	case "capture": // only an interrupt ends it, and it has last words
		os.Exit(Main(func(env *Env) *cobra.Command {
			return &cobra.Command{Use: "capture", RunE: func(c *cobra.Command, _ []string) error {
				env.Warn("running")
				<-c.Context().Done()
				time.Sleep(200 * time.Millisecond)
				env.Warn("3 packets")
				return ErrEnded
			}}
		}))
	case "log":
		os.Exit(Main(func(env *Env) *cobra.Command {
			command := &cobra.Command{Use: "log", RunE: func(*cobra.Command, []string) error {
				klog.ErrorS(nil, "a read was given up")
				return nil
			}}
			AddConnectionFlags(env, command)
			return command
		}))
	case "print":
		os.Exit(Main(func(env *Env) *cobra.Command {
			return &cobra.Command{Use: "print", RunE: func(c *cobra.Command, _ []string) error {
				for range 100_000 {
					if _, err := env.Streams.Out.Write([]byte("a line of a long report\n")); err != nil {
						return err
					}
				}
				return nil
			}}
		}))
	}
	os.Exit(m.Run())
}

func TestSignalsEndARunAfterCleanup(t *testing.T) {
	for signal, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		command := exec.CommandContext(ctx, os.Args[0])
		command.Env = append(os.Environ(), "CLI_TEST_PLAY=wait")
		stderr, err := command.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stderr)
		lines.Scan()
		if err := command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		lines.Scan()
		if lines.Text() != "cleaned up" || lines.Scan() {
			t.Errorf("%s: said %q", signal, lines.Text())
		}
		_ = command.Wait() // its code is looked at next
		if got := command.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: got %d, want %d", signal, got, want)
		}
	}
}

// timeout(1) sends its signal twice at once: that is one interrupt, and a command that only an interrupt ends has ended well.
func TestTwoSignalsTogetherAreOne(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 0, syscall.SIGTERM: 143} {
		command := exec.CommandContext(t.Context(), os.Args[0])
		command.Env = append(os.Environ(), "CLI_TEST_PLAY=capture")
		stderr, err := command.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stderr)
		lines.Scan()
		for range 2 {
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		lines.Scan()
		_ = command.Wait() // its code is looked at next
		if got := command.ProcessState.ExitCode(); lines.Text() != "3 packets" || got != want {
			t.Errorf("%s: said %q, code %d, want %d", signal, lines.Text(), got, want)
		}
	}
}

func TestAClosedPipeIsQuiet(t *testing.T) {
	command := exec.Command("bash", "-c", `set -o pipefail; "$0" | head -1; echo "code ${PIPESTATUS[0]}"`, os.Args[0])
	command.Env = append(os.Environ(), "CLI_TEST_PLAY=print")
	out, err := command.CombinedOutput()
	if want := "a line of a long report\ncode 0\n"; err != nil || string(out) != want {
		t.Errorf("got %q (%v), want %q", out, err, want)
	}
}
