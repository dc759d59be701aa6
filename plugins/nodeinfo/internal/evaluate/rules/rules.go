// Package rules is the book of all findings about a node. The rules stand in rooms below: machine judges the node itself
// (whether it reports, its conditions and events, the control plane), workload what runs there and whether more may; subject is
// what every check looks at, and how it puts what it found.
//
// Each file there is a topic, where a code, its catalog entry, what it follows from and its check stand together. A check
// goes by the facts alone, and none depends on another's having run.
package rules

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
)

// book is the rules: the deeper the layer, the earlier it is named.
var book = finding.NewBook(slices.Concat(
	machine.Rules,
	workload.Rules,
	[]subject.Rule{
		nodeDeleted, nodeClaimNotLaunched, nodeClaimNotRegistered,
		{Entry: finding.UnexplainedEntry()}, // of package account
	},
)...)

// Encompassing are the codes of what makes everything else on a node follow or unknown.
func Encompassing() []finding.Code { return slices.Clone(machine.PressureCodes) }

// Check gives the findings that stand by themselves, worst first and within a severity the deeper cause, and those that one
// of them explains.
func Check(c *subject.Case) ([]finding.Finding, []finding.Consequence) {
	return book.Settle(book.Check(c))
}

// CheckBut is Check as if some codes were not found: for a report that has a judgement of its own in their place.
func CheckBut(c *subject.Case, codes ...finding.Code) ([]finding.Finding, []finding.Consequence) {
	return book.Settle(slices.DeleteFunc(book.Check(c), func(f finding.Finding) bool { return slices.Contains(codes, f.Code) }))
}

// Catalog is every finding code, sorted.
func Catalog() []finding.Entry { return book.Catalog() }

// SeverityOf is that of the entry of a code.
func SeverityOf(code finding.Code) finding.Severity { return book.Entry(code).Severity }

// Lend makes the book of a report that has rules of its own, and in which codes of nodes stand as what explains their findings.
func Lend[F any](own []finding.Rule[F], codes ...finding.Code) *finding.Book[F] {
	var list []finding.Rule[F]
	for i, code := range codes {
		if !slices.Contains(codes[:i], code) {
			list = append(list, finding.Rule[F]{Entry: book.Entry(code)})
		}
	}
	return finding.NewBook(append(list, own...)...)
}
