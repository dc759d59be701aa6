package nodeshell

import (
	"bufio"
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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/lines"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// askAbove is the number of nodes from which on a person is asked, and a script has to say --yes.
const askAbove = 10

func (r *runner) confirm(o Options, nodes int) error {
	if nodes <= askAbove || o.Yes || o.DryRun != "none" {
		return nil
	}
	if !r.env.InTTY || !r.env.ErrTTY {
		return cli.Usage(fmt.Errorf("this would run on %d nodes: say --yes", nodes))
	}
	fmt.Fprintf(r.env.Streams.ErrOut, "Run on %d nodes? [y/N] ", nodes)
	answer, err := bufio.NewReader(r.env.Streams.In).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("not confirmed")
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("not confirmed")
	}
	return nil
}

// many runs on several nodes at once, or on one whose result is kept.
func (r *runner) many(ctx context.Context, o Options, plans []planned, x *inout) error {
	if o.OutputDir != "" {
		if err := os.MkdirAll(o.OutputDir, 0o755); err != nil {
			return err
		}
	}
	var (
		outcomes = make([]report.Outcome, len(plans))
		slots    = make(chan struct{}, o.Parallel)
		out      = helperpod.NewSpool(r.env.Streams.Out)
		stderr   = helperpod.NewSpool(r.env.Streams.ErrOut)
		sharedO  = lines.NewShared(out)
		sharedE  = lines.NewShared(stderr)
		wg       sync.WaitGroup
	)
	for i, p := range plans {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			outcomes[i] = r.outcome(ctx, o, p, x, sharedO, sharedE)
		})
	}
	wg.Wait()
	if o.Group && !o.Format.Structured() {
		if _, err := io.WriteString(out, session.Fold(folded(outcomes))); err != nil {
			return fmt.Errorf("output is incomplete: %w", err)
		}
	}
	for _, s := range []sink{out, stderr} {
		if err := s.Close(ctx.Done()); err != nil && ctx.Err() == nil {
			return fmt.Errorf("output is incomplete: %w", err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.conclude(o, outcomes)
}

func folded(outcomes []report.Outcome) []session.Output {
	var list []session.Output
	for _, o := range outcomes {
		if o.ExitCode != nil {
			list = append(list, session.Output{Node: o.Node, Text: o.Stdout + o.Stderr, Code: strconv.Itoa(*o.ExitCode)})
		}
	}
	return list
}

// outcome runs on one node and keeps what came of it.
func (r *runner) outcome(ctx context.Context, o Options, p planned, x *inout, out, stderr *lines.Shared) report.Outcome {
	result := report.Outcome{Node: p.Node, Findings: p.Findings}
	if p.Verdict == report.Refused {
		result.Error = p.Summary
		return result
	}
	if ctx.Err() != nil {
		result.Error = "not started"
		return result
	}
	keepOut, keepErr, finish, err := r.keepers(o, p.Node, &result, out, stderr)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	began := r.cluster.Clock.Now().UTC()
	result.Started = &began
	code, err := r.onNode(ctx, o, p, x, keepOut, keepErr)
	ended := r.cluster.Clock.Now().UTC()
	result.Ended = &ended
	if finishErr := finish(); finishErr != nil && err == nil {
		err = fmt.Errorf("output is incomplete: %w", finishErr)
	}
	var refused refusedStart
	switch {
	case errors.As(err, &refused):
		result.Findings = append(result.Findings, refused.finding)
		result.Error = refused.finding.Message
	case errors.Is(err, errTimeout):
		timed := timedOut
		result.ExitCode, result.Error = &timed, fmt.Sprintf("did not end within %s and was killed", o.Timeout)
	case err != nil:
		result.Error = err.Error()
	default:
		result.ExitCode = &code
	}
	return result
}

// keepers chooses where one node's output goes: a file, a buffer or prefixed lines.
func (r *runner) keepers(o Options, node string, result *report.Outcome, out, stderr *lines.Shared) (stdoutTo, stderrTo io.Writer, finish func() error, err error) {
	switch {
	case o.OutputDir != "":
		return filesFor(o.OutputDir, node, result)
	case o.Group, o.Format.Structured():
		var a, b bytes.Buffer
		return &a, &b, func() error { result.Stdout, result.Stderr = a.String(), b.String(); return nil }, nil
	}
	a, b := out.Prefixed("["+node+"] "), stderr.Prefixed("["+node+"] ")
	return a, b, func() error { return errors.Join(a.Flush(), b.Flush()) }, nil
}

func filesFor(dir, node string, result *report.Outcome) (stdoutTo, stderrTo io.Writer, finish func() error, err error) {
	result.Files = []string{filepath.Join(dir, node+".out"), filepath.Join(dir, node+".err")}
	var spools []*helperpod.Spool
	var files []*os.File
	for _, name := range result.Files {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, nil, err
		}
		files = append(files, f)
		spools = append(spools, helperpod.NewSpool(f))
	}
	never := make(chan struct{})
	return spools[0], spools[1], func() error {
		return errors.Join(spools[0].Close(never), spools[1].Close(never), files[0].Close(), files[1].Close())
	}, nil
}

// conclude reports on every node; the exit code is the highest, and 125 where a node's result is not known.
func (r *runner) conclude(o Options, outcomes []report.Outcome) error {
	worst, failed, nonzero := 0, 0, 0
	for _, outcome := range outcomes {
		switch {
		case outcome.ExitCode == nil:
			failed++
		case *outcome.ExitCode != 0:
			nonzero++
			worst = max(worst, *outcome.ExitCode)
		}
	}
	if failed > 0 {
		worst = ownFailure
	}
	summary := fmt.Sprintf("%s: %d ok", output.Plural(len(outcomes), "node"), len(outcomes)-failed-nonzero)
	if nonzero > 0 {
		summary += fmt.Sprintf(", %d with another exit code than 0", nonzero)
	}
	if failed > 0 {
		summary += fmt.Sprintf(", %d failed", failed)
	}
	if o.Format.Structured() {
		doc := report.Outcomes{TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: "NodeShellOutcomes"}, Summary: summary, Items: outcomes}
		if err := o.Format.Print(r.env.Streams.Out, doc); err != nil {
			return err
		}
	} else {
		r.tell(outcomes, summary)
	}
	if worst != 0 {
		return cli.Exit{Code: worst}
	}
	return nil
}

// tell names the nodes that did not end with 0, on standard error.
func (r *runner) tell(outcomes []report.Outcome, summary string) {
	for _, outcome := range outcomes {
		switch {
		case outcome.Error != "":
			r.env.Warn("node %s: %s", outcome.Node, output.Sanitize(outcome.Error))
			for _, line := range strings.Split(strings.TrimSpace(hints(criticalOnly(outcome.Findings))), "\n") {
				if line != "" {
					r.env.Warn("  %s", output.Sanitize(strings.TrimSpace(line)))
				}
			}
		case *outcome.ExitCode != 0:
			r.env.Warn("node %s: exit code %d", outcome.Node, *outcome.ExitCode)
		}
	}
	if !r.pod.quiet {
		r.env.Warn("%s", summary)
	}
}

func criticalOnly(list []finding.Finding) []finding.Finding {
	var kept []finding.Finding
	for _, f := range list {
		if f.Severity == finding.Critical {
			kept = append(kept, f)
		}
	}
	return kept
}
