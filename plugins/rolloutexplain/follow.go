package rolloutexplain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	// settleTime joins the changes that come in a burst: a rollout step writes several objects within milliseconds.
	settleTime = 200 * time.Millisecond
	// beat is how often clocks are looked at when nothing changes. It asks the server nothing.
	beat = time.Second
	// freshness is how long events, nodes and logs that a cause asked for count as new.
	freshness = 3 * time.Second
)

// errTimeout ends a wait that --timeout has cut.
var errTimeout = errors.New("timed out")

// follower shows changes and, with --wait, decides on the end.
type follower struct {
	*runner
	watcher *collect.Watcher
	waits   map[finding.ObjectRef]*wait.Wait
	ends    map[finding.ObjectRef]ending
	last    report.List
	shown   string            // text of the last picture, without its times
	lines   map[string]string // last progress line by rollout
	painted int               // lines of the live picture on the terminal
	warned  bool              // that nothing is known of the rollout
	start   time.Time
}

// ending is how the wait for one rollout ended.
type ending struct {
	outcome wait.Outcome
	why     string
}

func (r *runner) follow(ctx context.Context) error {
	f := &follower{runner: r, waits: map[finding.ObjectRef]*wait.Wait{}, ends: map[finding.ObjectRef]ending{}, lines: map[string]string{}}
	watchContext := ctx
	if r.o.Wait && r.o.Timeout > 0 {
		var cancel context.CancelFunc
		watchContext, cancel = context.WithTimeoutCause(ctx, r.o.Timeout, errTimeout)
		defer cancel()
	}
	var err error
	if f.watcher, err = r.collector.Watch(watchContext, r.scope); err != nil {
		return f.cut(watchContext, err)
	}
	f.start = r.now()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		done, err := f.look(watchContext)
		if err != nil || done {
			return f.cut(watchContext, err)
		}
		select {
		case <-watchContext.Done():
			return f.cut(watchContext, watchContext.Err())
		case <-f.watcher.Changed():
			select {
			case <-time.After(settleTime):
			case <-watchContext.Done():
			}
		case <-tick.C:
		}
	}
}

// cut ends a run that its context has ended: by --timeout with what was seen last, by a signal in silence.
func (f *follower) cut(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errTimeout) && len(f.ends) < max(1, len(f.last.Items)) {
		f.wipe()
		if printErr := f.final(); printErr != nil {
			return printErr
		}
		return cli.Exit{Code: cli.ExitTimeout, Err: fmt.Errorf("timed out after %s: %s", f.o.Timeout, f.stand())}
	}
	if ctx.Err() != nil && f.o.Watch {
		return nil
	}
	return err
}

func (f *follower) stand() string {
	for i := range f.last.Items {
		if r := &f.last.Items[i]; r.Verdict != report.Complete {
			return string(r.Verdict) + ": " + strings.ToLower(r.Object.Kind) + "/" + r.Object.Name + ": " + r.Summary
		}
	}
	return "no rollout was read"
}

