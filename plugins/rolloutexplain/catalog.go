package rolloutexplain

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
)

// Catalog lists every finding that a report can hold.
func Catalog() []finding.Entry { return codes.Book.Catalog() }
