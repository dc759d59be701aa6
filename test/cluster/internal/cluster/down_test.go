package cluster

import (
	"slices"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
)

// The bridge of the first cluster of nodes is not that of a plain one, which has the same ranges.
func TestAPlainClusterHasNoLinks(t *testing.T) {
	s := State{Spec: Spec{Name: "x", Mode: ModeNodes, Workers: 1}, Plan: netplan.For(0, netplan.IPv4)}
	if got, want := s.links(), []string{"krb0", "kr0-cp1", "kr0-w1"}; !slices.Equal(got, want) {
		t.Errorf("nodes: %v, want %v", got, want)
	}
	s.Mode = ModePlain
	if got := s.links(); len(got) > 0 {
		t.Errorf("plain: %v", got)
	}
	if got := (State{Spec: Spec{Mode: ModeNodes}}).links(); len(got) > 0 {
		t.Errorf("without a network: %v", got)
	}
}
