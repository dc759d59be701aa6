// Package render writes a report as text: the verdict and its cause first, then the evidence and the next command, then
// what the controller may do, its clocks, the pods and the changes. Everything it shows is in the report.
package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Options are how to write, not what.
type Options struct {
	Terminal  output.Terminal
	Wide      bool
	NoHeaders bool
	Namespace bool // show it: more than one namespace was asked for
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
		{Header: "CODE", Wide: true},
		{Header: "REASON", Flexible: true},
	}}
	for i := range list.Items {
		r := &list.Items[i]
		revision, code := output.None, output.None
		if r.Revision != nil {
			revision = fmt.Sprintf("%d (%s)", r.Revision.Number, r.Revision.Name)
		}
		if len(r.Findings) > 0 && r.Findings[0].Role == report.RootCause {
			code = string(r.Findings[0].Code)
		}
		row := output.Text(r.Object.Namespace, slash(r.Object), string(r.Verdict), count(r.Counts.Updated, r.Counts.Desired), count(r.Counts.Available, r.Counts.Desired),
			output.Since(r.CreatedAt, r.Time), revision, code, r.Summary)
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

// writer gathers the sections of one rollout.
type writer struct {
	strings.Builder
	o   Options
	now time.Time
}

// line writes "Label: text", wrapped under the text on a terminal.
func (w *writer) line(label, text string) {
	head := fmt.Sprintf("%-9s", label+":")
	w.WriteString(head + " " + output.Wrap(output.Sanitize(text), w.o.Terminal, len(head)+1, strings.Repeat(" ", 10)) + "\n")
}

// Rollout writes one rollout in full.
func Rollout(out io.Writer, r *report.Rollout, o Options) error {
	w := &writer{o: o, now: r.Time}
	w.head(r)
	if err := w.causes(r); err != nil {
		return err
	}
	w.controller(r)
	w.pods(r)
	w.changes(r)
	w.also(r)
	w.history(r)
	w.fullDiff(r)
	for _, u := range r.NotChecked {
		w.line("Skipped", u)
	}
	_, err := io.WriteString(out, w.String())
	return err
}

func (w *writer) head(r *report.Rollout) {
	first := string(r.Verdict) + ": " + slash(r.Object) + ": "
	w.WriteString(w.o.Terminal.Paint(string(r.Verdict), VerdictStyle(r.Verdict)) + ": " + output.Sanitize(slash(r.Object)) + ": " +
		output.Wrap(output.Sanitize(r.Summary), w.o.Terminal, output.Width(first), "  ") + "\n")
	parts := []string{}
	if r.Revision != nil {
		age := ""
		if r.Revision.CreatedAt != nil {
			age = ", " + output.Since(r.Revision.CreatedAt, r.Time) + " old"
		}
		parts = append(parts, fmt.Sprintf("revision %d (%s%s)", r.Revision.Number, r.Revision.Name, age))
	}
	if r.Object.Kind == "Job" {
		parts = append(parts, count(r.Counts.Updated, r.Counts.Desired)+" succeeded")
	} else {
		parts = append(parts, count(r.Counts.Updated, r.Counts.Desired)+" updated", count(r.Counts.Available, r.Counts.Desired)+" available")
	}
	if r.Counts.Old != nil && *r.Counts.Old > 0 {
		parts = append(parts, fmt.Sprintf("%d old", *r.Counts.Old))
	}
	if r.Counts.Terminating != nil && *r.Counts.Terminating > 0 {
		parts = append(parts, fmt.Sprintf("%d ending", *r.Counts.Terminating))
	}
	text := strings.Join(parts, ", ")
	if r.Requested != nil {
		text += "; asked for " + slash(*r.Requested)
	}
	if bar := w.bar(r); bar != "" {
		text = bar + " " + text
	}
	w.line("Rollout", text)
}

func (w *writer) bar(r *report.Rollout) string {
	if r.Verdict == report.Complete || r.Counts.Updated == nil || r.Counts.Desired == nil {
		return ""
	}
	done := *r.Counts.Updated
	if r.Counts.Available != nil && r.Object.Kind != "Job" {
		done = min(done, *r.Counts.Available)
	}
	return w.o.Terminal.Bar(int64(done), int64(*r.Counts.Desired), 20)
}

// causes writes what blocks, the root first.
func (w *writer) causes(r *report.Rollout) error {
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Role != report.RootCause && f.Role != report.Contributing {
			continue
		}
		w.WriteByte('\n')
		if err := output.Findings(w, w.o.Terminal, []finding.Finding{f.Finding}, w.now); err != nil {
			return err
		}
		w.details(f)
	}
	if w.Len() > 0 && (len(r.NextAction) > 0 || len(r.Timers) > 0 || len(r.Pods) > 0) && r.Verdict != report.Complete {
		w.WriteByte('\n')
	}
	return nil
}

