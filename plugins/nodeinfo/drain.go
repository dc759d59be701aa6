package nodeinfo

import (
	"errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// drainConflicts are the flags that mean nothing to the preview of a drain or a removal.
func (v *flagValues) drainConflicts(o Options) error {
	var errs []error
	others := map[string]bool{"--kubelet": v.kubelet, "-o " + v.output: o.Format.Kind != output.Table && !o.Format.Structured()}
	if v.drain {
		if len(o.Names) == 0 {
			errs = append(errs, errors.New("--drain requires the name of a node"))
		}
		errs = append(errs, v.conflictsOf("--drain", others))
	}
	if v.remove {
		if len(o.Names) != 1 {
			errs = append(errs, errors.New("--remove requires the name of one node"))
		}
		others["--drain"] = v.drain
		errs = append(errs, v.conflictsOf("--remove", others))
	}
	return errors.Join(errs...)
}

// drainReport previews the drain of the named nodes: it reads, and changes nothing.
var drainReport = whole[report.Drain]{
	flag: "--drain", depth: evaluate.Drain, aim: (*evaluate.Input).Aim, judge: evaluate.PreviewDrain, print: Options.printDrain,
	end: func(d report.Drain) outcome { return outcome{d.NotFound, d.Findings, d.Sources} },
}

// removeReport previews the removal of a node for good: it reads, and changes nothing.
var removeReport = whole[report.Drain]{
	flag: "--remove", depth: evaluate.Remove, aim: (*evaluate.Input).AimRemove, judge: evaluate.PreviewDrain, print: Options.printDrain,
	end: func(d report.Drain) outcome { return outcome{d.NotFound, d.Findings, d.Sources} },
}

func (o Options) printDrain(env *cli.Env, preview report.Drain) error {
	if o.Format.Structured() {
		return o.Format.Print(env.Streams.Out, preview)
	}
	return render.Drain(env.Streams.Out, preview, env.Out(o.Color))
}
