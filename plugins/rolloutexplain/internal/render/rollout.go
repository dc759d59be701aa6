package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// The columns in which the facts begin: beside the counts, and beside what the controller does.
const (
	countsWidth = 10
	factsWidth  = 14
)

// page gathers the parts of one rollout.
type page struct {
	output.Page

	o Options
}

// Rollout writes one rollout in full.
func Rollout(out io.Writer, r *report.Rollout, o Options) error {
	p := &page{Page: output.Page{Terminal: o.Terminal, Now: r.Time}, o: o}
	var blocks []output.Block
	for _, f := range causesOf(r) {
		blocks = append(blocks, output.Block{Finding: f.Finding})
	}
	p.Verdict(string(r.Verdict), VerdictStyle(r.Verdict), slash(r.Object), r.Summary, blocks...)
	p.counts(r)
	p.causes(r)
	p.others(r)
	p.controller(r)
	p.history(r)
	p.fullDiff(r)
	p.Section("Not checked", r.NotChecked...)
	_, err := io.WriteString(out, p.String())
	return err
}

func (p *page) counts(r *report.Rollout) {
	parts := []string{}
	if r.Object.Kind == "Job" {
		parts = append(parts, of(r.Counts.Updated, r.Counts.Desired)+" succeeded")
	} else {
		parts = append(parts, of(r.Counts.Updated, r.Counts.Desired)+" updated", of(r.Counts.Available, r.Counts.Desired)+" available")
	}
	if r.Counts.Old != nil && *r.Counts.Old > 0 {
		parts = append(parts, fmt.Sprintf("%d old", *r.Counts.Old))
	}
	if r.Counts.Terminating != nil && *r.Counts.Terminating > 0 {
		parts = append(parts, fmt.Sprintf("%d terminating", *r.Counts.Terminating))
	}
	text := strings.Join(parts, ", ")
	if r.Revision != nil {
		age := ""
		if r.Revision.CreatedAt != nil {
			age = ", " + output.Since(r.Revision.CreatedAt, r.Time) + " old"
		}
		text = fmt.Sprintf("revision %d (%s%s): %s", r.Revision.Number, r.Revision.Name, age, text)
	}
	if r.Requested != nil {
		text += "; requested " + slash(*r.Requested)
	}
	if bar := p.bar(r); bar != "" {
		text = bar + " " + text
	}
	p.Facts(countsWidth, "Rollout", text)
}

// of is a count in a sentence: "1 of 3".
func of(n, all *int32) string {
	word := func(n *int32) string {
		if n == nil {
			return "unknown"
		}
		return fmt.Sprint(*n)
	}
	if n == nil && all == nil {
		return "unknown"
	}
	return word(n) + " of " + word(all)
}

func (p *page) bar(r *report.Rollout) string {
	if r.Verdict == report.Complete || r.Counts.Updated == nil || r.Counts.Desired == nil {
		return ""
	}
	done := *r.Counts.Updated
	if r.Counts.Available != nil && r.Object.Kind != "Job" {
		done = min(done, *r.Counts.Available)
	}
	return p.o.Terminal.Bar(int64(done), int64(*r.Counts.Desired), 20)
}

// causes writes what blocks, the root cause first.
func (p *page) causes(r *report.Rollout) {
	for _, f := range causesOf(r) {
		p.Findings(p.blockOf(f))
		if len(f.Pods) > 1 {
			p.Line(2, "Pods: "+several(f.Pods, 4))
		}
	}
}

func (p *page) blockOf(f *report.Finding) output.Block {
	block := output.Block{Finding: f.Finding, Notes: p.notes(f)}
	if l := f.Log; l != nil {
		block.Log = &output.Log{Pod: l.Pod, Container: l.Container, Previous: l.Previous, Lines: l.Lines}
	}
	return block
}

// causesOf are the findings with a block of their own.
func causesOf(r *report.Rollout) []*report.Finding {
	var list []*report.Finding
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Role == report.RootCause || f.Role == report.Contributing {
			list = append(list, f)
		}
	}
	return list
}

// notes are the age of a cause, its next attempt, whether it recovers without a change, and how certain it is.
func (p *page) notes(f *report.Finding) []string {
	var notes []string
	if f.FirstSeen != nil {
		notes = append(notes, "for "+output.Age(p.Now.Sub(*f.FirstSeen)))
	}
	if f.RetryAt != nil {
		notes = append(notes, "next restart in "+output.Age(f.RetryAt.Sub(p.Now)))
	}
	switch f.SelfHealing {
	case "no":
		notes = append(notes, "does not recover without a change")
	case "maybe":
		notes = append(notes, "may recover without a change")
	case "yes":
		notes = append(notes, "recovers without a change")
	}
	if f.Confidence != "" {
		notes = append(notes, "confidence "+f.Confidence)
	}
	return notes
}

