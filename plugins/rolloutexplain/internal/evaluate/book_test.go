package evaluate

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

func TestTheBookIsWhole(t *testing.T) {
	if err := Rules.Validate(); err != nil {
		t.Error(err)
	}
	for _, e := range Rules.Catalog() {
		if e.Code != finding.UnexplainedEvidence && Rules.Of(e.Code).Layer == "" {
			t.Errorf("%s has no layer", e.Code)
		}
	}
}
