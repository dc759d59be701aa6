// Package cli is the shell around every plugin's command: its display name, streams, terminal, clock and signals, the
// connection flags, help, and the one translation from an error to an exit code. Nothing else in the suite touches
// os.Args, os.Std*, the environment or signals.
package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/term"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// Env is what a command may know of the process it runs in. Tests build one by hand.
type Env struct {
	Streams   genericiooptions.IOStreams
	Program   string                          // as the user types it: "kubectl nodeinfo"
	Build     Build                           // of this binary
	Now       func() time.Time                // this machine's clock; ages are judged by the server's, see pkg/kube
	LookupEnv func(key string) (string, bool) // the environment
	InTTY     bool                            // a person types
	OutTTY    bool                            // a person reads standard output
	ErrTTY    bool                            // a person reads standard error
	Width     func() int                      // terminal columns now; 0 is unknown
	Console   Console                         // the terminal itself
	Unread    func() bool                     // nobody reads standard output any more; nil: that cannot be seen

	// FailureCode is the exit code for this plugin's own failures, wrong usage included. 0 is ExitError. A plugin that
	// passes on a remote command's code sets it, so that the two can be told apart.
	FailureCode int

	ownsProcess bool // the command is the process: its log may be set
}

// Build says what this binary is.
type Build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"goVersion"`
	Platform string `json:"platform"`
	ClientGo string `json:"clientGo"`
	Cobra    string `json:"cobra"`
}

// Out describes standard output for a --color mode.
func (e *Env) Out(mode output.ColorMode) output.Terminal { return e.terminal(e.OutTTY, mode) }

// Err describes standard error for a --color mode.
func (e *Env) Err(mode output.ColorMode) output.Terminal { return e.terminal(e.ErrTTY, mode) }

func (e *Env) terminal(tty bool, mode output.ColorMode) output.Terminal {
	name, _ := e.LookupEnv("TERM")
	t := output.Terminal{TTY: tty, Color: mode.Use(tty, e.LookupEnv), Cursor: tty && name != "dumb"}
	if tty && e.Width != nil {
		t.Width = e.Width()
	}
	return t
}

// longestLine and mostLines bound what an error may write: more than a screen is hostile or broken.
const (
	longestLine = 2000 // columns
	mostLines   = 50
)

// Warn writes one line to standard error, where errors of registries, webhooks and drivers are quoted, too: without what
// looks like a secret, and not without end.
func (e *Env) Warn(format string, args ...any) {
	fmt.Fprintln(e.Streams.ErrOut, output.Truncate(mask.Short(fmt.Sprintf(format, args...), longestLine), longestLine))
}

// UserAgent names the binary to the API server, e.g. "kubectl-nodeinfo/v0.1.0 (linux/amd64)".
func (e *Env) UserAgent() string {
	name := strings.ReplaceAll(e.Program, " ", "-")
	return fmt.Sprintf("%s/%s (%s)", name, e.Build.Version, e.Build.Platform)
}

func processEnv(out io.Writer) *Env {
	return &Env{
		Streams:   genericiooptions.IOStreams{In: os.Stdin, Out: out, ErrOut: os.Stderr},
		Program:   displayName(os.Args[0]),
		Build:     readBuild(),
		Now:       time.Now,
		LookupEnv: os.LookupEnv,
		InTTY:     term.IsTerminal(os.Stdin),
		OutTTY:    term.IsTerminal(os.Stdout),
		ErrTTY:    term.IsTerminal(os.Stderr),
		Width:     terminalWidth,
		Console:   processConsole(),
		Unread:    unread,
	}
}

func terminalWidth() int {
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if size := (term.TTY{Out: f}).GetSize(); size != nil {
			return int(size.Width)
		}
	}
	return 0
}

// displayName is how the user called the binary: kubectl-rollout_explain becomes "kubectl rollout-explain". krew may
// install a plugin under another name, and kubectl turns "-" into a space and "_" into "-"
// (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/#naming-a-plugin).
func displayName(arg0 string) string {
	name := strings.TrimSuffix(filepath.Base(arg0), ".exe")
	plugin, ok := strings.CutPrefix(name, "kubectl-")
	if !ok {
		return name
	}
	plugin = strings.ReplaceAll(plugin, "-", " ")
	return "kubectl " + strings.ReplaceAll(plugin, "_", "-")
}

// fileName is the file that kubectl runs for a display name: what displayName took apart.
func fileName(program string) string {
	words, ok := strings.CutPrefix(program, "kubectl ")
	if !ok {
		return program
	}
	return "kubectl-" + strings.ReplaceAll(strings.ReplaceAll(words, "-", "_"), " ", "-")
}

// Set by the linker (-X) where a binary is built from a checkout; empty in one that `go install` built.
var version, commit string

func readBuild() Build {
	b := Build{Version: "unknown", Commit: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	for _, d := range info.Deps {
		switch d.Path {
		case "k8s.io/client-go":
			b.ClientGo = d.Version
		case "github.com/spf13/cobra":
			b.Cobra = d.Version
		}
	}
	b.Version, b.Commit = cmp.Or(version, b.Version), cmp.Or(commit, b.Commit)
	return b
}
