package nodeinfo

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// pathsConflicts are the flags that mean nothing to a report on paths.
func (v *flagValues) pathsConflicts(o Options) error {
	if !v.paths {
		return nil
	}
	return v.conflictsOf("--paths", map[string]bool{
		"--drain": v.drain, "--remove": v.remove, "-o " + v.output: o.Format.Kind == output.Wide || o.Format.Kind == output.Name,
	})
}

// pathsReport says who reaches whom.
var pathsReport = whole[report.Paths]{
	flag: "--paths", depth: evaluate.Paths, aim: (*evaluate.Input).AimPaths, judge: evaluate.ReportPaths, print: Options.printPaths,
	end: func(p report.Paths) outcome { return outcome{p.NotFound, p.Findings, p.Sources} },
}

func (o Options) printPaths(env *cli.Env, paths report.Paths) error {
	switch {
	case o.Format.Structured():
		return o.Format.Print(env.Streams.Out, paths)
	case o.Format.Published():
		published, err := render.PublishedPaths(paths)
		if err != nil {
			return err
		}
		return publish.Print(env.Streams.Out, o.Format.Kind, published,
			publish.Options{FailOn: o.FailOn, RequireComplete: o.RequireComplete})
	}
	return render.Paths(env.Streams.Out, paths, env.Out(o.Color))
}
