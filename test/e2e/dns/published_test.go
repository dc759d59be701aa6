package dns

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// A check by one who may read nothing, in the formats that other tools read: it is no failure, and no success either.
func TestReportsForOtherTools(t *testing.T) {
	c := cluster(t)
	user := "system:serviceaccount:" + c.Namespace(t) + ":default"
	p := testkit.ReadPublished(t, "", func(format string) string { return c.MustKubectl(t, "dns", "check", "--as", user, "-o", format) })
	if k := p.JUnit.Suites[0].Cases[0]; len(k.Skipped) != 1 || p.Values["verdict dns DNSCheck  cluster Unknown"] != 1 {
		t.Errorf("%+v, %v", k, p.Values)
	}
	r := c.Kubectl(t, "dns", "check", "--as", user, "--require-complete", "-o", "junit")
	if s := testkit.ReadJUnit(t, r.Stdout).Suites[0]; r.Code != 4 || s.Errors != 1 {
		t.Errorf("exit %d: %s", r.Code, r.Stdout)
	}
}
