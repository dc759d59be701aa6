package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// Main runs a plugin's command and gives the process's exit code.
func Main(newCommand func(*Env) *cobra.Command) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	// A reader that went away ends the run quietly, through an error from Write rather than by the signal.
	signal.Ignore(syscall.SIGPIPE)
	env := processEnv(quietPipe{os.Stdout, cancel})
	env.ownsProcess = true
	stop := catchSignals(cancel)
	defer stop()
	return Run(ctx, env, newCommand(env), os.Args[1:])
}

// Run executes a command in an environment and gives its exit code: what Main does, for tests.
func Run(ctx context.Context, env *Env, command *cobra.Command, args []string) int {
	Dress(env, command)
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	return exitCode(env, context.Cause(ctx), err)
}

// interrupted is the cause of a context that a signal has canceled.
type interrupted struct{ code int }

func (i interrupted) Error() string { return "interrupted" }

// together is within how much of each other two signals are one: timeout(1) sends its signal to the process and then to
// the whole group, and both arrive.
const together = 500 * time.Millisecond

// catchSignals cancels the run at the first signal, so that cleanup can run; after a moment signals have their default
// effect, so that a second one ends the process at once.
func catchSignals(cancel context.CancelCauseFunc) (stop func()) {
	codes := map[os.Signal]int{os.Interrupt: ExitInterrupted, syscall.SIGTERM: ExitTerminated, syscall.SIGHUP: 129}
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-caught:
			cancel(interrupted{codes[s]})
			select {
			case <-time.After(together):
				signal.Stop(caught)
			case <-done:
			}
		case <-done:
		}
	}()
	return func() {
		signal.Stop(caught)
		close(done)
	}
}

// errClosedPipe is the cause of a context that ended because nobody reads any more.
var errClosedPipe = errors.New("standard output was closed")

// quietPipe swallows writes to a closed pipe (head has read enough) and ends the run.
type quietPipe struct {
	w      io.Writer
	cancel context.CancelCauseFunc
}

func (p quietPipe) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		p.cancel(errClosedPipe)
		return len(b), nil
	}
	return n, err
}

func sanitize(s string) string { return output.Sanitize(s) }
