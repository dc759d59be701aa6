package harness

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Watch is a command that prints until it is interrupted.
type Watch struct {
	command *exec.Cmd
	out     string // the file that it prints to
}

// Watch starts a command; it ends with the test at the latest.
func (c *Cluster) Watch(t testing.TB, name string, args ...string) *Watch {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	command := c.Command(ctx, name, args...)
	command.Stdout, command.Stderr = file, file
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait()
		file.Close()
	})
	return &Watch{command: command, out: file.Name()}
}

// Output is all that was printed so far, on both streams.
func (w *Watch) Output(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(w.out)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Await waits until a word was printed this often.
func (w *Watch) Await(t testing.TB, limit time.Duration, word string, times int) {
	t.Helper()
	Eventually(t, limit, func() (string, bool) {
		out := w.Output(t)
		return "no " + word + " in: " + tail(out), strings.Count(out, word) >= times
	})
}

// Interrupt does what Ctrl-C does, and fails the test unless the command ends as it should: with 130.
func (w *Watch) Interrupt(t testing.TB) {
	t.Helper()
	if err := w.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := w.command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("interrupted, it ends with %v\n%s", err, tail(w.Output(t)))
	}
}
