package testkit

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
)

// Env is a cli.Env with captured streams: a pipe on every side, no environment, a fixed clock.
type Env struct {
	*cli.Env
	Stdout *bytes.Buffer
	Stderr *bytes.Buffer
}

// NewEnv makes an Env for the plugin called program ("kubectl nodeinfo").
func NewEnv(program string, now time.Time) Env {
	stdout, stderr := &bytes.Buffer{}, &bytes.Buffer{}
	return Env{
		Stdout: stdout, Stderr: stderr,
		Env: &cli.Env{
			Streams:   genericiooptions.IOStreams{In: bytes.NewReader(nil), Out: stdout, ErrOut: stderr},
			Program:   program,
			Build:     cli.Build{Version: "v0.0.0-test", Platform: "linux/amd64"},
			Now:       func() time.Time { return now },
			LookupEnv: func(string) (string, bool) { return "", false },
			Width:     func() int { return 0 },
		},
	}
}

// Stdin gives the command something to read.
func (e Env) Stdin(r io.Reader) Env {
	e.Streams.In = r
	return e
}

// Terminal makes every side a terminal of this width.
func (e Env) Terminal(width int) Env {
	e.InTTY, e.OutTTY, e.ErrTTY = true, true, true
	e.Width = func() int { return width }
	return e
}

// Run executes a command and gives its exit code.
func (e Env) Run(t testing.TB, newCommand func(*cli.Env) *cobra.Command, args ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return cli.Run(ctx, e.Env, newCommand(e.Env), args)
}
