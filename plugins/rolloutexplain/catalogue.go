package rolloutexplain

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
)

// Catalogue lists every finding that a report can hold.
func Catalogue() []finding.Entry { return codes.All() }
