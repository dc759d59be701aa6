package rolloutexplain

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func TestHostileValuesReachNoTerminalAndNoShell(t *testing.T) {
	testkit.CheckHostile(t, New, 17, replays(t))
}
