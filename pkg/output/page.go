package output

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// SeverityStyle is the style of a severity's word.
func SeverityStyle(s finding.Severity) Style {
	switch s {
	case finding.Critical:
		return Bad
	case finding.Warning:
		return Warn
	}
	return Plain
}

// Page writes a report as every plugin shows it: the verdict, a block per cause, and sections of one fact per line. On a
// terminal, lines are wrapped at its width with a hanging indent; elsewhere a fact is one line, for grep. Nothing is cut.
type Page struct {
	strings.Builder // does not fail

	Terminal Terminal
	Now      time.Time // turns the times of evidence into ages

	said string // the message of the verdict line
	rest string // the end of it, for which that line had no room
}

// lineWidth is how long a verdict line should be.
const lineWidth = 120

// Verdict writes the first line, "VERDICT: OBJECT: message". The block of a finding that has the same message leaves out
// what this line says. Of a message "SUBJECT problem: detail; consequence" that is too long for the line, the
// consequence is said in the block, where one of blocks, which follow, has the message; problem and detail are the cause,
// which the first line tells whatever its length.
func (p *Page) Verdict(word string, style Style, object, message string, blocks ...Block) {
	used := Width(word) + len(": ")
	p.WriteString(p.Terminal.Paint(word, style) + ": ")
	first, rest := message, ""
	if slices.ContainsFunc(blocks, func(b Block) bool { return b.Message == message }) {
		first, rest = parts(message, lineWidth-used-Width(object)-len(": "))
	}
	text := Sanitize(object) + ": " + Sanitize(first)
	p.WriteString(Wrap(text, p.Terminal, used, "  ") + "\n")
	p.said, p.rest = message, rest
}

// parts parts the consequence from a message that is wider than this. A semicolon in brackets or quotes is of what is named there, as of
// a probe's command.
func parts(message string, width int) (cause, consequence string) {
	if Width(message) <= width {
		return message, ""
	}
	depth, quoted := 0, false
	for i := range len(message) {
		switch message[i] {
		case '"':
			quoted = !quoted
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case ';':
			if rest, ok := strings.CutPrefix(message[i:], "; "); ok && depth == 0 && !quoted {
				return message[:i], rest
			}
		}
	}
	return message, ""
}

// Line writes one line of text under an indent, wrapped under itself with two columns more.
func (p *Page) Line(indent int, text string) {
	pad := strings.Repeat(" ", indent)
	p.WriteString(pad + Wrap(Sanitize(text), p.Terminal, indent, pad+"  ") + "\n")
}

// Gap writes an empty line between two parts, and none at the top.
func (p *Page) Gap() {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
}

// Section writes "Title:" and a line per fact under it, after an empty line; no facts, no section.
func (p *Page) Section(title string, facts ...string) {
	if len(facts) == 0 {
		return
	}
	p.Gap()
	p.WriteString(title + ":\n")
	for _, f := range facts {
		p.Line(2, f)
	}
}

// Facts writes "Label:" and its facts beside it in a column that begins at width: one fact a line; no facts, no label.
func (p *Page) Facts(width int, label string, facts ...string) {
	head := fmt.Sprintf("%-*s", width, label+":")
	pad := strings.Repeat(" ", width)
	for _, f := range facts {
		p.WriteString(strings.TrimRight(head+Wrap(Sanitize(f), p.Terminal, width, pad), " ") + "\n")
		head = pad
	}
}

// Log is the end of a container's log, as evidence.
type Log struct {
	Pod, Container string
	Previous       bool // of the run before
	Lines          []string
}

// Block is a finding and what a plugin knows of it beside: Notes stand in brackets after its code, such as "for 45s".
type Block struct {
	finding.Finding

	Notes []string
	Log   *Log
}

// Facts are the evidence without what only repeats the message or an earlier fact.
func (b *Block) Facts() []finding.Evidence {
	var facts []finding.Evidence
	var told []string
	for _, e := range b.Evidence {
		if !repeats(e, b.Message, told) {
			facts, told = append(facts, e), append(told, e.Value)
		}
	}
	return facts
}

// Blocks wraps findings that have neither notes nor logs.
func Blocks(list []finding.Finding) []Block {
	blocks := make([]Block, 0, len(list))
	for _, f := range list {
		blocks = append(blocks, Block{Finding: f})
	}
	return blocks
}

// Findings writes a block per finding, each after an empty line: code and message, the log that names the cause, the
// evidence, the next steps.
func (p *Page) Findings(list ...Block) {
	for i := range list {
		p.Gap()
		p.block(&list[i])
	}
}