func several(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// others writes what follows from the root cause, then what is unrelated to it.
func (p *page) others(r *report.Rollout) {
	var consequences, unrelated []string
	cause := ""
	for i := range r.Findings {
		f := &r.Findings[i]
		text := string(f.Code) + ": " + f.Message
		switch f.Role {
		case report.RootCause:
			cause = " of " + string(f.Code)
		case report.Consequence:
			consequences = append(consequences, text)
		case report.Unrelated:
			if f.Class != report.Info && r.Verdict != report.Complete {
				text += " [unrelated]"
			}
			unrelated = append(unrelated, text)
		}
	}
	p.Section("Consequences"+cause, consequences...)
	p.Section("Other findings", unrelated...)
}

// controller writes what the controller can do next and why, its timers, the pods and the changes.
func (p *page) controller(r *report.Rollout) {
	pods, strategy, changes, timers := p.podFacts(r), strategyFacts(r), p.changeFacts(r), []string{}
	for _, t := range r.Timers {
		timers = append(timers, t.Name+": "+t.Message)
	}
	var rollback []string
	if r.Rollback != nil && !r.Rollback.Advised {
		rollback = []string{"not advised: " + r.Rollback.Why}
	}
	if len(r.NextAction)+len(strategy)+len(timers)+len(pods)+len(rollback)+len(changes) > 0 {
		p.Gap()
	}
	p.Facts(factsWidth, "Next action", r.NextAction...)
	p.Facts(factsWidth, "Strategy", strategy...)
	p.Facts(factsWidth, "Timer", timers...)
	p.Facts(factsWidth, "Pods", pods...)
	p.Facts(factsWidth, "Rollback", rollback...)
	p.Facts(factsWidth, "Changes", changes...)
}

func strategyFacts(r *report.Rollout) []string {
	s := r.UpdateStrategy
	if s == nil || r.Verdict == report.Complete {
		return nil
	}
	words := []string{s.Type}
	if s.PodManagementPolicy != "" {
		words = append(words, s.PodManagementPolicy)
	}
	if n := r.Counts.Desired; n != nil {
		words = append(words, fmt.Sprintf("%d %s", *n, map[bool]string{true: "replica", false: "replicas"}[*n == 1]))
	}
	if s.MaxSurge != nil {
		words = append(words, fmt.Sprintf("maxSurge %s = %d", s.MaxSurge.Spec, s.MaxSurge.Pods))
	}
	if s.MaxUnavailable != nil {
		words = append(words, fmt.Sprintf("maxUnavailable %s = %d", s.MaxUnavailable.Spec, s.MaxUnavailable.Pods))
	}
	if s.Partition != nil && *s.Partition > 0 {
		words = append(words, fmt.Sprintf("partition %d", *s.Partition))
	}
	return []string{strings.Join(words, ", ")}
}

func (p *page) podFacts(r *report.Rollout) []string {
	if r.Verdict == report.Complete && !p.o.Wide {
		return nil
	}
	var facts []string
	for _, g := range r.Pods {
		most := 3
		if p.o.Wide {
			most = len(g.Pods)
		}
		facts = append(facts, fmt.Sprintf("%d %s: %s", len(g.Pods), strings.TrimSpace(g.Role+" "+g.State), several(g.Pods, most)))
	}
	return facts
}

func (p *page) changeFacts(r *report.Rollout) []string {
	if r.Changes == nil || len(r.Changes.Changes) == 0 || r.Diff != nil || r.Verdict == report.Complete && !p.o.Wide {
		return nil
	}
	most := 4
	var facts []string
	changes := report.Fold(r.Changes.Changes)
	for _, relevant := range []bool{true, false} {
		for _, c := range changes {
			if c.Relevant == relevant && len(facts) < most {
				facts = append(facts, changeFact(c))
			}
		}
	}
	facts[0] = "since " + r.Changes.From + ": " + facts[0]
	if more := len(changes) - len(facts); more > 0 {
		facts = append(facts, fmt.Sprintf("%d more with --diff", more))
	}
	return facts
}

func changeFact(c report.Change) string {
	switch c.Kind {
	case "added":
		return "+" + c.Path + " " + c.To
	case "removed":
		return "-" + c.Path + " (was " + c.From + ")"
	}
	return c.Path + " " + c.From + " → " + c.To
}

func (p *page) history(r *report.Rollout) {
	if len(r.History) == 0 {
		return
	}
	t := output.TableText{Columns: []output.Column{
		{Header: "REVISION"},
		{Header: "NAME"},
		{Header: "ROLE"},
		{Header: "AGE"},
		{Header: "PODS"},
		{Header: "KNOWN-GOOD"},
		{Header: "IMAGES"},
		{Header: "CHANGE-CAUSE", Flexible: true},
	}}
	for _, h := range r.History {
		good, cause := output.Unknown, output.None
		if h.KnownGood != nil && *h.KnownGood {
			good = "yes"
		}
		if h.Cause != "" {
			cause = h.Cause
			if h.CauseStale {
				cause += " (same as the revision before, may be out of date)"
			}
		}
		t.Rows = append(t.Rows, output.Text(fmt.Sprint(h.Number), h.Name, h.Role, output.Since(h.CreatedAt, r.Time),
			count(h.Available, h.Pods), good, strings.Join(h.Images, ","), cause))
	}
	p.Gap()
	_ = t.Fprint(p, output.TableOptions{NoHeaders: p.o.NoHeaders, Terminal: p.o.Terminal}) // a Page does not fail
}

func (p *page) fullDiff(r *report.Rollout) {
	if r.Diff == nil {
		return
	}
	p.Gap()
	fmt.Fprintf(p, "%s to %s:\n", output.Sanitize(r.Diff.From), output.Sanitize(r.Diff.To))
	if len(r.Diff.Changes) == 0 {
		p.WriteString("  no difference in the pod template\n")
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
		p.WriteString(mark + " " + p.o.Terminal.Paint(sign, style) + " " + output.Wrap(output.Sanitize(text), p.o.Terminal, 4, "      ") + "\n")
	}
}
