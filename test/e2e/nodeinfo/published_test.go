package nodeinfo

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// The fleet in the formats that other tools read: a case and a series for each node.
func TestReportsForOtherTools(t *testing.T) {
	c := anyCluster(t)
	nodes := strings.Fields(c.MustKubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"))
	saved := filepath.Join(t.TempDir(), "input.json") // one look for all formats
	c.MustKubectl(t, "nodeinfo", "--save-input", saved)
	p := testkit.ReadPublished(t, "", func(format string) string { return c.MustKubectl(t, "nodeinfo", "--from-input", saved, "-o", format) })
	if cases := p.JUnit.Suites[0].Cases; len(cases) != len(nodes) {
		t.Errorf("%d cases for the nodes %v", len(cases), nodes)
	}
	r := c.Kubectl(t, "nodeinfo", "no-such-node", "-o", "junit")
	if s := testkit.ReadJUnit(t, r.Stdout).Suites[0]; r.Code != 1 || s.Errors != 1 || s.Cases[0].Errors[0].Type != "NotFound" {
		t.Errorf("exit %d: %s", r.Code, r.Stdout)
	}
}
