package cli_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func TestAComplaintIsSaidOnceUntilItIsWellAgain(t *testing.T) {
	env := testkit.NewEnv("kubectl nodeinfo", time.Time{})
	c := env.Complaints()
	a, b := errors.New("refuses\nconnections"), errors.New("too busy \x1b[31m")
	for _, say := range []struct {
		of  string
		err error
	}{{"w1", a}, {"w2", a}, {"w1", a}, {"w1", b}, {"w2", nil}, {"w1", b}, {"w2", a}} {
		c.Say(say.of, say.err)
	}
	want := "error: refuses connections\nerror: refuses connections\nerror: too busy \\x1b[31m\nerror: refuses connections\n"
	if d := cmp.Diff(want, env.Stderr.String()); d != "" {
		t.Error(d)
	}
}
