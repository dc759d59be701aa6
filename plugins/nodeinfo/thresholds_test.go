package nodeinfo

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// written is a file with the text.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "thresholds.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// offline runs the command on a fixture, with a text as standard input.
func offline(t *testing.T, fixture, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	env := testkit.NewEnv("kubectl nodeinfo", now).Stdin(strings.NewReader(stdin))
	input := saved(t, "internal/evaluate/testdata/"+fixture+"/input.yaml")
	code = env.Run(t, New, append(args, "--from-input", input)...)
	return env.Stdout.String(), env.Stderr.String(), code
}

func TestThresholdsOfAFile(t *testing.T) {
	const note = "Changed thresholds:\n  memoryUsagePercent: 99 (default: 95)\n"
	file := written(t, "memoryUsagePercent: 99\n")
	plain, _, _ := offline(t, "HighMemoryUsage", "", "fires")
	if !strings.HasPrefix(plain, "Degraded: ") || strings.Contains(plain, "thresholds") {
		t.Errorf("without a file: %s", plain)
	}
	for name, args := range map[string][]string{"report": {"fires", "--thresholds", file}, "table": {"--thresholds", file}, "standard input": {"fires", "--thresholds=-"}} {
		out, stderr, code := offline(t, "HighMemoryUsage", "memoryUsagePercent: 99\n", args...)
		if code != 0 || strings.Contains(out, "HighMemoryUsage") || !strings.Contains(out, note) {
			t.Errorf("%s: exit %d\n%s%s", name, code, out, stderr)
		}
		testkit.CheckText(t, name, out)
	}
	out, _, _ := offline(t, "HighMemoryUsage", "", "--thresholds", file, "-o", "json")
	var list report.List
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Thresholds) != 1 || list.Thresholds[0].Default != "95" {
		t.Errorf("json: %v, %v", err, list.Thresholds)
	}
	if out, _, _ := offline(t, "HighMemoryUsage", "", "--thresholds", file, "-o", "markdown"); !strings.Contains(out, "memoryUsagePercent: 99") {
		t.Errorf("markdown: %s", out)
	}
	if out, stderr, code := runDump(t, dumped, "-f DUMP --thresholds "+written(t, "staleAfter: 3m")); code != 0 || strings.Contains(out, "ReadyConditionStale") || !strings.Contains(out, "staleAfter: 3m (default: 1m)") {
		t.Errorf("a dump: exit %d\n%s%s", code, out, stderr)
	}
}

// A flag that is given goes before the file.
func TestStaleAfterGoesBeforeTheFile(t *testing.T) {
	file := written(t, "staleAfter: 3m\n")
	for args, stale := range map[string]bool{"": true, "--thresholds FILE": false, "--thresholds FILE --stale-after=1m": true, "--stale-after=3m": false} {
		out, _, _ := offline(t, "ReadyConditionStale", "", append(strings.Fields(strings.ReplaceAll(args, "FILE", file)), "fires")...)
		if strings.Contains(out, "CRITICAL ReadyConditionStale") != stale {
			t.Errorf("%q: %s", args, out)
		}
	}
}

// Nothing is read or asked before the file is known to be right.
func TestWrongThresholdsAreAUsageError(t *testing.T) {
	s := server(t)
	for name, tt := range map[string]struct{ args, want string }{
		"no file":       {"--thresholds /no/such/file", `--thresholds: open /no/such/file: no such file or directory`},
		"a directory":   {"--thresholds " + t.TempDir(), "is a directory"},
		"unknown key":   {"--thresholds " + written(t, "podstart: 5m"), `thresholds.yaml": line 1: "podstart" is not a threshold; closest existing name: podStart`},
		"no input":      {"--thresholds -", `--thresholds "-": no threshold is set`},
		"two inputs":    {"--thresholds - -f -", "only one of --thresholds, --from-input and -f can be standard input"},
		"with --drain":  {"--thresholds f --drain good", "--drain cannot be combined with --thresholds"},
		"with --paths":  {"--thresholds f --paths", "--paths cannot be combined with --thresholds"},
		"of some kinds": {"--thresholds " + written(t, "\x1b[31mred: 1\n"), "not valid YAML"},
	} {
		_, stderr, code := runOn(t, s, strings.Fields(tt.args)...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if code != cli.ExitError || len(lines) != 2 || !strings.Contains(lines[0], tt.want) || !strings.HasPrefix(lines[1], "See 'kubectl nodeinfo --help'") {
			t.Errorf("%s: exit %d: %q", name, code, stderr)
		}
	}
	if n := len(s.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}
