package evaluate

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Catalog describes every code, sorted by code.
func Catalog() []finding.Entry { return book.Catalog() }

// book is the catalog. No rule has a check: a session finds these one by one, and each stands beside what finds it.
var book = finding.NewBook(slices.Concat(planRules, namespaceRules, mutationRules, startRules, captureRules)...)
