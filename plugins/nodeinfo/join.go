package nodeinfo

import (
	"context"
	"errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// joinConflicts are the flags that mean nothing to a report on machines that join.
func (v *flagValues) joinConflicts(o Options) error {
	if !v.join {
		return nil
	}
	return v.conflictsOf("--join", map[string]bool{
		"--drain": v.drain, "--remove": v.remove, "--paths": v.paths, "--kubelet": v.kubelet,
		"-o " + v.output: o.Format.Kind == output.Wide || o.Format.Kind == output.Name,
	})
}

// joinReport says how far machines have come that become nodes. It is printed although a name is of no machine: it says then what to
// look at on the machine itself.
var joinReport = whole[report.Join]{
	flag: "--join", depth: evaluate.JoinDepth, aim: (*evaluate.Input).AimJoin, judge: evaluate.ReportJoin, print: Options.printJoin,
	always: true,
	end: func(j report.Join) outcome {
		var findings []finding.Finding
		sources := append(source.List{}, j.Sources...)
		for _, m := range j.Machines {
			findings, sources = append(findings, m.Findings...), append(sources, m.Sources...)
		}
		return outcome{j.NotFound, findings, sources}
	},
}

// joinDump reports on the nodes of a dump, as of when it was made.
func joinDump(_ context.Context, o Options, env *cli.Env) error {
	in, err := o.readDump(env)
	if err != nil {
		return err
	}
	in.Depth = evaluate.JoinDepth
	if err := in.AimJoin(o.Names); err != nil {
		return err
	}
	warn(env, collect.Judged(&in))
	r := evaluate.ReportJoin(in, in.Now, finding.Kubectl{})
	return errors.Join(o.printJoin(env, r), o.decideWhole(joinReport.end(r)))
}

func (o Options) printJoin(env *cli.Env, r report.Join) error {
	switch {
	case o.Format.Structured():
		return o.Format.Print(env.Streams.Out, r)
	case o.Format.Published():
		published, err := render.PublishedJoin(r)
		if err != nil {
			return err
		}
		return publish.Print(env.Streams.Out, o.Format.Kind, published,
			publish.Options{FailOn: o.FailOn, RequireComplete: o.RequireComplete})
	}
	return render.Join(env.Streams.Out, r, env.Out(o.Color))
}
