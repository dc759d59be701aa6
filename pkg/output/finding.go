package output

import (
	"fmt"
	"io"
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

// Findings writes findings as every plugin shows them: the cause, what it was seen by, and the next command on a line
// of its own, ready to paste. Now turns evidence times into ages; an empty list writes nothing.
func Findings(w io.Writer, term Terminal, list []finding.Finding, now time.Time) error {
	var b strings.Builder
	for i, f := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		head := term.Paint(strings.ToUpper(string(f.Severity)), SeverityStyle(f.Severity)) + " " + string(f.Code) + ": "
		plain := len(f.Severity) + 1 + len(f.Code) + 2
		b.WriteString(head + Wrap(Sanitize(f.Message), term, plain, "  ") + "\n")
		for _, e := range f.Evidence {
			b.WriteString("  " + Wrap(evidenceLine(e, now), term, 2, "    ") + "\n")
		}
		for _, n := range f.Next {
			fmt.Fprintf(&b, "  %s\n", Wrap("next ("+string(n.Risk)+"): "+Sanitize(n.Why), term, 2, "    "))
			fmt.Fprintf(&b, "    %s\n", term.Paint(Sanitize(n.Command), Bold))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func evidenceLine(e finding.Evidence, now time.Time) string {
	var b strings.Builder
	b.WriteString("seen in " + Sanitize(e.Source))
	if e.Path != "" {
		b.WriteString(" " + Sanitize(e.Path))
	}
	b.WriteString(": " + Sanitize(e.Value))
	if e.Time != nil {
		fmt.Fprintf(&b, " (%s ago)", Age(now.Sub(*e.Time)))
	}
	return b.String()
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
