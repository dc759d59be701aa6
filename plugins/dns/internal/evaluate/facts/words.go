package facts

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// NewEvidence makes evidence.
func NewEvidence(source, path, format string, args ...any) finding.Evidence {
	return finding.Evidence{Source: source, Path: path, Value: fmt.Sprintf(format, args...)}
}

func (w *Snapshot) Read(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: w.Options.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}
}

func (w *Snapshot) Change(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: w.Options.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Change}
}

// Make builds a finding of a catalogd code.
func (w *Snapshot) Make(code finding.Code, severity finding.Severity, object *finding.ObjectRef, message string,
	evidence []finding.Evidence, next ...finding.Next,
) finding.Finding {
	return finding.Finding{Code: code, Severity: severity, Message: message, Object: object, Evidence: evidence, Next: next}
}

func Ref(kind, namespace, name string) *finding.ObjectRef {
	return &finding.ObjectRef{Kind: kind, Namespace: namespace, Name: name}
}

func AgeWords(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%d seconds", int(seconds))
	case seconds < 7200:
		return fmt.Sprintf("%d minutes", int(seconds/60))
	}
	return fmt.Sprintf("%d hours", int(seconds/3600))
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

func SortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
