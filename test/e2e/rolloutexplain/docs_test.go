package rolloutexplain

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/rollout-explain-scenarios.md anew")

const page = "../../../docs/rollout-explain-scenarios.md"

var exits = map[int]string{0: "0 complete", 3: "3 failed", 5: "5 timed out: waiting was right", 6: "6 waits for a person", 7: "7 superseded"}

// The page is made of the scenarios themselves, so that it cannot promise what no test proves.
func TestScenarioPageIsFresh(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Scenarios of kubectl rollout-explain\n\nGenerated from the end-to-end tests (`go test ./test/e2e/rolloutexplain -run TestScenarioPage -update`). Each row is a fault that is injected on a real\ncluster, with real controllers and kubelets, by `make e2e`: the row's root must be on top, with the row's verdict, and `--wait` must end as the row says.\n\n")
	b.WriteString("| scenario | fault | root | verdict | `--wait` ends with |\n|---|---|---|---|---|\n")
	for _, s := range scenarios() {
		root, wait := s.root, "not waited for"
		if root == "" {
			root = "none"
		}
		if s.wait != nil {
			wait = fmt.Sprintf("%s, within %s", exits[s.exit], s.within)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.name, s.fault, root, strings.Join(s.verdict, " or "), wait)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(page); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the scenarios say (%v): run with -update", page, err)
	}
}
