package dns

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// The inputs were saved on a real cluster (--save-input).
func TestHostileValuesReachNoTerminalAndNoShell(t *testing.T) {
	testkit.CheckHostile(t, New, 17, []string{"testdata/saved/check.json"}, "check")
	testkit.CheckHostile(t, New, 17, []string{"testdata/saved/resolve.json", "testdata/saved/cache-stopped.json"}, "resolve", "kubernetes.default")
}
