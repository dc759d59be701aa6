// Package publish writes what a plugin concluded in the formats that other tools read: Markdown for tickets and job summaries,
// JUnit XML for CI, and the text format of Prometheus. There is one renderer per format, over one shape that the reports of all
// plugins are put into. Strings from the cluster stay data in each format, whatever they contain.
package publish

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// Report is what one run concluded.
type Report struct {
	Plugin   string    // nodeinfo, dns, rollout-explain, runbooks
	Kind     string    // of the report, as in its JSON: a plugin may have several
	Time     time.Time // by the API server's clock
	Verdict  string    // the worst of the subjects
	Summary  string    // of all subjects in one sentence
	Notes    []string  // what the problems of several subjects have in common
	Changes  []string  // what changed lately, a line each, newest last; Markdown alone tells it
	Subjects []Subject // worst first
	Errors   []Error
	Sources  source.List // of the report as a whole; those of a subject stand there
}

// Subject is one object and the verdict on it.
type Subject struct {
	Context      string // of the kubeconfig, where there are several clusters
	Object       finding.ObjectRef
	Title        string // how the text names it: node/w1, cluster DNS
	Verdict      string
	Standing     Standing
	Summary      string
	Findings     []Finding // causes first
	Consequences []finding.Consequence
	Text         string   // the plugin's own text, without color; empty where it was not asked for
	NotChecked   []string // one phrase per gap
	Sources      source.List
	Exempt       bool // its findings do not reach --fail-on
}

// Standing is what a verdict means to a reader who does not know the words of the plugin.
type Standing int

// The standings.
const (
	Bad    Standing = iota // something is to be done or looked at
	Good                   // nothing is wrong
	Unread                 // too little could be read to say
)

// Finding is a finding in the form of its text block; Folded says that it is none of the causes of the verdict.
type Finding struct {
	output.Block

	Folded bool
}

// Error is what was asked for and has no verdict at all, for which the run ends with exit code 1: Type is NotFound or Unreachable.
type Error struct{ Title, Type, Message string }

// The types of an Error.
const (
	NotFound    = "NotFound"
	Unreachable = "Unreachable"
)

// Options are the flags that bear on what is printed.
type Options struct {
	FailOn          finding.Threshold // of JUnit: never counts as critical, because a result without any failure says nothing
	RequireComplete bool
}

// Print writes the report in a format for which output.Format.Published holds.
func Print(w io.Writer, format output.FormatKind, r Report, o Options) error {
	var text string
	switch format {
	case output.Markdown:
		text = markdown(r)
	case output.JUnit:
		text = junit(r, o)
	case output.Prometheus:
		text = prometheus(r)
	default:
		return fmt.Errorf("format %q is not published", format)
	}
	_, err := io.WriteString(w, text)
	return err
}

// unread counts the sources that were wanted and not read, in the report and its subjects, each once.
func (r Report) unread() int {
	seen := map[string]bool{}
	count := func(context string, list source.List) {
		for _, s := range list {
			if (source.List{s}).Incomplete() {
				seen[context+"\x00"+s.Name] = true
			}
		}
	}
	count("", r.Sources)
	for i := range r.Subjects {
		count(r.Subjects[i].Context, r.Subjects[i].Sources)
	}
	return len(seen)
}

// Worst is the first of words, which are in order of gravity, that is the verdict of a subject; empty without subjects.
func Worst[V ~string](subjects []Subject, words []V) string {
	for _, word := range words {
		if slices.ContainsFunc(subjects, func(s Subject) bool { return s.Verdict == string(word) }) {
			return string(word)
		}
	}
	return ""
}
