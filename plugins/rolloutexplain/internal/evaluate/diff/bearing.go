package diff

import (
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Mark flags the changes of a template that bear on a cause: those whose path holds one of the words, and of containers those
// in the cause's own.
func Mark(changes []report.Change, f *report.Finding, words []string) (relevant []report.Change) {
	for i := range changes {
		path := changes[i].Path
		if strings.HasPrefix(path, "metadata.") || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(path, w) }) {
			continue
		}
		if f.Container != "" && strings.Contains(path, "ontainers[") && !strings.Contains(path, "ontainers["+f.Container+"]") {
			continue
		}
		changes[i].Relevant = true
		relevant = append(relevant, changes[i])
	}
	return relevant
}
