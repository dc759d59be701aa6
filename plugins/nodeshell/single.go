package nodeshell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// inout says which local streams a command gets.
type inout struct {
	tty         bool
	in          io.Reader // nil: none
	interpreter []string  // of a script, which is then in
	script      []byte
	collects    bool // output is kept, prefixed or folded, not passed on as it comes
}

// prepare decides on terminal and standard input.
func (r *runner) prepare(o Options, nodes int) (*inout, error) {
	x := &inout{collects: nodes > 1 || o.Format.Structured() && o.DryRun == "none"}
	if o.Script != "" {
		argv, script, err := o.interpreter(r.env)
		if err != nil {
			return nil, err
		}
		x.interpreter, x.script = argv, script
		return x, nil
	}
	terminal := r.env.InTTY && r.env.OutTTY
	x.tty = o.TTY == "true" || o.TTY == "auto" && terminal && !x.collects
	switch {
	case x.tty && x.collects:
		return nil, cli.Usage(errors.New("--tty is for one node, and not with -o"))
	case o.Stdin == "true" || x.tty && o.Stdin == "auto":
		x.in = r.env.Streams.In
	case o.Stdin == "auto" && nodes == 1:
		x.in = r.stdin()
	}
	if x.in != nil && nodes > 1 {
		return nil, cli.Usage(errors.New("--stdin is for one node: use --script for several"))
	}
	if o.shell() && nodes > 1 {
		return nil, cli.Usage(fmt.Errorf("a shell is for one node, and these are %d: give a command after --", nodes))
	}
	if o.shell() && x.in == nil && o.DryRun == "none" {
		return nil, cli.Usage(errors.New("a shell needs a terminal: give a command after --, or pipe one in with -i"))
	}
	return x, nil
}

// stdin gives standard input where it was meant for the command. Input that waits for somebody else is said to be left.
func (r *runner) stdin() io.Reader {
	if r.env.Console.Stdin == nil {
		return nil
	}
	in := r.env.Console.Stdin()
	if in.Holder != "" {
		r.env.Warn(fmt.Sprintf("standard input is left to the calling %s; -i passes it to the command", in.Holder))
	}
	if !in.Given {
		return nil
	}
	return r.env.Streams.In
}

var errTimeout = errors.New("--timeout is over")

// single runs on one node, with the local streams passed through.
func (r *runner) single(ctx context.Context, o Options, p planned, x *inout) error {
	if p.Verdict == report.Refused {
		return r.refusal(p.Plan)
	}
	r.notices(p.Findings)
	stdout := helperpod.NewSpool(r.env.Streams.Out)
	stderr := helperpod.NewSpool(r.env.Streams.ErrOut)
	code, err := r.onNode(ctx, o, p, x, stdout, stderr)
	// The helper is gone; a reader that is slow may take its time.
	for _, s := range []sink{stdout, stderr} {
		if closeErr := s.Close(ctx.Done()); closeErr != nil && err == nil && ctx.Err() == nil {
			err = fmt.Errorf("output is incomplete: %w", closeErr)
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errTimeout):
		return cli.Exit{Code: timedOut, Err: fmt.Errorf("the command did not end within %s and was killed", o.Timeout)}
	case err != nil:
		return err
	case code != 0:
		return cli.Exit{Code: code}
	}
	return nil
}

// onNode is the whole life of one helper: whatever happens, it is deleted.
func (r *runner) onNode(ctx context.Context, o Options, p planned, x *inout, stdout, stderr io.Writer) (int, error) {
	audited := r.audit(ctx, p)
	defer audited()
	helper, err := r.start(ctx, p)
	defer r.close(ctx, helper)
	if err != nil {
		return 0, err
	}
	if r.env.ErrTTY && !r.pod.quiet && x.tty && o.shell() {
		r.env.Warn("root on node %s by pod %s/%s; ~. leaves, and everything started here ends with it", p.Node, p.Namespace, helper.Pod.Name)
	}
	argv := p.Command
	if o.Netns {
		if argv, err = r.enterPod(ctx, p, helper, o.Container); err != nil {
			return 0, err
		}
	}
	return r.exec(ctx, o, helper, argv, x, stdout, stderr)
}

// exec runs the command until it ends, the time is over, the lease is lost or the user leaves.
func (r *runner) exec(ctx context.Context, o Options, helper *helperpod.Helper, argv []string, x *inout, stdout, stderr io.Writer) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.Timeout > 0 {
		timer := time.AfterFunc(o.Timeout, func() { cancel(errTimeout) })
		defer timer.Stop()
	}
	lost, why := helper.Lost()
	go func() {
		select {
		case <-lost:
			cancel(fmt.Errorf("%w: the helper pod is lost: %w", helperpod.ErrStatusUnknown, why()))
		case <-ctx.Done():
		}
	}()
	local := helperpod.Streams{In: x.in, Out: stdout, Err: stderr, TTY: x.tty}
	if x.script != nil {
		local.In = bytes.NewReader(x.script)
	}
	if x.tty {
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
	if err == nil && code == killed {
		if why := helper.Outlived(ctx); why != nil {
			return 0, fmt.Errorf("%w: the helper pod is lost: %w", helperpod.ErrStatusUnknown, why)
		}
	}
	return code, err
}

// killed is the code of a command that SIGKILL has ended.
const killed = 137

// terminal makes the local terminal raw and connects keys, escapes and size.
func (r *runner) terminal(ctx context.Context, local *helperpod.Streams, drop func(error)) (restore func(), err error) {
	local.Err = nil
	if !r.env.InTTY || r.env.Console.Raw == nil {
		return func() {}, nil
	}
	restore, err = r.env.Console.Raw()
	if err != nil {
		return nil, fmt.Errorf("the terminal cannot be made raw: %w", err)
	}
	local.In = &session.Escape{In: local.In, Say: r.env.Streams.ErrOut, Drop: drop}
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

// show prints what would be made: with -o the exact objects, else the plan in words.
func (r *runner) show(o Options, plans []planned) error {
	var refused error
	for i, p := range plans {
		if p.Verdict == report.Refused {
			refused = errors.Join(refused, r.refusal(p.Plan))
			continue
		}
		r.notices(p.Findings)
		var object any = p.Pod
		if !r.pod.noGuard {
			object = helperpod.GuardJob(p.Pod)
		}
		if !o.Format.Structured() {
			fmt.Fprintf(r.env.Streams.Out, "%s\n  image    %s\n  command  %s\n", output.Sanitize(p.Summary), p.Pod.Spec.Containers[0].Image, output.Sanitize(quoteAll(p.Command)))
			continue
		}
		if i > 0 && o.Format.Kind == output.YAML {
			fmt.Fprintln(r.env.Streams.Out, "---")
		}
		if err := o.Format.Print(r.env.Streams.Out, object); err != nil {
			return err
		}
	}
	return refused
}
