package facts

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// What every rule calls to put its findings is no part of each rule: the nearly 400 calls, as the compiler copied them, took 25 kB of
// kubectl-dns.

// NewEvidence makes evidence.
//
//go:noinline
func NewEvidence(source, path, format string, args ...any) finding.Evidence {
	return finding.Evidence{Source: source, Path: path, Value: fmt.Sprintf(format, args...)}
}

// Read is a next step that changes nothing.
//
//go:noinline
func (w *Snapshot) Read(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: w.Options.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}
}

// Change is a next step that changes something.
//
//go:noinline
func (w *Snapshot) Change(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: w.Options.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Change}
}

// WithAnswers adds to a next step what its answers mean, each as "ANSWER: meaning".
func WithAnswers(n finding.Next, answers ...string) finding.Next {
	n.Answers = answers
	return n
}

// Make builds a finding of a code of the catalog.
//
//go:noinline
func (w *Snapshot) Make(code finding.Code, severity finding.Severity, object *finding.ObjectRef, message string,
	evidence []finding.Evidence, next ...finding.Next,
) finding.Finding {
	return finding.Finding{Code: code, Severity: severity, Message: message, Object: object, Evidence: evidence, Next: next}
}

// Ref names an object.
//
//go:noinline
func Ref(kind, namespace, name string) *finding.ObjectRef {
	return &finding.ObjectRef{Kind: kind, Namespace: namespace, Name: name}
}

// AgeWords prints a duration in seconds as kubectl does (45s, 3m10s, 5d).
func AgeWords(seconds float64) string {
	return duration.HumanDuration(time.Duration(max(seconds, 0) * float64(time.Second)))
}

func OrNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func Plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// Shortened is a list of names in a message.
func Shortened(names []string) string { return report.First(names, 3) }

func SortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
