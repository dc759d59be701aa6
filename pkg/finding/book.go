package finding

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Rule is a code with all that belongs to it: its catalog entry, what follows from it, and how it is found. F is what
// the plugin knows of the cluster, built before any rule is asked; a check reads it and changes nothing.
//
// Explains and CausedBy say the same from the two ends: the findings of Explains are consequences where this one is
// found; this one is a consequence where one of CausedBy is. A new rule names both in its own entry, and no other changes.
type Rule[F any] struct {
	Entry

	Explains     []Code
	CausedBy     []Code
	ExplainsInfo bool               // it explains although it is found as information; others do not: what hurts nobody explains nothing
	Check        func(*F) []Finding // nil where another rule's check, or a command of its own, gives this code
}

// Book is a plugin's rules in order of depth: what stands first is nearer to the cause.
type Book[F any] struct {
	rules []Rule[F]
	at    map[Code]int
}

// NewBook makes a book. A test of the plugin holds it against Validate.
func NewBook[F any](rules ...Rule[F]) *Book[F] {
	b := &Book[F]{rules: rules, at: make(map[Code]int, len(rules))}
	for i, r := range rules {
		b.at[r.Code] = i
	}
	return b
}

// Validate says what is wrong with the book: a code that stands twice or is named and has no rule, an entry that lacks
// something, rules that explain each other in a circle, so that all of them would vanish.
func (b *Book[F]) Validate() error {
	var errs []error
	for i, r := range b.rules {
		if b.at[r.Code] != i {
			errs = append(errs, fmt.Errorf("%s stands twice", r.Code))
		}
		if r.Code == "" || r.Severity.rank() > Info.rank() || r.Title == "" || r.Meaning == "" || r.Evidence == "" || r.Next == "" {
			errs = append(errs, fmt.Errorf("%q: the entry lacks something", r.Code))
		}
		for _, code := range slices.Concat(r.Explains, r.CausedBy) {
			if _, ok := b.at[code]; !ok {
				errs = append(errs, fmt.Errorf("%s names %s, which has no rule", r.Code, code))
			}
		}
	}
	if circle := b.circle(); circle != nil {
		errs = append(errs, fmt.Errorf("a circle of causes: %v", circle))
	}
	return errors.Join(errs...)
}

// circle gives codes of which each is caused by the next, and the last by the first.
func (b *Book[F]) circle() []Code {
	done := map[Code]bool{}
	var path []Code
	var visit func(Code) []Code
	visit = func(code Code) []Code {
		if at := slices.Index(path, code); at >= 0 {
			return path[at:]
		}
		if done[code] {
			return nil
		}
		done[code] = true
		path = append(path, code)
		for _, cause := range b.causes(code) {
			if circle := visit(cause); circle != nil {
				return circle
			}
		}
		path = path[:len(path)-1]
		return nil
	}
	for _, r := range b.rules {
		if circle := visit(r.Code); circle != nil {
			return circle
		}
	}
	return nil
}

// causes gives the codes that explain one: those that its own rule names, then those whose rules name it, the deepest first.
func (b *Book[F]) causes(code Code) []Code {
	var list []Code
	if at, ok := b.at[code]; ok {
		list = slices.Clone(b.rules[at].CausedBy)
	}
	for _, r := range b.rules {
		if slices.Contains(r.Explains, code) && !slices.Contains(list, r.Code) {
			list = append(list, r.Code)
		}
	}
	return slices.DeleteFunc(list, func(cause Code) bool { return cause == code })
}

// Catalog lists the entries, sorted by code.
func (b *Book[F]) Catalog() []Entry {
	list := make([]Entry, 0, len(b.rules))
	for _, r := range b.rules {
		list = append(list, r.Entry)
	}
	sorting.Func(list, func(a, b Entry) int { return cmp.Compare(a.Code, b.Code) })
	return list
}

// Entry is the entry of a code; of one that the book lacks an empty one.
func (b *Book[F]) Entry(code Code) (e Entry) {
	if at, ok := b.at[code]; ok {
		e = b.rules[at].Entry
	}
	return e
}

// New makes a finding of a code, with the catalog's severity and title.
func (b *Book[F]) New(code Code, message string) Finding {
	return b.titled(Finding{Code: code, Message: message})
}

