package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/lines"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// many runs on several nodes at once, or on one whose result is kept.
func (r *running) many(ctx context.Context, visits []enter.Visit) error {
	if r.o.OutputDir != "" {
		if err := os.MkdirAll(r.o.OutputDir, 0o700); err != nil {
			return err
		}
	}
	var (
		outcomes = make([]report.Outcome, len(visits))
		slots    = make(chan struct{}, r.o.Parallel)
		out      = helperpod.NewSpool(r.env.Streams.Out)
		stderr   = helperpod.NewSpool(r.env.Streams.ErrOut)
		both     = shared{lines.NewShared(out), lines.NewShared(stderr)}
		wg       sync.WaitGroup
	)
	r.behind = []*helperpod.Spool{out, stderr}
	for i, v := range visits {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			outcomes[i] = r.outcome(ctx, v, both)
		})
	}
	wg.Wait()
	if r.o.Group && !r.o.Format.Structured() {
		if _, err := io.WriteString(out, fold(outputs(outcomes))); err != nil {
			return fmt.Errorf("output is incomplete: %w", err)
		}
	}
	if err := closeAll(ctx, out, stderr); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.conclude(outcomes)
}

func outputs(outcomes []report.Outcome) []nodeOutput {
	var list []nodeOutput
	for _, o := range outcomes {
		if o.ExitCode != nil {
			list = append(list, nodeOutput{node: o.Node, text: o.Stdout + o.Stderr, code: strconv.Itoa(*o.ExitCode)})
		}
	}
	return list
}

// outcome runs on one node and keeps what came of it.
func (r *running) outcome(ctx context.Context, v enter.Visit, local shared) report.Outcome {
	result := report.Outcome{Node: v.Node, Findings: v.Findings}
	if v.Verdict == report.Refused {
		result.Error = v.Summary
		return result
	}
	if ctx.Err() != nil {
		result.Error = "the command was not started"
		return result
	}
	to, err := r.keeper(v.Node, &result, local)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	began := r.nodes.Now().UTC()
	result.Started = &began
	code, err := r.onNode(ctx, v, to.out, to.err)
	ended := r.nodes.Now().UTC()
	result.Ended = &ended
	if finishErr := to.finish(); finishErr != nil && err == nil {
		err = fmt.Errorf("output is incomplete: %w", finishErr)
	}
	var refused enter.Refused
	switch {
	case errors.As(err, &refused):
		result.Findings = append(result.Findings, refused.Findings...)
		result.Error = refused.Message
	case errors.Is(err, errTimeout):
		timed := timedOut
		result.ExitCode, result.Error = &timed, fmt.Sprintf("the command did not end within %s and was killed", r.o.Timeout)
	case err != nil:
		result.Error = err.Error()
	default:
		result.ExitCode = &code
	}
	return result
}

// shared are the local streams that all nodes write to.
type shared struct{ out, err *lines.Shared }

// keeper is where one node's output goes.
type keeper struct {
	out, err io.Writer
	finish   func() error
}

// keeper chooses where one node's output goes: a file, a buffer or prefixed lines.
func (r *running) keeper(node string, result *report.Outcome, local shared) (keeper, error) {
	switch {
	case r.o.OutputDir != "":
		return filesFor(r.o.OutputDir, node, result)
	case r.o.Group, r.o.Format.Structured():
		var a, b bytes.Buffer
		return keeper{&a, &b, func() error { result.Stdout, result.Stderr = a.String(), b.String(); return nil }}, nil
	}
	a, b := local.out.Prefixed("["+node+"] "), local.err.Prefixed("["+node+"] ")
	return keeper{a, b, func() error { return errors.Join(a.Flush(), b.Flush()) }}, nil
}

// separators of paths are in no name of a node; an API server that makes some up gets no file outside the directory.
var separators = strings.NewReplacer("/", "_", `\`, "_")

func filesFor(dir, node string, result *report.Outcome) (keeper, error) {
	node = separators.Replace(node)
	result.Files = []string{filepath.Join(dir, node+".out"), filepath.Join(dir, node+".err")}
	var spools []*helperpod.Spool
	var files []*os.File
	for _, name := range result.Files {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // a node in the directory that the user names
		if err != nil {
			return keeper{}, err
		}
		files = append(files, f)
		spools = append(spools, helperpod.NewSpool(f))
	}
	never := make(chan struct{})
	return keeper{spools[0], spools[1], func() error {
		return errors.Join(spools[0].Close(never), spools[1].Close(never), files[0].Close(), files[1].Close())
	}}, nil
}
