package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// crashFamily are causes that count only when they repeat: a container may fail twice while what it needs comes up.
var crashFamily = map[finding.Code]bool{
	ContainerCrashing: true, InitContainerFailing: true, OOMKilled: true, ContainerCompleted: true,
	LivenessProbeFailed: true, StartupProbeFailed: true,
	FailedPostStartHook: true, ContainerStartError: true, ExecFormatError: true,
}

// Repeats is how often a cause of that family must be seen before it is past what waiting is reasonable for.
const Repeats = 3

// Crashes says whether a code is of the family that counts only when it repeats.
func Crashes(code finding.Code) bool { return crashFamily[code] }

// IsPersistent reports whether a cause is past the point where waiting is reasonable.
func IsPersistent(f *report.Finding) bool {
	switch f.Class {
	case report.Fatal:
		return true
	case report.LikelyFatal:
		return f.Attempts == 0 || f.Attempts >= Repeats || !crashFamily[f.Code]
	}
	return false
}
