package verdict

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// changes compares the wanted template with an older revision.
func changes(w *model.Workload, before *model.Revision) *report.Diff {
	if before == nil || w.Template == nil {
		return nil
	}
	return &report.Diff{From: model.Label(before), To: model.Label(w.Target), Changes: diff.Templates(before.Template, w.Template)}
}

// explicitDiff answers --diff=A..B.
func explicitDiff(e *model.Evaluation, w *model.Workload) *report.Diff {
	if e.Opts.DiffFrom == 0 && e.Opts.DiffTo == 0 {
		d := changes(w, w.Previous())
		if d == nil {
			d = &report.Diff{From: "no earlier revision", To: model.Label(w.Target), Changes: []report.Change{}}
		}
		return d
	}
	to, toTemplate := w.Target, w.Template
	if e.Opts.DiffTo != 0 {
		to = w.RevisionNumber(e.Opts.DiffTo)
		if to == nil {
			return &report.Diff{
				From: fmt.Sprintf("revision %d", e.Opts.DiffFrom),
				To:   fmt.Sprintf("revision %d, which does not exist", e.Opts.DiffTo), Changes: []report.Change{},
			}
		}
		toTemplate = to.Template
	}
	from := w.RevisionNumber(e.Opts.DiffFrom)
	if from == nil {
		return &report.Diff{
			From: fmt.Sprintf("revision %d, which does not exist", e.Opts.DiffFrom), To: model.Label(to),
			Changes: []report.Change{},
		}
	}
	return &report.Diff{From: model.Label(from), To: model.Label(to), Changes: diff.Templates(from.Template, toTemplate)}
}
