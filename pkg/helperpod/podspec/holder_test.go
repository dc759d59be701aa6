package podspec

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The holder is run by whatever sh an image has: busybox and bash know `read -t`, dash does not.
func TestHolderEndsWithItsLease(t *testing.T) {
	shells := map[string][]string{"dash": {"dash"}, "bash": {"bash"}, "busybox": {"busybox", "sh"}}
	for name, shell := range shells {
		if _, err := exec.LookPath(shell[0]); err != nil {
			t.Logf("%s is not here", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent := runHolder(t, shell, func(io.Writer) {})
			if silent < 1900*time.Millisecond || silent > 6*time.Second {
				t.Errorf("without a word it lived %s of a lease of 2s", silent)
			}
			beaten := runHolder(t, shell, func(w io.Writer) {
				for range 7 {
					fmt.Fprintln(w, "beat")
					time.Sleep(500 * time.Millisecond)
				}
			})
			if beaten < 4500*time.Millisecond {
				t.Errorf("it lived %s with heartbeats for 3.5s and a lease of 2s", beaten)
			}
			left := runHolder(t, shell, func(w io.Writer) { fmt.Fprintln(w, "bye") })
			if left > 1500*time.Millisecond {
				t.Errorf("it lived %s after the goodbye", left)
			}
		})
	}
}

func runHolder(t *testing.T, shell []string, talk func(io.Writer)) time.Duration {
	t.Helper()
	argv := HolderCommand(shell[0])[1:]
	argv[len(argv)-1] = "2"
	cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], argv...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	talk(in)
	err = cmd.Wait() // stdin stays open until then, as a runtime keeps it
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestHolderCommandTakesTheShellGiven(t *testing.T) {
	command := HolderCommand("/usr/bin/sh")
	if command[0] != "/usr/bin/sh" || command[len(command)-1] != "30" || !strings.Contains(command[2], "bye") {
		t.Errorf("%q", command)
	}
}
