// Command gotest runs go test with its arguments and prints what go test prints, and besides each skipped test with its
// reason, which go test keeps to itself. The linter vets, not this. With CI=true on Linux as root a skipped test is a failure: everything can run there.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

func main() {
	strict := os.Getenv("CI") == "true" && runtime.GOOS == "linux" && os.Geteuid() == 0
	os.Exit(run(os.Args[1:], os.Stdout, strict))
}

// run gives the exit code.
func run(args []string, out io.Writer, strict bool) int {
	command := exec.Command("go", append([]string{"test", "-json", "-vet=off"}, args...)...)
	command.Stderr = os.Stderr
	events, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		return 1
	}
	skipped := report(events, out, slices.Contains(args, "-v"))
	if err := command.Wait(); err != nil {
		return 1
	}
	if strict && skipped > 0 {
		fmt.Fprintf(out, "FAIL: %d skipped, and with CI=true on Linux as root nothing may be\n", skipped)
		return 1
	}
	return 0
}

// event is one line of go test -json (https://pkg.go.dev/cmd/test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// report prints the events of a run, with all that tests say if it is verbose, and counts the tests that were skipped.
func report(events io.Reader, out io.Writer, verbose bool) (skipped int) {
	said := map[[2]string]*strings.Builder{} // by package and test; the package's own lines have no test
	whole := map[string]*strings.Builder{}   // by package: the report of a data race stands where the detector happened to be
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // not an event: go itself speaks
			continue
		}
		id := [2]string{e.Package, e.Test}
		if said[id] == nil {
			said[id] = &strings.Builder{}
		}
		if e.Action == "build-output" {
			io.WriteString(out, e.Output) //nolint:errcheck // the terminal is gone
			continue
		}
		if verbose {
			io.WriteString(out, e.Output) //nolint:errcheck // the terminal is gone
		}
		switch e.Action {
		case "output":
			said[id].WriteString(e.Output)
			if whole[e.Package] == nil {
				whole[e.Package] = &strings.Builder{}
			}
			whole[e.Package].WriteString(e.Output)
		case "skip":
			if e.Test != "" {
				skipped++
				fmt.Fprintf(out, "skipped: %s %s: %s\n", e.Package, e.Test, reason(said[id].String()))
			}
			delete(said, id)
		case "fail":
			switch {
			case verbose:
			case e.Test == "" && strings.Contains(text(whole[e.Package]), "DATA RACE"):
				io.WriteString(out, text(whole[e.Package])) //nolint:errcheck // the terminal is gone
			default:
				io.WriteString(out, unended(said, e)+said[id].String()) //nolint:errcheck // the terminal is gone
			}
			delete(said, id)
		case "pass":
			if e.Test == "" && !verbose {
				io.WriteString(out, verdict(said[id].String())) //nolint:errcheck // the terminal is gone
			}
			delete(said, id)
		}
	}
	return skipped
}

// unended is what the tests said that had not ended when their package failed: its time limit, a panic or an exit ends them without an
// event of their own.
func unended(said map[[2]string]*strings.Builder, failed event) string {
	if failed.Test != "" {
		return ""
	}
	var all []string
	for id, words := range said {
		if id[0] == failed.Package && id[1] != "" {
			all = append(all, words.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func text(b *strings.Builder) string {
	if b == nil {
		return ""
	}
	return b.String()
}

// reason is what a test said before it was skipped: "file_test.go:12: why".
func reason(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, " ")
}

// verdict is the line of a package that passed: "ok  	package	0.1s".
func verdict(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "ok ") {
			return line
		}
	}
	return ""
}
