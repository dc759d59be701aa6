package webpage

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// rollouts is the page of several rollouts.
func rollouts(list rolloutreport.List) string {
	var now time.Time
	verdict := ""
	for _, v := range rolloutreport.Verdicts() {
		if slices.ContainsFunc(list.Items, func(r rolloutreport.Rollout) bool { return r.Verdict == v }) {
			verdict = string(v)
			break
		}
	}
	if len(list.Items) > 0 {
		now = list.Items[0].Time
	}
	title := output.Plural(len(list.Items), "rollout")
	return document(verdict+": "+title, now, func(p *page) {
		p.header(title, verdict, list.Summary, "kubectl rollout-explain")
		p.within("main", func() {
			p.workloads(&list)
			p.gaps(list.Sources)
		})
	})
}

// rollout is the page of one rollout.
func rollout(r *rolloutreport.Rollout) string {
	title := nameOf(r.Object)
	return document(string(r.Verdict)+": "+title, r.Time, func(p *page) {
		p.header(title, string(r.Verdict), r.Summary, "kubectl rollout-explain")
		p.within("main", func() { p.explanation(r) })
	})
}

// nameOf is how the text names an object.
func nameOf(o finding.ObjectRef) string {
	name := strings.ToLower(o.Kind) + "/" + o.Name
	if o.Namespace != "" {
		name += " in " + o.Namespace
	}
	return name
}

// workloads writes the table of rollouts, and a section for each that is not complete.
func (p *page) workloads(list *rolloutreport.List) {
	var rows [][]cell
	shown := map[int]string{}
	for i := range list.Items {
		r := &list.Items[i]
		if r.Verdict != rolloutreport.Complete || len(list.Items) <= mostHealthy {
			shown[i] = p.anchor()
		}
		rows = append(rows, p.rolloutRow(r, shown[i]))
	}
	p.table("Rollouts", []string{"Rollout", "Namespace", "Verdict", "Cause", "Updated", "Ready", "Available", "Age"}, rows)
	for i := range list.Items {
		if r := &list.Items[i]; shown[i] != "" {
			p.object(shown[i], nameOf(r.Object), string(r.Verdict), r.Summary, func() { p.explanation(r) })
		}
	}
	if left := len(list.Items) - len(shown); left > 0 {
		text := output.Plural(left, "Complete rollout") + " without a section: kubectl rollout-explain TYPE/NAME prints one."
		p.element("p", text, class("quiet"))
	}
}

func (p *page) rolloutRow(r *rolloutreport.Rollout, anchor string) []cell {
	row := []cell{
		{text: strings.ToLower(r.Object.Kind) + "/" + r.Object.Name, link: anchor},
		{text: r.Object.Namespace},
		{text: string(r.Verdict), badge: true},
		{},
	}
	if len(r.Findings) > 0 {
		row[3].text = string(r.Findings[0].Code)
	}
	c := r.Counts
	for _, count := range []*int32{c.Updated, c.Ready, c.Available} {
		row = append(row, part(count, c.Desired))
	}
	age := cell{text: "unknown"}
	if r.CreatedAt != nil {
		age = cell{text: output.Age(p.now.Sub(*r.CreatedAt)), sort: fmt.Sprint(int64(p.now.Sub(*r.CreatedAt).Seconds()))}
	}
	return append(row, age)
}

// part is a count of a desired number, as a bar.
func part(count, desired *int32) cell {
	switch {
	case count == nil:
		return cell{text: "unknown"}
	case desired == nil:
		return cell{text: fmt.Sprint(*count)}
	case *desired == 0:
		return cell{text: fmt.Sprintf("%d of 0", *count), sort: fmt.Sprint(*count)}
	}
	value := 100 * float64(*count) / float64(*desired)
	return cell{text: fmt.Sprintf("%d of %d", *count, *desired), bar: &value}
}

var roles = map[rolloutreport.Role]string{
	rolloutreport.RootCause: "root cause", rolloutreport.Contributing: "contributing cause",
}

// explanation writes all about a rollout: causes, its time line, what the controller does next, and the rest.
func (p *page) explanation(r *rolloutreport.Rollout) {
	for i := range r.Findings {
		f := &r.Findings[i]
		b := block{Finding: f.Finding, notes: []string{cmp.Or(roles[f.Role], string(f.Role))}}
		if f.FirstSeen != nil {
			b.notes = append(b.notes, "for "+output.Age(p.now.Sub(*f.FirstSeen)))
		}
		if f.SelfHealing == "no" {
			b.notes = append(b.notes, "does not recover without a change")
		}
		if f.Confidence != "" {
			b.notes = append(b.notes, "confidence "+f.Confidence)
		}
		if l := f.Log; l != nil {
			b.log = &output.Log{Pod: l.Pod, Container: l.Container, Previous: l.Previous, Lines: l.Lines}
		}
		p.finding(b, nil)
	}
	p.timeline("Time line", moments(r))
	p.table("Replicas", []string{"Replicas", "Desired", "Count"}, p.progress(&r.Counts))
	p.list("Next action of the controller", r.NextAction)
	p.folded("All data", func() {
		p.data(reflect.ValueOf(*r), append([]string{"nextAction", "counts"}, written...)...)
	})
	p.gaps(r.Sources, r.NotChecked...)
}

// progress is the counts that are parts of the desired number.
func (p *page) progress(c *rolloutreport.Counts) [][]cell {
	var rows [][]cell
	for _, x := range []struct {
		name  string
		count *int32
	}{
		{"updated", c.Updated},
		{"updated and ready", c.UpdatedReady},
		{"ready, of any revision", c.Ready},
		{"available, of any revision", c.Available},
		{"old", c.Old},
		{"terminating", c.Terminating},
	} {
		if x.count == nil {
			continue
		}
		desired := cell{text: "unknown"}
		if c.Desired != nil {
			desired.text = fmt.Sprint(*c.Desired)
		}
		rows = append(rows, []cell{{text: x.name}, desired, part(x.count, c.Desired)})
	}
	return rows
}

// moments are what a rollout's time line shows: its revisions, what was found since when, what comes.
func moments(r *rolloutreport.Rollout) []point {
	var list []point
	add := func(at *time.Time, tone, format string, args ...any) {
		if at != nil {
			list = append(list, point{*at, fmt.Sprintf(format, args...), tone})
		}
	}
	add(r.CreatedAt, "quiet", "%s created", nameOf(r.Object))
	revisions := slices.Clone(r.History)
	if r.Revision != nil && !slices.ContainsFunc(revisions, func(x rolloutreport.Revision) bool { return x.Name == r.Revision.Name }) {
		revisions = append(revisions, *r.Revision)
	}
	for _, x := range revisions {
		add(x.CreatedAt, "good", "revision %d (%s) created", x.Number, x.Name)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		tone := tones[string(f.Severity)]
		add(f.FirstSeen, tone, "%s: %s", f.Code, f.Message)
		add(f.RetryAt, "quiet", "%s: next attempt", f.Code)
		for _, e := range f.Evidence {
			if f.Role == rolloutreport.RootCause {
				add(e.Time, tone, "%s: %s", e.Source, e.Value)
			}
		}
	}
	for _, t := range r.Timers {
		add(t.Ends, "warn", "%s", t.Message)
	}
	return list
}
