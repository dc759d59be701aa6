package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Repeats is how often a cause that counts only when it repeats must be seen before it is past what waiting is reasonable for.
const Repeats = 3

// Crashes says whether a cause of a code counts only when it repeats.
func Crashes(code finding.Code) bool { return byCode[code].crashes }

// IsPersistent reports whether a cause is past the point where waiting is reasonable.
func IsPersistent(f *report.Finding) bool {
	switch f.Class {
	case report.Fatal:
		return true
	case report.LikelyFatal:
		return f.Attempts == 0 || f.Attempts >= Repeats || !Crashes(f.Code)
	}
	return false
}
