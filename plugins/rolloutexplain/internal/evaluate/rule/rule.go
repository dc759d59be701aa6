// Package rule is what a finding of this plugin is besides its check: the entry of the catalog, where in a rollout its causes
// sit, and what a verdict and a wait ask of it. It knows no object of the API. The rules themselves stand beside their checks,
// in the rooms that find them.
package rule

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Layer is where in a rollout a cause sits.
type Layer string

// The layers.
const (
	LayerController Layer = "controller" // the controller itself does not act
	LayerCreate     Layer = "create"     // pods do not come into being
	LayerPod        Layer = "pod"        // a pod does not become available, or does not go
	LayerNote       Layer = "note"       // explains, blocks nothing
)

// Rule is a code of the catalog with what a verdict and a wait ask of it.
type Rule struct {
	finding.Entry
	Layer   Layer
	Crashes bool     // it counts only when it repeats: a container may fail twice while what it needs comes up
	Place   bool     // it is about where a pod is, not about its template: that another pod became ready proves nothing
	Slow    bool     // it is a stage of a start that may take minutes by design
	Bears   []string // parts of the paths of a pod template that may bring it about ("" is every path); nil: the template does not
}

// Book is every rule. No rule has a check, a cause or a consequence: what a finding explains hangs on which pods have it and
// on what their controller waits for. Each finding states that itself (finding.Stance), and finding.Arrange judges.
type Book struct {
	*finding.Book[struct{}]
	rules map[finding.Code]Rule
}

// NewBook makes a book of the rules of the rooms.
func NewBook(rooms ...[]Rule) *Book {
	b := &Book{rules: map[finding.Code]Rule{}}
	var list []finding.Rule[struct{}]
	for _, rules := range rooms {
		for _, r := range rules {
			b.rules[r.Code] = r
			list = append(list, finding.Rule[struct{}]{Entry: r.Entry})
		}
	}
	list = append(list, finding.Rule[struct{}]{Entry: finding.UnexplainedEntry()}) // last: it explains nothing
	b.Book = finding.NewBook(list...)
	return b
}

// Of gives the rule of a code; an unknown code has none of its traits.
func (b *Book) Of(code finding.Code) Rule { return b.rules[code] }

// Repeats is how often a cause that counts only when it repeats must be seen before it is past what waiting is reasonable for.
const Repeats = 3

// IsPersistent reports whether a cause is past the point where waiting is reasonable.
func (b *Book) IsPersistent(f *report.Finding) bool {
	switch f.Class {
	case report.Fatal:
		return true
	case report.LikelyFatal:
		return f.Attempts == 0 || f.Attempts >= Repeats || !b.Of(f.Code).Crashes
	}
	return false
}
