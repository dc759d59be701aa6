package finding

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// UnexplainedEvidence is the code of what no finding accounts for; every plugin that gives a verdict has it in its book.
const UnexplainedEvidence Code = "UnexplainedEvidence"

// UnexplainedEntry is its entry, the same in every catalog. It stands last in a book: it explains nothing.
func UnexplainedEntry() Entry {
	return Entry{
		Code: UnexplainedEvidence, Severity: Warning,
		Title:   "Evidence of a problem is unexplained",
		Meaning: "Something that was read speaks against health, and no check accounts for it. The verdict is therefore not a clean one.",
		Evidence: "Warning events of the last 10 minutes that are newer than the last time their object was seen well, failed pods, " +
			"False conditions, error lines of logs, wrong answers.",
		Next: "Read the object that the evidence names.",
	}
}

// Contrary is one thing that was read and speaks against health: a Warning event, a failed pod, a refused probe, a condition
// that is not as it should be, an answer that differs, a status that stands still, a log line of a known error.
type Contrary struct {
	Kind     string      // what it is, one word for each source and reason: "Event FailedMount", "Pod Failed", "Condition ReplicaFailure"
	Object   ObjectRef   // at what it was seen
	Beside   []ObjectRef // further objects whose findings account for it, such as its owner and its node
	By       []Code      // the only codes that account for it, whatever their object; nil: any finding about Object or Beside
	Evidence Evidence
}

// Ledger holds what speaks against health until the findings are there: what none of them accounts for is unexplained, and
// no verdict is a clean one while something is. Whoever reads a fact that may speak against health notes it, unless its
// kind is harmless or it is over (event.Current); whether a rule knows it is not the reader's question.
type Ledger struct {
	Harmless map[string]string // kinds that speak against nothing by themselves, and why; events have event.Harmless
	entries  []Contrary
}

// Note registers a fact, once however often it is read.
func (l *Ledger) Note(c Contrary) {
	if _, ok := l.Harmless[c.Kind]; ok {
		return
	}
	if !slices.ContainsFunc(l.entries, func(e Contrary) bool {
		return e.Kind == c.Kind && e.Object == c.Object && e.Evidence.Path == c.Evidence.Path && e.Evidence.Value == c.Evidence.Value
	}) {
		l.entries = append(l.entries, c)
	}
}

// Unexplained gives what no finding and no consequence accounts for, in an order that does not depend on that of reading.
// A finding accounts for a fact that it has as evidence, that is of its object (or one that it Covers) unless the fact
// names codes, or that names its code. Information about the object accounts for nothing: it is no problem that was found.
func (l *Ledger) Unexplained(findings []Finding, consequences []Consequence) []Contrary {
	var left []Contrary
	for _, c := range l.entries {
		explained := slices.ContainsFunc(findings, func(f Finding) bool { return f.accountsFor(&c) }) ||
			slices.ContainsFunc(consequences, func(q Consequence) bool {
				f := Finding{Code: q.Code, Severity: Warning, Object: q.Object}
				return f.accountsFor(&c)
			})
		if !explained {
			left = append(left, c)
		}
	}
	sorting.Func(left, func(a, b Contrary) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object.String(), b.Object.String()),
			cmp.Compare(a.Evidence.Value, b.Evidence.Value))
	})
	return left
}

func (f *Finding) accountsFor(c *Contrary) bool {
	if slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return e.Value == c.Evidence.Value && e.Value != "" }) {
		return true
	}
	if c.By != nil {
		return slices.Contains(c.By, f.Code)
	}
	if f.Severity == Info {
		return false
	}
	about := func(o ObjectRef) bool { return o == c.Object || slices.Contains(c.Beside, o) }
	return f.Object != nil && about(*f.Object) || slices.ContainsFunc(f.Covers, about)
}

// mostShown is how many unexplained facts a finding shows; it tells the number of the others.
const mostShown = 10

// Unexplained makes the finding of what is left of a ledger; false: nothing is. The object is the one that the report is
// about; next steps are the plugin's.
func Unexplained(left []Contrary, object ObjectRef, next ...Next) (Finding, bool) {
	if len(left) == 0 {
		return Finding{}, false
	}
	e := UnexplainedEntry()
	f := Finding{Code: e.Code, Severity: e.Severity, Title: e.Title, Object: &object, Next: next}
	first := left[0]
	f.Message = fmt.Sprintf("no check explains %s", first.words(object))
	if more := len(left) - 1; more > 0 {
		f.Message += fmt.Sprintf(" (and %d more)", more)
	}
	for i, c := range left {
		if i == mostShown {
			f.Evidence = append(f.Evidence, Evidence{Source: "Unexplained", Value: fmt.Sprintf("%d more", len(left)-i)})
			break
		}
		evidence := c.Evidence
		evidence.Source = c.Kind + " of " + c.Object.String()
		f.Evidence = append(f.Evidence, evidence)
	}
	return f, true
}

// words says what the fact is; the object of the report itself is not said again.
func (c *Contrary) words(of ObjectRef) string {
	if c.Object == of {
		return fmt.Sprintf("%s: %s", c.Kind, c.Evidence.Value)
	}
	return fmt.Sprintf("%s of %s: %s", c.Kind, c.Object, c.Evidence.Value)
}
