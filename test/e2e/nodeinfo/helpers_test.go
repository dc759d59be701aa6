// Package nodeinfo holds kubectl nodeinfo's end-to-end tests: each breaks a real cluster in one way, and demands the true
// cause as verdict, code and exit code, and nothing besides.
package nodeinfo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// cluster is one of this package's own: its tests break nodes.
func cluster(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "nodeinfo", 2)
}

// anyCluster is the user's, or this package's own: for tests that break nothing.
func anyCluster(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.OwnOrGiven(t, "nodeinfo", 2)
}

// known are true of this kind of cluster, and for information alone: cgroup v1, warnings of faults that were healed.
var known = []finding.Code{"CgroupV1", "WarningEvents"}

// want is what a node's report must say.
type want struct {
	node    string
	verdict report.Verdict
	code    finding.Code   // the one finding; empty: none
	info    []finding.Code // further findings for information that belong to the fault
	exit    int            // with --fail-on=critical
	text    string         // in the finding's message
	flags   []string
}

// look runs the named report as JSON.
func look(t *testing.T, c *harness.Cluster, w want) (report.Node, harness.Result, error) {
	t.Helper()
	args := append([]string{w.node, "-o", "json", "--fail-on=critical", "--timeout=40s"}, w.flags...)
	r := c.Plugin(t, "nodeinfo", args...)
	var list report.List
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || len(list.Items) != 1 {
		return report.Node{}, r, fmt.Errorf("exit %d, %d nodes: %s", r.Code, len(list.Items), r.Stderr)
	}
	return list.Items[0], r, nil
}

// check compares a report with what is wanted.
func check(n report.Node, r harness.Result, w want) error {
	var codes []finding.Code
	for _, f := range n.Findings {
		switch {
		case slices.Contains(known, f.Code) && f.Severity == finding.Info, slices.Contains(w.info, f.Code):
			continue
		case f.Code == w.code && !strings.Contains(f.Message, w.text):
			return fmt.Errorf("%s says %q, not %q", f.Code, f.Message, w.text)
		}
		codes = append(codes, f.Code)
	}
	expected := []finding.Code{}
	if w.code != "" {
		expected = append(expected, w.code)
	}
	if n.Verdict != w.verdict || !slices.Equal(slices.Compact(codes), expected) || r.Code != w.exit {
		return fmt.Errorf("%s is %s with %v (%s), exit %d; want %s with %v, exit %d", n.Name, n.Verdict, codes, n.Summary, r.Code, w.verdict, expected, w.exit)
	}
	return nil
}

// becomes waits until the report says what is wanted.
func becomes(t *testing.T, c *harness.Cluster, limit time.Duration, w want) report.Node {
	t.Helper()
	var n report.Node
	harness.Eventually(t, limit, func() (string, bool) {
		var r harness.Result
		var err error
		if n, r, err = look(t, c, w); err == nil {
			err = check(n, r, w)
		}
		if err != nil {
			return err.Error(), false
		}
		return "", true
	})
	for _, f := range n.Findings {
		var steps []harness.Step
		for _, next := range f.Next {
			steps = append(steps, harness.Step{Command: next.Command, Why: next.Why, Risk: string(next.Risk)})
		}
		for _, dead := range c.Follow(t, steps, w.flags) {
			t.Errorf("a next command of %s leads nowhere: %s", f.Code, dead)
		}
	}
	return n
}

// of gives the finding with a code.
func of(t *testing.T, n report.Node, code finding.Code) finding.Finding {
	t.Helper()
	i := slices.IndexFunc(n.Findings, func(f finding.Finding) bool { return f.Code == code })
	if i < 0 {
		t.Fatalf("%s: no %s: %+v", n.Name, code, n.Findings)
	}
	return n.Findings[i]
}

// firstStep gives the first next command of a code.
func firstStep(t *testing.T, n report.Node, code finding.Code) string {
	t.Helper()
	f := of(t, n, code)
	if len(f.Next) == 0 {
		t.Fatalf("%s has no next step", code)
	}
	return f.Next[0].Command
}

// healthy waits until nothing is wrong with a node any more.
func healthy(t *testing.T, c *harness.Cluster, nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		becomes(t, c, 4*time.Minute, want{node: node, verdict: report.Healthy})
	}
}

// row gives a node's line of the fleet table.
func row(t *testing.T, c *harness.Cluster, node string) string {
	t.Helper()
	for line := range strings.Lines(c.MustKubectl(t, "nodeinfo", "--no-headers", "--timeout=40s")) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == node {
			return line
		}
	}
	t.Fatalf("no row for %s", node)
	return ""
}
