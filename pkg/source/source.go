// Package source says what could be read and what could not. A report that lacks a source says so: a missing
// permission or an absent API is a stated gap, never a guess. It is plain data; pkg/kube makes a Source from an error.
package source

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// State is what became of one read. The words are part of the JSON contract.
type State string

// The states of a source.
const (
	OK          State = "ok"          // read whole
	Forbidden   State = "forbidden"   // the caller lacks a permission, which Verb and Resource name, or is not logged in
	Absent      State = "absent"      // the API or the object is not there
	Unreachable State = "unreachable" // asked, and no usable answer came in time
	Skipped     State = "skipped"     // not asked, for the reason in Message
)

// Source is the state of one read, e.g. {Name: "leases", State: forbidden, Verb: "list", Resource: "leases.coordination.k8s.io"}.
type Source struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Message  string `json:"message,omitempty"`
	Verb     string `json:"verb,omitempty"`
	Resource string `json:"resource,omitempty"`
}

// Readable says whether the data of this source can be used.
func (s Source) Readable() bool { return s.State == OK }

// Gap says in one phrase that there is no data and why, and nothing for a source that was read.
func (s Source) Gap() string {
	if s.State == OK {
		return ""
	}
	return "not checked: " + s.Reason()
}

// Reason says in one phrase why there is no data, and nothing for a source that was read.
func (s Source) Reason() string {
	switch {
	case s.State == OK:
		return ""
	case s.State == Forbidden && s.Verb != "":
		return fmt.Sprintf("needs %s %s", s.Verb, s.Resource)
	case s.Message == "":
		return string(s.State)
	}
	return s.Message
}

// List is the sources of one report, sorted by name when it leaves collect.
type List []Source

// Sort orders the list by name.
func (l List) Sort() {
	sorting.Stable(l, func(a, b Source) int { return cmp.Compare(a.Name, b.Name) })
}

// Get finds a source by name; an unknown name is Skipped, so that a check never takes silence for data. It is no loop in each of its
// callers, of which kubectl-dns has 53.
//
//go:noinline
func (l List) Get(name string) Source {
	for _, s := range l {
		if s.Name == name {
			return s
		}
	}
	return Source{Name: name, State: Skipped, Message: name + " was not read"}
}

// Has says whether a source was to be read at all.
func (l List) Has(name string) bool {
	return slices.ContainsFunc(l, func(s Source) bool { return s.Name == name })
}

// Gaps lists what was not read and why, a line "NAME: REASON" for each source, but for those in a state that is no gap to
// this report: where an absent API is an answer, it is none.
func (l List) Gaps(answers ...State) []string {
	var list []string
	for _, s := range l {
		if !s.Readable() && !slices.Contains(answers, s.State) {
			list = append(list, s.Name+": "+s.Reason())
		}
	}
	return list
}

// Incomplete says whether a source was wanted and not read: what --require-complete turns into exit code 4. An absent
// API or object is an answer, and a skipped source was not wanted.
func (l List) Incomplete() bool {
	return slices.ContainsFunc(l, func(s Source) bool { return s.State == Forbidden || s.State == Unreachable })
}
