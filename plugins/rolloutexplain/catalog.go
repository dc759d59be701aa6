package rolloutexplain

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate"
)

// Catalog lists every finding that a report can hold.
func Catalog() []finding.Entry { return evaluate.Rules.Catalog() }
