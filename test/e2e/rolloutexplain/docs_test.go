package rolloutexplain

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// The page of scenarios is written by real runs alone: E2E_UPDATE=1 writes the rows of the scenarios that ran, with what
// was seen; without it each scenario must find its row there, passed, with what is expected of it now.
const (
	updateEnv = "E2E_UPDATE"
	page      = "../../../docs/rollout-explain-scenarios.md"
	pageHead  = `# Scenarios of kubectl rollout-explain

Each row is a fault that ` + "`make e2e`" + ` injects on a real cluster, with real controllers and kubelets. *Expected* is what the test requires: the root cause (` + "`none`" + `: no
cause), the verdict, and the exit code of ` + "`--wait`" + ` within a time. *Seen* is the result of the run that wrote this page (` + "`E2E_UPDATE=1 make e2e`" + `). A run fails if
a row is missing, differs from what the test expects, or has not passed.

| scenario | fault | expected | seen | result |
|---|---|---|---|---|
`
)

// seen is what a run met of one scenario.
type seen struct {
	root, verdict string
	waited        bool
	exit          int
	took          time.Duration
}

var (
	rowsMu sync.Mutex
	rows   = map[string]string{} // of this run
)

func orNone(root string) string {
	if root == "" {
		return "none"
	}
	return root
}

func (s scenario) expected() string {
	text := orNone(s.root) + "; " + strings.Join(s.verdict, " or ")
	if s.verdict == nil {
		text = "only waited for"
	}
	if s.wait != nil {
		text += fmt.Sprintf("; exit %d within %s", s.exit, s.within)
	}
	return text
}

// head is the part of a row that no run changes.
func (s scenario) head() string {
	return fmt.Sprintf("| %s | %s | %s | ", s.name, s.fault, s.expected())
}

// settle compares the scenario's row with the page, or keeps it for the page of this run.
func (s scenario) settle(t *testing.T, o *seen) {
	t.Helper()
	if os.Getenv(updateEnv) != "" {
		text, result := orNone(o.root)+"; "+o.verdict, "pass"
		if s.verdict == nil {
			text = "waited for"
		}
		if o.waited {
			text += fmt.Sprintf("; exit %d after %s", o.exit, o.took.Round(time.Second))
		}
		if t.Failed() {
			result = "FAIL"
		}
		rowsMu.Lock()
		rows[s.name] = s.head() + text + " | " + result + " |"
		rowsMu.Unlock()
		return
	}
	if row := pageRows(t)[s.name]; !strings.HasPrefix(row, s.head()) || !strings.HasSuffix(row, "| pass |") {
		t.Errorf("docs/rollout-explain-scenarios.md holds no passed row of this scenario as it is now (E2E_UPDATE=1 make e2e writes it):\n%s\nwant %s…", row, s.head())
	}
}

// pageRows reads the page: its rows by scenario.
func pageRows(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 5 {
			found[strings.TrimPrefix(cells[0], "| ")] = line
		}
	}
	return found
}

// writePage puts the rows of this run into the page; those of scenarios that did not run stay.
func writePage() error {
	old := map[string]string{}
	if text, err := os.ReadFile(page); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok {
				old[name] = line
			}
		}
	}
	var b strings.Builder
	b.WriteString(pageHead)
	for _, s := range everyScenario() {
		row := rows[s.name]
		if row == "" {
			row = old[s.name]
		}
		if row != "" {
			b.WriteString(row + "\n")
		}
	}
	return os.WriteFile(page, []byte(b.String()), 0o644)
}

// The page promises neither more nor less than the tests show; this needs no cluster.
func TestScenarioPageHoldsEveryScenario(t *testing.T) {
	if os.Getenv(updateEnv) != "" {
		return // written when the run ends
	}
	have := pageRows(t)
	for _, s := range everyScenario() {
		if row := have[s.name]; !strings.HasPrefix(row, s.head()) || !strings.HasSuffix(row, "| pass |") {
			t.Errorf("no passed row of %s: E2E_UPDATE=1 make e2e", s.name)
		}
		delete(have, s.name)
	}
	delete(have, "scenario")
	for name := range have {
		t.Errorf("a row of %s, which is no scenario", name)
	}
}