// titled gives a finding the catalog's title, and its severity where it has none.
func (b *Book[F]) titled(f Finding) Finding {
	e := Entry{Title: string(f.Code), Severity: Critical}
	if at, ok := b.at[f.Code]; ok {
		e = b.rules[at].Entry
	}
	f.Title, f.Severity = e.Title, cmp.Or(f.Severity, e.Severity)
	return f
}

// Check runs every check, in order of depth. What a check finds without a code has that of its rule.
func (b *Book[F]) Check(facts *F) []Finding {
	var checks []func(*F) []Finding
	for _, r := range b.rules {
		if r.Check == nil {
			continue
		}
		checks = append(checks, func(facts *F) []Finding {
			list := r.Check(facts)
			for i := range list {
				list[i].Code = cmp.Or(list[i].Code, r.Code)
			}
			return list
		})
	}
	return b.Run(facts, checks...)
}

// Run runs some checks, for a command that asks for no more. Their findings stand in the order of the checks, and those
// of one in Sort's. Title, and severity where a check left it out, are the catalog's.
func (b *Book[F]) Run(facts *F, checks ...func(*F) []Finding) []Finding {
	var all []Finding
	for _, check := range checks {
		list := check(facts)
		for i := range list {
			list[i] = b.titled(list[i])
		}
		Sort(list)
		all = append(all, list...)
	}
	return all
}

// Consequence is a finding that another one of the same report explains: it raises no verdict of its own.
type Consequence struct {
	Code     Code       `json:"code"`
	CausedBy Code       `json:"causedBy"` // the code of the finding that explains it
	Message  string     `json:"message"`
	Object   *ObjectRef `json:"object,omitempty"`

	// Covers are the finding's. No part of a report.
	Covers []ObjectRef `json:"-"`
}

// Settle parts roots from consequences and ranks the roots: worst first, then the deeper rule, then Sort's order.
func (b *Book[F]) Settle(list []Finding) (roots []Finding, consequences []Consequence) {
	list = slices.Clone(list)
	for i := range list {
		list[i] = b.titled(list[i])
	}
	Sort(list)
	return b.part(list, b.depth)
}

// Fold is Settle for a list whose order within a severity has a meaning of its own, such as what answers the question of
// the one who asked: the roots are ranked worst first alone. Both give every finding the catalog's title.
//
// A finding is a consequence where a cause of it is in the list: one that it names itself (Causes), or else one that the
// book has. What is found as information explains nothing, but by its rule's word.
func (b *Book[F]) Fold(list []Finding) (roots []Finding, consequences []Consequence) {
	return b.part(list, func(Code) int { return 0 })
}

// part tells Arrange what the book knows of each finding.
func (b *Book[F]) part(list []Finding, depth func(Code) int) (roots []Finding, consequences []Consequence) {
	relations := make([]Relation, 0, len(list))
	for _, f := range list {
		at, ok := b.at[f.Code]
		severity := b.titled(f).Severity
		r := Relation{Code: f.Code, Began: f.Began, Causes: f.Causes, Stance: f.Stance, Rank: severity.rank(), Depth: depth(f.Code)}
		r.Mute = severity == Info && (!ok || !b.rules[at].ExplainsInfo)
		if r.Causes == nil {
			r.Causes = b.causes(f.Code)
		}
		relations = append(relations, r)
	}
	roots = []Finding{}
	for _, p := range Arrange(relations) {
		f := list[p.At]
		if p.Role == RoleConsequence {
			consequences = append(consequences, Consequence{Code: f.Code, CausedBy: p.By, Message: f.Message, Object: f.Object, Covers: f.Covers})
			continue
		}
		roots = append(roots, b.titled(f))
	}
	sorting.Func(consequences, func(x, y Consequence) int {
		return cmp.Or(cmp.Compare(x.Code, y.Code), cmp.Compare(objectName(x.Object), objectName(y.Object)), cmp.Compare(x.Message, y.Message))
	})
	return roots, consequences
}

// depth is the place of a code in the book; an unknown one comes last.
func (b *Book[F]) depth(code Code) int {
	if at, ok := b.at[code]; ok {
		return at
	}
	return len(b.rules)
}
