// Package render writes a report as text: the verdict and its cause first, then the evidence and the next steps, then the
// next action of the controller, its timers, the pods and the changes. Everything it shows is in the report.
package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Options are how to write, not what.
type Options struct {
	Terminal  output.Terminal
	Wide      bool
	NoHeaders bool
	Namespace bool // show it: the report covers more than one namespace
}

// VerdictStyle is the style of a verdict's word.
func VerdictStyle(v report.Verdict) output.Style {
	switch v {
	case report.Complete:
		return output.Good
	case report.Failed, report.Stuck, report.Degraded:
		return output.Bad
	case report.OnHold, report.Superseded, report.Unknown:
		return output.Warn
	}
	return output.Plain
}

// Table writes many rollouts, worst first.
func Table(w io.Writer, list report.List, o Options) error {
	t := output.TableText{Columns: []output.Column{
		{Header: "NAMESPACE"},
		{Header: "NAME"},
		{Header: "VERDICT"},
		{Header: "UPDATED"},
		{Header: "AVAILABLE"},
		{Header: "AGE"},
		{Header: "REVISION", Wide: true},
		{Header: "REASON", Flexible: true},
		{Header: "MESSAGE", Wide: true, Flexible: true},
	}}
	for i := range list.Items {
		r := &list.Items[i]
		revision := output.None
		if r.Revision != nil {
			revision = fmt.Sprintf("%d (%s)", r.Revision.Number, r.Revision.Name)
		}
		row := output.Text(r.Object.Namespace, slash(r.Object), string(r.Verdict),
			count(r.Counts.Updated, r.Counts.Desired), count(r.Counts.Available, r.Counts.Desired),
			output.Since(r.CreatedAt, r.Time), revision, reason(r), r.Summary)
		row[2].Style = VerdictStyle(r.Verdict)
		t.Rows = append(t.Rows, row)
	}
	if !o.Namespace {
		t.Columns = t.Columns[1:]
		for i := range t.Rows {
			t.Rows[i] = t.Rows[i][1:]
		}
	}
	return t.Fprint(w, output.TableOptions{Wide: o.Wide, NoHeaders: o.NoHeaders, Terminal: o.Terminal})
}

// reason is the root cause and its age; a rollout without a cause has its summary, a complete one needs none.
func reason(r *report.Rollout) string {
	if len(r.Findings) > 0 && r.Findings[0].Role == report.RootCause {
		f := &r.Findings[0]
		text := string(f.Code) + ": " + f.Title
		if f.FirstSeen != nil {
			text += " (" + output.Age(r.Time.Sub(*f.FirstSeen)) + ")"
		}
		return text
	}
	if r.Verdict == report.Complete {
		return output.None
	}
	return r.Summary
}

func slash(o finding.ObjectRef) string { return strings.ToLower(o.Kind) + "/" + o.Name }

func count(n, of *int32) string {
	a, b := output.Unknown, output.Unknown
	if n != nil {
		a = fmt.Sprint(*n)
	}
	if of != nil {
		b = fmt.Sprint(*of)
	}
	if n == nil && of == nil {
		return output.Unknown
	}
	return a + "/" + b
}