// look takes one look, shows it if it differs, and says whether the wait is over.
func (f *follower) look(ctx context.Context) (bool, error) {
	in, err := f.watcher.Snapshot(ctx)
	var gone collect.GoneError
	if errors.As(err, &gone) {
		f.wipe()
		if !f.o.Wait {
			return true, err
		}
		return true, cli.Exit{Code: cli.ExitSuperseded, Err: fmt.Errorf("%s/%s was deleted", strings.ToLower(gone.Object.Kind), gone.Object.Name)}
	}
	var unknown collect.UnknownError
	if errors.As(err, &unknown) && unknown.State == source.Unreachable {
		f.silence(unknown)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	in.Context = f.cluster.Kubectl.Flags
	opts := f.evaluateOptions()
	f.collector.Fill(ctx, in, opts, freshness)
	if ctx.Err() != nil {
		return false, ctx.Err() // half an answer is none
	}
	in.Collected = f.now()
	f.judged = in.Collected
	list := evaluate.Evaluate(in, in.Collected, opts)
	f.mark(&list)
	f.last = list
	if !f.o.Wait {
		return false, f.show(list)
	}
	over := f.judge(list, in.Collected)
	if !over {
		return false, f.show(list)
	}
	f.wipe()
	if err := f.final(); err != nil {
		return true, err
	}
	return true, f.exit()
}

// silence says once that nothing is known of the rollout: the watch is tried again until the wait ends.
func (f *follower) silence(unknown collect.UnknownError) {
	if !f.warned {
		f.wipe()
		f.env.Warn("warning: %s; still waiting", unknown)
	}
	f.warned = true
}

// judge feeds the waits; it is over when each has ended, or when one has failed.
func (f *follower) judge(list report.List, now time.Time) bool {
	open := 0
	for i := range list.Items {
		r := &list.Items[i]
		w := f.waits[r.Object]
		if w == nil {
			w = wait.New(evaluate.Rules, f.o.Patience)
			f.waits[r.Object] = w
		}
		outcome, why := w.Observe(r, now)
		if outcome == wait.Waiting {
			delete(f.ends, r.Object)
			open++
			continue
		}
		f.ends[r.Object] = ending{outcome, why}
		if outcome == wait.Failed {
			return true
		}
	}
	return open == 0
}

// exit gives the code of the worst ending: failed, held, superseded, complete.
func (f *follower) exit() error {
	codes := []struct {
		outcome wait.Outcome
		code    int
	}{{wait.Failed, cli.ExitThreshold}, {wait.OnHold, cli.ExitPaused}, {wait.Superseded, cli.ExitSuperseded}}
	for _, c := range codes {
		var said []string
		for object, e := range f.ends {
			if e.outcome == c.outcome {
				said = append(said, fmt.Sprintf("%s: %s/%s: %s", c.outcome, strings.ToLower(object.Kind), object.Name, e.why))
			}
		}
		if len(said) > 0 {
			slices.Sort(said)
			return cli.Exit{Code: c.code, Err: errors.New(strings.Join(said, "\n"))}
		}
	}
	return nil
}

// final prints the last picture to standard output.
func (f *follower) final() error {
	if len(f.last.Items) == 0 || f.o.Format.Structured() && f.shown != "" && f.shown == f.picture(f.last) {
		return nil
	}
	return f.print(f.last)
}

// picture is a report without what only time changes.
func (f *follower) picture(list report.List) string {
	var b strings.Builder
	for i := range list.Items {
		r := &list.Items[i]
		fmt.Fprintf(&b, "%s|%s|%d|", r.Object, r.Verdict, r.ObservedGeneration)
		c := &r.Counts
		for _, n := range []*int32{c.Desired, c.Updated, c.Ready, c.Available, c.Old, c.Terminating, c.Restarts} {
			if n == nil {
				b.WriteString("?,")
			} else {
				fmt.Fprintf(&b, "%d,", *n)
			}
		}
		for _, x := range r.Findings {
			b.WriteString(string(x.Code) + string(x.Role) + x.Container + ";")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// show prints what has changed: a document with -o json or yaml, a live picture on a terminal that can draw it, else one line a change.
func (f *follower) show(list report.List) error {
	picture := f.picture(list)
	term := f.env.Out(f.o.Color)
	switch {
	case f.o.Format.Structured():
		if picture == f.shown {
			return nil
		}
		f.shown = picture
		return f.o.Format.Print(f.env.Streams.Out, f.document(list))
	case term.Cursor && !f.o.NoHeaders:
		return f.paint(list, term)
	case picture == f.shown:
		return nil
	}
	f.shown = picture
	return f.line(list)
}

// line writes a line for each rollout that has changed: to standard output with --watch, where it is the result, and to
// standard error with --wait, where it is progress.
func (f *follower) line(list report.List) error {
	out := f.env.Streams.ErrOut
	if f.o.Watch {
		out = f.env.Streams.Out
	}
	for i := range list.Items {
		r := &list.Items[i]
		text := fmt.Sprintf("%s: %s/%s: %s (%s)", r.Verdict, strings.ToLower(r.Object.Kind), r.Object.Name, r.Summary, progress(r))
		key := fmt.Sprintf("%s %s %s", r.Object, r.Verdict, progress(r))
		for _, x := range r.Findings {
			if x.Role == report.RootCause {
				key += string(x.Code)
			}
		}
		if f.lines[r.Object.String()] == key {
			continue
		}
		f.lines[r.Object.String()] = key
		if _, err := fmt.Fprintf(out, "%s %s\n", r.Time.UTC().Format(time.RFC3339), output.Sanitize(text)); err != nil {
			return err
		}
	}
	return nil
}

func progress(r *report.Rollout) string {
	number := func(n *int32) string {
		if n == nil {
			return "unknown"
		}
		return fmt.Sprint(*n)
	}
	return fmt.Sprintf("%s of %s updated, %s available", number(r.Counts.Updated), number(r.Counts.Desired), number(r.Counts.Available))
}

// paint draws the picture over the one before.
func (f *follower) paint(list report.List, term output.Terminal) error {
	var b bytes.Buffer
	if err := f.text(&b, list, term); err != nil {
		return err
	}
	f.wipe()
	text := b.String()
	f.painted = strings.Count(text, "\n")
	_, err := io.WriteString(f.env.Streams.Out, text)
	return err
}

// wipe takes the live picture away.
func (f *follower) wipe() {
	if f.painted > 0 {
		fmt.Fprintf(f.env.Streams.Out, "\x1b[%dA\x1b[J", f.painted)
		f.painted = 0
	}
}
