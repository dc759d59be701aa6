// Package finding holds what every plugin concludes: a Finding says what is wrong with which object, by what evidence,
// and which command comes next. It is plain data, printed as it stands by -o json; plugins keep their own codes.
package finding

import (
	"cmp"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Severity ranks a finding. The words are part of the JSON contract.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// rank orders severities: 0 is the worst; an unknown word sorts last.
func (s Severity) rank() int {
	switch s {
	case Critical:
		return 0
	case Warning:
		return 1
	case Info:
		return 2
	}
	return 3
}

// Risk says what a suggested command does to the cluster.
type Risk string

// The risks of a next command.
const (
	Read        Risk = "read"        // changes nothing
	Change      Risk = "change"      // changes something that can be changed back
	Destructive Risk = "destructive" // loses a process, data or history
)

// ObjectRef names an API object. Namespace is empty for cluster-scoped kinds.
type ObjectRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String gives Kind/name or Kind/namespace/name.
func (o ObjectRef) String() string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return o.Kind + "/" + o.Namespace + "/" + o.Name
}

// Evidence is one observed fact: where it was read (Source, e.g. "Node" or "Event"), at which field (Path), its value,
// and when the cluster recorded it (RFC 3339), if it says so.
type Evidence struct {
	Source string     `json:"source"`
	Path   string     `json:"path,omitempty"`
	Value  string     `json:"value"`
	Time   *time.Time `json:"time,omitempty"`
}

// Next is a command to paste, why to run it, what its answers mean (each "ANSWER: meaning"), and what it risks.
type Next struct {
	Command string   `json:"command"`
	Why     string   `json:"why"`
	Answers []string `json:"answers,omitempty"`
	Risk    Risk     `json:"risk"`
}

// Code names one kind of finding: UpperCamelCase, and stable once released. Its catalog entry explains it.
type Code string

// Finding is one conclusion. Code is UpperCamelCase and stable; Title is the code in words; Message is the sentence for
// this case. Findings are sorted worst first by Sort.
type Finding struct {
	Code     Code       `json:"code"`
	Severity Severity   `json:"severity"`
	Title    string     `json:"title"`
	Message  string     `json:"message"`
	Object   *ObjectRef `json:"object,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
	Next     []Next     `json:"next,omitempty"`

	// Causes are the codes that may explain this one finding, where that is less than its rule says (Book.Settle): nil
	// leaves it to the rule, an empty list says that nothing does. It is no part of a report.
	Causes []Code `json:"-"`

	// Began is when it began, at the earliest, by what the cluster recorded; the zero time: not known. A finding explains
	// nothing that is older than itself (Arrange). It is no part of a report.
	Began time.Time `json:"-"`

	// Covers are further objects that the finding speaks of, whose facts it accounts for (Ledger). No part of a report.
	Covers []ObjectRef `json:"-"`

	// At are objects beside Object on which it depends, such as the nodes of the pods that it speaks of (Relation.At). No part
	// of a report.
	At []ObjectRef `json:"-"`

	// Stance is what its rule knows of its part beyond codes (Arrange). It is no part of a report.
	Stance Stance `json:"-"`
}

// Sort orders findings worst first, then by code, object and message, so that equal inputs print equal reports. Book.Settle
// ranks causes within a severity.
func Sort(list []Finding) {
	sorting.Stable(list, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Severity.rank(), b.Severity.rank()),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(objectName(a.Object), objectName(b.Object)),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

func objectName(o *ObjectRef) string {
	if o == nil {
		return ""
	}
	return o.String()
}

// Worst gives the worst severity in the list, and false for an empty list.
func Worst(list []Finding) (Severity, bool) {
	if len(list) == 0 {
		return "", false
	}
	worst := list[0].Severity
	for _, f := range list[1:] {
		if f.Severity.rank() < worst.rank() {
			worst = f.Severity
		}
	}
	return worst, true
}
