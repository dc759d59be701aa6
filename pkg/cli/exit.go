package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// The exit codes of the suite. nodeshell alone passes on the remote command's own.
const (
	ExitOK          = 0
	ExitError       = 1   // usage, connection, authorisation, internal error, or a named object is missing
	ExitThreshold   = 3   // --fail-on reached, --expect not met, --wait ended in failure
	ExitIncomplete  = 4   // --require-complete, and a source was unreadable
	ExitTimeout     = 5   // timed out
	ExitPaused      = 6   // --wait found a rollout on hold
	ExitSuperseded  = 7   // --wait superseded by a newer change
	ExitInterrupted = 130 // after cleanup
	ExitTerminated  = 143 // after cleanup
)

// Exit is an error that chooses the exit code. With a nil Err nothing is printed: the report has said it.
type Exit struct {
	Code int
	Err  error
}

func (e Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e Exit) Unwrap() error { return e.Err }

// ErrEnded is the end of a command that only an interrupt ends, such as a capture: all of its work is done, and the exit
// code is 0.
var ErrEnded = errors.New("ended by an interrupt")

// usageError is wrong input; the hint to --help follows it.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Usage makes an error of wrong input. Several (errors.Join) are printed one a line.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// IsUsage says that an error is one of wrong input.
func IsUsage(err error) bool {
	var usage usageError
	return errors.As(err, &usage)
}

// exitCode prints what has to be said about the end of a run, and gives its code.
func exitCode(env *Env, cause, err error) int {
	var (
		signal interrupted
		exit   Exit
		usage  usageError
	)
	if errors.As(cause, &signal) {
		if signal.code == ExitInterrupted && errors.Is(err, ErrEnded) {
			return ExitOK
		}
		return signal.code
	}
	if errors.Is(cause, errClosedPipe) && (err == nil || errors.Is(err, context.Canceled)) {
		return ExitOK
	}
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &exit):
		if exit.Err != nil {
			printError(env, exit.Err)
		}
		return exit.Code
	case errors.As(err, &usage):
		printError(env, err)
		env.Warn("See '%s --help'.", env.Program)
		return failureCode(env, ExitError)
	case errors.Is(err, context.DeadlineExceeded):
		printError(env, kube.Explain(err))
		return failureCode(env, ExitTimeout)
	}
	printError(env, kube.Explain(err))
	return failureCode(env, ExitError)
}

func failureCode(env *Env, code int) int {
	if env.FailureCode != 0 {
		return env.FailureCode
	}
	return code
}

func printError(env *Env, err error) {
	lines := slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	for _, line := range lines[:min(len(lines), mostLines)] {
		env.Warn("error: %s", sanitize(strings.TrimSpace(line)))
	}
	if more := len(lines) - mostLines; more > 0 {
		env.Warn("error: … and %d more lines", more)
	}
}
