package publish

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// unfolded is how many subjects with problems are shown in full: the summary of a job holds 1 MiB
// (https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands), a comment 65,536 characters. Of the
// others the verdict is told.
const unfolded = 20

// page is a Markdown document in the making.
type page struct {
	strings.Builder

	now time.Time
}

func markdown(r Report) string {
	p := &page{now: r.Time}
	if len(r.Subjects) == 1 && len(r.Errors) == 0 {
		s := &r.Subjects[0]
		p.line("**%s**: %s: %s", prose(s.Verdict), code(s.Title), prose(s.Summary))
		p.subject(s)
	} else {
		p.list(r)
	}
	changes := make([]string, 0, len(r.Changes))
	for _, c := range r.Changes {
		changes = append(changes, prose(c))
	}
	p.bullets("**Changes**, newest last:", changes)
	p.gaps(r)
	p.line("Checked with %s at %s, by the clock of the API server.", code("kubectl "+r.Plugin), r.Time.UTC().Format(time.RFC3339))
	return p.String()
}

// line writes a paragraph; arguments that come from the cluster are escaped by the caller.
func (p *page) line(format string, args ...any) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	p.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// list writes a report on several subjects: those with problems each under a heading, the others folded.
func (p *page) list(r Report) {
	if r.Verdict == "" {
		p.line("%s", prose(r.Summary))
	} else {
		p.line("**%s**: %s", prose(r.Verdict), prose(r.Summary))
	}
	notes := make([]string, 0, len(r.Notes))
	for _, n := range r.Notes {
		notes = append(notes, prose(n))
	}
	p.bullets("", notes)
	for _, e := range r.Errors {
		p.line("**%s**: %s: %s", prose(e.Type), code(e.Title), prose(e.Message))
	}
	var good, more []string
	shown := 0
	for i := range r.Subjects {
		s := &r.Subjects[i]
		switch line := code(s.name()) + ": " + prose(s.Verdict+": "+s.Summary) + s.codes(); {
		case s.Standing == Good:
			good = append(good, line)
		case shown == unfolded:
			more = append(more, line)
		default:
			shown++
			p.line("## %s: %s", prose(s.Verdict), code(s.name()))
			p.line("%s", prose(s.Summary))
			p.subject(s)
		}
	}
	p.folded(output.Plural(len(more), "more", "more"), more)
	p.folded(output.Plural(len(good), "without problems", "without problems"), good)
}

// name tells a subject apart from all others of the report.
func (s *Subject) name() string {
	name := s.Title
	if s.Object.Namespace != "" {
		name = s.Object.Namespace + " " + name
	}
	if s.Context != "" {
		name += " (" + s.Context + ")"
	}
	return name
}

// codes are those of its findings, in brackets.
func (s *Subject) codes() string {
	var list []string
	for i := range s.Findings {
		if c := prose(string(s.Findings[i].Code)); !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// subject writes the causes, and folded what follows from them and the plugin's own text.
func (p *page) subject(s *Subject) {
	var rest []string
	for i := range s.Findings {
		f := &s.Findings[i]
		if f.Folded {
			rest = append(rest, prose(string(f.Code)+": "+f.Message))
		} else {
			p.cause(s, f)
		}
	}
	var consequences []string
	for _, c := range s.Consequences {
		consequences = append(consequences, prose(string(c.Code)+": "+c.Message)+" (of "+prose(string(c.CausedBy))+")")
	}
	p.folded(output.Plural(len(consequences), "consequence"), consequences)
	p.folded(output.Plural(len(rest), "further finding"), rest)
	if s.Text != "" {
		lines := strings.Split(strings.TrimRight(s.Text, "\n"), "\n")
		p.line("<details><summary>Full report</summary>\n\n%s\n</details>", fenced("", "text", lines...))
	}
}

// cause writes a finding: its message where the subject does not say it, the log, the evidence, the next steps.
func (p *page) cause(s *Subject, f *Finding) {
	head := strings.ToUpper(string(f.Severity)) + " " + string(f.Code)
	if len(f.Notes) > 0 {
		head += " (" + strings.Join(f.Notes, "; ") + ")"
	}
	p.line("### %s", prose(head))
	if f.Message != s.Summary {
		p.line("%s", prose(f.Message))
	}
	if l := f.Log; l != nil && len(l.Lines) > 0 {
		lines := make([]string, len(l.Lines))
		for i, line := range l.Lines {
			lines[i] = "| " + line // no line that begins with "::" is a command to the runner of GitHub Actions
		}
		p.line("Last log of pod %s, container %s:\n\n%s", code(l.Pod), code(l.Container), strings.TrimRight(fenced("", "text", lines...), "\n"))
	}
	var facts []string
	for _, e := range f.Facts() {
		text := prose(e.Source)
		if e.Path != "" {
			text += " " + code(e.Path)
		}
		text += ": " + prose(e.Value)
		if e.Time != nil {
			if age := output.Age(p.now.Sub(*e.Time)) + " ago"; !strings.Contains(e.Value, age) {
				text += " (" + age + ")"
			}
		}
		facts = append(facts, text)
	}
	p.bullets("Evidence:", facts)
	p.next(f.Next)
}

// next writes the steps as a numbered list, each command in a fence, to be copied.
func (p *page) next(steps []finding.Next) {
	if len(steps) == 0 {
		return
	}
	p.line("Next steps (read-only unless marked):")
	for i, n := range steps {
		number := fmt.Sprintf("%d. ", i+1)
		pad := strings.Repeat(" ", len(number))
		mark := ""
		if n.Risk != finding.Read {
			mark = "**" + string(n.Risk) + "** "
		}
		p.line("%s%s%s\n\n%s", number, mark, prose(n.Why), strings.TrimRight(fenced(pad, "sh", n.Command), "\n"))
		for j, a := range n.Answers {
			if j == 0 {
				p.WriteByte('\n')
			}
			p.WriteString(pad + "- " + prose(a) + "\n")
		}
	}
}

// bullets writes lines, which are Markdown, as a list under a title; no lines, no title.
func (p *page) bullets(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	if title != "" {
		p.line("%s", title)
	}
	p.line("- %s", strings.Join(lines, "\n- "))
}

// folded writes lines, which are Markdown, as a list that opens on a click.
func (p *page) folded(summary string, lines []string) {
	if len(lines) > 0 {
		p.line("<details><summary>%s</summary>\n\n- %s\n\n</details>", summary, strings.Join(lines, "\n- "))
	}
}

// gaps writes what was not checked, each gap once, with the subjects that lack it where not all do.
func (p *page) gaps(r Report) {
	var order []string
	of := map[string][]string{}
	for i := range r.Subjects {
		for _, gap := range r.Subjects[i].NotChecked {
			if of[gap] == nil {
				order = append(order, gap)
			}
			of[gap] = append(of[gap], r.Subjects[i].name())
		}
	}
	var lines []string
	for _, gap := range order {
		line := prose(gap)
		if n := len(of[gap]); n < len(r.Subjects) {
			line += " (" + code(of[gap][0])
			if n > 1 {
				line += fmt.Sprintf(" and %d more", n-1)
			}
			line += ")"
		}
		lines = append(lines, line)
	}
	p.bullets("**Not checked**:", lines)
}
