package evaluate

import (
	"slices"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// An undo that is advised stands among the root's next commands: also where judging added a finding behind the root.
func TestAnAdvisedUndoIsANextCommand(t *testing.T) {
	advised := 0
	for _, f := range fixtures() {
		list := Evaluate(f.hit().in, now, Options{LogLines: 5})
		for _, r := range list.Items {
			if r.Undo == nil || !r.Undo.Advised {
				continue
			}
			advised++
			if len(r.Findings) == 0 || !slices.ContainsFunc(r.Findings[0].Next, func(n finding.Next) bool { return n.Command == r.Undo.Command }) {
				t.Errorf("%s: %q is advised and not among the next commands of the root", f.code, r.Undo.Command)
			}
		}
	}
	if advised < 5 {
		t.Errorf("only %d fixtures advise an undo", advised)
	}
}
