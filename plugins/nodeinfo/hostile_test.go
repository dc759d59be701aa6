package nodeinfo

import (
	"path/filepath"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func TestHostileValuesReachNoTerminalAndNoShell(t *testing.T) {
	inputs, err := filepath.Glob("internal/evaluate/testdata/*/input.yaml")
	if err != nil {
		t.Fatal(err)
	}
	testkit.CheckHostile(t, New, 7, inputs)
}
