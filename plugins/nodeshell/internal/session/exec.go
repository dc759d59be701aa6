package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

var errTimeout = errors.New("--timeout has passed")

// killed is the code of a command that SIGKILL has ended.
const killed = 137

// exec runs the command until it ends, the time is over, the lease is lost or the user leaves.
func (r *running) exec(ctx context.Context, helper *helperpod.Helper, argv []string, stdout, stderr io.Writer) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if r.o.Timeout > 0 {
		timer := time.AfterFunc(r.o.Timeout, func() { cancel(errTimeout) })
		defer timer.Stop()
	}
	gone, why := helper.Lost()
	go func() {
		select {
		case <-gone:
			cancel(lost(why()))
		case <-ctx.Done():
		}
	}()
	local := helperpod.Streams{In: r.local.in, Out: stdout, Err: stderr, TTY: r.local.tty, Behind: r.behind}
	if r.local.script != nil {
		local.In = bytes.NewReader(r.local.script)
	}
	if r.local.tty {
		restore, err := r.terminal(ctx, &local, cancel)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	code, err := helper.Container().Exec(ctx, argv, local)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return 0, cause
	}
	if err == nil && code == killed || errors.Is(err, helperpod.ErrStatusUnknown) {
		switch why := helper.Outlived(ctx); {
		case why == nil, err != nil && errors.Is(why, helperpod.ErrLineLost): // the broken line says more
		default:
			return 0, lost(why)
		}
	}
	return code, err
}

// lost is the error of a command whose helper ended under it.
func lost(why error) error {
	return fmt.Errorf("%w; the helper pod was lost: %s", helperpod.ErrStatusUnknown, kube.OneLine(why))
}

// terminal makes the local terminal raw and connects keys, escapes and size.
func (r *running) terminal(ctx context.Context, local *helperpod.Streams, drop func(error)) (restore func(), err error) {
	local.Err = nil
	if !r.env.InTTY || r.env.Console.Raw == nil {
		return func() {}, nil
	}
	restore, err = r.env.Console.Raw()
	if err != nil {
		return nil, fmt.Errorf("the terminal cannot be set to raw mode: %w", err)
	}
	local.In = &escape{in: local.In, say: r.env.Streams.ErrOut, drop: drop}
	sizes := make(chan helperpod.Size)
	go func() {
		for size := range r.env.Console.Sizes(ctx.Done()) {
			select {
			case sizes <- helperpod.Size{Width: size.Width, Height: size.Height}:
			case <-ctx.Done():
				return
			}
		}
	}()
	local.Sizes = sizes
	return restore, nil
}
