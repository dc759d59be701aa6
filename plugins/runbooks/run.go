package runbooks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/internal/webpage"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

func run(ctx context.Context, env *cli.Env, o Options) error {
	switch {
	case o.MCP:
		return serve(ctx, env, o)
	case o.Page != "":
		return writePage(env, o.Page)
	case o.FromInput != "":
		r, err := load(env, o.FromInput)
		if err != nil {
			return err
		}
		return o.finish(env, r.evaluate(finding.Kubectl{}, o.Since))
	case o.Watch:
		return o.watch(ctx, env)
	}
	r, kubectl, err := o.collect(ctx, env)
	if err != nil {
		return err
	}
	if o.Snapshot != "" {
		return save(env, o.Snapshot, r)
	}
	return o.finish(env, r.evaluate(kubectl, o.Since))
}

// collect reads the cluster once, over a connection of its own.
func (o Options) collect(ctx context.Context, env *cli.Env) (*reading, finding.Kubectl, error) {
	cluster, err := o.Connection.Cluster()
	if err != nil {
		return nil, finding.Kubectl{}, err
	}
	stop := output.StartProgress(env.Streams.ErrOut, env.Err(o.Color), "reading the cluster")
	defer stop()
	r, err := o.read(ctx, cluster)
	return r, cluster.Kubectl, err
}

// watch looks again and again, and prints when what matters has changed: not on every second of an age.
func (o Options) watch(ctx context.Context, env *cli.Env) error {
	last, complaints := "", env.Complaints()
	for {
		r, kubectl, err := o.collect(ctx, env)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && last == "" {
			return err
		}
		complaints.Say("", err)
		if err == nil {
			t := r.evaluate(kubectl, o.Since)
			if now := fingerprint(&t.triage); now != last {
				if last != "" && !o.Format.Structured() && o.Format.Kind != output.Name {
					fmt.Fprintf(env.Streams.Out, "\n%s\n", t.triage.Time.Format(time.RFC3339))
				}
				last = now
				if err := o.print(env, t); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.Interval):
		}
	}
}

// fingerprint is what a change in is worth printing.
func fingerprint(t *report.Triage) string {
	var b strings.Builder
	fmt.Fprintln(&b, t.Verdict)
	for i := range t.Causes {
		c := &t.Causes[i]
		fmt.Fprintf(&b, "%s/%s %s %s\n", c.Workflow, c.Code, c.Subjects[0].Object, c.ExplainsSummary)
	}
	for _, r := range t.Workflows {
		fmt.Fprintf(&b, "%s %s %s\n", r.Workflow, r.Verdict, r.Unread)
	}
	return b.String()
}

// finish prints the report and decides the exit code from it.
func (o Options) finish(env *cli.Env, j judged) error {
	if err := o.print(env, j); err != nil {
		return err
	}
	t := &j.triage
	all := make([]finding.Finding, 0, len(t.Causes))
	for i := range t.Causes {
		all = append(all, t.Causes[i].Finding)
	}
	switch {
	case o.FailOn.Reached(all):
		return cli.Exit{Code: cli.ExitThreshold}
	case o.RequireComplete && t.Sources.Incomplete():
		return cli.Exit{Code: cli.ExitIncomplete}
	}
	return nil
}

func (o Options) print(env *cli.Env, j judged) error {
	if o.OutputFile == "" {
		return o.printTo(env.Streams.Out, env.Out(o.Color), j)
	}
	var b bytes.Buffer
	file := *env
	file.OutTTY = false
	if err := o.printTo(&b, file.Out(o.Color), j); err != nil {
		return err
	}
	if err := env.WriteWhole(o.OutputFile, b.Bytes()); err != nil {
		return fmt.Errorf("--output-file: %w", err)
	}
	return nil
}

func (o Options) printTo(out io.Writer, terminal output.Terminal, j judged) error {
	t := &j.triage
	switch {
	case o.Format.Kind == output.HTML:
		_, err := io.WriteString(out, webpage.Triage(t, j.parts))
		return err
	case o.Format.Structured():
		return o.Format.Print(out, t)
	case o.Format.Published():
		return publish.Print(out, o.Format.Kind, render.Published(t), publish.Options{FailOn: o.FailOn, RequireComplete: o.RequireComplete})
	case o.Format.Kind == output.Name:
		for _, name := range names(t) {
			if _, err := fmt.Fprintln(out, name); err != nil {
				return err
			}
		}
		return nil
	}
	return render.Triage(out, t, render.Options{Terminal: terminal, Wide: o.Format.Kind == output.Wide})
}

// names are the objects at which the causes begin, as kubectl get -o name prints them.
func names(t *report.Triage) []string {
	group := map[string]string{
		"Deployment": ".apps", "StatefulSet": ".apps", "DaemonSet": ".apps", "Job": ".batch", "Rollout": ".argoproj.io",
	}
	var list []string
	for i := range t.Causes {
		for _, s := range t.Causes[i].Subjects {
			o := s.Object
			name := strings.ToLower(o.Kind) + group[o.Kind] + "/" + o.Name
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}