func (w *writer) details(f *report.Finding) {
	var words []string
	if f.Confidence != "" {
		words = append(words, "confidence "+f.Confidence)
	}
	switch f.SelfHealing {
	case "no":
		words = append(words, "does not heal by itself")
	case "maybe":
		words = append(words, "may heal by itself")
	case "yes":
		words = append(words, "heals by itself")
	}
	if f.FirstSeen != nil {
		words = append(words, "since "+output.Age(w.now.Sub(*f.FirstSeen)))
	}
	if f.RetryAt != nil {
		words = append(words, "next try in "+output.Age(f.RetryAt.Sub(w.now)))
	}
	if len(f.Pods) > 0 {
		words = append(words, "pods "+several(f.Pods, 4))
	}
	if len(words) > 0 {
		w.WriteString("  " + output.Wrap(output.Sanitize(strings.Join(words, "; ")), w.o.Terminal, 2, "    ") + "\n")
	}
	if f.Log == nil {
		return
	}
	which := "container"
	if f.Log.Previous {
		which = "previous container"
	}
	fmt.Fprintf(w, "  last log (%s, %s %s):\n", output.Sanitize(f.Log.Pod), which, output.Sanitize(f.Log.Container))
	for _, line := range f.Log.Lines {
		w.WriteString("    | " + output.Sanitize(line) + "\n")
	}
}

