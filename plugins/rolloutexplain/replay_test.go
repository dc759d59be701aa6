package rolloutexplain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// The inputs under testdata were saved on a real cluster by the end-to-end scenarios of the same names (--save-input).
func replays(t *testing.T) []string {
	t.Helper()
	inputs, err := filepath.Glob("testdata/*/input.json")
	if err != nil || len(inputs) < 10 {
		t.Fatalf("%d inputs: %v", len(inputs), err)
	}
	return inputs
}

func TestReplaysOfRealRolloutsSayWhatTheyDid(t *testing.T) {
	for _, input := range replays(t) {
		name := filepath.Base(filepath.Dir(input))
		t.Run(name, func(t *testing.T) {
			for _, g := range []struct {
				file string
				args []string
			}{{"text.golden", nil}, {"report.yaml", []string{"-o", "yaml"}}} {
				env := testkit.NewEnv("kubectl rollout-explain", time.Time{})
				if code := env.Run(t, New, append([]string{"--from-input", input}, g.args...)...); code != 0 || env.Stderr.Len() > 0 {
					t.Fatalf("exit %d: %s", code, env.Stderr)
				}
				testkit.Golden(t, name+"/"+g.file, env.Stdout.String())
			}
		})
	}
}

// What the text says, the JSON holds: verdict, summary, every command, every log line.
func TestTextHoldsNothingThatJSONLacks(t *testing.T) {
	for _, input := range replays(t) {
		text, structured := testkit.NewEnv("kubectl rollout-explain", time.Time{}), testkit.NewEnv("kubectl rollout-explain", time.Time{})
		text.Run(t, New, "--from-input", input)
		structured.Run(t, New, "--from-input", input, "-o", "json")
		var list report.List
		if err := json.Unmarshal(structured.Stdout.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 {
			t.Fatalf("%s: %d rollouts", input, len(list.Items))
		}
		r := list.Items[0]
		first, _, _ := strings.Cut(text.Stdout.String(), "\n")
		want := string(r.Verdict) + ": " + strings.ToLower(r.Object.Kind) + "/" + r.Object.Name + ": " + r.Summary
		rest := strings.TrimPrefix(strings.TrimPrefix(want, first), "; ") // of a summary that is too long for one line: in the block
		if !strings.HasPrefix(want, first) || rest != "" && !strings.Contains(text.Stdout.String(), ": "+rest+"\n") {
			t.Errorf("%s: the first line is\n%s\nand not\n%s", input, first, want)
		}
		known := structured.Stdout.String()
		for line := range strings.Lines(text.Stdout.String()) {
			line = strings.TrimSpace(line)
			if command, ok := strings.CutPrefix(line, "kubectl "); ok {
				quoted, _ := json.Marshal("kubectl " + command)
				if !strings.Contains(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(known), strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted))) {
					t.Errorf("%s: the JSON lacks the command %s", input, line)
				}
			}
		}
	}
}

// A narrow terminal wraps; nothing is lost and no line is longer than it can be.
func TestNarrowTerminalWraps(t *testing.T) {
	for _, input := range replays(t) {
		env := testkit.NewEnv("kubectl rollout-explain", time.Time{}).Terminal(60)
		env.Run(t, New, "--from-input", input, "--color", "never")
		for line := range strings.Lines(env.Stdout.String()) {
			line = strings.TrimRight(line, "\n")
			command, log := strings.HasPrefix(strings.TrimSpace(line), "kubectl "), strings.HasPrefix(strings.TrimSpace(line), "| ")
			if len([]rune(line)) > 60 && !command && !log && strings.Contains(strings.TrimSpace(line), " ") && len([]rune(longestWord(line))) < 40 {
				t.Errorf("%s: %d columns: %s", input, len([]rune(line)), line)
			}
		}
	}
}

func longestWord(line string) string {
	longest := ""
	for _, w := range strings.Fields(line) {
		if len(w) > len(longest) {
			longest = w
		}
	}
	return longest
}

func TestOfflineRefusesWhatIsNoDump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for content, want := range map[string]string{"": "contains no Kubernetes objects", "a: b": "contains no Kubernetes objects", ": : :": "neither YAML nor JSON"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		env := testkit.NewEnv("kubectl rollout-explain", time.Time{})
		if code := env.Run(t, New, "-f", path); code != 1 || !strings.Contains(env.Stderr.String(), want) {
			t.Errorf("%q: exit %d: %s", content, code, env.Stderr)
		}
	}
}
