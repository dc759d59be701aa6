package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/netns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// single runs on one node, with the local streams passed through.
func (r *running) single(ctx context.Context, v enter.Visit) error {
	if v.Verdict == report.Refused {
		return r.nodes.Explain(v.Refusal())
	}
	r.nodes.Notices(v.Findings)
	stdout := helperpod.NewSpool(r.env.Streams.Out)
	stderr := helperpod.NewSpool(r.env.Streams.ErrOut)
	code, err := r.onNode(ctx, v, stdout, stderr)
	// The helper is gone; a reader that is slow may take its time.
	if closeErr := closeAll(ctx, stdout, stderr); err == nil {
		err = closeErr
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errTimeout):
		return cli.Exit{Code: timedOut, Err: fmt.Errorf("the command did not end within %s and was killed", r.o.Timeout)}
	case err != nil:
		return r.nodes.Explain(err)
	case code != 0:
		return cli.Exit{Code: code}
	}
	return nil
}

// closeAll waits until everything is written, or the run is canceled.
func closeAll(ctx context.Context, spools ...*helperpod.Spool) error {
	var first error
	for _, s := range spools {
		if err := s.Close(ctx.Done()); err != nil && first == nil && ctx.Err() == nil {
			first = fmt.Errorf("output is incomplete: %w", err)
		}
	}
	return first
}

// onNode is the whole life of one helper: whatever happens, it is deleted.
func (r *running) onNode(ctx context.Context, v enter.Visit, stdout, stderr io.Writer) (int, error) {
	helper, leave, err := r.nodes.Enter(ctx, v)
	defer leave()
	if err != nil {
		return 0, err
	}
	if r.env.ErrTTY && !r.o.Pod.Quiet && r.local.tty && r.o.shell() {
		r.env.Warn("root shell on node %s through pod %s/%s; ~. leaves the session and ends everything started in it",
			v.Node, v.Namespace, helper.Pod.Name)
	}
	argv := v.Command
	if r.o.Netns {
		if argv, err = r.enterNetwork(ctx, v, helper.Container()); err != nil {
			return 0, enter.Denied(v, err)
		}
	}
	code, err := r.exec(ctx, helper, argv, stdout, stderr)
	if err == nil && code == killed || errors.Is(err, helperpod.ErrStatusUnknown) {
		if f := enter.Killed(ctx, v, helper, err); f != nil && err == nil {
			f.Severity = finding.Warning // the code is the command's own
			r.nodes.Warn(*f)
		} else if f != nil {
			return 0, enter.NotStarted(v, *f)
		}
	}
	return code, enter.Denied(v, err)
}

// enterNetwork gives the command in the pod's network, with the node's files and tools.
func (r *running) enterNetwork(ctx context.Context, v enter.Visit, c helperpod.Container) ([]string, error) {
	found, err := netns.Find(ctx, c, v.Target.Pod, r.o.Container)
	if err != nil {
		return nil, err
	}
	if found.Host {
		r.nodes.Notices(evaluate.HostNetwork(v.Target.Pod))
	}
	return found.Enter(c.Shell, evaluate.PodNetworkCommand(v.Options, netns.NetFile)), nil
}