func several(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// controller writes the arithmetic and the clocks.
func (w *writer) controller(r *report.Rollout) {
	if len(r.NextAction) > 0 {
		w.line("Action", strings.Join(r.NextAction, "; "))
	}
	if b := r.UpdateStrategy; b != nil && r.Verdict != report.Complete {
		w.line("Budget", budget(r, b))
	}
	for _, c := range r.Timers {
		w.line("Clock", c.Name+": "+c.Message)
	}
}

func budget(r *report.Rollout, b *report.UpdateStrategy) string {
	words := []string{b.Type}
	if b.PodManagementPolicy != "" {
		words = append(words, b.PodManagementPolicy)
	}
	if r.Counts.Desired != nil {
		words = append(words, fmt.Sprintf("%d wanted", *r.Counts.Desired))
	}
	if b.MaxSurge != nil {
		words = append(words, fmt.Sprintf("surge %s is %d", b.MaxSurge.Spec, b.MaxSurge.Pods))
	}
	if b.MaxUnavailable != nil {
		words = append(words, fmt.Sprintf("unavailable %s is %d", b.MaxUnavailable.Spec, b.MaxUnavailable.Pods))
	}
	if b.Partition != nil && *b.Partition > 0 {
		words = append(words, fmt.Sprintf("partition %d", *b.Partition))
	}
	text := strings.Join(words, ", ")
	if b.MaxPods != nil && b.MinAvailable != nil {
		text += fmt.Sprintf(": at most %d pods, at least %d available", *b.MaxPods, *b.MinAvailable)
	}
	return text
}

func (w *writer) pods(r *report.Rollout) {
	if r.Verdict == report.Complete && !w.o.Wide || len(r.Pods) == 0 {
		return
	}
	words := make([]string, 0, len(r.Pods))
	for _, g := range r.Pods {
		most := 3
		if w.o.Wide {
			most = len(g.Pods)
		}
		words = append(words, fmt.Sprintf("%d %s (%s)", len(g.Pods), strings.TrimSpace(g.Role+" "+g.State), several(g.Pods, most)))
	}
	w.line("Pods", strings.Join(words, "; "))
}

func (w *writer) changes(r *report.Rollout) {
	if r.Rollback != nil && !r.Rollback.Advised {
		w.line("Undo", r.Rollback.Why)
	}
	if r.Changes == nil || len(r.Changes.Changes) == 0 || r.Diff != nil || r.Verdict == report.Complete && !w.o.Wide {
		return
	}
	most := 4
	words := []string{}
	changes := report.Fold(r.Changes.Changes)
	for _, relevant := range []bool{true, false} {
		for _, c := range changes {
			if c.Relevant == relevant && len(words) < most {
				words = append(words, sayChange(c))
			}
		}
	}
	text := fmt.Sprintf("%s to %s: %s", r.Changes.From, r.Changes.To, strings.Join(words, "; "))
	if more := len(changes) - len(words); more > 0 {
		text += fmt.Sprintf("; and %d more (--diff)", more)
	}
	w.line("Changes", text)
}

func sayChange(c report.Change) string {
	switch c.Kind {
	case "added":
		return "+" + c.Path + " " + c.To
	case "removed":
		return "-" + c.Path + " (was " + c.From + ")"
	}
	return c.Path + " " + c.From + " → " + c.To
}

// also writes what is true beside the root: consequences, then what has nothing to do with it.
func (w *writer) also(r *report.Rollout) {
	for _, role := range []report.Role{report.Consequence, report.Unrelated} {
		for _, f := range r.Findings {
			if f.Role != role {
				continue
			}
			text := string(f.Code) + ": " + f.Message
			if role == report.Unrelated && f.Class != report.Info && r.Verdict != report.Complete {
				text += " [not what the rollout waits for]"
			}
			w.line("Also", text)
		}
	}
}

func (w *writer) history(r *report.Rollout) {
	if len(r.History) == 0 {
		return
	}
	t := output.TableText{Columns: []output.Column{
		{Header: "REVISION"}, {Header: "NAME"}, {Header: "ROLE"}, {Header: "AGE"}, {Header: "PODS"}, {Header: "KNOWN-GOOD"}, {Header: "IMAGES"}, {Header: "CHANGE-CAUSE", Flexible: true},
	}}
	for _, h := range r.History {
		good, cause := output.Unknown, output.None
		if h.KnownGood != nil && *h.KnownGood {
			good = "yes"
		}
		if h.Cause != "" {
			cause = h.Cause
			if h.CauseStale {
				cause += " (same as before: stale?)"
			}
		}
		t.Rows = append(t.Rows, output.Text(fmt.Sprint(h.Number), h.Name, h.Role, output.Since(h.CreatedAt, r.Time), count(h.Available, h.Pods), good, strings.Join(h.Images, ","), cause))
	}
	w.WriteByte('\n')
	_ = t.Fprint(w, output.TableOptions{NoHeaders: w.o.NoHeaders, Terminal: w.o.Terminal})
}

func (w *writer) fullDiff(r *report.Rollout) {
	if r.Diff == nil {
		return
	}
	fmt.Fprintf(w, "\n%s to %s:\n", output.Sanitize(r.Diff.From), output.Sanitize(r.Diff.To))
	if len(r.Diff.Changes) == 0 {
		w.WriteString("  no difference in the pod template\n")
	}
	for _, c := range r.Diff.Changes {
		mark := " "
		if c.Relevant {
			mark = "*"
		}
		sign := map[string]string{"added": "+", "removed": "-", "changed": "~"}[c.Kind]
		text := c.Path + ": "
		switch c.Kind {
		case "changed":
			text += c.From + " → " + c.To
		case "added":
			text += c.To
		default:
			text += c.From
		}
		style := map[string]output.Style{"+": output.Good, "-": output.Bad, "~": output.Warn}[sign]
		w.WriteString(mark + " " + w.o.Terminal.Paint(sign, style) + " " + output.Wrap(output.Sanitize(text), w.o.Terminal, 4, "      ") + "\n")
	}
}