func (p *Page) block(f *Block) {
	head := string(f.Code)
	if len(f.Notes) > 0 {
		head += " (" + strings.Join(f.Notes, "; ") + ")"
	}
	message := f.Message
	if message == p.said {
		message = p.rest
	}
	if message != "" {
		head += ": " + message
	}
	severity := strings.ToUpper(string(f.Severity))
	p.WriteString(p.Terminal.Paint(severity, SeverityStyle(f.Severity)) + " " + Wrap(Sanitize(head), p.Terminal, len(severity)+1, "  ") + "\n")
	p.log(f.Log)
	p.evidence(f)
	p.next(f.Next)
}

func (p *Page) log(l *Log) {
	if l == nil || len(l.Lines) == 0 {
		return
	}
	of := "pod " + l.Pod + ", container " + l.Container
	if l.Previous {
		of += ", previous run"
	}
	p.Line(2, "Last log of "+of+":")
	for _, line := range l.Lines {
		p.WriteString(strings.TrimRight("    | "+Sanitize(line), " ") + "\n")
	}
}

// beside is how many columns an evidence's object and field path may take before its value; a longer path stands under it.
const beside = 60

func (p *Page) evidence(f *Block) {
	for i, e := range f.Facts() {
		if i == 0 {
			p.WriteString("  Evidence:\n")
		}
		subject, under := e.Source, ""
		switch {
		case e.Path == "":
		case len(e.Source)+1+len(e.Path) <= beside:
			subject += " " + e.Path
		default:
			under = e.Path
		}
		text := subject + ": " + e.Value
		if age := p.age(e.Time); age != "" && !strings.Contains(e.Value, age) {
			text += " (" + age + ")"
		}
		p.Line(4, text)
		if under != "" {
			p.Line(6, under)
		}
	}
}

// age is how long ago something was; empty where that is unknown.
func (p *Page) age(t *time.Time) string {
	if t == nil {
		return ""
	}
	return Age(p.Now.Sub(*t)) + " ago"
}

// repeats tells an event that says only what the message or an earlier fact says.
func repeats(e finding.Evidence, message string, told []string) bool {
	if e.Value == "" || !strings.HasPrefix(e.Source, "Event") {
		return false
	}
	return strings.Contains(message, e.Value) || slices.ContainsFunc(told, func(t string) bool { return strings.Contains(t, e.Value) })
}

// next writes the steps, each with its command on a line of its own, never wrapped, so that it can be pasted.
func (p *Page) next(steps []finding.Next) {
	if len(steps) == 0 {
		return
	}
	p.WriteString("  Next steps (read-only unless marked):\n")
	for i, n := range steps {
		number := fmt.Sprintf("    %d. ", i+1)
		pad := strings.Repeat(" ", len(number))
		why := n.Why
		if n.Risk != finding.Read {
			why = "[" + string(n.Risk) + "] " + why
		}
		p.WriteString(number + Wrap(Sanitize(why), p.Terminal, len(number), pad) + "\n")
		p.WriteString(pad + p.Terminal.Paint(Sanitize(n.Command), Bold) + "\n")
		for _, a := range n.Answers {
			p.WriteString(pad + "→ " + Wrap(Sanitize(a), p.Terminal, len(pad)+2, pad+"  ") + "\n")
		}
	}
}

// Consequences writes what follows from a cause, under a heading per cause, in the order of their first mention.
func (p *Page) Consequences(list []finding.Consequence) {
	var causes []finding.Code
	lines := map[finding.Code][]string{}
	for _, c := range list {
		if lines[c.CausedBy] == nil {
			causes = append(causes, c.CausedBy)
		}
		lines[c.CausedBy] = append(lines[c.CausedBy], string(c.Code)+": "+c.Message)
	}
	for _, cause := range causes {
		p.Section("Consequences of "+string(cause), lines[cause]...)
	}
}

// Wrap breaks text at spaces so that it fits a terminal, whose cursor already stands at column used; further lines
// begin with indent. Off a terminal text stays on one line, for grep.
func Wrap(text string, term Terminal, used int, indent string) string {
	if !term.TTY || term.Width <= 20 {
		return text
	}
	var b strings.Builder
	column := used
	for i, word := range strings.Fields(text) {
		width := Width(word)
		if i > 0 {
			if column+1+width > term.Width {
				b.WriteString("\n" + indent)
				column = len(indent)
			} else {
				b.WriteByte(' ')
				column++
			}
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}
