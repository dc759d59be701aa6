package publish

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// timestamp is the only form that the schema for Ant's JUnit reports knows: UTC, without a zone
// (https://github.com/windyroad/JUnit-Schema/blob/master/JUnit.xsd). What is written is valid against that schema and the one
// of Jenkins (https://github.com/jenkinsci/xunit-plugin, junit-10.xsd), which ask for one outcome per test case at most.
const timestamp = "2006-01-02T15:04:05"

// outcome is what became of a test case: a failure, an error, skipped, or nothing for one that passed.
type outcome struct {
	element, kind, message, text string
}

type testcase struct {
	class, name string
	outcome     outcome
}

// failing are the findings that reach the threshold.
func (s *Subject) failing(failOn finding.Threshold) []output.Block {
	var list []output.Block
	for i := range s.Findings {
		if !s.Exempt && failOn.Reached([]finding.Finding{s.Findings[i].Finding}) {
			list = append(list, s.Findings[i].Block)
		}
	}
	return list
}

// outcome follows the exit codes: 3 is a failure, 4 an error, and a verdict for which too little could be read is skipped.
func (s *Subject) outcome(r Report, o Options) outcome {
	if failing := s.failing(o.FailOn); len(failing) > 0 {
		p := output.Page{Now: r.Time}
		p.Findings(failing...)
		return outcome{"failure", string(failing[0].Code), failing[0].Message, p.String()}
	}
	switch gaps := strings.Join(s.NotChecked, "\n"); {
	case o.RequireComplete && s.Sources.Incomplete():
		return outcome{"error", "Incomplete", "not everything could be read (--require-complete)", gaps}
	case s.Standing == Unread:
		return outcome{"skipped", "", s.Summary, ""}
	}
	return outcome{}
}

func junit(r Report, o Options) string {
	if o.FailOn == finding.ThresholdNever || o.FailOn == "" {
		o.FailOn = finding.ThresholdCritical
	}
	var cases []testcase
	counts := map[string]int{}
	add := func(c testcase) {
		cases = append(cases, c)
		counts[c.outcome.element]++
	}
	for _, e := range r.Errors {
		add(testcase{r.Plugin, e.Title, outcome{"error", e.Type, e.Message, ""}})
	}
	for i := range r.Subjects {
		s := &r.Subjects[i]
		add(testcase{s.class(r.Plugin), s.Title, s.outcome(r, o)})
	}
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<testsuites>\n")
	fmt.Fprintf(&b, "  <testsuite id=\"0\" name=%s package=%s timestamp=\"%s\" hostname=\"localhost\""+
		" tests=\"%d\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" time=\"0\">\n",
		attribute("kubectl "+r.Plugin), attribute(r.Plugin), r.Time.UTC().Format(timestamp),
		len(cases), counts["failure"], counts["error"], counts["skipped"])
	b.WriteString("    <properties>\n")
	fmt.Fprintf(&b, "      <property name=\"fail-on\" value=%s/>\n", attribute(string(o.FailOn)))
	fmt.Fprintf(&b, "      <property name=\"summary\" value=%s/>\n", attribute(r.Summary))
	b.WriteString("    </properties>\n")
	for _, c := range cases {
		c.write(&b)
	}
	b.WriteString("    <system-out>" + body(said(r)) + "</system-out>\n")
	b.WriteString("    <system-err>" + body(unsaid(r)) + "</system-err>\n")
	b.WriteString("  </testsuite>\n</testsuites>\n")
	return b.String()
}

// class groups the cases by what they belong to, as Jenkins does by package.
func (s *Subject) class(plugin string) string {
	class := plugin
	for _, part := range []string{s.Context, s.Object.Namespace} {
		if part != "" {
			class += "." + part
		}
	}
	return class
}

func (c testcase) write(b *strings.Builder) {
	fmt.Fprintf(b, "    <testcase classname=%s name=%s time=\"0\"", attribute(c.class), attribute(c.name))
	switch x := c.outcome; x.element {
	case "":
		b.WriteString("/>\n")
	case "skipped":
		fmt.Fprintf(b, ">\n      <skipped message=%s/>\n    </testcase>\n", attribute(x.message))
	default:
		fmt.Fprintf(b, ">\n      <%s type=%s message=%s>%s</%s>\n    </testcase>\n",
			x.element, attribute(x.kind), attribute(x.message), body(x.text), x.element)
	}
}

// said is a line per subject and per finding of it.
func said(r Report) string {
	var b strings.Builder
	for i := range r.Subjects {
		s := &r.Subjects[i]
		fmt.Fprintf(&b, "%s: %s: %s\n", s.Verdict, s.name(), output.Sanitize(s.Summary))
		for j := range s.Findings {
			f := &s.Findings[j]
			fmt.Fprintf(&b, "  %s %s: %s\n", strings.ToUpper(string(f.Severity)), f.Code, output.Sanitize(cmp.Or(f.Message, f.Title)))
		}
	}
	return b.String()
}

// unsaid is a line per gap.
func unsaid(r Report) string {
	var b strings.Builder
	for i := range r.Subjects {
		for _, gap := range r.Subjects[i].NotChecked {
			fmt.Fprintf(&b, "%s: not checked: %s\n", r.Subjects[i].name(), output.Sanitize(gap))
		}
	}
	return b.String()
}

// attribute gives a quoted attribute value, which is one line.
func attribute(text string) string {
	return `"` + escaped(strings.TrimSpace(output.Sanitize(text))) + `"`
}

// body gives lines as the text of an element.
func body(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = escaped(output.Sanitize(lines[i]))
	}
	return strings.Join(lines, "\n")
}

// escaped writes text, which was sanitized, as XML, and U+FFFD for the two characters that XML has no place for and that are
// left (https://www.w3.org/TR/xml/#charsets).
func escaped(text string) string { return xmlEscapes.Replace(text) }

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "\ufffe", "\ufffd", "\uffff", "\ufffd")
